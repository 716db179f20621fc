// SPDX-License-Identifier: BSL-1.0
// The waits of the handler that runs on a thread, if one does.
#pragma once

#include <genserver/core/callee.hpp>
#include <genserver/core/running.hpp>

namespace genserver::inline v0 {

/// Throws: Exit, if the server whose handler the calling thread runs has got an exit signal, and
///         Interrupts::is_due().
inline void check_exit() {
  if (const Running* const running = Running::now()) running->server.interrupts().check();
}

/// Sleeps until `awake`, in a handler or elsewhere. Of a wait that was interrupted check_exit()
/// tells why.
///
/// Blocks: until then, or the deadline, or an exit signal for the server whose handler sleeps.
inline Waited sleep_interruptibly(OneShot& awake, Deadline deadline) noexcept {
  if (const Running* const running = Running::now()) {
    running->server.record().meter().measure_next();
    return running->server.interrupts().sleep(awake, deadline);
  }
  return awake.sleep(deadline) ? Waited::done : Waited::late;
}

}  // namespace genserver::v0
