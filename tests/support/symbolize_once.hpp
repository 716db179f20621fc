// SPDX-License-Identifier: BSL-1.0
// Lets main.cpp alone compile the reader of debug information.
#pragma once

#include <genserver/sync/backtrace.hpp>

namespace genserver {
extern template StackTrace detail::symbolized(const RawStack& stack);
}  // namespace genserver
