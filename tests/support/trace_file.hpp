// SPDX-License-Identifier: BSL-1.0
// A Chrome trace, read strictly, with what must hold for every such file.
#pragma once

#include <support/json_value.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

class TraceFile {
 public:
  /// Something that has a begin and an end, in ns, on one track.
  struct Slice {
    long long begin = 0;
    long long end = 0;
    std::string track{};
    std::string name{};
    JsonValue event;
  };

  explicit TraceFile(const std::string& text) : file_{text} {
    for (const JsonValue& event : events()) {
      if (event["name"].text() != "thread_name") continue;
      names_[event["tid"].number()] = event["args"]["name"].text();
    }
  }

  [[nodiscard]] const std::vector<JsonValue>& events() const {
    return file_["traceEvents"].items();
  }
  [[nodiscard]] double dropped() const { return file_["otherData"]["dropped"].number(); }

  /// Returns the slices of one category, or of all, in the order of the file.
  [[nodiscard]] std::vector<Slice> slices(const std::string& category = {}) const {
    std::vector<Slice> found;
    for (const JsonValue& event : events()) {
      if (event["ph"].text() != "X") continue;
      if (!category.empty() && event["cat"].text() != category) continue;
      const long long begin = time(event);
      const long long end = begin + std::llround(event["dur"].number() * 1000);
      found.push_back({begin, end, track(event), event["name"].text(), event});
    }
    return found;
  }

  /// Returns the tracks where arrows of one category begin, go on and end: "s a:1, f b:2".
  [[nodiscard]] std::string arrows(const std::string& category) const {
    std::string text;
    for (const JsonValue& event : events()) {
      const std::string& phase = event["ph"].text();
      if (phase == "X" || phase == "M" || event["cat"].text() != category) continue;
      text += (text.empty() ? "" : ", ") + phase + " " + track(event);
    }
    return text;
  }

  /// Returns what is wrong: slices of a track that overlap, an arrow without begin or end or
  /// slice to be tied to, a track without a name. Empty if nothing is.
  [[nodiscard]] std::vector<std::string> faults() const {
    std::vector<std::string> found;
    std::map<std::string, std::vector<Slice>> tracks;
    for (const Slice& slice : slices()) tracks[slice.track].push_back(slice);
    for (auto& [name, slices] : tracks) {
      if (name.empty()) found.push_back("a track without a name");
      check_nesting(slices, found);
    }
    check_arrows(tracks, found);
    return found;
  }

 private:
  static long long time(const JsonValue& event) {
    return std::llround(event["ts"].number() * 1000);
  }
  [[nodiscard]] std::string track(const JsonValue& event) const {
    const auto found = names_.find(event["tid"].number());
    return found != names_.end() ? found->second : "";
  }

  static void check_nesting(std::vector<Slice>& slices, std::vector<std::string>& found) {
    std::stable_sort(slices.begin(), slices.end(), [](const Slice& a, const Slice& b) {
      return std::tuple{a.begin, -a.end} < std::tuple{b.begin, -b.end};
    });
    std::vector<Slice> outer;
    for (const Slice& slice : slices) {
      if (slice.end < slice.begin) found.push_back(slice.name + " ends before it begins");
      while (!outer.empty() && outer.back().end <= slice.begin) outer.pop_back();
      if (!outer.empty() && outer.back().end < slice.end) {
        found.push_back(slice.name + " overlaps " + outer.back().name);
      }
      outer.push_back(slice);
    }
  }

  void check_arrows(const std::map<std::string, std::vector<Slice>>& tracks,
                    std::vector<std::string>& found) const {
    std::map<std::pair<std::string, std::string>, std::map<std::string, int>> arrows;
    for (const JsonValue& event : events()) {
      const std::string& phase = event["ph"].text();
      if (phase == "X" || phase == "M") continue;
      ++arrows[{event["cat"].text(), event["id"].text()}][phase];
      const auto slices = tracks.find(track(event));
      if (slices == tracks.end() ||
          std::none_of(slices->second.begin(), slices->second.end(), [&](const Slice& slice) {
            return slice.begin <= time(event) && time(event) <= slice.end;
          })) {
        found.push_back("an arrow is tied to nothing: " + event["id"].text());
      }
    }
    for (auto& [arrow, phases] : arrows) {
      if (phases["s"] != 1 || phases["f"] != 1) found.push_back("half an arrow: " + arrow.second);
    }
  }

  JsonValue file_;
  std::map<double, std::string> names_{};
};
