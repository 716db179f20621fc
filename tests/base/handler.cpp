// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/handler.hpp>

#include <support/catch.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

using namespace genserver;

namespace {

struct Deposit {
  int amount = 0;
};
struct Balance {};
struct Tick {};
struct Unknown {};

struct Account {
  int handle_call(Balance) { return balance; }
  void handle_cast(Deposit deposit) { balance += deposit.amount; }
  int handle_cast(std::unique_ptr<Deposit> deposit) { return balance += deposit->amount; }
  void handle_info(Tick) { ++ticks; }

  int withdraw_all() { return std::exchange(balance, 0); }
  [[nodiscard]] int peek() const { return balance; }

  int balance = 0;
  int ticks = 0;
};

int double_balance(Account& account) { return account.balance *= 2; }
int answer() { return 42; }

template <class Handler>
decltype(auto) call(Account& account, Handler handler) {
  return run_call(account, handler);
}

struct Shape {
  virtual ~Shape() = default;
  virtual int area() = 0;
};
struct View : std::ranges::view_base {
  int* begin() const { return nullptr; }
  int* end() const { return nullptr; }
};

// Whether a handler that is written as `handler` would change a copy of State.
template <class State, class Handler>
constexpr bool changes_copy(const Handler&) {
  return genserver::detail::changes_copy<Handler, State>();
}

constexpr CallSite site{"src/main.cpp", "main", 12};

}  // namespace

TEST_CASE("any object that can be destroyed is a State", "[base][handler]") {
  STATIC_REQUIRE(ServerState<int>);
  STATIC_REQUIRE(ServerState<Account>);
  STATIC_REQUIRE(ServerState<std::unique_ptr<int>>);
  STATIC_REQUIRE_FALSE(ServerState<void>);
  STATIC_REQUIRE_FALSE(ServerState<int&>);
  STATIC_REQUIRE_FALSE(ServerState<const int>);
  STATIC_REQUIRE_FALSE(ServerState<Shape>);
  STATIC_REQUIRE_FALSE(ServerState<int[3]>);
  STATIC_REQUIRE_FALSE(ServerState<int()>);
}

TEST_CASE("a handler takes the State or nothing", "[base][handler]") {
  const auto with_other = [](std::string&) {};

  STATIC_REQUIRE(HandlerOf<int (*)(Account&), Account>);
  STATIC_REQUIRE(HandlerOf<int (*)(), Account>);
  STATIC_REQUIRE(HandlerOf<std::function<void(Account&)>, Account>);
  STATIC_REQUIRE(HandlerOf<int (Account::*)(), Account>);
  STATIC_REQUIRE(HandlerOf<int (Account::*)() const, Account>);
  STATIC_REQUIRE_FALSE(HandlerOf<decltype(with_other), Account>);
  STATIC_REQUIRE_FALSE(HandlerOf<int, Account>);
  STATIC_REQUIRE_FALSE(HandlerOf<int (std::string::*)(), Account>);
}

TEST_CASE("State's own functions tell which messages it takes", "[base][handler]") {
  STATIC_REQUIRE(CallMessageOf<Balance, Account>);
  STATIC_REQUIRE(CastMessageOf<Deposit, Account>);
  STATIC_REQUIRE(CastMessageOf<std::unique_ptr<Deposit>, Account>);
  STATIC_REQUIRE(InfoMessageOf<Tick, Account>);
  STATIC_REQUIRE_FALSE(CallMessageOf<Deposit, Account>);
  STATIC_REQUIRE_FALSE(CastMessageOf<Balance, Account>);
  STATIC_REQUIRE_FALSE(InfoMessageOf<Unknown, Account>);
  STATIC_REQUIRE_FALSE(CallMessageOf<Balance, int>);
}

TEST_CASE("a message that comes again and again can be copied", "[base][handler]") {
  STATIC_REQUIRE(PeriodicMessageOf<Deposit, Account>);
  STATIC_REQUIRE(PeriodicMessageOf<Tick, Account>);
  STATIC_REQUIRE_FALSE(PeriodicMessageOf<std::unique_ptr<Deposit>, Account>);
  STATIC_REQUIRE_FALSE(PeriodicMessageOf<Unknown, Account>);
}

TEST_CASE("a guard looks at the State and does not change it", "[base][handler]") {
  const auto looks = [](const Account& account) { return account.balance > 0; };
  const auto changes = [](Account& account) { return ++account.balance > 0; };
  const auto is_no_condition = [](const Account&) {};

  STATIC_REQUIRE(GuardOf<decltype(looks), Account>);
  STATIC_REQUIRE(GuardOf<int (Account::*)() const, Account>);
  STATIC_REQUIRE_FALSE(GuardOf<decltype(changes), Account>);
  STATIC_REQUIRE_FALSE(GuardOf<decltype(is_no_condition), Account>);
}

TEST_CASE("a handler may return values", "[base][handler]") {
  STATIC_REQUIRE(ReturnsValue<void>);
  STATIC_REQUIRE(ReturnsValue<int>);
  STATIC_REQUIRE(ReturnsValue<const std::string>);
  STATIC_REQUIRE(ReturnsValue<std::unique_ptr<int>>);
  STATIC_REQUIRE(ReturnsValue<std::shared_ptr<const int>>);
  STATIC_REQUIRE(ReturnsValue<std::vector<int>>);
  STATIC_REQUIRE(ReturnsValue<std::optional<std::string>>);
  STATIC_REQUIRE(ReturnsValue<std::pair<int, std::string>>);
  STATIC_REQUIRE(ReturnsValue<std::tuple<>>);
}

TEST_CASE("a handler may not return a reference or a view", "[base][handler]") {
  STATIC_REQUIRE_FALSE(ReturnsValue<int&>);
  STATIC_REQUIRE_FALSE(ReturnsValue<const std::string&>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::string&&>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::string_view>);
  STATIC_REQUIRE_FALSE(ReturnsValue<const std::string_view>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::u16string_view>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::span<int>>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::span<const char, 4>>);
  STATIC_REQUIRE_FALSE(ReturnsValue<View>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::reference_wrapper<int>>);
}

TEST_CASE("a handler may not return an iterator", "[base][handler]") {
  STATIC_REQUIRE_FALSE(ReturnsValue<std::vector<int>::iterator>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::map<int, int>::const_iterator>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::string::const_iterator>);
}

TEST_CASE("a view is also found inside of another value", "[base][handler]") {
  STATIC_REQUIRE_FALSE(ReturnsValue<std::optional<std::string_view>>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::pair<int, std::string_view>>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::pair<std::set<int>::iterator, bool>>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::tuple<int, int&>>);
  STATIC_REQUIRE_FALSE(ReturnsValue<std::optional<std::pair<std::span<int>, int>>>);
}

TEST_CASE("the element of a map is searched for views too", "[base][handler]") {
  using ByName = std::map<std::string_view, int>;

  CHECK_FALSE(ReturnsValue<ByName::value_type>);
  CHECK_FALSE(ReturnsValue<std::optional<const std::string_view>>);
}

TEST_CASE("unsafe_ref lets a handler return a reference on purpose", "[base][handler]") {
  std::string text = "table";
  auto reference = unsafe_ref(text);

  STATIC_REQUIRE(ReturnsValue<decltype(reference)>);
  CHECK(&reference.get() == &text);
  std::string& converted = reference;
  CHECK(&converted == &text);
}

TEST_CASE("unsafe_ref of a constant stays constant", "[base][handler]") {
  const std::string text = "table";
  auto reference = unsafe_ref(text);

  STATIC_REQUIRE(std::is_same_v<decltype(reference.get()), const std::string&>);
  CHECK(&reference.get() == &text);
}

TEST_CASE("unsafe_ref of a view holds the view", "[base][handler]") {
  const std::string text = "table";
  auto view = unsafe_ref(std::string_view{text});

  STATIC_REQUIRE(ReturnsValue<decltype(view)>);
  CHECK(view.get().data() == text.data());
}

TEST_CASE("a lambda is run with the State", "[base][handler]") {
  Account account{10};

  CHECK(call(account, [](Account& own) { return ++own.balance; }) == 11);
  CHECK(account.balance == 11);
}

TEST_CASE("a lambda without parameters is run too", "[base][handler]") {
  Account account{10};

  CHECK(call(account, [] { return 42; }) == 42);
}

TEST_CASE("a lambda that takes anything gets the State", "[base][handler]") {
  Account account{10};

  CHECK(call(account, [](auto&... all) { return sizeof...(all); }) == 1);
}

TEST_CASE("functions are handlers", "[base][handler]") {
  Account account{10};

  CHECK(call(account, &double_balance) == 20);
  CHECK(call(account, &answer) == 42);
  CHECK(run_call(account, double_balance) == 40);
}

TEST_CASE("a std::function is a handler", "[base][handler]") {
  Account account{10};

  CHECK(call(account, std::function<int(Account&)>{double_balance}) == 20);
  CHECK(call(account, std::function<int()>{answer}) == 42);
}

TEST_CASE("State's member functions are handlers", "[base][handler]") {
  Account account{10};

  CHECK(call(account, &Account::peek) == 10);
  CHECK(call(account, &Account::withdraw_all) == 10);
  CHECK(account.balance == 0);
}

TEST_CASE("a mutable lambda keeps what it changes", "[base][handler]") {
  Account account{10};
  auto handler = [runs = 0](Account&) mutable { return ++runs; };

  run_call(account, handler);

  CHECK(run_call(account, handler) == 2);
}

TEST_CASE("a handler that can only be moved is run in place", "[base][handler]") {
  Account account{10};
  auto handler = [extra = std::make_unique<int>(5)](Account& own) { return own.balance + *extra; };

  CHECK(run_call(account, handler) == 15);
  CHECK(call(account, std::move(handler)) == 15);
}

TEST_CASE("a message is handed to State's handle_call", "[base][handler]") {
  Account account{10};

  CHECK(call(account, Balance{}) == 10);
}

TEST_CASE("what a call returns is known to the compiler", "[base][handler]") {
  const auto reference = [](Account& account) -> int& { return account.balance; };

  STATIC_REQUIRE(std::is_same_v<CallResult<int (*)(Account&), Account>, int>);
  STATIC_REQUIRE(std::is_same_v<CallResult<Balance, Account>, int>);
  STATIC_REQUIRE(std::is_same_v<CallResult<const Balance&, Account>, int>);
  STATIC_REQUIRE(std::is_same_v<CallResult<decltype(reference), Account>, int&>);
  STATIC_REQUIRE(std::is_void_v<CallResult<void (*)(), Account>>);
}

TEST_CASE("a cast drops what the handler returns", "[base][handler]") {
  Account account{10};
  auto handler = [](Account& own) { return ++own.balance; };

  run_cast(account, handler);

  CHECK(account.balance == 11);
  STATIC_REQUIRE(std::is_void_v<decltype(run_cast(account, handler))>);
}

TEST_CASE("a cast message goes to handle_cast and others to handle_info", "[base][handler]") {
  Account account{10};
  Deposit deposit{5};
  Tick tick;

  run_cast(account, deposit);
  run_cast(account, tick);

  CHECK(account.balance == 15);
  CHECK(account.ticks == 1);
}

TEST_CASE("a message that can only be moved is moved to State", "[base][handler]") {
  Account account{10};
  auto deposit = std::make_unique<Deposit>(Deposit{5});

  run_cast(account, deposit);

  CHECK(account.balance == 15);
  CHECK(deposit == nullptr);
}

TEST_CASE("an empty function is refused", "[base][handler]") {
  CHECK_THROWS_AS(check_not_empty(std::function<void()>{}, site), InvalidArgument);
  CHECK_THROWS_AS(check_not_empty(static_cast<void (*)()>(nullptr), site), InvalidArgument);
  CHECK_THROWS_AS(check_not_empty(static_cast<int (Account::*)()>(nullptr), site), InvalidArgument);
}

TEST_CASE("a refused empty function is named with its call site", "[base][handler]") {
  CHECK_THROWS_WITH(check_not_empty(std::function<void()>{}, site),
                    Catch::Matchers::ContainsSubstring("main.cpp:12 in main"));
}

TEST_CASE("a function that is not empty is accepted", "[base][handler]") {
  const auto with_capture = [&] { return site.line; };

  CHECK_NOTHROW(check_not_empty(std::function<int()>{answer}, site));
  CHECK_NOTHROW(check_not_empty(&answer, site));
  CHECK_NOTHROW(check_not_empty(&Account::peek, site));
  CHECK_NOTHROW(check_not_empty([] {}, site));
  CHECK_NOTHROW(check_not_empty(with_capture, site));
  CHECK_NOTHROW(check_not_empty(Balance{}, site));
}

TEST_CASE("a handler without a result that takes a copy of State is told from others",
          "[base][handler]") {
  using Numbers = std::vector<int>;
  STATIC_REQUIRE(changes_copy<Numbers>([](Numbers) {}));
  STATIC_REQUIRE(changes_copy<Numbers>([n = 0](Numbers) mutable { ++n; }));
  STATIC_REQUIRE(changes_copy<Numbers>([](Numbers) noexcept {}));
  STATIC_REQUIRE(genserver::detail::changes_copy<void (*)(Numbers), Numbers>());
  STATIC_REQUIRE(genserver::detail::changes_copy<void(Numbers), Numbers>());
  STATIC_REQUIRE_FALSE(genserver::detail::changes_copy<void(Numbers&), Numbers>());
  STATIC_REQUIRE_FALSE(changes_copy<Numbers>([](Numbers&) {}));
  STATIC_REQUIRE_FALSE(changes_copy<Numbers>([](const Numbers&) {}));
  STATIC_REQUIRE_FALSE(changes_copy<Numbers>([](Numbers) { return 1; }));
  STATIC_REQUIRE_FALSE(changes_copy<Numbers>([](auto) {}));
  STATIC_REQUIRE_FALSE(changes_copy<int>([](int) {}));
  STATIC_REQUIRE_FALSE(changes_copy<std::shared_ptr<int>>([](std::shared_ptr<int>) {}));
}
