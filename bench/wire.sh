#!/usr/bin/env bash
# Two gateways between two hosts, on veths: what packet sockets of our own carry beside DPDK's net_af_packet.
#
#   [a]────veth────[gwa: linegate]────veth────[gwb: linegate]────veth────[b]
#
#   bench/wire.sh            as root; needs iperf3; prints one line per figure and the ratios
#   ROUNDS=1 SECONDS_EACH=2  rounds in which the ports take turns (their medians are compared), length of one measurement
#   KINDS="..."              of: af_packet linux_plain linux
#
# af_packet: net_af_packet with large rings, on veths without offloads, which it needs. linux_plain: linux: ports on the
# same veths. linux: linux: ports on veths as the kernel makes them. Everything shares the machine's CPUs.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${LINEGATE:=$PWD/build/release/linegate}" "${ROUNDS:=1}" "${SECONDS_EACH:=2}" "${KINDS:=af_packet linux_plain linux}"
[ "$(id -u)" = 0 ] || { echo "wire: network namespaces need root" >&2; exit 1; }
if [ -z "${WIRE_INSIDE:-}" ]; then
  LINEGATE=$LINEGATE ROUNDS=$ROUNDS SECONDS_EACH=$SECONDS_EACH KINDS=$KINDS WIRE_INSIDE=1 \
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$PWD/bench/wire.sh"
fi
for directory in /run/netns /run/wireguard; do
  mkdir -p "$directory"
  mount -t tmpfs wire "$directory"
done
LAB=lgwire
LAB_DIR=$(mktemp -d /run/lgwire.XXXXXX)
source scripts/lab_lib.sh
A=$LAB-a B=$LAB-b GWA=$LAB-gwa GWB=$LAB-gwb
trap down EXIT

down() {
  stop_pid gwa
  stop_pid gwb
  for ns in "$A" "$B" "$GWA" "$GWB"; do ip netns del "$ns" 2>/dev/null || true; done
}

# device KIND NUMBER INTERFACE
device() {
  case $1 in
    af_packet) echo "net_af_packet$2,iface=$3,$AF_PACKET_RING" ;;
    *) echo "linux:$3" ;;
  esac
}

# config KIND NAME OWN_OUTER PEER_OUTER OWN_LAN PEER_LAN OWN_KEY PEER_KEY
config() {
  cat >"$LAB_DIR/$2.yaml" <<YAML
dpdk: { workers: 1, memory: 256M, hugepages: auto }
ports:
  wan: { device: "$(device "$1" 0 wire0)", addresses: [$3/24] }
  lan: { device: "$(device "$1" 1 wire1)", addresses: [$5.1/24] }
interfaces:
  wg0:
    private_key_file: $7.key
    listen_port: 51820
    peers: [{ public_key: "$(wg pubkey <"$LAB_DIR/$8.key")", endpoint: "$4:51820", allowed_ips: [$6.0/24] }]
control: { socket: $LAB_DIR/$2/control.sock, state_directory: $LAB_DIR/$2.state, log: { level: warn } }
YAML
  mkdir -p "$LAB_DIR/$2"
}

# start NAME NAMESPACE
start() {
  # Names of wg0's socket are one directory per machine: each gateway has its own.
  ip netns exec "$2" unshare --mount --propagation private sh -c \
    'mount -t tmpfs wire /run/wireguard && exec "$0" run -c "$1"' "$LINEGATE" "$LAB_DIR/$1.yaml" >>"$LAB_DIR/$1.log" 2>&1 &
  echo $! >"$LAB_DIR/$1.pid"
  wait_for 15 ip netns exec "$2" "$LINEGATE" --socket "$LAB_DIR/$1/control.sock" show interfaces ||
    { echo "wire: $1 does not start:" >&2; tail -5 "$LAB_DIR/$1.log" >&2; exit 1; }
}

up() {
  local kind=$1 ns OFFLOADS=off
  [ "$kind" = linux ] && OFFLOADS=on
  for ns in "$A" "$B" "$GWA" "$GWB"; do
    ip netns add "$ns"
    ip -n "$ns" link set lo up
  done
  veth_pair "$GWA" wire0 "$GWB" wire0
  veth_pair "$GWA" wire1 "$A" eth0
  veth_pair "$GWB" wire1 "$B" eth0
  ip -n "$A" addr add 192.168.1.2/24 dev eth0
  ip -n "$B" addr add 192.168.2.2/24 dev eth0
  ip -n "$A" route add default via 192.168.1.1
  ip -n "$B" route add default via 192.168.2.1
  config "$kind" gwa 10.20.0.1 10.20.0.2 192.168.1 192.168.2 a b
  config "$kind" gwb 10.20.0.2 10.20.0.1 192.168.2 192.168.1 b a
  start gwa "$GWA"
  start gwb "$GWB"
  wait_for 10 ip netns exec "$A" ping -c 1 -W 1 192.168.2.2 || { echo "wire: $kind: no tunnel" >&2; exit 1; }
}

# Datagrams that reached UDP in B, also those for which the receiver's socket had no room.
udp_arrived() { ip netns exec "$B" awk '/^Udp: [0-9]/ { print $2 + $3 + $4 }' /proc/net/snmp; }

# A stream of UDP datagrams of 64 bytes, as fast as the sender can: thousands that arrive per second.
stream_kpps() {
  local pid before
  ip netns exec "$B" timeout 20 iperf3 -s -1 >/dev/null 2>&1 &
  pid=$!
  wait_for 5 ip netns exec "$B" sh -c 'ss -ltn | grep -q :5201' || true
  before=$(udp_arrived)
  ip netns exec "$A" timeout 15 iperf3 -c 192.168.2.2 -u -b 0 -l 64 -t "$SECONDS_EACH" >/dev/null 2>&1 || true
  echo $((($(udp_arrived) - before) / SECONDS_EACH / 1000))
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

(umask 077; wg genkey >"$LAB_DIR/a.key"; wg genkey >"$LAB_DIR/b.key")
for ((round = 1; round <= ROUNDS; ++round)); do
  for kind in $KINDS; do
    up "$kind"
    there=$(IPERF_SECONDS=$SECONDS_EACH iperf_mbps "$A" 192.168.2.2 "$B")
    back=$(IPERF_SECONDS=$SECONDS_EACH iperf_mbps "$B" 192.168.1.2 "$A")
    stream=$(stream_kpps)
    down
    echo "run kind=$kind there_mbps=$there back_mbps=$back stream_kpps=$stream"
  done
done | tee "$LAB_DIR/runs"
PYTHONPATH=bench python3 -B - "$LAB_DIR/runs" <<'PY'
import sys
from medians import medians

medians = medians(sys.argv[1], "kind")
base = medians.get(("af_packet",))
for (kind,), m in medians.items():
    ratio = "".join(f" {k.split('_')[0]}_ratio={m[k] / base[k]:.2f}" for k in m if base and base[k])
    print(f"wire port={kind} " + " ".join(f"{k}={v:g}" for k, v in m.items()) + ratio)
PY
rm -rf "$LAB_DIR"
