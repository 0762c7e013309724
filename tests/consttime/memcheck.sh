#!/bin/bash
# Runs the memcheck driver under valgrind for the variants it can execute: no branch and no address may depend on a
# key or a payload. Then shows that a leak would be found.
set -euo pipefail
driver=${1:?usage: memcheck.sh path/to/consttime_memcheck}
suppressions=$(dirname "$0")/memcheck.supp
check() { valgrind --quiet --error-exitcode=9 --suppressions="$suppressions" "$driver" "$@"; }

for variant in portable avx2 x25519; do
  needs=avx2
  [ "$variant" != x25519 ] || needs=fma
  if [ "$variant" != portable ] && ! grep -qw "$needs" /proc/cpuinfo; then
    echo "skip $variant: not on this machine"
    continue
  fi
  check "$variant"
  echo "ok $variant: no branch or address depends on a secret"
done
if check portable leak >/dev/null 2>&1; then
  echo "FAIL: a deliberate leak was not found" >&2
  exit 1
fi
echo "ok: a deliberate leak is found"
