#!/usr/bin/env bash
# clang-tidy on the C++ sources that changed; what it finds is an error (.clang-tidy says what it looks for).
#   scripts/tidy.sh [BASE]     what differs from commit BASE (the last commit before this one), and what is not committed
#   scripts/tidy.sh --all      every source of the product
# TIDY_FILES: at most so many (all), the ones changed last. Headers are checked with the sources that include them.
set -euo pipefail
cd "$(dirname "$0")/.."
tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || { echo "tidy: clang-tidy is not installed" >&2; exit 1; }
[ -e build/release/compile_commands.json ] || cmake --preset release >/dev/null
if [ "${1:-}" = --all ]; then
  mapfile -t files < <(git ls-files 'dataplane/*.cpp' 'control/*.cpp' 'config/*.cpp')
else
  base=${1:-$(git rev-parse -q --verify HEAD~1 || git rev-parse HEAD)}
  mapfile -t files < <(git diff --name-only --diff-filter=d "$base" -- 'dataplane/*.cpp' 'control/*.cpp' 'config/*.cpp' | xargs -r ls -t)
fi
files=("${files[@]:0:${TIDY_FILES:-${#files[@]}}}")
[ ${#files[@]} -gt 0 ] || { echo "tidy: no source changed"; exit 0; }
# The compile commands are g++'s: clang does not know all of its warnings.
printf '%s\n' "${files[@]}" |
  xargs -P "$(nproc)" -n 1 "$tidy" -p build/release --quiet --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-error
echo "tidy: ${#files[@]} sources"
