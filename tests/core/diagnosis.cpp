// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/diagnosis.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

using namespace genserver;
using namespace std::chrono_literals;

namespace {

struct Balance {};
struct Deposit {};
struct Form {};
struct Loan {};

struct Account {
  int handle_call(Balance) const { return cents; }
  void handle_call(Loan, Reply<int> reply) { reply.reply(cents); }
  void handle_cast(Deposit) { ++cents; }
  void handle_info(Form&) {}
  int cents = 0;
};

using Later = void (*)(Account&, Reply<int>);
const auto at_once = [](Account& account) { return account.cents; };
const auto generic = [](auto& account) { return account.cents; };

template <class T>
using Type = std::remove_cvref_t<T>;

}  // namespace

TEST_CASE("what leaves its answer for later is known by its Reply", "[core][diagnosis]") {
  STATIC_REQUIRE(detail::Deferred<Later, Account>);
  STATIC_REQUIRE(detail::Deferred<Loan, Account>);
  STATIC_REQUIRE_FALSE(detail::Deferred<Type<decltype(at_once)>, Account>);
  STATIC_REQUIRE_FALSE(detail::Deferred<Balance, Account>);
}

TEST_CASE("a message that State would change is told from one that it does not know",
          "[core][diagnosis]") {
  STATIC_REQUIRE(detail::Changed<Form, Account>);
  STATIC_REQUIRE_FALSE(detail::Changed<int, Account>);
}

TEST_CASE("closures are told from messages, as far as they can be asked", "[core][diagnosis]") {
  STATIC_REQUIRE(detail::Closure<Type<decltype(at_once)>>);
  STATIC_REQUIRE(detail::Closure<int (*)(Account&)>);
  STATIC_REQUIRE(detail::Closure<int Account::*>);
  STATIC_REQUIRE(detail::Closure<std::function<void()>>);
  STATIC_REQUIRE_FALSE(detail::Closure<Type<decltype(generic)>>);
  STATIC_REQUIRE_FALSE(detail::Closure<Balance>);
  STATIC_REQUIRE_FALSE(detail::Closure<int>);
}

TEST_CASE("the place of sending is no further argument", "[core][diagnosis]") {
  using Handler = Type<decltype(at_once)>;
  STATIC_REQUIRE_FALSE(detail::FurtherOf<Handler>);
  STATIC_REQUIRE_FALSE(detail::FurtherOf<Handler, CallSite>);
  STATIC_REQUIRE(detail::FurtherOf<Handler, int>);
  STATIC_REQUIRE(detail::FurtherOf<Handler, CallSite, int>);
}

TEST_CASE("texts and numbers are left to the functions of a derived class", "[core][diagnosis]") {
  struct Shop : GenServer<Account> {
    using GenServer::call, GenServer::cast;
    int call(std::string_view name, int count = 0) { return static_cast<int>(name.size()) + count; }
    int cast(long count) { return static_cast<int>(count); }
  } shop;

  CHECK(shop.call("tea") == 3);
  CHECK(shop.call(std::string{"milk"}, 1) == 5);
  CHECK(shop.cast(7) == 7);
  CHECK(shop.call(at_once) == 0);
}

TEST_CASE("what is right reaches the server as if there were no diagnosis", "[core][diagnosis]") {
  GenServer<Account> server{};
  const CallSite site = CallSite::here();
  auto kept = at_once;
  const std::function<int(Account&)> function = at_once;

  CHECK(server.cast(Deposit{}, site));
  CHECK(server.call(kept) == 1);
  CHECK(server.call(at_once, site) == 1);
  CHECK(server.call(generic) == 1);
  CHECK(server.call(function) == 1);
  CHECK(server.call_for(std::chrono::hours{1}, Balance{}, site) == 1);
  CHECK(server.call_until(std::chrono::steady_clock::now() + 1h, function) == 1);
  CHECK(server.call<int>(Loan{}) == 1);
  CHECK(server.call_for<int>(1h, [](Account&, auto reply) { reply.reply(7); }) == 7);
  CHECK(server.async_call<int>(Loan{}, site).get() == 1);
  STATIC_REQUIRE(sizeof(ServerRef<Account>) == sizeof(AnyRef));
}
