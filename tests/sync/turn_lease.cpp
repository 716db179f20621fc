// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/turn_lease.hpp>

#include <support/catch.hpp>

using genserver::TurnLease;

namespace {

/// Returns after how many turns a lease is due, and begins it.
int turns_until_due(TurnLease& lease) {
  int turns = 1;
  while (!lease.is_due()) ++turns;
  lease.begin();
  return turns;
}

}  // namespace

TEST_CASE("a lease is taken by one, put back, and taken again", "[sync][turn_lease]") {
  TurnLease lease;
  CHECK_FALSE(lease.is_there());
  CHECK_FALSE(lease.take());

  lease.begin();
  CHECK(lease.is_there());
  CHECK_FALSE(lease.is_ready());
  CHECK_FALSE(lease.take());
  lease.put_back();
  CHECK(lease.is_ready());

  CHECK(lease.take());
  CHECK_FALSE(lease.take());
  lease.put_back();
  CHECK(lease.take());
  lease.end();
  CHECK_FALSE(lease.is_there());
  CHECK_FALSE(lease.take());
}

TEST_CASE("a lease that is ready can be revoked, once", "[sync][turn_lease]") {
  TurnLease lease;
  CHECK_FALSE(lease.revoke());
  lease.begin();
  lease.put_back();

  CHECK(lease.revoke());
  CHECK_FALSE(lease.is_there());
  CHECK_FALSE(lease.take());
  CHECK_FALSE(lease.revoke());
}

TEST_CASE("who has taken a lease is told that it is to end", "[sync][turn_lease]") {
  TurnLease lease;
  lease.begin();
  CHECK_FALSE(lease.is_revoked());

  CHECK_FALSE(lease.revoke());
  CHECK(lease.is_revoked());
  CHECK(lease.is_there());

  lease.put_back();  // without having looked
  CHECK(lease.revoke());
  lease.begin();
  CHECK_FALSE(lease.is_revoked());
}

TEST_CASE("only turns in a row make a lease due", "[sync][turn_lease]") {
  TurnLease lease;
  const int needed = turns_until_due(lease);
  lease.put_back();
  REQUIRE(lease.revoke());
  const int more = turns_until_due(lease);
  lease.end();
  CHECK(more == 2 * needed);

  for (int round = 0; round < 10; ++round) {
    for (int turn = 1; turn < needed; ++turn) CHECK_FALSE(lease.is_due());
    lease.put_off();
  }
}

TEST_CASE("a lease that does not pay comes later, up to a limit, and one that does sooner",
          "[sync][turn_lease]") {
  TurnLease lease;
  const int first = turns_until_due(lease);
  int needed = first;
  for (int round = 0; round < 30; ++round) {
    lease.put_back();
    REQUIRE(lease.revoke());
    const int next = turns_until_due(lease);
    CHECK((next == 2 * needed || next == needed));
    needed = next;
  }
  CHECK(needed == 1 << 16);

  for (int round = 0; round < 30; ++round) {
    for (int turn = 0; turn < 10'000; ++turn) {
      lease.put_back();
      lease.take();
    }
    lease.end();
    needed = turns_until_due(lease);
  }
  CHECK(needed == first);
}
