// SPDX-License-Identifier: BSL-1.0
#include <genserver/core/request.hpp>

#include <genserver/core/gen_server.hpp>

#include <support/catch.hpp>
#include <support/eventually.hpp>
#include <support/gate.hpp>
#include <support/thrown.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using genserver::CallPhase;
using genserver::CallSite;
using genserver::CallTimeout;
using genserver::Deadline;
using genserver::ExitReason;
using genserver::NoReply;
using genserver::OnException;
using genserver::Refusal;
using genserver::RequestBook;
using genserver::RequestFor;
using genserver::RequestWait;
using genserver::ServerGone;
using genserver::WaitKind;

namespace {

// A request to a server that was never started, as its caller and that server see it.
class Fixture {
 public:
  Fixture()
      : request{std::make_shared<RequestFor<int>>(
            std::make_shared<genserver::Server<int>>(genserver::Options{.name = "clerk"}), book,
            CallSite::here())} {}

  int take() { return request->take(WaitKind::call, request->site()); }

  RequestBook book{};
  std::shared_ptr<RequestFor<int>> request;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a request is done when it is answered", "[core][request]") {
  const bool is_done_before = request->is_done();

  const bool is_begun = request->begin(1);
  const bool is_first = request->answer(5);

  CHECK_FALSE(is_done_before);
  CHECK(is_begun);
  CHECK(is_first);
  CHECK(request->is_done());
  CHECK(take() == 5);
}

TEST_CASE_METHOD(Fixture, "only the first completion of a request counts", "[core][request]") {
  request->begin(1);

  const bool answered = request->answer(5);
  const bool again = request->answer(6);
  const bool failed = request->fail(std::make_exception_ptr(std::logic_error{"too late"}));
  const bool refused = request->refuse({Refusal::Kind::no_reply, ExitReason::normal()});

  CHECK(answered);
  CHECK_FALSE(again);
  CHECK_FALSE(failed);
  CHECK_FALSE(refused);
  CHECK(take() == 5);
}

TEST_CASE_METHOD(Fixture, "a request that is given up while queued does not begin",
                 "[core][request]") {
  const auto phase = request->give_up();

  CHECK(phase == CallPhase::queued);
  CHECK_FALSE(request->begin(1));
  CHECK_FALSE(request->answer(1));
}

TEST_CASE_METHOD(Fixture, "a request that is given up while running drops its answer",
                 "[core][request]") {
  request->begin(1);

  const auto phase = request->give_up();

  CHECK(phase == CallPhase::running);
  CHECK_FALSE(request->answer(1));
}

TEST_CASE_METHOD(Fixture, "a request that is given up while parked tells label and rounds",
                 "[core][request]") {
  request->begin(1);
  request->set_label("waits for a signature");
  request->end_of_handler();

  const auto phase = request->give_up();
  const auto error = thrown<CallTimeout>([&] { request->raise_timeout(*phase); });

  CHECK(phase == CallPhase::parked);
  REQUIRE(error.has_value());
  CHECK(error->phase() == CallPhase::parked);
  CHECK(has(error->what(), "call to clerk:"));
  CHECK(has(error->what(), "request.cpp"));
  CHECK(has(error->what(), "it was parked"));
  CHECK(has(error->what(), "waits for a signature"));
  CHECK(has(error->what(), "parked 1 time"));
}

TEST_CASE_METHOD(Fixture, "a request that was answered in time is not given up",
                 "[core][request]") {
  request->begin(1);
  request->answer(5);

  CHECK_FALSE(request->give_up().has_value());
  CHECK(take() == 5);
}

TEST_CASE_METHOD(Fixture, "a timeout says whether the request can still run", "[core][request]") {
  const auto text = [&](CallPhase phase) {
    return std::string{thrown<CallTimeout>([&] { request->raise_timeout(phase); })->what()};
  };

  CHECK(has(text(CallPhase::not_sent), "not sent and will never run"));
  CHECK(has(text(CallPhase::queued), "queued and will never run"));
  CHECK(has(text(CallPhase::running), "running"));
  CHECK_FALSE(has(text(CallPhase::running), "never"));
}

TEST_CASE_METHOD(Fixture, "a request fails with the exception of its handler", "[core][request]") {
  request->begin(1);

  request->answer_with([]() -> int { throw std::out_of_range{"no such file"}; }, OnException::reply);

  CHECK_THROWS_AS(take(), std::out_of_range);
}

TEST_CASE_METHOD(Fixture, "a request leaves what ends the server to the server",
                 "[core][request]") {
  request->begin(1);

  const auto leave = []() -> int { throw genserver::Exit{}; };
  const auto crash = []() -> int { throw std::runtime_error{"crashed"}; };

  CHECK_THROWS_AS(request->answer_with(leave, OnException::reply), genserver::Exit);
  CHECK_THROWS_AS(request->answer_with(crash, OnException::crash), std::runtime_error);
  CHECK_FALSE(request->is_done());
}

TEST_CASE_METHOD(Fixture, "a reply that is dropped means that there will be none",
                 "[core][request]") {
  request->begin(1);
  request->end_of_handler();

  request->drop();

  const auto error = thrown<NoReply>([&] { take(); });
  REQUIRE(error.has_value());
  CHECK(has(error->what(), "clerk"));
}

TEST_CASE_METHOD(Fixture,
                 "a reply that is dropped by a throwing handler leaves it to the exception",
                 "[core][request]") {
  request->begin(1);

  request->drop();
  const bool is_done_early = request->is_done();
  const bool is_failed = request->fail(std::make_exception_ptr(std::out_of_range{"no page"}));
  request->end_of_handler();

  CHECK_FALSE(is_done_early);
  CHECK(is_failed);
  CHECK_THROWS_AS(take(), std::out_of_range);
}

TEST_CASE_METHOD(Fixture, "a reply that is dropped by a returning handler means none",
                 "[core][request]") {
  request->begin(1);

  request->drop();
  request->end_of_handler();

  CHECK_THROWS_AS(take(), NoReply);
  CHECK(request->rounds() == 0);
}

TEST_CASE_METHOD(Fixture, "a reply that is dropped by an ending server tells the reason",
                 "[core][request]") {
  request->begin(1);
  request->end_of_handler();
  book.close(ExitReason::shutdown("closing time"));

  request->drop();

  const auto error = thrown<ServerGone>([&] { take(); });
  REQUIRE(error.has_value());
  CHECK(error->reason() == ExitReason::shutdown("closing time"));
}

TEST_CASE_METHOD(Fixture, "the end of a server completes what it has parked", "[core][request]") {
  request->begin(1);
  request->end_of_handler();
  book.close(ExitReason::killed());

  book.refuse_all();

  CHECK(request->is_done());
  CHECK_THROWS_AS(take(), ServerGone);
}

TEST_CASE_METHOD(Fixture, "the end of a server leaves alone what was answered", "[core][request]") {
  request->begin(1);
  request->end_of_handler();
  request->answer(5);
  book.close(ExitReason::killed());

  book.refuse_all();

  CHECK(take() == 5);
}

TEST_CASE_METHOD(Fixture, "a wait ends with the answer", "[core][request]") {
  request->begin(1);
  std::thread server{[this] { request->answer(5); }};

  const genserver::Waited waited =
      RequestWait{*request, WaitKind::call, CallSite::here()}.until(Deadline::never());
  server.join();

  CHECK(waited == genserver::Waited::done);
  CHECK(take() == 5);
}

TEST_CASE_METHOD(Fixture, "an answer and the caller's leave race, and one of them wins",
                 "[core][request]") {
  int both = 0;
  for (int round = 0; round < 200; ++round) {
    const Fixture one;
    one.request->begin(1);
    bool is_answered = false;
    std::thread server{[&] { is_answered = one.request->answer(round); }};
    const bool has_left = one.request->give_up().has_value();
    server.join();
    if (has_left == is_answered) ++both;
  }

  CHECK(both == 0);
}
