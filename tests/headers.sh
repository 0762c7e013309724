#!/usr/bin/env bash
# Every header of the product compiles alone. The build shows it of those that their own source includes first.
set -euo pipefail
cd "$(dirname "$0")/.."
flags="$(pkg-config --cflags libdpdk libsodium libmnl) -msse4.2 -std=c++20 -I. -fsyntax-only -w -x c++"
vector="-I build/generated-for-headers -mavx2 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512ifma -mavx512vbmi2 -mbmi -mbmi2 -mpopcnt"
check='echo "#include \"$1\"" | g++ $2 - || { echo "not self-sufficient: $1"; exit 255; }'

shown_by_the_build() { # HEADER
  local source=${1%.h}.cpp
  [ -f "$source" ] && [ "$(grep -m1 '^#include' "$source")" = "#include \"$1\"" ]
}
to_compile() { # PATTERN...
  local header
  git ls-files "$@" | while read -r header; do shown_by_the_build "$header" || echo "$header"; done
}

to_compile 'dataplane/*.h' 'control/*.h' 'config/*.h' | grep -v '^dataplane/crypto/' |
  xargs -P "$(nproc)" -I{} sh -c "$check" sh {} "$flags"
# The kernels of the crypto need their instruction sets, and some of them generated headers.
generated=build/generated-for-headers
mkdir -p "$generated"
python3 dataplane/crypto/generate_shadow_avx2.py >"$generated/shadow_kernels_avx2.h"
python3 dataplane/crypto/generate_chacha_rounds.py >"$generated/chacha20_rounds_avx512.h"
to_compile 'dataplane/crypto/*.h' | xargs -P "$(nproc)" -I{} sh -c "$check" sh {} "$flags $vector"
