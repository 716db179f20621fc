// Three servers recorded for ui.perfetto.dev: who sends to whom, who waits, and for how long.
#include <genserver/genserver.hpp>

#include <cstdio>
#include <map>
#include <string>
#include <thread>

class Journal : public genserver::GenServer<int> {  // the state: how many lines it has
 public:
  Journal() : GenServer({.name = "journal"}, 0) {}
  void note() { cast([](int& lines) { ++lines; }); }
};

class Stock : public genserver::GenServer<std::map<std::string, int>> {
 public:
  explicit Stock(Journal& journal) : GenServer({.name = "stock"}), journal_{journal} {}
  bool take(const std::string& item) {
    return call([&](auto& shelf) {
      journal_.note();
      return ++shelf[item] <= 5;  // there were five of each
    });
  }

 private:
  Journal& journal_;
};

class Orders : public genserver::GenServer<int> {  // the state: how many were sold
 public:
  explicit Orders(Stock& stock) : GenServer({.name = "orders"}, 0), stock_{stock} {}
  int buy(const std::string& item) {
    return call([&](int& sold) { return stock_.take(item) ? ++sold : sold; });
  }

 private:
  Stock& stock_;
};

int main(int argc, char** argv) {
  const std::string path = argc > 1 ? argv[1] : "trace.json";
  const genserver::TraceRecorder recorder;
  genserver::trace_all(recorder.sink());

  Journal journal;
  Stock stock{journal};
  Orders orders{stock};
  std::thread anna{[&] { orders.buy("tea"), orders.buy("milk"), orders.buy("tea"); }};
  for (int cup = 0; cup < 4; ++cup) orders.buy("tea");
  anna.join();
  std::printf("%d were sold\n", orders.buy("tea"));

  recorder.write(path);
  std::printf("open %s at https://ui.perfetto.dev or in chrome://tracing\n", path.c_str());
}

// Output:
// 6 were sold
// open trace.json at https://ui.perfetto.dev or in chrome://tracing
