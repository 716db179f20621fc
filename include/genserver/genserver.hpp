// SPDX-License-Identifier: BSL-1.0
// The whole library.
#pragma once

#if __cplusplus < 202002L
#error "genserver needs C++20: compile with -std=c++20"
#endif

#include <genserver/base/version.hpp>
#include <genserver/core/dump.hpp>
#include <genserver/core/gen_server.hpp>
#include <genserver/core/snapshot_text.hpp>
#include <genserver/core/trace.hpp>
#include <genserver/core/trace_recorder.hpp>
#include <genserver/otp/application.hpp>
#include <genserver/otp/behaviour.hpp>
#include <genserver/otp/dynamic_supervisor.hpp>
#include <genserver/otp/end_listener.hpp>
#include <genserver/otp/group.hpp>
#include <genserver/otp/link.hpp>
#include <genserver/otp/method_table.hpp>
#include <genserver/otp/monitor.hpp>
#include <genserver/otp/partition_supervisor.hpp>
#include <genserver/otp/registry.hpp>
#include <genserver/otp/runner.hpp>
#include <genserver/otp/service_server.hpp>
#include <genserver/otp/shutdown_guard.hpp>
#include <genserver/otp/supervision_tree.hpp>
#include <genserver/otp/supervisor.hpp>
#include <genserver/otp/timed_restart.hpp>
