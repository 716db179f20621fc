// SPDX-License-Identifier: BSL-1.0
// A bond between two servers, of which neither outlives the other's failure.
#pragma once

#include <genserver/core/exit_signal.hpp>
#include <genserver/core/gen_server.hpp>

#include <memory>
#include <mutex>
#include <utility>

namespace genserver::inline v0 {

/// One direction of a link: tells `victim` of the end of the server in whose list it is.
///
/// The links of all servers are guarded by one mutex, held for a few look-ups at most, so that
/// linking two servers needs no order of locks. A link is in force while each side's map names it.
class LinkWatcher final : public ExitWatcher {
 public:
  LinkWatcher(const std::shared_ptr<ServerCore>& peer, const std::shared_ptr<ServerCore>& victim)
      : peer_{peer}, victim_{victim}, message_{victim->make_exit_message()} {}

  inline void on_exit(const ExitedServer& server) noexcept override;

  [[gnu::visibility("default")]] static std::mutex& mutex() {
    static std::mutex& mutex = *new std::mutex;  // never destroyed: servers may outlive statics
    return mutex;
  }

  /// Links the two, unless they are. Returns false if `peer` has ended.
  static bool link(const std::shared_ptr<ServerCore>& server,
                   const std::shared_ptr<ServerCore>& peer);
  static void unlink(ServerCore& server, ServerCore& peer) noexcept;

  /// Gives an exit signal to `victim`: as a message, if it traps exits and there is one.
  static void signal(ServerCore& victim, std::shared_ptr<ExitMessage> message, ExitSignal signal);

 private:
  const std::weak_ptr<ServerCore> peer_;    // whose end is watched
  const std::weak_ptr<ServerCore> victim_;  // who is told
  std::shared_ptr<ExitMessage> message_;    // there from the beginning, so that it cannot fail
};

inline void LinkWatcher::on_exit(const ExitedServer& server) noexcept {
  const auto victim = victim_.lock();
  const auto peer = peer_.lock();
  if (victim == nullptr || peer == nullptr) return;
  std::shared_ptr<ExitWatcher> this_one;  // these outlive the lock
  std::shared_ptr<ExitWatcher> back;
  {
    const std::scoped_lock lock{mutex()};
    const auto own = peer->links().find(victim->pid());
    if (own == peer->links().end() || own->second.get() != this) return;  // unlinked meanwhile
    const auto other = victim->links().extract(server.pid);
    if (!other.empty()) back = other.mapped();
    this_one.swap(own->second);
    peer->links().erase(own);
  }
  if (back != nullptr) victim->end().watchers().remove(*back);  // or they would add up
  signal(*victim, std::move(message_), ExitSignal{AnyRef::of(peer), server.name, server.reason});
}

inline bool LinkWatcher::link(const std::shared_ptr<ServerCore>& server,
                              const std::shared_ptr<ServerCore>& peer) {
  const auto to_peer = std::make_shared<LinkWatcher>(server, peer);
  const auto to_server = std::make_shared<LinkWatcher>(peer, server);
  {
    const std::scoped_lock lock{mutex()};
    if (!server->links().try_emplace(peer->pid(), to_peer).second) return true;
    peer->links().insert_or_assign(server->pid(), to_server);
  }
  // Each is told by the other's end; who has ended meanwhile is found out here.
  const bool is_peer_there = peer->end().watchers().add(to_server);
  if (!server->end().watchers().add(to_peer)) {  // as if linked just before its end
    unlink(*server, *peer);
    if (is_peer_there) {
      signal(*peer, peer->make_exit_message(),
             ExitSignal{AnyRef::of(server), server->name(), server->end().refusal().reason});
    }
  }
  if (!is_peer_there) unlink(*server, *peer);
  return is_peer_there;
}

inline void LinkWatcher::unlink(ServerCore& server, ServerCore& peer) noexcept {
  std::shared_ptr<ExitWatcher> to_peer;  // outlive the lock
  std::shared_ptr<ExitWatcher> to_server;
  {
    const std::scoped_lock lock{mutex()};
    const auto own = server.links().extract(peer.pid());
    const auto other = peer.links().extract(server.pid());
    if (!own.empty()) to_peer = own.mapped();
    if (!other.empty()) to_server = other.mapped();
  }
  if (to_peer != nullptr) server.end().watchers().remove(*to_peer);
  if (to_server != nullptr) peer.end().watchers().remove(*to_server);
}

inline void LinkWatcher::signal(ServerCore& victim, std::shared_ptr<ExitMessage> message,
                                ExitSignal signal) {
  if (victim.traps_exits() && message != nullptr) {
    return ExitMessage::send(std::move(message), victim, std::move(signal));
  }
  if (signal.reason.kind() != ExitReason::Kind::normal) victim.exit(signal.reason);
}

template <class State>
void ServerRef<State>::link(const AnyRef& peer, CallSite site) const {
  ServerCore& server = core();
  server.check_not_forked(site);
  static_cast<void>(peer.callee());  // refuses an empty reference
  if (server.end().is_over()) server.raise(server.end().refusal(), WaitKind::call, site);
  if (peer == *this) return;
  if (LinkWatcher::link(this->shared_core(), peer.shared_core())) return;
  LinkWatcher::signal(server, server.make_exit_message(),
                      ExitSignal{peer, peer.name(), ExitReason::no_server()});
}

template <class State>
void ServerRef<State>::unlink(const AnyRef& peer) const {
  static_cast<void>(peer.callee());
  LinkWatcher::unlink(core(), *peer.shared_core());
}

template <class State>
void ServerRef<State>::trap_exits(bool traps) const {
  static_assert(TrapsExits<State>,
                "genserver: trap_exits is for a State that has handle_info(const ExitSignal&)");
  core().trap_exits(traps);
}

}  // namespace genserver::v0
