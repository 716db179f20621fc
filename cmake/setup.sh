# shellcheck shell=sh
# What a build needs from the machine; sourced by the scripts named run.sh.
#
#   need ninja ninja-build                  # each needs a command or a header, from a package
#   need_header fmt/core.h libfmt-dev
#   want g++-11 g++-11                      # the same, left out where the system does not have it
#   install_missing                         # by apt-get, if anything is missing
#   choose_tools                            # Ninja and ccache, where they are there

missing= wanted=

need() {
  command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

need_header() {
  [ -e "/usr/include/$1" ] || [ -e "/usr/local/include/$1" ] || missing="$missing $2"
}

want() {
  command -v "$1" >/dev/null 2>&1 || wanted="$wanted $2"
}

# The libraries for 32 bits of the g++ that is there: those of `g++-multilib` would push out the
# compilers for other machines.
want_32_bits() {
  [ "$(uname -m)" = x86_64 ] && command -v g++ >/dev/null 2>&1 || return 0
  case $(g++ -m32 -print-libgcc-file-name) in
    */32/*) ;;
    *) wanted="$wanted g++-$(g++ -dumpversion | cut -d. -f1)-multilib" ;;
  esac
}

# Only one version of libc++ can be installed.
want_libcxx() {
  find /usr/lib/llvm-*/include/c++ -name v1 2>/dev/null | grep -q . ||
    wanted="$wanted libc++-$1-dev libc++abi-$1-dev"
}

# clang comes without its sanitizers when recommended packages are not installed.
need_clang() {
  need clang++ clang
  need llvm-symbolizer llvm
  resources=$(clang++ -print-resource-dir 2>/dev/null) &&
    find "$resources" -name 'libclang_rt.tsan*' 2>/dev/null | grep -q . ||
    missing="$missing libclang-rt-dev"
}

# A failure is not the end: the build says what it cannot do without, and fetches fmt and Catch2.
install_missing() {
  [ -n "$missing$wanted" ] || return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: missing, with no apt-get to install it:$missing$wanted" >&2
    return 0
  fi
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    as_root=sudo
    [ -t 0 ] && [ -z "${CI:-}" ] || as_root="sudo -n"
  fi
  $as_root apt-get update -qq </dev/null || true
  available=
  for package in $wanted; do
    if apt-cache show "$package" >/dev/null 2>&1; then available="$available $package"; fi
  done
  install_packages "$missing"
  install_packages "$available" # apart, so that what is needed does not depend on it
}

install_packages() {
  [ -n "$1" ] || return 0
  echo "setup: installing$1"
  # shellcheck disable=SC2086  # both are lists of words
  $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $1 </dev/null ||
    echo "setup: could not install all of:$1" >&2
}

# Names the generator, the compiler's launcher and the number of jobs; CMake reads them from the
# environment, where what is already chosen stays.
choose_tools() {
  jobs=$(nproc 2>/dev/null || echo 2)
  : "${CMAKE_BUILD_PARALLEL_LEVEL:=$jobs}" "${CTEST_PARALLEL_LEVEL:=$jobs}"
  export CMAKE_BUILD_PARALLEL_LEVEL CTEST_PARALLEL_LEVEL
  if [ -z "${CMAKE_GENERATOR:-}" ] && command -v ninja >/dev/null 2>&1; then
    export CMAKE_GENERATOR=Ninja
  fi
  if [ -z "${CMAKE_CXX_COMPILER_LAUNCHER:-}" ] && ccache --show-stats >/dev/null 2>&1; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
  fi
}
