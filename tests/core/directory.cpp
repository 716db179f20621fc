// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/directory.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

using namespace genserver;

namespace {

ServerIdentity identity_of(const std::string& name, const Mailbox& mailbox) {
  return {name, Directory::next_pid(), std::chrono::seconds{1}, &mailbox};
}

}  // namespace

TEST_CASE("pids are never given twice", "[core][directory]") {
  std::set<Pid> pids;

  for (int i = 0; i < 100; ++i) CHECK(pids.insert(Directory::next_pid()).second);
}

TEST_CASE("a record shows its server until it is released", "[core][directory]") {
  const Mailbox mailbox{4, false};
  const ServerIdentity identity = identity_of("account", mailbox);
  ServerRecord& record = Directory::instance().acquire(identity);
  std::string name;

  CHECK(record.with_identity([&](const ServerIdentity& shown) { name = shown.name; }));
  CHECK(name == "account");

  Directory::instance().release(record);
  CHECK(!record.with_identity([](const ServerIdentity&) {}));
}

TEST_CASE("thousands of records are found by their index and have distinct ones",
          "[core][directory]") {
  const Mailbox mailbox{4, false};
  const ServerIdentity identity = identity_of("many", mailbox);
  std::vector<ServerRecord*> records;
  std::set<std::uint32_t> indexes;

  for (int i = 0; i < 3000; ++i) records.push_back(&Directory::instance().acquire(identity));

  for (ServerRecord* record : records) {
    CHECK(&Directory::instance().at(record->index()) == record);
    indexes.insert(record->index());
    Directory::instance().release(*record);
  }
  CHECK(indexes.size() == records.size());
}

TEST_CASE("for_each comes by every server that lives", "[core][directory]") {
  const Mailbox mailbox{4, false};
  const ServerIdentity identity = identity_of("seen", mailbox);
  ServerRecord& record = Directory::instance().acquire(identity);
  int found = 0;

  Directory::instance().for_each([&](ServerRecord& seen) { found += &seen == &record ? 1 : 0; });

  CHECK(found == 1);
  Directory::instance().release(record);
}

TEST_CASE("the turn is odd while a message runs, and its site is shown", "[core][directory]") {
  ServerRecord record{0};
  const std::uint64_t before = record.turn();
  const CallSite site = CallSite::here();

  record.begin_message(site);
  CHECK(record.turn() == before + 1);
  CHECK(record.turn() % 2 == 1);
  CHECK(record.message_site() == site);

  record.end_message();
  CHECK(record.turn() == before + 2);
}

TEST_CASE("the stack of who runs a server can be taken", "[core][directory]") {
  ServerRecord record{0};
  CHECK(record.runner_stack().frames.empty());

  record.set_runner(ThreadRecord::current());

  CHECK(!record.runner_stack().frames.empty());
}

TEST_CASE("long waits are listed until they are taken out", "[core][directory]") {
  ServerRecord record{0};
  LongWait wait;
  std::size_t listed = 0;

  record.with_long_waits([&](std::vector<LongWait*>& waits) { waits.push_back(&wait); });
  record.with_long_waits([&](std::vector<LongWait*>& waits) { listed = waits.size(); });

  CHECK(listed == 1);
}
