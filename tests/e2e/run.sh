#!/usr/bin/env bash
# The end-to-end scenarios (NN_name.sh here), each in mount, process and network namespaces of its own.
#   sudo tests/e2e/run.sh [-v] [PATTERN...]    only those whose name contains a pattern
# JOBS: how many at a time (2). LINEGATE: the program under test (build/release/linegate). LINEGATE_VM_CACHE: where the
# kernel scenarios' image is kept (build/kernel_vm).
# E2E_SECONDS: the limit of each, in place of its own.
# Scenarios with "# slow" in their head run in parallel to the others from the start.
set -uo pipefail
cd "$(dirname "$0")"
verbose=0
[ "${1:-}" = -v ] && { verbose=1; shift; }
export LINEGATE=${LINEGATE:-$PWD/../../build/release/linegate} LINEGATE_E2E=1
JOBS=${JOBS:-2}
[ "$(id -u)" = 0 ] || { echo "e2e: network namespaces need root" >&2; exit 1; }
[ -x "$LINEGATE" ] || { echo "e2e: no program at $LINEGATE: cmake --preset release && cmake --build --preset release" >&2; exit 1; }
LINEGATE=$(readlink -f "$LINEGATE")
out=$(mktemp -d)
trap 'rm -rf "$out"; kill $(jobs -p) 2>/dev/null' EXIT

wanted() {
  [ $# = 1 ] && return 0
  local name=$1 pattern
  shift
  for pattern in "$@"; do [[ $name == *"$pattern"* ]] && return 0; done
  return 1
}

run_one() {
  local script=$1 name=${1%.sh} start=$EPOCHREALTIME limit code took
  limit=${E2E_SECONDS:-$(sed -n '1,8s/^# limit: \([0-9]*\) s$/\1/p' "$script")}
  timeout -k 5 "${limit:-120}" unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc \
    bash -c 'mount -t tmpfs tmpfs /run && mkdir /run/netns /run/wireguard /run/linegate /run/lab && ip link set lo up && exec bash "$0"' \
    "$script" >"$out/$name.log" 2>&1 </dev/null
  code=$?
  took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }')
  case $code in
    0) echo "ok $name ($took s)" ;;
    77) echo "skip $name: $(sed -n 's/^skip: //p' "$out/$name.log" | tail -1)" ;;
    124 | 137) echo "FAIL $name (over its limit of ${limit:-120} s)" ;;
    *) echo "FAIL $name (exit code $code, $took s)" ;;
  esac >"$out/$name.result"
  { cat "$out/$name.result"
    if [ "$code" != 0 ] && [ "$code" != 77 ]; then tail -90 "$out/$name.log" | sed 's/^/    /'
    elif [ "$verbose" = 1 ]; then sed 's/^/    /' "$out/$name.log"; fi; } >"$out/$name.report"
  cat "$out/$name.report"
}

scripts=()
for script in [0-9][0-9]_*.sh; do wanted "$script" "$@" && scripts+=("$script"); done
[ ${#scripts[@]} -gt 0 ] || { echo "e2e: no scenario matches: $*" >&2; exit 1; }
# The kernel of the virtual machine is fetched here, where there is a network; kernel_vm/boot.sh has none.
if grep -q kernel_vm/boot.sh "${scripts[@]}"; then
  export LINEGATE_VM_CACHE=${LINEGATE_VM_CACHE:-$PWD/../../build/kernel_vm}
  mkdir -p "$LINEGATE_VM_CACHE"
  LINEGATE_VM_CACHE=$(readlink -f "$LINEGATE_VM_CACHE")
  flock "$LINEGATE_VM_CACHE" bash kernel_vm/make_image.sh "$LINEGATE_VM_CACHE" >"$LINEGATE_VM_CACHE/log" 2>&1 ||
    echo "e2e: no kernel image: $(tail -1 "$LINEGATE_VM_CACHE/log")"
fi
for script in "${scripts[@]}"; do
  if grep -q '^# slow' <<<"$(head -8 "$script")"; then run_one "$script" & fi
done
mkfifo "$out/slots"
exec 3<>"$out/slots"
for ((i = 0; i < JOBS; ++i)); do echo >&3; done
for script in "${scripts[@]}"; do
  grep -q '^# slow' <<<"$(head -8 "$script")" && continue
  read -r <&3
  { run_one "$script"; echo >&3; } &
done
wait
passed=$(cat "$out"/*.result | grep -c '^ok ')
failed=$(cat "$out"/*.result | grep -c '^FAIL ')
skipped=$(cat "$out"/*.result | grep -c '^skip ')
[ "$failed" = 0 ] || grep -h '^FAIL ' "$out"/*.result
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
