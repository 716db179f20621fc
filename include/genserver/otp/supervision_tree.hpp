// SPDX-License-Identifier: BSL-1.0
// A picture of a supervisor and all that is below it.
#pragma once

#include <genserver/base/json.hpp>
#include <genserver/base/text_lines.hpp>
#include <genserver/core/snapshot_text.hpp>
#include <genserver/otp/supervisor_state.hpp>

#include <fmt/core.h>

#include <string>
#include <utility>
#include <vector>

namespace genserver::inline v0 {

/// One child with its own children, or the supervisor that is above all.
struct SupervisionTree {
  std::string id{};    ///< Empty for the one above all.
  std::string name{};  ///< Of its server; empty while it has none.
  Pid pid{};
  ChildStatus status = ChildStatus::running;
  Restart restart = Restart::permanent;
  bool is_supervisor = true;
  std::string type{};  ///< The name of the type that start<T>() makes.
  std::vector<SupervisionTree> children{};
};

/// Asks a supervisor, and then those below it, for their children. Each answer is true for itself,
/// but not all for the same instant; a supervisor that has ended has none.
///
/// Blocks: until each has answered, which it does not while it starts or stops a child.
/// Throws: Deadlock, in a handler for which one of them waits.
[[nodiscard]] SupervisionTree supervision_tree(const ServerRef<SupervisorState>& supervisor,
                                               CallSite site = CallSite::here());

/// Returns a line for each, further in than what it is below of; each ends with a newline.
[[nodiscard]] std::string to_text(const SupervisionTree& tree);

/// Returns everything as one JSON object, on one line.
[[nodiscard]] std::string to_json(const SupervisionTree& tree);

/// Returns the tree in the language of Graphviz: `dot -Tsvg`. What has no server is dashed.
[[nodiscard]] std::string to_dot(const SupervisionTree& tree);

namespace detail {

inline void add_children(SupervisionTree& tree, const ServerRef<SupervisorState>& supervisor,
                         const CallSite& site) {
  std::vector<ChildSnapshot> children;
  try {
    children = supervisor.call([](SupervisorState& state) { return state.children(); }, site);
  } catch (const ServerGone&) {
    return;
  }
  for (ChildSnapshot& child : children) {
    SupervisionTree below{.id = std::move(child.id),
                          .status = child.status,
                          .restart = child.restart,
                          .is_supervisor = child.is_supervisor,
                          .type = std::move(child.type)};
    if (child.server) {
      below.name = child.server.name();
      below.pid = child.server.pid();
      if (const auto its = ref_cast<SupervisorState>(child.server)) add_children(below, its, site);
    }
    tree.children.push_back(std::move(below));
  }
}

/// Returns `"cache": counter:7`, or less where there is less.
inline std::string label_of(const SupervisionTree& tree) {
  const std::string server = name_of(tree.name, tree.pid);
  if (tree.id.empty()) return tree.name.empty() ? tree.type : server;
  return "\"" + tree.id + "\"" + (server.empty() ? "" : ": ") + server;
}

inline void add_tree(TextLines& lines, const SupervisionTree& tree, const std::string& indent) {
  const bool is_top = indent.empty();
  lines.add(indent, {label_of(tree) + (is_top ? "" : ","),
                     is_top ? ""
                            : fmt::format("{}, {}", to_string(tree.restart),
                                          to_string(tree.status))});
  for (const SupervisionTree& child : tree.children) add_tree(lines, child, indent + "  ");
}

inline void write_tree(JsonWriter& json, const SupervisionTree& tree) {
  json.begin_object();
  write_set(json, "id", tree.id);
  write_set(json, "name", tree.name);
  write_set(json, "pid", tree.pid.value());
  json.member("status", to_string(tree.status)).member("restart", to_string(tree.restart));
  write_set(json, "supervisor", tree.is_supervisor);
  write_set(json, "type", tree.type);
  if (tree.is_supervisor) {
    json.key("children").begin_array();
    for (const SupervisionTree& child : tree.children) write_tree(json, child);
    json.end_array();
  }
  json.end_object();
}

/// Writes the nodes from the number `next` on, and returns that of the tree's own.
inline std::size_t draw_tree(std::string& text, const SupervisionTree& tree, std::size_t& next) {
  const std::size_t number = next++;
  const char* const shape = tree.is_supervisor ? "box" : "ellipse";
  const char* const style = tree.status == ChildStatus::running ? "solid" : "dashed";
  const std::string own = std::to_string(number);
  const std::string label = detail::quoted(label_of(tree));
  text += "  " + own + " [label=" + label + ", shape=" + shape + ", style=" + style + "]\n";
  for (const SupervisionTree& child : tree.children) {
    const std::size_t below = draw_tree(text, child, next);
    text += "  " + own + " -> " + std::to_string(below) + "\n";
  }
  return number;
}

}  // namespace detail

inline SupervisionTree supervision_tree(const ServerRef<SupervisorState>& supervisor,
                                        CallSite site) {
  SupervisionTree tree;
  tree.name = supervisor.name();
  tree.pid = supervisor.pid();
  if (!supervisor.is_alive()) tree.status = ChildStatus::stopped;
  detail::add_children(tree, supervisor, site);
  return tree;
}

inline std::string to_text(const SupervisionTree& tree) {
  TextLines lines;
  detail::add_tree(lines, tree, "");
  return lines.take();
}

inline std::string to_json(const SupervisionTree& tree) {
  JsonWriter json;
  detail::write_tree(json, tree);
  return json.take();
}

inline std::string to_dot(const SupervisionTree& tree) {
  std::string text = "digraph supervisors {\n";
  std::size_t next = 0;
  detail::draw_tree(text, tree, next);
  return text + "}\n";
}

}  // namespace genserver::v0
