// SPDX-License-Identifier: BSL-1.0
// What waits in a mailbox: a type-erased closure, linked into a list.
#pragma once

#include <genserver/base/call_site.hpp>
#include <genserver/base/exit_reason.hpp>
#include <genserver/base/pid.hpp>

#include <cstdint>

namespace genserver::inline v0 {

/// Why a request will not be handled.
struct Refusal {
  enum class Kind {
    gone,          ///< The server ended, with `reason`.
    mailbox_full,  ///< The mailbox's policy refused or dropped it.
    no_reply       ///< Its Reply was aborted or dropped.
  };
  Kind kind = Kind::gone;
  ExitReason reason = ExitReason::normal();
};

/// A request on its way through one mailbox.
///
/// Its maker pushes it; from then on it belongs to the mailbox, and then to the server, which
/// calls exactly one of run() (with success) and refuse(). Both end it: it frees itself, or wakes
/// the caller in whose frame it lives, and may be gone on return.
///
/// Aligned to 16 bytes, since the mailbox keeps the address in 44 bits.
class alignas(16) Message {
 public:
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  /// Handles it with the server's State.
  ///
  /// Throws: what the handler threw, if no caller can receive it, or Exit; then the message is
  ///         still there, and refuse() is due.
  virtual void run(void* state) = 0;

  /// Completes its caller without handling it.
  virtual void refuse(const Refusal& refusal) noexcept = 0;

  /// Completes its caller while it is being handled: the server was killed. The handler goes on.
  /// Returns whether the message is still there, to be ended by run() or refuse() as otherwise.
  virtual bool abandon(const Refusal&) noexcept { return true; }

  /// Returns where it was sent.
  [[nodiscard]] CallSite site() const noexcept { return {file_, function_, line_}; }

  /// For the list or mailbox that holds the message, and for nobody else.
  struct Link {
    Message* next = nullptr;
    std::uint64_t is_counted : 1 = 0;  // takes one of the mailbox's places
    std::uint64_t sent_for : 7 = 0;    // how many messages it stands for in statistics; 0: none
    std::uint64_t sent_at : 56 = 0;    // if it does: when, in ns of the steady clock, modulo 2^56
  };
  [[nodiscard]] Link& link() noexcept { return link_; }

  /// Who sent it: the lowest bits of a server's pid, or 0.
  [[nodiscard]] std::uint32_t sender() const noexcept { return sender_; }
  void set_sender(Pid sender) noexcept { sender_ = static_cast<std::uint32_t>(sender.value()); }

 protected:
  explicit Message(const CallSite& site) noexcept
      : file_{site.file}, function_{site.function}, line_{site.line} {}
  ~Message() = default;

 private:
  Link link_{};
  const char* const file_;
  const char* const function_;
  const unsigned line_;
  std::uint32_t sender_ = 0;
};

/// A first-in, first-out list of messages; not for more than one thread at a time.
class MessageList {
 public:
  [[nodiscard]] bool is_empty() const noexcept { return first_ == nullptr; }

  void push_back(Message& message) noexcept { push_back(message, message); }

  /// Adds a chain of messages, linked from `first` to `last`.
  void push_back(Message& first, Message& last) noexcept {
    last.link().next = nullptr;
    if (last_ == nullptr) {
      first_ = &first;
    } else {
      last_->link().next = &first;
    }
    last_ = &last;
  }

  /// Returns the first message, taken out, or null.
  Message* pop_front() noexcept {
    Message* const message = first_;
    if (message != nullptr) {
      first_ = message->link().next;
      if (first_ == nullptr) last_ = nullptr;
    }
    return message;
  }

  /// Puts all of `others` before the first message, and leaves `others` empty.
  void push_front(MessageList& others) noexcept {
    if (others.is_empty()) return;
    others.last_->link().next = first_;
    first_ = others.first_;
    if (last_ == nullptr) last_ = others.last_;
    others = MessageList{};
  }

  /// Refuses every message, also those that come while it does.
  void refuse_all(const Refusal& refusal) noexcept {
    while (Message* const message = pop_front()) message->refuse(refusal);
  }

 private:
  Message* first_ = nullptr;
  Message* last_ = nullptr;
};

}  // namespace genserver::v0
