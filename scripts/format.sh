#!/usr/bin/env bash
# Formats every C++ file of the repository, and begins its comments with `//` (docs/style.md). With --check it only lists
# what is not so.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.cpp' '*.cc' '*.h')
other_comments='(^|[ ;{}])///<?'
if [ "${1:-}" = --check ]; then
  if grep -nE "$other_comments" "${files[@]}"; then
    echo "format.sh: comments begin with //" >&2
    exit 1
  fi
  clang-format-14 --dry-run --Werror "${files[@]}"
else
  { grep -lE "$other_comments" "${files[@]}" || true; } | xargs -r sed -i -E "s,$other_comments,\1//,"
  clang-format-14 -i "${files[@]}"
fi
