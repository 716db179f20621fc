#!/bin/sh
# Builds the benchmarks, and runs every peer that is there side by side:
#   tests/bench/run.sh [--install] [--quick] [--rounds N] [--peer NAME]... [--measure NAME]...
# --install gets the peers' packages first, --quick takes less than two minutes once all is built.
# Prints a Markdown table; leaves it in build/bench/table.md, and all numbers in table.json.
set -eu

usage() {
  sed -n '2,5s/^# *//p' "$0"
  exit "$1"
}

install='' speed='' chosen=''
while [ $# -gt 0 ]; do
  case $1 in
    --install) install=yes ;;
    --quick) speed='--rounds 1 --scale 0.2 --minutes 1.9' ;;
    --rounds | --peer | --measure)
      [ $# -ge 2 ] || usage 2 >&2
      chosen="$chosen $1 $2"
      shift
      ;;
    -h | --help) usage 0 ;;
    *) usage 2 >&2 ;;
  esac
  shift
done

cd "$(dirname "$0")/../.."
. cmake/setup.sh
need cmake cmake
need ninja ninja-build
need g++ g++
need python3 python3
need_header fmt/core.h libfmt-dev
need_header catch2 catch2
if [ -n "$install" ]; then
  need_header boost/asio.hpp libboost-dev
  need_header caf/actor_system.hpp libcaf-dev
  need go golang-go
  need elixir elixir
fi
install_missing
choose_tools

# A peer that does not build is missing in the table; the others are there.
builds=0
programs=build/bench/tests/bench/programs
rm -rf "$programs"
cmake --preset bench
case ${CMAKE_GENERATOR:-} in Ninja*) keep_going='-k 0' ;; *) keep_going=-k ;; esac
# shellcheck disable=SC2086  # a list of words
cmake --build --preset bench -- $keep_going || builds=$?

# shellcheck disable=SC2086  # all are lists of words
python3 tests/bench/compare.py $speed $chosen \
  --markdown build/bench/table.md --json build/bench/table.json \
  "$programs"/*
[ "$builds" -eq 0 ]
