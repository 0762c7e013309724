#!/usr/bin/env bash
# What a gateway carries with `forwarding: kernel`, with `flows`, and with `short_cut`, from a host behind another
# gateway, and from port to port:
#
#   [client]──veth──[far: linegate]──veth──[near: linegate, nftables]──veth──[server]      way=tunnel
#                                 [lan]──veth──[near]                                      way=ports
#
#   bench/flows_tcp.sh       as root; needs iperf3, nft and conntrack; prints medians, and times `kernel`
#   ROUNDS=3 SECONDS_EACH=2  rounds in which the modes take turns, length of one measurement
#   MODES="kernel flows short_cut" WAYS="tunnel ports"
#   TRAFFIC="..."            of TCP: one (connection), back (the server sends), eight (connections), small (segments of
#                            500 bytes), requests (64 connections, 64 bytes there and back); of UDP, 64 connections, 64
#                            bytes: datagrams (as fast as it goes), lossless (the most of which less than one in a
#                            thousand is lost)
#   PRIORITY=-20             niceness beside all that does not belong to it
#   FRAMES=1                 the hosts leave no super-packets to their veths, as on a wire
#
# kernel and flows masquerade; short_cut cannot, and goes without. The worker of `near` has the last CPU, everything else
# the first. `clocks` are those of its loops with work, for each frame it received: also what Linux does in its calls, the
# TCP of the host that receives among it.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${LINEGATE:=$PWD/build/release/linegate}" "${ROUNDS:=3}" "${SECONDS_EACH:=2}" "${MODES:=kernel flows short_cut}"
: "${WAYS:=tunnel ports}" "${TRAFFIC:=one eight small requests datagrams lossless}" "${FRAMES:=}" "${PRIORITY:=-20}"
ENDS_PROGRAM=${ENDS_PROGRAM:-$(dirname "$LINEGATE")/bench/flow_ends}
[ "$(id -u)" = 0 ] || { echo "flows_tcp: network namespaces need root" >&2; exit 1; }
if [ -z "${FLOWS_TCP_INSIDE:-}" ]; then
  export LINEGATE ROUNDS SECONDS_EACH MODES WAYS TRAFFIC FRAMES PRIORITY ENDS_PROGRAM FLOWS_TCP_INSIDE=1
  # In a session of its own, because the kernel shares its CPUs out by sessions (autogroups): this one goes first.
  setsid sh -c 'renice -n "$PRIORITY" $$ >/dev/null; echo "$PRIORITY" 2>/dev/null >/proc/self/autogroup
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$PWD/bench/flows_tcp.sh"' &
  trap 'kill $!' INT TERM
  wait $!
  exit
fi
for directory in /run/netns /run/wireguard; do
  mkdir -p "$directory"
  mount -t tmpfs flows "$directory"
done
LAB=lgflows
LAB_DIR=$(mktemp -d /run/lgflows.XXXXXX)
source scripts/lab_lib.sh
CLIENT=$LAB-client FAR=$LAB-far NEAR=$LAB-near SERVER=$LAB-server LANHOST=$LAB-lan
SERVER_ADDRESS=198.51.100.2
LAST_CPU=$(($(nproc --all) - 1))
[ "$LAST_CPU" -gt 0 ] || { echo "flows_tcp: needs two CPUs" >&2; exit 1; }
taskset -pc 0 $$ >/dev/null
trap down EXIT

down() {
  stop_pid far
  stop_pid near
  for ns in "$CLIENT" "$FAR" "$NEAR" "$SERVER" "$LANHOST"; do ip netns del "$ns" 2>/dev/null || true; done
  rm -rf "$LAB_DIR"
}

# gateway NAME NAMESPACE CPUS: starts it.
gateway() {
  # Names of wg0's socket are one directory per machine: each gateway has its own.
  taskset -c "$3" ip netns exec "$2" unshare --mount --propagation private sh -c \
    'mount -t tmpfs flows /run/wireguard && exec "$0" run -c "$1"' "$LINEGATE" "$LAB_DIR/$1.yaml" >>"$LAB_DIR/$1.log" 2>&1 &
  echo $! >"$LAB_DIR/$1.pid"
  wait_for 20 ip netns exec "$2" "$LINEGATE" --socket "$LAB_DIR/$1/control.sock" show interfaces ||
    { echo "flows_tcp: $1 does not start:" >&2; tail -5 "$LAB_DIR/$1.log" >&2; exit 1; }
}
near() { ip netns exec "$NEAR" "$LINEGATE" --socket "$LAB_DIR/near/control.sock" "$@"; }

# config NAME WORKER PORTS OWN_KEY PEER_KEY PEER_ADDRESS ALLOWED FORWARDING
config() {
  mkdir -p "$LAB_DIR/$1"
  cat >"$LAB_DIR/$1.yaml" <<YAML
dpdk: { workers: [$2], memory: 256M, hugepages: auto }
ports:
$3
interfaces:
  wg0:
    private_key_file: $4.key
    listen_port: 51820
    forwarding: $8
    peers: [{ public_key: "$(wg pubkey <"$LAB_DIR/$5.key")", endpoint: "$6:51820", allowed_ips: [$7] }]
control: { socket: $LAB_DIR/$1/control.sock, state_directory: $LAB_DIR/$1.state, log: { level: warn } }
YAML
}
near_config() { # MODE
  local of_ports="forwarding: $1"
  [ "$1" = short_cut ] && of_ports="$of_ports, port_to_port: true"
  config near "$LAST_CPU" "  wan0: { device: \"linux:wan\", addresses: [10.20.0.1/24], $of_ports }
  out0: { device: \"linux:out\", addresses: [198.51.100.1/24], $of_ports }
  lan0: { device: \"linux:lan\", addresses: [192.168.1.1/24], $of_ports }" near far 10.20.0.2 192.168.2.0/24 "$1"
}
far_config() {
  config far 0 "  wan0: { device: \"linux:wan\", addresses: [10.20.0.2/24] }
  lan0: { device: \"linux:lan\", addresses: [192.168.2.1/24] }" far near 10.20.0.1 0.0.0.0/0 short_cut
}

# rules MODE: those of `near`.
rules() {
  echo 'table inet gateway
delete table inet gateway'
  [ "$1" = short_cut ] || echo '
table inet gateway {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established ct mark set ct mark or 0x40000000
    ct state established,related accept
    iifname { "lan0", "wg0" } oifname "out0" accept
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "out0" ip saddr 192.168.0.0/16 masquerade
  }
}'
}
set_mode() {
  near_config "$1"
  near reload >/dev/null
  rules "$1" | ip netns exec "$NEAR" nft -f -
  # Connection tracking makes no events for entries that are older than whoever listens.
  ip netns exec "$NEAR" conntrack -F >/dev/null 2>&1 || true
  sleep 0.5
}

up() {
  local ns
  for ns in "$CLIENT" "$FAR" "$NEAR" "$SERVER" "$LANHOST"; do
    ip netns add "$ns"
    ip -n "$ns" link set lo up
  done
  veth_pair "$NEAR" wan "$FAR" wan
  veth_pair "$NEAR" out "$SERVER" eth0
  veth_pair "$NEAR" lan "$LANHOST" eth0
  veth_pair "$FAR" lan "$CLIENT" eth0
  if [ -n "$FRAMES" ]; then
    for ns in "$CLIENT" "$SERVER" "$LANHOST"; do ip netns exec "$ns" ethtool -K eth0 tso off gso off >/dev/null; done
  fi
  ip -n "$CLIENT" addr add 192.168.2.2/24 dev eth0
  ip -n "$LANHOST" addr add 192.168.1.2/24 dev eth0
  ip -n "$SERVER" addr add $SERVER_ADDRESS/24 dev eth0
  ip -n "$CLIENT" route add default via 192.168.2.1
  ip -n "$LANHOST" route add default via 192.168.1.1
  ip -n "$SERVER" route add 192.168.0.0/16 via 198.51.100.1
  # What a flood of datagrams brings is counted before the server's sockets.
  ip netns exec "$SERVER" nft 'table inet arrived { counter datagrams { }
    chain c { type filter hook prerouting priority -400; udp dport 7000 @th,64,8 0x64 counter name datagrams drop; }; }'
  (umask 077; wg genkey >"$LAB_DIR/near.key"; wg genkey >"$LAB_DIR/far.key")
  near_config "${MODES%% *}"
  far_config
  gateway near "$NEAR" "0,$LAST_CPU"
  gateway far "$FAR" "0,$LAST_CPU"
  ip -n "$FAR" route add 198.51.100.0/24 dev wg0
  wait_for 10 ip netns exec "$CLIENT" ping -c 1 -W 1 $SERVER_ADDRESS || { echo "flows_tcp: no tunnel" >&2; exit 1; }
  wait_for 10 ip netns exec "$LANHOST" ping -c 1 -W 1 $SERVER_ADDRESS || { echo "flows_tcp: no way between ports" >&2; exit 1; }
}

# counters: of near's worker: clocks with work, frames from ports.
counters() {
  near show workers --json | python3 -c '
import json, sys
w = json.load(sys.stdin)["workers"][0]
print(w["busy_cycles"], w["rx_packets"])'
}
arrived() { ip netns exec "$SERVER" nft list counter inet arrived datagrams | awk '$1 == "packets" { print $2 }'; }
play() { ip netns exec "$FROM" "$ENDS_PROGRAM" "$1" $SERVER_ADDRESS 7000 64 "${@:2}"; }

start_answer() {
  rm -f "$LAB_DIR/answer"
  ip netns exec "$SERVER" "$ENDS_PROGRAM" answer 7000 >"$LAB_DIR/answer" &
  ANSWER=$!
  wait_for 5 grep -q listening "$LAB_DIR/answer"
}
stop_answer() {
  kill "$ANSWER"
  wait "$ANSWER" 2>/dev/null || true
}

# flood RATE SECONDS: sent and arrived.
flood() {
  local before
  before=$(arrived)
  eval "$(play datagrams "$1" "$2")"
  sleep 0.1
  FLOOD_ARRIVED=$(($(arrived) - before))
  FLOOD_SENT=$sent
}
# Of the rates, the greatest with less than one in a thousand lost (each may fail once), in thousands a second.
lossless_kpps() {
  local kpps best=0 try
  for kpps in 50 100 150 200 300 400 600 800 1000; do
    for try in 1 2; do
      flood ${kpps}000 1
      if [ $((FLOOD_SENT - FLOOD_ARRIVED)) -le $((FLOOD_SENT / 1000)) ] && [ "$FLOOD_SENT" -ge $((kpps * 950)) ]; then
        best=$kpps
        continue 2
      fi
    done
    break
  done
  echo "$best"
}
learn() {
  start_answer
  play learn 0 3
  stop_answer
}
datagrams() {
  local before after
  learn
  before=$(counters)
  flood 10000000 "$SECONDS_EACH"
  after=$(counters)
  echo "kpps=$((FLOOD_ARRIVED / SECONDS_EACH / 1000)) offered_kpps=$((FLOOD_SENT / SECONDS_EACH / 1000)) $(clocks $before $after)"
}
lossless() {
  learn
  echo "kpps=$(lossless_kpps)"
}
# clocks BUSY FRAMES BUSY FRAMES: before and after.
clocks() { echo "clocks=$((($3 - $1) / ($4 > $2 ? $4 - $2 : 1)))"; }

tcp() { # OPTIONS of iperf3
  local before after mbps
  before=$(counters)
  mbps=$(IPERF_SECONDS=$SECONDS_EACH iperf_mbps "$FROM" $SERVER_ADDRESS "$SERVER" "$@")
  after=$(counters)
  echo "mbps=$mbps $(clocks $before $after)"
}
requests() {
  local before after requests
  start_answer
  before=$(counters)
  eval "$(play ask 64 "$SECONDS_EACH")"
  after=$(counters)
  stop_answer
  # A request and its answer, 64 bytes each.
  echo "mbps=$((requests * 1024 / 1000000)) requests=$requests $(clocks $before $after)"
}
measure() { # WAY TRAFFIC
  FROM=$CLIENT
  [ "$1" = ports ] && FROM=$LANHOST
  case $2 in
    one) tcp ;;
    back) tcp -R ;;
    eight) tcp -P 8 ;;
    small) tcp -M 500 ;;
    requests | datagrams | lossless) "$2" ;;
    *) echo "flows_tcp: no traffic $2" >&2; exit 1 ;;
  esac
}

up
for ((round = 1; round <= ROUNDS; ++round)); do
  for mode in $MODES; do
    set_mode "$mode"
    for way in $WAYS; do
      for traffic in $TRAFFIC; do
        echo "run mode=$mode way=$way traffic=$traffic $(measure "$way" "$traffic")"
      done
    done
  done
done | tee "$LAB_DIR/runs"
PYTHONPATH=bench python3 -B - "$LAB_DIR/runs" <<'PY'
import sys
from medians import medians

medians = medians(sys.argv[1], "traffic", "way", "mode")
kinds = {"requests": ("flows_tcp", "requests"), "datagrams": ("flows_packets", "kpps"), "lossless": ("flows_packets", "kpps")}
order = [[], [], []]
for identity in medians:
    for place, value in enumerate(identity):
        if value not in order[place]:
            order[place].append(value)
by_way_and_traffic = sorted(medians, key=lambda i: [order[place].index(i[place]) for place in (1, 0, 2)])
for traffic, way, mode in by_way_and_traffic:
    values = medians[traffic, way, mode]
    word, figure = kinds.get(traffic, ("flows_tcp", "mbps"))
    base = medians.get((traffic, way, "kernel"), {}).get(figure)
    shown = " ".join(f"{key}={value:.0f}" for key, value in values.items())
    times = f" times={values[figure] / base:.2f}" if base else ""
    print(f"{word} mode={mode} way={way} traffic={traffic} {shown}{times}")
PY
