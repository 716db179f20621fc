// SPDX-License-Identifier: BSL-1.0
// A handler's result as a promise is given it.
#pragma once

#include <exception>
#include <future>
#include <type_traits>

namespace bench {

template <class Handler, class State>
using ResultOf = std::invoke_result_t<Handler&, State&>;

/// Runs `handler` on `state` and gives the promise its result, or what it throws.
template <class R, class Handler, class State>
void keep_promise(std::promise<R>& promise, Handler& handler, State& state) {
  try {
    if constexpr (std::is_void_v<R>) {
      handler(state);
      promise.set_value();
    } else {
      promise.set_value(handler(state));
    }
  } catch (...) {
    promise.set_exception(std::current_exception());
  }
}

}  // namespace bench
