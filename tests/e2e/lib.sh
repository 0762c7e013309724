# Sourced by every scenario. run.sh gives each one namespaces of its own (mounts with a fresh /run, processes,
# network), so nothing it makes outlives it. Exit code 0: passed, 77: skipped (the reason is printed).
#
#   [wan]────[gw: linegate, ports wan and lan, wg0]────[lan]      see scripts/lab_lib.sh
set -euo pipefail
[ -n "${LINEGATE_E2E:-}" ] || { echo "run it through tests/e2e/run.sh ${0##*/}" >&2; exit 2; }
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TOOLS=$ROOT/tests/e2e/tools
LAB=e2e LAB_DIR=/run/lab
source "$ROOT/scripts/lab_lib.sh"

# A reader that ends early fails its writer by SIGPIPE, and with `pipefail` the whole pipe: with -q the rest is read too.
grep() {
  local status=0
  command grep "$@" || status=$?
  [ ! -p /dev/stdin ] || cat >/dev/null
  return "$status"
}

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
skip() {
  echo "skip: $*"
  exit 77
}
say() { echo "-- $*"; }
# check WHAT COMMAND...: the command must succeed. refuse: it must fail.
check() {
  local what=$1
  shift
  "$@" >/run/check.out 2>&1 || { tail -15 /run/check.out >&2; fail "$what"; }
  say "$what"
}
refuse() {
  local what=$1
  shift
  if "$@" >/run/check.out 2>&1; then tail -15 /run/check.out >&2; fail "$what (it should not have worked)"; fi
  say "$what"
}
# expect WHAT WANTED GOT
expect() {
  [ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"
  say "$1: $3"
}
at_most() { [ "$3" -le "$2" ] || fail "$1: at most $2, got $3"; say "$1: $3"; }

on_exit() {
  local code=$?
  trap - EXIT
  if [ "$code" != 0 ] && [ "$code" != 77 ]; then
    set +e
    for log in "$LAB_DIR"/*.log; do
      [ -s "$log" ] && { echo "---- ${log##*/} (tail)"; tail -25 "$log"; }
    done
    if [ -e "$SOCKET" ]; then
      echo "---- linegate show"
      timeout 5 ip netns exec "$GW" "$LINEGATE" --socket "$SOCKET" show peers
      timeout 5 ip netns exec "$GW" "$LINEGATE" --socket "$SOCKET" show drops
    fi
  fi
  exit "$code"
}
trap on_exit EXIT
trap 'echo "FAILED: line $LINENO of ${BASH_SOURCE[0]##*/}: $BASH_COMMAND" >&2' ERR

# lab [YAML of the peer]: namespaces, keys, gateway, and one wireguard-go peer in wan.
lab() {
  lab_namespaces
  lab_keys
  lab_config "${1:-}"
  start_gateway
  start_peer
}
ns() { ip netns exec "$@"; }

# pings COUNT NS ADDRESS [ping options]: all of them must come back.
pings() {
  local count=$1 where=$2 address=$3 got
  shift 3
  got=$(ns "$where" ping -n -c "$count" -i 0.05 -W 3 "$@" "$address" 2>&1 | grep -c 'bytes from.*icmp_seq') || true
  [ "$got" = "$count" ] || { echo "$got of $count pings from $where to $address ($*)" >&2; return 1; }
}
no_ping() { ! pings 1 "$1" "$2" -W 1; }

# The shell makes its background jobs ignore SIGINT, which is what ping stops and reports at.
interruptible() { exec env --default-signal=INT "$@"; }

# stream_start NS ADDRESS [interval]: pings all the time; stream_stop WHAT [LOST]: none may be missing between the first
# and the last answer (or as many as LOST).
stream_start() {
  interruptible ip netns exec "$1" ping -n -i "${3:-0.01}" "$2" >/run/stream.out 2>&1 &
  STREAM=$!
  wait_for 5 grep -q icmp_seq= /run/stream.out || fail "the ping stream to $2 does not start"
}
stream_stop() {
  sleep 0.3
  kill -INT "$STREAM"
  wait "$STREAM" || true
  local counts
  counts=$(awk -F'icmp_seq=' '/bytes from/ { split($2, a, " "); seen[a[1]] = 1; if (a[1] + 0 > last) last = a[1] + 0 }
    END { n = 0; for (i in seen) ++n; print last - n, last }' /run/stream.out)
  set -- "$1" "${2:-0}" $counts
  [ "$4" -gt 20 ] || fail "$1: only $4 pings in the stream"
  [ "$3" -le "$2" ] || fail "$1: $3 of $4 pings lost, $2 allowed"
  say "$1: $3 of $4 pings lost"
}

# wireguard_go NS NAME: a wireguard-go interface, empty and down. Names must be unique within a scenario.
wireguard_go() {
  WG_PROCESS_FOREGROUND=1 ns "$1" wireguard-go -f "$2" >>"$LAB_DIR/$2.log" 2>&1 &
  echo $! >"$LAB_DIR/$2.pid"
  wait_for 10 ns "$1" wg show "$2" || fail "wireguard-go $2 does not start"
}
new_key() { (umask 077; wg genkey >"$LAB_DIR/$1.key"); wg pubkey <"$LAB_DIR/$1.key"; }
peer_key() { wg pubkey <"$LAB_DIR/$1.key"; }

# transfer: "rx tx" of the lab's peer by `wg show` in the gateway. endpoint, handshake: likewise.
transfer() { in_gw wg show wg0 transfer | awk -v k="${1:-$PEER_PUBLIC}" '$1 == k { print $2, $3 }'; }
endpoint() { in_gw wg show wg0 endpoints | awk -v k="${1:-$PEER_PUBLIC}" '$1 == k { print $2 }'; }
handshake() { in_gw wg show wg0 latest-handshakes | awk -v k="${1:-$PEER_PUBLIC}" '$1 == k { print $2 }'; }
endpoint_is() { [ "$(endpoint)" = "$1" ]; }
# drops NAME: the counter of that name, over all workers.
drops() { linegate show drops --json | python3 "$TOOLS/drops.py" "$1"; }
gateway_pid() { cat "$LAB_DIR/gateway.pid"; }
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
