#!/usr/bin/env bash
# The library's promise to programs that were built before: the header as every standard reads it, the layout of its
# structures in 32-bit and 64-bit programs, the names it exports, its ABI beside the recorded one.
#   tests/abi.sh BUILDDIR             BUILDDIR/liblinegate.so.1
#   tests/abi.sh --record BUILDDIR    records its ABI in lib/liblinegate.abi, after a change that is meant
set -euo pipefail
cd "$(dirname "$0")/.."
record=0
[ "${1:-}" != --record ] || { record=1; shift; }
[ $# = 1 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
library=$1/liblinegate.so.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fault() { echo "abi: $*" >&2; failed=1; }

# Only what a program sees: no locations, and nothing of what is behind the opaque handle.
printf '[suppress_type]\nname_regexp = ^(lg_adapter$|lg_ring$|way$|queue$|lgi_)\ndrop = true\n' >"$work/opaque"
abi() {
  abidw --no-show-locs --no-comp-dir-path --no-corpus-path --no-elf-needed --exported-interfaces-only --type-id-style hash \
    --suppr "$work/opaque" "$library"
}
if [ "$record" = 1 ]; then
  abi >lib/liblinegate.abi
  echo "recorded in lib/liblinegate.abi"
  exit
fi

echo '#include <linegate.h>' >"$work/header.c"
warnings="-pedantic -Wall -Wextra -Wconversion -Werror -Ilib/include -fsyntax-only"
for compiler in "gcc -std=c99" "gcc -std=c11" "gcc -std=c2x" "g++ -std=c++11 -x c++" "g++ -std=c++20 -x c++" "clang -std=c99" "clang++ -std=c++20 -x c++"; do
  command -v "${compiler%% *}" >/dev/null || { echo "abi: no ${compiler%% *}, left out"; continue; }
  # shellcheck disable=SC2086 # words
  $compiler $warnings "$work/header.c" || fault "the header does not compile with $compiler"
done
# Freestanding: the compiler's own headers do for 32 bits, without a 32-bit C library.
for bits in 64 32; do
  # shellcheck disable=SC2086 # words
  gcc -m$bits -ffreestanding -std=c99 $warnings tests/abi_layout.c || fault "the layout in a $bits-bit program"
done

nm -D --defined-only "$library" | awk '{ print $3 }' | sort >"$work/exported"
grep -v '^lg_[a-z_]*@@LINEGATE_1\.[012]$\|^LINEGATE_1\.[012]$' "$work/exported" && fault "it exports more than lg_*"
{ grep -o '\blg_[a-z_]*(' lib/include/linegate.h || true; } | tr -d '(' | grep -v '_$\|^lg_first_\|^lg_next_' | sort -u >"$work/declared"
sed -n 's/@@.*//p' "$work/exported" | grep '^lg_' | diff "$work/declared" - || fault "the header (<) declares other functions than it exports (>)"
needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | xargs)
[[ "$needed" =~ ^libc\.so\.6( ld-linux[^ ]*)?$ || "$needed" == *asan* || "$needed" == *tsan* ]] || fault "it needs $needed"
grep -q 'SONAME.*\[liblinegate\.so\.1\]' <<<"$(readelf -d "$library")" || fault "its name"

if ! command -v abidiff >/dev/null; then echo "abi: abigail-tools are not installed, the recorded ABI is not compared"
else
  abi >"$work/now.abi"
  abidiff --suppressions "$work/opaque" "lib/liblinegate.abi" "$work/now.abi" || fault "it differs from lib/liblinegate.abi"
fi
exit "$failed"
