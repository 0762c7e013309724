#!/usr/bin/env bash
# The gateway host itself as an end: TCP through linegate's TUN beside wireguard-go in the same place of the same lab,
# both directions, by turns.   sudo scripts/tun_throughput.sh [ROUNDS]   (3; IPERF_SECONDS each, 5)
# WIREGUARD_GO names another wireguard-go than the installed one, for both ends of the lab.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "tun_throughput: network namespaces need root" >&2; exit 1; }
if [ -z "${LINEGATE_TUN_INSIDE:-}" ]; then
  LINEGATE_TUN_INSIDE=1 exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" "$@"
fi
mkdir -p /run/netns /run/wireguard
mount -t tmpfs tun_throughput /run/netns
mount -t tmpfs tun_throughput /run/wireguard
if [ -n "${WIREGUARD_GO:-}" ]; then
  mkdir -p /run/wireguard/bin
  ln -s "$(readlink -f "$WIREGUARD_GO")" /run/wireguard/bin/wireguard-go
  PATH=/run/wireguard/bin:$PATH
fi
rounds=${1:-3}
LAB=lgtun
LAB_DIR=$(mktemp -d /run/lgtun.XXXXXX)
source scripts/lab_lib.sh
trap lab_down EXIT
lab_namespaces
lab_keys
lab_config
results=$LAB_DIR/results

peer_towards_gateway() {
  in_wan wg set "$LAB" peer "$GW_PUBLIC" remove
  in_wan wg set "$LAB" peer "$GW_PUBLIC" preshared-key "$LAB_DIR/psk" endpoint 10.20.0.1:51820 \
    allowed-ips 10.10.0.0/24,192.168.1.0/24,fd00::/64,fd01::/64
  for ns in "$WAN" "$LAN"; do ip -n "$ns" neigh flush all; done
  wait_for 15 in_wan ping -c 1 -W 1 10.10.0.1
}
measure() {
  local to from
  peer_towards_gateway
  to=$(iperf_mbps "$WAN" 10.10.0.1 "$GW")
  from=$(iperf_mbps "$GW" 10.10.0.2 "$WAN")
  echo "$1 $to $from" >>"$results"
  echo "# $1: to the gateway $to Mbit/s, from it $from Mbit/s"
}
with_linegate() {
  start_gateway
  [ -e "$LAB_DIR/peer.pid" ] || start_peer
  measure linegate
  stop_gateway
}
with_wireguard_go() {
  ip -n "$GW" addr add 10.20.0.1/24 dev wire0
  baseline_up lgtun0
  measure wireguard-go
  stop_pid baseline
  ip -n "$GW" addr del 10.20.0.1/24 dev wire0
}

for _ in $(seq "$rounds"); do
  with_linegate
  with_wireguard_go
done
python3 - "$results" "$(nproc)" <<'PY'
import statistics, sys
of = {}
for line in open(sys.argv[1]):
    name, to, out = line.split()
    of.setdefault(name, []).append((float(to), float(out)))
for at, direction in enumerate(("to_gateway", "from_gateway")):
    ours, theirs = (statistics.median(pair[at] for pair in of[name]) for name in ("linegate", "wireguard-go"))
    print(f"tun_tcp direction={direction} linegate_mbps={ours:.0f} wireguard_go_mbps={theirs:.0f} "
          f"ratio={ours / max(theirs, 1):.2f} rounds={len(of['linegate'])} cores={sys.argv[2]}")
PY
