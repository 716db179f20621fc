#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Measures what it costs to compile: a benchmark program, with the same arguments as the others.

  include_time   an empty program that includes genserver.hpp, or only the standard headers that
                 genserver.hpp includes, or those and fmt's
  call_site      one more place with a call, and the same with a cast: time, and code
"""
import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile

PEERS = {
    "genserver": ["include_time", "call_site"],
    "actor": ["call_site"],
    "std": ["include_time"],
    "std_fmt": ["include_time"],
}
SERVERS = {
    "genserver": ("#include <genserver/genserver.hpp>\n", "genserver::GenServer<long>"),
    "actor": ("#include <bench/peers/actor.hpp>\n", "bench::Actor<>::Server<long>"),
}
GENSERVER = "#include <genserver/genserver.hpp>\n"


class Compiler:
    """Compiles text, and tells the seconds of processor time that it took."""

    def __init__(self, command, includes, folder):
        self.command = [command, "-std=c++20"] + [f"-I{path}" for path in includes]
        self.folder = folder

    def run(self, text, *options):
        source = os.path.join(self.folder, "source.cpp")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(self.command + [*options, source], capture_output=True, text=True,
                              check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            raise RuntimeError(f"does not compile: {done.stderr[:400]}")
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return used, done.stdout

    def include_time(self, text):
        return self.run(text + "int main() {}\n", "-fsyntax-only")[0]


def foreign_headers(compiler):
    """The headers that the library's own files include by name, and that are reached."""
    _, rule = compiler.run(GENSERVER, "-M")
    paths = rule.replace("\\\n", " ").split()[1:]
    headers = set()
    for path in paths:
        if "/genserver/" not in path:
            continue
        with open(path, encoding="utf-8") as file:
            names = re.findall(r"^ *# *include <([^>]+)>", file.read(), re.MULTILINE)
        for name in names:
            if not name.startswith("genserver/") and any(p.endswith("/" + name) for p in paths):
                headers.add(name)
    return sorted(headers)


def is_standard(header):
    return "/" not in header and "." not in header


def include_time(compiler, peer, scale):
    text = GENSERVER
    if peer != "genserver":
        headers = [h for h in foreign_headers(compiler)
                   if is_standard(h) or (peer == "std_fmt" and h.startswith("fmt/"))]
        text = "".join(f"#include <{header}>\n" for header in headers)
    times = 1 if scale < 1 else 2
    print(f"include_time {min(compiler.include_time(text) for _ in range(times)) * 1000:.0f} ms")


def code_size(path):
    done = subprocess.run(["size", path], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[1].split()[0])


def program(peer, places):
    """A program that sends at all these places, each time with a handler of its own."""
    include, server = SERVERS[peer]
    return include + "".join(
        f"void place_{i}({server}& server, long& out) {{ {sends.replace('#', str(i))} }}\n"
        for i, sends in enumerate(places))


def call_site(compiler, peer, scale):
    more = max(4, int(32 * scale))
    ways = {
        "call_site": "out += server.call([&](long& n) { return n += out + #; });",
        "cast_site": "server.cast([more = out](long& n) { n += more + #; });",
    }
    target = os.path.join(compiler.folder, "program.o")
    options = ["-O2", "-DNDEBUG", "-c", "-o", target]

    def cost(places):
        used, _ = compiler.run(program(peer, places), *options)
        return used, code_size(target)

    each = list(ways.values())  # what only the first place costs is no matter of the others
    few, small = cost(each)
    for name, sends in ways.items():
        many, large = cost(each + [sends] * more)
        print(f"{name}_time {(many - few) * 1000 / more:.2f} ms")
        print(f"{name}_code {(large - small) / more:.0f} bytes")


def scale_of(word):
    scale = float(word)
    if not 0 < scale <= 1000:
        raise argparse.ArgumentTypeError(f"{word} is not more than 0 and up to 1000")
    return scale


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--peer", choices=PEERS, default="genserver")
    parser.add_argument("--scale", type=scale_of, default=1.0)
    parser.add_argument("measures", nargs="*")
    words = parser.parse_args()
    if words.list:
        for peer, measures in PEERS.items():
            print(peer, *measures)
        return 0
    for measure in words.measures:
        if measure not in PEERS[words.peer]:
            parser.error(f'there is no measure "{measure}" of {words.peer}, but: '
                         + " ".join(PEERS[words.peer]))
    if not words.measures:
        parser.error("which measure? --list tells those that there are")
    includes = [path for word in words.include for path in word.split(";") if path]
    with tempfile.TemporaryDirectory() as folder:
        compiler = Compiler(words.compiler, includes, folder)
        for measure in words.measures:
            {"include_time": include_time, "call_site": call_site}[measure](
                compiler, words.peer, words.scale)
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
