// SPDX-License-Identifier: BSL-1.0
// The places, edges and frames of a report as JSON.
#pragma once

#include <genserver/base/error.hpp>
#include <genserver/base/json.hpp>
#include <genserver/base/stack_trace.hpp>

#include <fmt/core.h>

#include <string_view>

namespace genserver::inline v0 {

/// Writes a member whose value is not empty, 0 or false; otherwise nothing.
template <class Value>
void write_set(JsonWriter& json, std::string_view name, const Value& value) {
  if (value != Value{}) json.member(name, value);
}

/// Writes where a request was made as the member "site", if that is known.
inline void write_site(JsonWriter& json, const CallSite& site) {
  if (site == CallSite{}) return;
  json.key("site").begin_object();
  write_set(json, "file", std::string_view{site.file});
  write_set(json, "line", site.line);
  write_set(json, "function", std::string_view{site.function});
  json.end_object();
}

/// Writes an edge as an object.
inline void write_json(JsonWriter& json, const WaitEdge& edge) {
  json.begin_object().member("waiter", edge.waiter);
  write_set(json, "waiter_pid", edge.waiter_pid.value());
  json.member("target", edge.target);
  write_set(json, "target_pid", edge.target_pid.value());
  json.member("kind", to_string(edge.kind));
  write_site(json, edge.site);
  write_set(json, "age_ns", edge.age.count());
  json.end_object();
}

/// Writes a frame as an object, with its addresses as "0x1f".
inline void write_json(JsonWriter& json, const Frame& frame) {
  json.begin_object();
  if (frame.address != 0) json.member("address", fmt::format("{:#x}", frame.address));
  write_set(json, "function", frame.function);
  write_set(json, "module", frame.module);
  if (frame.offset != 0) json.member("offset", fmt::format("{:#x}", frame.offset));
  write_set(json, "file", frame.file);
  write_set(json, "line", frame.line);
  write_set(json, "inlined", frame.is_inlined);
  write_set(json, "library", is_library_frame(frame));
  json.end_object();
}

/// Writes `items`, if there are any, as the member `name`: an array of what write_json() writes.
template <class Items>
void write_array(JsonWriter& json, std::string_view name, const Items& items) {
  if (items.empty()) return;
  json.key(name).begin_array();
  for (const auto& item : items) write_json(json, item);
  json.end_array();
}

}  // namespace genserver::v0
