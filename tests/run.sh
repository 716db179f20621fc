#!/bin/sh
# Builds and runs every test with each compiler, plain and sanitized:
#   tests/run.sh [g++|clang++] [plain|thread|address]
# Works through all configurations, says at the end what failed, and fails if anything did.
set -eu

usage() {
  sed -n '2,4s/^# *//p' "$0"
  exit "$1"
}

compilers='' kinds=''
for word in "$@"; do
  case $word in
    g++ | clang++) compilers="$compilers $word" ;;
    plain | thread | address) kinds="$kinds $word" ;;
    -h | --help) usage 0 ;;
    *) usage 2 >&2 ;;
  esac
done
: "${compilers:= g++ clang++}" "${kinds:= plain thread address}"

# Older sanitizers cannot place their shadow in an address space that is randomized by more bits.
bits=$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 32)
if [ "$bits" -gt 28 ] && [ -z "${GENSERVER_FIXED_ADDRESSES:-}" ] &&
  setarch -R true 2>/dev/null; then
  export GENSERVER_FIXED_ADDRESSES=1
  exec setarch -R "$0" "$@"
fi

cd "$(dirname "$0")/.."
. cmake/setup.sh
need cmake cmake
need ninja ninja-build
need ccache ccache
need_header fmt/core.h libfmt-dev
need_header catch2 catch2
need_header relacy relacy-dev
case $compilers in *' g++'*) need g++ g++ ;; esac
case $compilers in *' clang++'*) need_clang ;; esac
case "$compilers +$kinds " in
  *' g++ '*' plain '*) # what the tests `compilers` and `package` can use
    want g++-11 g++-11
    want clang++-16 clang-16
    want clang++-19 clang-19
    want_libcxx 19
    want_32_bits
    want pkg-config pkgconf
    ;;
esac
install_missing
choose_tools

passed=0 failed=0 summary= losses=

# add_up CONFIGURATION PASSED FAILED WHAT
add_up() {
  passed=$((passed + $2)) failed=$((failed + $3))
  summary="$summary$(printf '%-16s %4d passed, %d failed%s' "$1" "$2" "$3" "$4")
"
}

# losses_in LOG CONFIGURATION: what the failed tests printed, once more, where it can be found.
losses_in() {
  awk -v preset="$2" '
    /^ *[0-9]+\/[0-9]+ Test +#/ { is_lost = /\*\*\*/; if (is_lost) print "\n" preset ": " $0; next }
    /^ *Start +[0-9]+: / || /^[0-9]+% tests passed/ { is_lost = 0 }
    is_lost
  ' "$1"
}

# test_with PRESET: ctest's log says `100% tests passed, 0 tests failed out of 42`.
test_with() {
  log=build/$1/ctest.log
  if ! cmake --fresh --preset "$1"; then
    add_up "$1" 0 1 " (does not configure)"
  elif ! cmake --build --preset "$1"; then
    add_up "$1" 0 1 " (does not build)"
  else
    rm -f "$log"
    outcome=0
    ctest --preset "$1" --output-log "$log" || outcome=$?
    counts=$(sed -n 's/.* \([0-9]*\) tests\{0,1\} failed out of \([0-9]*\)$/\1 \2/p' "$log")
    lost=${counts% *} all=${counts#* }
    if [ -z "$counts" ] || { [ "$outcome" -ne 0 ] && [ "$lost" -eq 0 ]; }; then
      add_up "$1" 0 1 " (ctest ended with $outcome)"
    else
      add_up "$1" $((all - lost)) "$lost" ""
      [ "$lost" -eq 0 ] || losses="$losses$(losses_in "$log" "$1")
"
    fi
  fi
}

for compiler in $compilers; do
  for kind in $kinds; do
    printf '\n== %s %s ==\n' "$compiler" "$kind"
    test_with "$compiler-$kind"
    printf '%s' "$summary" | tail -n 1
  done
done

printf '%s\n%s%d passed, %d failed\n' "$losses" "$summary" "$passed" "$failed"
[ "$failed" -eq 0 ]
