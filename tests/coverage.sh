#!/bin/sh
# Tells which lines of the headers the tests run, and fails if that is less than 95 of 100:
#   tests/coverage.sh
# The details are pages, from build/coverage/report/index.html on. What is in sync/platform counts
# apart, and only informs: it reads what compilers write, as programs have it that the test `lines`
# makes, where nothing is counted.
set -eu

cd "$(dirname "$0")/.."
. cmake/setup.sh
need cmake cmake
need ninja ninja-build
need g++ g++
need gcovr gcovr
need_header fmt/core.h libfmt-dev
need_header catch2 catch2
install_missing
choose_tools
unset CMAKE_CXX_COMPILER_LAUNCHER # the compiler's notes lie beside its output

cmake --fresh --preset coverage
cmake --build --preset coverage
find build/coverage -name '*.gcda' -delete
ctest --preset coverage || echo "coverage: some tests have failed; their lines count all the same" >&2

mkdir -p build/coverage/report
platform=include/genserver/sync/platform/
# report FILTER OPTION...
report() {
  filter=$1
  shift
  gcovr --root . --object-directory build/coverage --filter "$filter" \
    --exclude-throw-branches --exclude-unreachable-branches "$@" build/coverage
}
report "$platform" --print-summary
report include/ --exclude "$platform" --print-summary --fail-under-line 95 \
  --html-details build/coverage/report/index.html
