// SPDX-License-Identifier: BSL-1.0
// The version of the library, which is written here and nowhere else: the build reads it.
#pragma once

/// The version as one number, for `#if`: major * 10000 + minor * 100 + patch.
#define GENSERVER_VERSION 100

namespace genserver::inline v0 {

inline constexpr int version_major = 0;  ///< Changes when a program may have to change.
inline constexpr int version_minor = 1;  ///< Changes when something is new.
inline constexpr int version_patch = 0;  ///< Changes when something is repaired.

static_assert(GENSERVER_VERSION == version_major * 10000 + version_minor * 100 + version_patch,
              "GENSERVER_VERSION and the version's parts have to be changed together");

}  // namespace genserver::v0
