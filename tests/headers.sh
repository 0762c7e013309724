#!/usr/bin/env bash
# Every header compiles alone.
set -euo pipefail
cd "$(dirname "$0")/.."
flags="$(pkg-config --cflags libdpdk libsodium libmnl) -msse4.2 -std=c++20 -I. -fsyntax-only -x c++"
git ls-files '*.h' | grep -vE '_avx2\.h$|_avx512\.h$' |
  xargs -P "$(nproc)" -I{} sh -c 'echo "#include \"{}\"" | g++ '"$flags"' - || { echo "not self-sufficient: {}"; exit 255; }'
git ls-files '*_avx2.h' '*_avx512.h' |
  xargs -r -P "$(nproc)" -I{} sh -c 'echo "#include \"{}\"" | g++ '"$flags"' -I build/release/dataplane/crypto/generated -mavx2 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512ifma -mavx512vbmi2 -mbmi2 - || { echo "not self-sufficient: {}"; exit 255; }'
