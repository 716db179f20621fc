// SPDX-License-Identifier: BSL-1.0
// Chooses how stacks are taken.
#pragma once

#include <cstddef>  // for the macros that name the C library

#if defined(__linux__) && defined(__GLIBC__) && defined(__LP64__) && \
    (defined(__x86_64__) || defined(__aarch64__))
#if __GLIBC_PREREQ(2, 35)  // has _dl_find_object, which takes no lock
#define GENSERVER_HAS_STACKS
#endif
#endif

#if defined(GENSERVER_HAS_STACKS)
#undef GENSERVER_HAS_STACKS
#include <genserver/sync/platform/stack_linux.hpp>
#elif defined(__MINGW32__) && defined(__x86_64__)
#include <genserver/sync/platform/stack_windows.hpp>
#elif defined(__APPLE__) && defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))
#include <genserver/sync/platform/stack_mac.hpp>
#else
#include <genserver/sync/platform/stack_none.hpp>
#endif
