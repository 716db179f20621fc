#!/bin/sh
# Builds and runs an example: examples/run.sh NAME [args...]; without NAME it lists them.
set -eu

root=$(CDPATH='' cd "$(dirname "$0")/.." && pwd)

list() {
  echo "examples/run.sh NAME [args...], where NAME is one of"
  for file in "$root"/examples/*.cpp; do
    [ -e "$file" ] || continue
    printf '  %-16s %s\n' "$(basename "$file" .cpp)" "$(sed -n '/SPDX/d; s,^// *,,p; /./q' "$file")"
  done
}

case ${1:-} in
  '' | -h | --help)
    list
    exit
    ;;
esac
name=${1%.cpp}
shift
if [ ! -e "$root/examples/$name.cpp" ]; then
  list >&2
  exit 2
fi

. "$root/cmake/setup.sh"
need cmake cmake
need ninja ninja-build
need "${CXX:-c++}" g++
need_header fmt/core.h libfmt-dev
install_missing >&2
choose_tools

# What the build says is shown only if it fails: the example's output stands alone.
build=$root/build/examples
mkdir -p "$build"
if [ -t 2 ]; then echo "building example_$name in $build" >&2; fi
if ! (
  cd "$root" &&
    cmake --fresh --preset examples &&
    cmake --build --preset examples --target "example_$name"
) >"$build/build.log" 2>&1; then
  cat "$build/build.log" >&2
  exit 1
fi
exec "$build/examples/$name" "$@"
