#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs benchmark programs side by side, and tells how they compare.

A program that is called with --list prints lines `peer measure...`. Called with --peer, --scale and
a measure it prints lines `name value unit`. In each round every measure runs with one peer after
the other, first free and then bound to one core, so that what else the machine does hits all alike.
"""
import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import time

FREE, BOUND = "free", "one core"
REFERENCE = "actor"
OWN = ("genserver", "genserver_caller")
BEST = "the best other"
# How often a measure runs at most, and only free, since it is no matter of luck or of cores.
STEADY = {"allocations": 2, "memory_1000": 2, "memory_10000": 2, "idle_processor": 2,
          "deadlock_detection": 3, "counters": 3, "include_time": 2, "call_site": 2}


@dataclasses.dataclass(frozen=True)
class Goal:
    """What a peer should reach: a number, or one times that of another peer."""
    name: str
    unit: str
    peer: str
    limit: float
    times: str = ""  # a peer, BEST, or nothing
    regime: str = FREE


def goals():
    own, here = OWN
    return [
        Goal("call_1", "ns", own, 1 / 50, REFERENCE),
        Goal("call_1", "ns", here, 1, "mutex"),
        Goal("call_4", "k/s", here, 1, "mutex"),
        Goal("call_4", "k/s", own, 6, REFERENCE),
        Goal("call_16", "k/s", own, 6, REFERENCE),
        *(Goal(name, "ns", own, 1, REFERENCE, regime) for name, regime in (
            ("call_1", BOUND), ("call_busy_2", FREE), ("call_busy_2", BOUND),
            ("call_busy_4", FREE), ("call_busy_4", BOUND))),
        Goal("cast_1", "M/s", own, 45),
        Goal("cast_1", "M/s", own, 1.5, BEST),
        Goal("cast_4", "M/s", own, 25),
        Goal("cast_4", "M/s", own, 1.5, BEST),
        Goal("cast_16", "M/s", own, 4),
        Goal("allocations_call", "allocations", own, 0),
        Goal("allocations_cast", "allocations", own, 0),
        Goal("allocations_async", "allocations", own, 1),
        Goal("spawn", "us", own, 0.8, REFERENCE),
        *(Goal(name, "bytes", own, 1, REFERENCE) for name in (
            "memory_1000", "memory_10000", "kernel_10000")),
        Goal("idle_processor", "ppm", own, 100),
        Goal("deadlock_detection", "ns", here, 50),
        Goal("include_time", "ms", own, 1.25, "std"),
    ]


def is_better_more(unit):
    return unit.endswith("/s")


class Results:
    """The numbers of all rounds, by name, regime and peer."""

    def __init__(self):
        self.units = {}   # name: unit
        self.values = {}  # (name, regime): {peer: [value]}

    def add(self, name, regime, peer, value, unit):
        if self.units.setdefault(name, unit) != unit:
            raise ValueError(f"{name} is in {self.units[name]} and in {unit}")
        self.values.setdefault((name, regime), {}).setdefault(peer, []).append(value)

    def peers(self, name):
        found = {}
        for regime in (FREE, BOUND):
            found.update(dict.fromkeys(self.values.get((name, regime), {})))
        return list(found)

    def median(self, name, regime, peer):
        values = self.values.get((name, regime), {}).get(peer)
        return statistics.median(values) if values else None

    def range(self, name, regime, peer):
        values = self.values.get((name, regime), {}).get(peer)
        return (min(values), max(values)) if values else None

    def ratio(self, name, regime, peer, other=REFERENCE):
        mine, theirs = self.median(name, regime, peer), self.median(name, regime, other)
        return mine / theirs if mine is not None and theirs else None

    def best_other(self, name, regime):
        """The best peer, but for those of this library."""
        others = [p for p in self.values.get((name, regime), {}) if p not in OWN]
        choose = max if is_better_more(self.units.get(name, "")) else min
        return choose(others, key=lambda p: self.median(name, regime, p), default=None)


@dataclasses.dataclass
class Pair:
    """A measure of a peer, and the program that runs it."""
    program: str
    peer: str
    measure: str
    failures: int = 0


class Session:
    """The runs of all programs."""

    def __init__(self, words):
        self.words = words
        self.results = Results()
        self.failures = []
        self.began = time.monotonic()
        self.rounds = 0  # that were begun
        self.pairs = [pair for program in words.programs for pair in self.listed(program)]

    def listed(self, program):
        try:
            done = subprocess.run([program, "--list"], capture_output=True, text=True, timeout=60,
                                  check=True)
        except (OSError, subprocess.SubprocessError) as error:
            self.fail(program, "--list", FREE, str(error))
            return
        for line in done.stdout.splitlines():
            peer, *measures = line.split()
            for measure in measures:
                yield Pair(program, peer, measure)

    def unknown(self):
        """The names that were asked for, and that no program knows."""
        known = {name for pair in self.pairs for name in (pair.peer, pair.measure)}
        return [name for name in self.words.peers + self.words.measures if name not in known]

    def choose(self):
        """Keeps only what was asked for."""
        peers, measures = self.words.peers, self.words.measures
        self.pairs = [pair for pair in self.pairs if (not peers or pair.peer in peers)
                      and (not measures or pair.measure in measures)]

    def fail(self, peer, measure, regime, why):
        self.failures.append({"peer": peer, "measure": measure, "regime": regime, "why": why})
        print(f"compare: {peer} {measure} ({regime}): {why}", file=sys.stderr)

    def left(self):
        return self.words.minutes * 60 - (time.monotonic() - self.began)

    def run(self, pair, regime):
        command = [pair.program, "--peer", pair.peer, "--scale", str(self.words.scale),
                   pair.measure]
        bind = None
        if regime == BOUND:
            bind = lambda: os.sched_setaffinity(0, {self.words.core})  # noqa: E731
        try:
            done = subprocess.run(command, capture_output=True, text=True, preexec_fn=bind,
                                  timeout=max(1, min(120, self.left())), check=False)
            if done.returncode != 0:
                lines = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
                raise ValueError(lines[-1])
            lines = [line.split() for line in done.stdout.splitlines()]
            if not lines:
                raise ValueError("it printed nothing")
            for name, value, unit in lines:
                self.results.add(name, regime, pair.peer, float(value), unit)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            pair.failures += 1
            self.fail(pair.peer, pair.measure, regime, str(error))

    def run_round(self, number):
        measures = dict.fromkeys(pair.measure for pair in self.pairs)
        for measure in measures:
            is_steady = measure in STEADY
            if is_steady and number >= STEADY[measure]:
                continue
            chosen = [pair for pair in self.pairs if pair.measure == measure]
            for regime in self.words.regimes[:1] if is_steady else self.words.regimes:
                # Each round begins with another peer, so that none always comes first.
                first = number % len(chosen)
                for pair in chosen[first:] + chosen[:first]:
                    if pair.failures >= 2:
                        continue
                    if self.left() <= 0:
                        self.fail("all", measure, regime, "the time is up")
                        return False
                    self.run(pair, regime)
        return True

    def run_all(self):
        longest = 0.0
        while self.rounds < self.words.rounds and self.left() > longest:
            began = time.monotonic()
            self.rounds += 1
            if not self.run_round(self.rounds - 1):
                break
            longest = max(longest, time.monotonic() - began)
            print(f"compare: round {self.rounds} took {time.monotonic() - began:.0f} s",
                  file=sys.stderr)


def shown(number):
    if number is None:
        return ""
    if number == 0:
        return "0"
    if abs(number) < 0.1:
        return f"{number:.2g}"
    for places in (2, 1):
        if abs(number) < 10 ** (3 - places):
            return f"{number:.{places}f}"
    return f"{number:,.0f}".replace(",", " ")


def judged(goal, results):
    """Returns the goal's row: what is asked, what was measured, whether it is reached."""
    measured = results.median(goal.name, goal.regime, goal.peer)
    asked = f"{shown(goal.limit)} {goal.unit}"
    if goal.times:
        other = results.best_other(goal.name, goal.regime) if goal.times == BEST else goal.times
        measured = results.ratio(goal.name, goal.regime, goal.peer, other)
        asked = f"{shown(goal.limit)} × {goal.times}"
        if goal.times == BEST and other:
            asked += f" ({other})"
    more = is_better_more(goal.unit)
    reached = "not measured"
    if measured is not None:
        # Allocations may be off by what happens once, in thousands.
        slack = 0.01 if goal.unit == "allocations" else 0
        is_reached = measured >= goal.limit if more else measured <= goal.limit + slack
        reached = "yes" if is_reached else "no"
    return {"measure": goal.name, "peer": goal.peer, "regime": goal.regime,
            "asked": f"{'at least' if more else 'at most'} {asked}", "measured": measured,
            "reached": reached}


def row(cells):
    return "| " + " | ".join(cells) + " |"


def cells_of(results, name, regime, peer):
    between = results.range(name, regime, peer)
    spread = f"{shown(between[0])} … {shown(between[1])}" if between else ""
    return [shown(results.median(name, regime, peer)), spread,
            shown(results.ratio(name, regime, peer))]


def markdown(session, verdicts):
    results, words = session.results, session.words
    lines = [
        f"Medians of {session.rounds} round(s), scale {words.scale:g}, on {os.cpu_count()} "
        f"processors ({processor()}), load {os.getloadavg()[0]:.1f} at the end. Of k/s and M/s "
        f"more is better, of all else less. Ratios are to `{REFERENCE}`, the hand-written one.", "",
        row(["measure", "peer", "free", "min … max", "ratio", "one core", "min … max", "ratio"]),
        row(["---", "---"] + ["--:"] * 6)]
    for name, unit in results.units.items():
        for index, peer in enumerate(results.peers(name)):
            title = f"**{name}**, {unit}" if index == 0 else ""
            lines.append(row([title, peer] + cells_of(results, name, FREE, peer)
                             + cells_of(results, name, BOUND, peer)))
    lines += ["", "What we aim at, on a quiet machine with two processors:", "",
              row(["aim", "peer", "regime", "asked", "measured", "reached"]), row(["---"] * 6)]
    for verdict in verdicts:
        lines.append(row([verdict["measure"], verdict["peer"], verdict["regime"], verdict["asked"],
                          shown(verdict["measured"]), verdict["reached"]]))
    if session.failures:
        lines += ["", "Failures:", ""]
        lines += [f"- {f['peer']} {f['measure']} ({f['regime']}): {f['why']}"
                  for f in session.failures]
    return "\n".join(lines) + "\n"


def as_json(session, verdicts):
    results = session.results
    rows = [{"measure": name, "unit": results.units[name], "regime": regime, "peer": peer,
             "median": statistics.median(values), "min": min(values), "max": max(values),
             "ratio": results.ratio(name, regime, peer), "values": values}
            for (name, regime), peers in results.values.items() for peer, values in peers.items()]
    return {"processor": processor(), "processors": os.cpu_count(), "rounds": session.rounds,
            "scale": session.words.scale, "goals": verdicts, "results": rows,
            "failures": session.failures}


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+", metavar="PROGRAM")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="how long each measure takes")
    parser.add_argument("--minutes", type=float, default=14.0, help="when to stop, at the latest")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("--peer", action="append", dest="peers", default=[],
                        help="only this one; may be repeated")
    parser.add_argument("--measure", action="append", dest="measures", default=[],
                        help="the same")
    parser.add_argument("--markdown", metavar="FILE")
    parser.add_argument("--json", metavar="FILE")
    words = parser.parse_args()
    if words.rounds < 1 or words.scale <= 0 or words.minutes <= 0:
        parser.error("--rounds, --scale and --minutes have to be positive")
    words.regimes = [FREE, BOUND] if hasattr(os, "sched_setaffinity") else [FREE]
    return words


def main():
    words = arguments()
    session = Session(words)
    for name in session.unknown():
        print(f'compare: no program knows "{name}"; with --list each tells what it knows',
              file=sys.stderr)
    if session.unknown():
        return 2
    session.choose()
    session.run_all()
    verdicts = [judged(goal, session.results) for goal in goals()]
    table = markdown(session, verdicts)
    print(table, end="")
    for path, text in ((words.markdown, table),
                       (words.json, json.dumps(as_json(session, verdicts), indent=1) + "\n")):
        if path:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    return 1 if session.failures else 0


if __name__ == "__main__":
    sys.exit(main())
