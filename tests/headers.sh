#!/usr/bin/env bash
# Every header of the product compiles alone.
set -euo pipefail
cd "$(dirname "$0")/.."
flags="$(pkg-config --cflags libdpdk libsodium libmnl) -msse4.2 -std=c++20 -I. -fsyntax-only -w -x c++"
vector="-I build/generated-for-headers -mavx2 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512ifma -mavx512vbmi2 -mbmi -mbmi2 -mpopcnt"
check='echo "#include \"$1\"" | g++ $2 - || { echo "not self-sufficient: $1"; exit 255; }'
git ls-files 'dataplane/*.h' 'control/*.h' 'config/*.h' | grep -v '^dataplane/crypto/' |
  xargs -P "$(nproc)" -I{} sh -c "$check" sh {} "$flags"
# The kernels of the crypto need their instruction sets, and two of them their generated rounds.
mkdir -p build/generated-for-headers
for variant in avx2 avx512; do
  python3 dataplane/crypto/generate_chacha_rounds.py "$variant" >"build/generated-for-headers/chacha20_rounds_$variant.h"
done
git ls-files 'dataplane/crypto/*.h' | xargs -P "$(nproc)" -I{} sh -c "$check" sh {} "$flags $vector"
