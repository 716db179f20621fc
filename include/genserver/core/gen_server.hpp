// SPDX-License-Identifier: BSL-1.0
// The owner of a server.
#pragma once

#include <genserver/base/options.hpp>
#include <genserver/base/type_name.hpp>
#include <genserver/core/server_ref.hpp>

#include <concepts>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace genserver::inline v0 {

/// An object that owns a thread, a State that only its handlers touch, and a bounded mailbox.
///
///   class Counter : public genserver::GenServer<int> {
///    public:
///     Counter() : GenServer({.name = "counter"}, 0) {}
///     int increment() { return call([](int& n) { return ++n; }); }
///   };
///
/// Derive from it and write the client functions, or use it as it is. What one may send is in
/// ServerRef; an owner can do all that a reference can.
///
/// State's constructor runs on the server's thread, and so do its destructor and, if it has one,
/// `terminate(const ExitReason&)`, which is called when the server ends, whatever the reason. The
/// end: the mailbox is closed; terminate; State's destructor; callers that are still queued get
/// ServerGone; then exit_reason() is set, and stop() returns.
///
/// Lifetime: State lives in the server, so a handler that touches only State is always safe. A
///           handler that uses `this` of a derived class must not outlive that part: make such an
///           object with start<T>(), or call stop() first in the derived destructor. Only what
///           start<T>() made, or has no such destructor, may be dropped in its own handlers.
/// Threads:  any, but destruction.
/// Erlang:   gen_server.
template <class State>
class GenServer : public ServerRef<State> {
 public:
  using state_type = State;  ///< Names its references: ServerRef<Counter::state_type>.

  /// Starts the server: its thread makes the State from `args`, which are not copied.
  ///
  /// Blocks: until the State is made.
  /// Throws: what State's constructor throws; StartFailed if the system refuses a thread;
  ///         InvalidArgument if the options make no sense.
  /// Erlang: gen_server:start/3 and init/1; no link is made.
  template <class... Args>
  explicit GenServer(Options options = {}, Args&&... args)
      : ServerRef<State>{made(std::move(options), std::forward<Args>(args)...)} {}

  /// Stops the server as stop() does. In one of the server's own handlers, or where waiting would
  /// be a deadlock, it only asks for that, and the server ends later.
  ///
  /// Blocks: until the server's thread has ended.
  virtual ~GenServer() { this->core().leave(); }

  // Not of a const one: `{}` would rather be that than the options.
  GenServer(GenServer&) = delete;
  GenServer& operator=(const GenServer&) = delete;

  /// Stops the server when what was sent before has been handled, and waits for its end. Does
  /// nothing if it has ended, so that a derived destructor may always begin with it.
  ///
  /// Blocks: until the server's thread has ended.
  /// Throws: SelfWait from its own handlers, Deadlock from another server's.
  /// Erlang: gen_server:stop/3.
  void stop(ExitReason reason = ExitReason::normal(), CallSite site = CallSite::here()) {
    this->core().stop(reason, Deadline::never(), site, ServerCore::Waiter::stays);
  }
  /// As stop(). Returns false if the time is up; the server still stops, later.
  bool stop_for(Timespan timeout, ExitReason reason = ExitReason::normal(),
                CallSite site = CallSite::here()) {
    return this->core().stop(reason, Deadline::after(timeout), site, ServerCore::Waiter::stays);
  }

  /// Returns a reference that one may copy, keep and give away.
  [[nodiscard]] ServerRef<State> ref() const noexcept { return *this; }

 private:
  template <class T, class... Args>
  friend std::shared_ptr<T> start(Args&&... args);

  template <class... Args>
  static std::shared_ptr<Server<State>> made(Options options, Args&&... args) {
    static_assert(ServerState<State>,
                  "genserver: State must be a type whose objects can be made and destroyed: no "
                  "abstract class, and with a public destructor");
    static_assert(!std::derived_from<State, GenServer>,
                  "genserver: State is what the server guards, not the class that derives from "
                  "GenServer<State>");
    if (options.name.empty()) options.name = std::string{type_name<State>()};
    auto server = std::make_shared<Server<State>>(options);
    server->start(std::forward<Args>(args)...);
    return server;
  }

  /// Destroys what start() made: after the server's end, in the last owner's thread, or else as
  /// the last thing that the server's own thread does.
  template <class T>
  static void dispose(T* object) noexcept {
    ServerCore& server = static_cast<GenServer*>(object)->core();
    const Running* const running = Running::now();
    const InterruptMask mask{running != nullptr ? &running->server.interrupts() : nullptr};
    const auto destroy = [](void* owner) { delete static_cast<T*>(owner); };
    if (server.leave() || !server.end().set_last(destroy, object)) destroy(object);
  }
};

/// A class that derives publicly from GenServer, and is no State.
template <class T>
concept OwnerType = requires { requires std::derived_from<T, GenServer<typename T::state_type>>; };

/// Makes a T, which derives from GenServer, so that its server has ended before any member of T
/// goes: handlers may use T's `this`. The last owner may be dropped anywhere, also in a handler of
/// the server itself, which then ends after what was sent before.
///
///   auto counter = start<Counter>();  // with options: start<Counter>(Options{.name = "visits"})
///
/// Blocks: until the State is made; dropping the last owner elsewhere, until the server has ended.
/// Throws: as T's constructor.
template <class T, class... Args>
[[nodiscard]] std::shared_ptr<T> start(Args&&... args) {
  static_assert(OwnerType<T>,
                "genserver: start<T>() is for a T that derives publicly from GenServer");
  using Owner = GenServer<typename T::state_type>;
  return std::shared_ptr<T>{new T(std::forward<Args>(args)...),
                            [](T* object) { Owner::dispose(object); }};
}

/// Returns a reference to the server whose handler, or State's constructor, calls this.
///
/// Throws: SelfWait if no handler runs on this thread, or one of a server with another State.
/// Erlang: self/0.
template <class State>
ServerRef<State> self(CallSite site = CallSite::here()) {
  static_assert(!OwnerType<State>, "genserver: name the State, as Counter::state_type");
  const Running* const running = Running::now();
  if (running == nullptr) {
    throw SelfWait{"self() was called at " + to_string(site) + ", outside of any server's handler"};
  }
  ServerCore& server = running_server();
  if (server.state_type() != Server<State>::type()) {
    server.raise_self_wait("self() was asked for a State that is not this server's", site);
  }
  return ServerRef<State>{std::static_pointer_cast<Server<State>>(server.shared_from_this())};
}

/// Returns the reference as one to a server with this State; an empty one if its State is another,
/// or it is empty itself.
template <class State>
[[nodiscard]] ServerRef<State> ref_cast(const AnyRef& ref) noexcept {
  const std::shared_ptr<ServerCore>& server = ref.shared_core();
  if (server == nullptr || server->state_type() != Server<State>::type()) return {};
  return ServerRef<State>{std::static_pointer_cast<Server<State>>(server)};
}

}  // namespace genserver::v0
