// Calls that are answered later: who asks for a job gets one when there is one.
#include <genserver/genserver.hpp>

#include <cstdio>
#include <deque>
#include <string>
#include <utility>

struct Jobs {
  std::deque<std::string> open{};
  std::deque<genserver::Reply<std::string>> idle{};  // the callers that wait
  int taken = 0;

  void give() {
    for (; !open.empty() && !idle.empty(); idle.pop_front()) {
      if (!idle.front().reply(open.front())) continue;  // that caller has given up
      open.pop_front();
      ++taken;
    }
  }
};

class JobBoard : public genserver::GenServer<Jobs> {
 public:
  JobBoard() : GenServer({.name = "job board"}) {}

  // Keeps the reply and goes on; a later handler answers. call<std::string> would wait for that.
  genserver::Future<std::string> take() {
    return async_call<std::string>([](Jobs& jobs, genserver::Reply<std::string> reply) {
      jobs.idle.push_back(std::move(reply));
      jobs.give();
    });
  }
  void post(std::string job) {
    cast([job = std::move(job)](Jobs& jobs) {
      jobs.open.push_back(job);
      jobs.give();
    });
  }
  // Waits in the server until the guard holds; other handlers run meanwhile.
  int wait_until_taken(int count) {
    return call_when([&](const Jobs& jobs) { return jobs.taken >= count; },
                     [](Jobs& jobs) { return jobs.taken; });
  }
};

int main() {
  JobBoard board;
  auto anna = board.take();
  auto bert = board.take();
  board.post("paint the door");
  board.post("mow the lawn");
  std::printf("jobs taken: %d\n", board.wait_until_taken(2));
  std::printf("Anna: %s\nBert: %s\n", anna.get().c_str(), bert.get().c_str());
}

// Output:
// jobs taken: 2
// Anna: paint the door
// Bert: mow the lawn
