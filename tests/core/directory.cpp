// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/directory.hpp>

#include <support/catch.hpp>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
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

TEST_CASE("a server is found by the lowest bits of its pid, if it lives", "[core][directory]") {
  const Mailbox mailbox{4, false};
  const ServerIdentity identity = identity_of("sought", mailbox);
  ServerRecord& record = Directory::instance().acquire(identity);
  const auto bits = static_cast<std::uint32_t>(identity.pid.value());

  CHECK(Directory::instance().find(bits) == std::pair{std::string{"sought"}, identity.pid});
  CHECK(Directory::instance().find(0).second == Pid{});
  Directory::instance().release(record);
  CHECK(Directory::instance().find(bits).second == Pid{});
}

TEST_CASE("a record that goes to another server begins anew", "[core][directory]") {
  const Mailbox mailbox{4, false};
  const ServerIdentity identity = identity_of("first", mailbox);
  ServerRecord& record = Directory::instance().acquire(identity);
  record.set_life(ServerRecord::Life::stopping);
  record.set_suspended(true);
  record.meter().count_handled();
  record.set_over();
  Directory::instance().release(record);

  ServerRecord& again = Directory::instance().acquire(identity);

  REQUIRE(&again == &record);  // the last one given back is the first to be used again
  CHECK(again.life() == ServerRecord::Life::starting);
  CHECK(!again.is_suspended());
  CHECK(!again.is_over());
  CHECK(again.meter().counts().handled == 0);
  Directory::instance().release(again);
}

TEST_CASE("all servers can be marked as traced, those that come later too", "[core][directory]") {
  const Mailbox mailbox{4, false};
  const ServerIdentity identity = identity_of("traced", mailbox);
  ServerRecord& before = Directory::instance().acquire(identity);

  const auto none = [](Pid) { return false; };
  Directory::instance().set_all_traced(true, none);
  ServerRecord& after = Directory::instance().acquire(identity);
  CHECK(before.is_traced());
  CHECK(after.is_traced());
  Directory::instance().set_all_traced(false, none);
  CHECK(!before.is_traced());
  CHECK(!after.is_traced());

  Directory::instance().release(before);
  Directory::instance().release(after);
}
