// Two servers that call each other: found at once, and reported with both stacks.
//
// `deadlock` prints the report (stderr), catches Deadlock, and both servers go on.
// `deadlock --watchdog [seconds]` lets them hang until the watchdog reports each of them.
// It is longer than the other examples for the sake of the functions to be seen in the stacks.
#include <genserver/genserver.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

class Connection;

class Peer : public genserver::GenServer<int> {  // the state: how many connections it has
 public:
  using GenServer::GenServer;
  [[gnu::noinline]] int conn_established(Connection& connection) {
    return call([&](int& count) { return 1 + query_loop(count, connection); });
  }

 private:
  [[gnu::noinline]] int query_loop(int& count, Connection& connection) {
    return 1 + handle_add_connection(count, connection);
  }
  int handle_add_connection(int& count, Connection& connection);
};

class Connection : public genserver::GenServer<int> {  // the state: how many messages it has sent
 public:
  Connection(genserver::Options options, Peer& peer) : GenServer(options, 0), peer_{peer} {}
  [[gnu::noinline]] int send_gossip_message() {
    return call([this](int& sent) { return 1 + query_loop(sent); });
  }

 private:
  [[gnu::noinline]] int query_loop(int& sent) { return sent += handle_set_established(); }
  [[gnu::noinline]] int handle_set_established() { return 1 + peer_.conn_established(*this); }

  Peer& peer_;
};

[[gnu::noinline]] int Peer::handle_add_connection(int& count, Connection& connection) {
  return count += connection.send_gossip_message();  // who waits for this very handler
}

int main(int argc, char** argv) {
  genserver::Options options;
  if (argc > 1 && std::string_view{argv[1]} == "--watchdog") {
    const int seconds = argc > 2 ? std::atoi(argv[2]) : 30;
    if (seconds < 1) return std::puts("usage: deadlock [--watchdog [seconds]]"), 2;
    options.on_deadlock = genserver::OnDeadlock::ignore;
    options.stuck_after = std::chrono::seconds{seconds};
    genserver::set_report_sink([reports = 0](const genserver::Report& report) mutable {
      std::fputs(report.text().c_str(), stderr);
      if (++reports < 2) return;  // one of each server; only the watchdog's thread comes here
      std::puts("both servers wait for ever, so the program ends here");
      std::fflush(stdout);
      std::_Exit(0);  // what is stuck cannot be freed, and a destructor would wait for it
    });
  }

  options.name = "peer";
  const auto peer = genserver::start<Peer>(options, 0);  // start: its handlers use `this`
  options.name = "connection";
  const auto connection = genserver::start<Connection>(options, *peer);
  try {
    connection->send_gossip_message();
  } catch (const genserver::Deadlock& deadlock) {
    std::printf("caught a deadlock of %zu servers\n", deadlock.cycle().size());
  }
  const auto read = [](int& count) { return count; };
  std::printf("sent: %d, connections: %d\n", connection->call(read), peer->call(read));
}

// Output:
// genserver: deadlock of 2 servers
//   peer:... waits for connection:...
// ...
//   connection:... waits for peer:...
// ...
//   stack of peer:...
// ...
//     #...Connection::send_gossip_message()...
// ...
//     #...Peer::handle_add_connection(int&, Connection&)...
// ...
//   stack of connection:...
// ...
//     #...Peer::conn_established(Connection&)...
// ...
//     #...Connection::handle_set_established()...
// ...
//   the request that closes the circle was not sent, it throws Deadlock
// caught a deadlock of 2 servers
// sent: 0, connections: 0
