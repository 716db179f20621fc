#!/bin/sh
# Builds the site from the README, these pages, the examples and the headers:
#   examples/docs/build.sh [folder]     by default build/docs; needs mkdocs, and no network
set -eu

case ${1:-} in
  -h | --help) sed -n '2,3s/^# *//p' "$0"; exit ;;
esac
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "${1:-$root/build/docs}"
out=$(cd "${1:-$root/build/docs}" && pwd)
if ! command -v mkdocs >/dev/null; then
  echo "examples/docs/build.sh: there is no mkdocs; on Debian: apt-get install mkdocs" >&2
  exit 1
fi

# The site has the folders of the project, so that the links of the pages are right on both; what is a
# program or a header there is a page here, and found by the search.
rm -rf "$out/pages" "$out/site"
mkdir -p "$out/pages/cmake"
cp "$root/LICENSE" "$out/pages"
cp -r "$root/cmake/genserver.cppm" "$root/cmake/packaging" "$out/pages/cmake"
cd "$root"
find README.md examples include \( -name '*.md' -o -name '*.[ch]pp' \) | while read -r file; do
  mkdir -p "$out/pages/$(dirname "$file")"
  case $file in
    *.md) sed 's/\(\](\(\.\{0,2\}[a-z_]*\/\)*[a-z_]*\.[ch]pp\))/\1.md)/g' "$file" >"$out/pages/$file" ;;
    *)
      {
        printf '# %s\n\n```cpp\n' "${file#include/}"
        cat "$file"
        printf '```\n'
      } >"$out/pages/$file.md"
      ;;
  esac
done

cat >"$out/mkdocs.yml" <<'END'
site_name: genserver
docs_dir: pages
site_dir: site
use_directory_urls: false
theme:
  name: readthedocs
  highlightjs: false
  navigation_depth: 3
strict: true
nav:
  - genserver: README.md
  - Start: examples/docs/start.md
  - Guide: examples/docs/guide.md
  - Semantics: examples/docs/semantics.md
  - When not: examples/docs/when-not.md
  - Coming from: examples/docs/coming-from.md
  - Hangs: examples/docs/hangs.md
  - Costs: examples/docs/cost.md
  - Traps: examples/docs/traps.md
  - All: examples/docs/index.md
END
mkdocs build --quiet --config-file "$out/mkdocs.yml"
echo "$out/site/index.html"
