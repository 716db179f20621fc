// SPDX-License-Identifier: BSL-1.0
// The order in which a thread that ends destroys its thread_local objects and frees their memory.
#pragma once

#include <cstddef>  // for the macros that name the runtime library

#if defined(__MINGW32__) && defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

namespace genserver::inline v0::detail {

#if defined(__MINGW32__) && defined(__GLIBCXX__)
// There, two keys of winpthreads do it, and the key that was made first is done first. The memory
// key is made at the first use of any thread_local variable, so destructors would find their
// objects freed (GCC bug 80816). Registering nothing here, before main(), makes the other one
// first, unless an earlier initializer has used such a variable already.
inline void _GLIBCXX_CDTOR_CALLABI destroy_nothing(void*) {}
inline const int destroyed_before_freed =
    abi::__cxa_thread_atexit(&destroy_nothing, nullptr, nullptr);
#endif

}  // namespace genserver::v0::detail
