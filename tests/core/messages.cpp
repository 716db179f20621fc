// SPDX-License-Identifier: BSL-1.0
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"  // a note on over-aligned parameters, which are meant here
#endif

#include <genserver/core/messages.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>

#include <any>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using genserver::Future;
using genserver::GenServer;
using genserver::Reply;
using genserver::ServerRef;

namespace {

using namespace std::chrono_literals;

// The messages of an account.
struct Deposit {
  int cents;
};
struct Withdraw {
  int cents;
};
struct Balance {};
struct Rain {};
struct Loan {
  std::unique_ptr<int> cents;
};
struct Payday {};
struct Unknown {};

struct Account {
  int handle_call(Withdraw message) {
    if (message.cents > cents) throw std::domain_error{"not enough money"};
    return cents -= message.cents;
  }
  int handle_call(Balance) const { return cents; }
  int handle_call(Loan message) { return cents += *message.cents; }
  void handle_call(Payday, Reply<int> reply) { paydays.push_back(std::move(reply)); }
  void handle_cast(Deposit message) {
    cents += message.cents;
    for (Reply<int>& reply : paydays) reply.reply(cents);
    paydays.clear();
  }
  void handle_cast(Loan message) { cents += *message.cents; }
  void handle_info(Rain) { ++rains; }
  void handle_info(Loan message) { cents += 1000 * *message.cents; }

  int cents = 0;
  int rains = 0;
  std::vector<Reply<int>> paydays{};
};

const auto balance = [](Account& account) { return account.cents; };

// A function object that is larger and more aligned than what the pool holds.
template <std::size_t alignment>
struct alignas(alignment) Aligned {
  int operator()() const {
    const auto address = reinterpret_cast<std::uintptr_t>(this);
    return address % alignment == 0 ? content.front() + content.back() : -1;
  }
  std::array<int, 100> content{};
};

template <std::size_t alignment>
Aligned<alignment> aligned() {
  Aligned<alignment> handler;
  handler.content.front() = 40;
  handler.content.back() = 2;
  return handler;
}

// Whether a program that sends such a message compiles.
template <class Message>
constexpr bool can_call = genserver::CallMessageOf<Message, Account>;
template <class Message>
constexpr bool can_cast = genserver::CastMessageOf<Message, Account>;
template <class Message>
constexpr bool can_send = genserver::InfoMessageOf<Message, Account>;

}  // namespace

TEST_CASE("a called message goes to handle_call, which gives the reply", "[core][messages]") {
  GenServer<Account> server{{}, Account{.cents = 500}};

  CHECK(server.call(Withdraw{200}) == 300);
  CHECK(server.call(Balance{}) == 300);
  CHECK(server.call_for(1h, Withdraw{100}) == 200);
  CHECK(server.call_until(std::chrono::steady_clock::now() + 1h, Balance{}) == 200);
  CHECK(server.async_call(Withdraw{50}).get() == 150);
}

TEST_CASE("what handle_call throws reaches the caller as it is, waiting or not",
          "[core][messages]") {
  GenServer<Account> server{{}, Account{.cents = 5}};

  CHECK_THROWS_AS(server.call(Withdraw{6}), std::domain_error);
  CHECK_THROWS_AS(server.call_for(1h, Withdraw{6}), std::domain_error);
  CHECK_THROWS_AS(server.async_call(Withdraw{6}).get(), std::domain_error);
  CHECK(server.call(Balance{}) == 5);
}

TEST_CASE("a cast message goes to handle_cast", "[core][messages]") {
  GenServer<Account> server{{}};

  CHECK(server.cast(Deposit{1}));
  CHECK(server.try_cast(Deposit{2}));
  CHECK(server.cast_for(1h, Deposit{3}));
  server.call([&] { server.continue_with(Deposit{4}); });

  CHECK(server.call(Balance{}) == 10);
}

TEST_CASE("a sent message goes to handle_info", "[core][messages]") {
  GenServer<Account> server{{}};

  CHECK(server.send(Rain{}));
  CHECK(server.send(Rain{}));

  CHECK(server.call([](Account& account) { return account.rains; }) == 2);
}

TEST_CASE("a message can be sent later, and again and again", "[core][messages]") {
  GenServer<Account> server{{}};

  server.cast_after(0ms, Deposit{5});
  server.cast_after(0ms, Rain{});
  server.cast_after(0ms, Loan{std::make_unique<int>(6)});
  auto timer = server.cast_every(1ms, Deposit{100});
  const auto is_rich = [](const Account& a) { return a.cents >= 311 && a.rains == 1; };

  CHECK(server.call_when(is_rich, balance) % 100 == 11);
}

TEST_CASE("a message may be answered later", "[core][messages]") {
  GenServer<Account> server{{}};

  Future<int> payday = server.async_call<int>(Payday{});
  const bool is_early = payday.is_ready();
  server.cast(Deposit{700});

  CHECK_FALSE(is_early);
  CHECK(payday.get() == 700);
}

TEST_CASE("a deferred message may be called", "[core][messages]") {
  GenServer<Account> server{{}};

  server.cast_after(1ms, Deposit{700});

  CHECK(server.call<int>(Payday{}) >= 0);
}

TEST_CASE("a message that can only be moved arrives", "[core][messages]") {
  GenServer<Account> server{{}};

  CHECK(server.call(Loan{std::make_unique<int>(1)}) == 1);
  CHECK(server.call_for(1h, Loan{std::make_unique<int>(2)}) == 3);
  CHECK(server.async_call(Loan{std::make_unique<int>(3)}).get() == 6);
  CHECK(server.cast(Loan{std::make_unique<int>(4)}));
  CHECK(server.send(Loan{std::make_unique<int>(5)}));

  CHECK(server.call(balance) == 5010);
}

TEST_CASE("a message that is an lvalue stays with its sender", "[core][messages]") {
  struct Text {
    std::string content;
  };
  struct Reader {
    std::string handle_call(Text text) { return std::move(text.content); }
  };
  GenServer<Reader> server{{}};
  Text text{"a text that is too long to be kept inside of the string"};
  const Text constant = text;

  const std::string first = server.call(text);
  const std::string second = server.call(constant);

  CHECK(first == constant.content);
  CHECK(second == constant.content);
  CHECK(text.content == constant.content);
}

TEST_CASE("a message that could hold itself arrives as it was sent", "[core][messages]") {
  using Parcel = std::vector<std::any>;  // Parcel{parcel} has one element
  struct Post {
    std::size_t handle_call(Parcel parcel) { return parcel.size(); }
    void handle_cast(Parcel parcel) { sizes.push_back(parcel.size()); }
    void handle_info(Parcel parcel) { sizes.push_back(parcel.size()); }
    std::vector<std::size_t> sizes{};
  };
  GenServer<Post> server{{}};
  const Parcel parcel{std::any{1}, std::any{2}, std::any{3}};

  CHECK(server.call(parcel) == 3);
  CHECK(server.call(Parcel(3)) == 3);
  CHECK(server.call_for(1h, parcel) == 3);
  server.cast(parcel);
  server.send(parcel);
  auto timer = server.cast_every(1ms, parcel);
  const auto sizes = server.call_when([](const Post& post) { return post.sizes.size() >= 4; },
                                      [](Post& post) { return post.sizes; });

  CHECK(sizes == std::vector<std::size_t>(sizes.size(), 3));
}

TEST_CASE("a message that State does not handle does not compile", "[core][messages]") {
  STATIC_REQUIRE(can_call<Balance>);
  STATIC_REQUIRE(can_cast<Deposit>);
  STATIC_REQUIRE(can_send<Rain>);
  STATIC_REQUIRE_FALSE(can_call<Unknown>);
  STATIC_REQUIRE_FALSE(can_cast<Unknown>);
  STATIC_REQUIRE_FALSE(can_send<Unknown>);
  STATIC_REQUIRE_FALSE(can_call<Deposit>);
  STATIC_REQUIRE_FALSE(can_cast<Balance>);
  STATIC_REQUIRE_FALSE(can_send<Deposit>);
}

TEST_CASE("closures of every size and alignment arrive whole", "[core][messages]") {
  std::atomic<int> right{0};
  GenServer<int> server{{}, 0};
  const auto test = [&](const auto& handler) {
    right += server.call(handler) == 42 ? 1 : 0;
    right += server.call_for(1h, handler) == 42 ? 1 : 0;
    right += server.async_call(handler).get() == 42 ? 1 : 0;
    server.cast([&right, handler] { right += handler() == 42 ? 1 : 0; });
    server.cast_after(0ms, [&right, handler] { right += handler() == 42 ? 1 : 0; });
  };

  test(aligned<8>());
  test(aligned<16>());
  test(aligned<128>());
  test(aligned<4096>());

  CHECK(eventually([&] { return right == 20; }));
}

TEST_CASE("closures that are just small enough for the pool, and just not, arrive whole",
          "[core][messages]") {
  GenServer<std::vector<int>> server{{}};
  const auto send = [&](auto filler) {
    filler.fill(7);
    server.cast([filler](std::vector<int>& sums) {
      int sum = 0;
      for (const auto byte : filler) sum += byte;
      sums.push_back(sum);
    });
  };

  send(std::array<std::uint8_t, 79>{});
  send(std::array<std::uint8_t, 80>{});
  send(std::array<std::uint8_t, 81>{});
  send(std::array<std::uint8_t, 128>{});
  send(std::array<std::uint8_t, 5000>{});

  CHECK(server.call([](std::vector<int>& sums) { return sums; }) ==
        std::vector<int>{7 * 79, 7 * 80, 7 * 81, 7 * 128, 7 * 5000});
}

TEST_CASE("a handler that can only be moved can be sent", "[core][messages]") {
  GenServer<int> server{{}, 0};
  const auto adding = [](int number) {
    return [owned = std::make_unique<int>(number)](int& n) { return n += *owned; };
  };

  server.cast(adding(1));
  server.try_cast(adding(2));
  server.cast_after(0ms, adding(3));
  server.call([&] { server.continue_with(adding(4)); });
  server.call(adding(5));
  server.call_for(1h, adding(6));
  server.async_call(adding(7)).get();

  const auto is_all = [](const int& n) { return n == 28; };
  CHECK(server.call_when(is_all, [](int& n) { return n; }) == 28);
}

TEST_CASE("results that can only be moved, and large ones, come back", "[core][messages]") {
  GenServer<std::string> server{{}, "state"};
  const auto owned = [](std::string& text) { return std::make_unique<std::string>(text); };
  const auto large = [] { return aligned<128>(); };

  CHECK(*server.call(owned) == "state");
  CHECK(*server.call_for(1h, owned) == "state");
  CHECK(*server.async_call(owned).get() == "state");
  CHECK(server.call(large)() == 42);
  CHECK(server.call_for(1h, large)() == 42);
  CHECK(server.async_call(large).get()() == 42);
}

TEST_CASE("a result that is constant comes back", "[core][messages]") {
  GenServer<std::string> server{{}, "state"};
  const auto constant = [](std::string& text) -> const std::string { return text; };

  CHECK(server.call(constant) == "state");
  CHECK(server.call_for(1h, constant) == "state");
  CHECK(server.async_call(constant).get() == "state");
}

TEST_CASE("the captures of a handler are destroyed on the thread of the server",
          "[core][messages]") {
  struct Witness {
    Witness(std::atomic<bool>& out, std::thread::id expected) : right{out}, id{expected} {}
    ~Witness() { right = std::this_thread::get_id() == id; }
    std::atomic<bool>& right;
    std::thread::id id;
  };
  std::atomic<bool> right{false};
  GenServer<int> server{{}, 0};
  const auto id = server.call([] { return std::this_thread::get_id(); });

  server.cast([witness = std::make_unique<Witness>(right, id)] {});
  server.call([] {});

  CHECK(right);
}

TEST_CASE("what a cast returns is dropped", "[core][messages]") {
  GenServer<int> server{{}, 0};

  server.cast([](int& n) { return std::make_unique<int>(++n); });

  CHECK(server.call([](int& n) { return n; }) == 1);
}
