// SPDX-License-Identifier: BSL-1.0
// A service that does nothing.
#pragma once

#include <genserver/otp/service.hpp>

/// Is ready at once, and returns when it is asked to halt.
inline const auto run_until_halted = [](genserver::ServiceContext& context) {
  context.ready();
  context.await_halt();
};
