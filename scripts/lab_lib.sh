# Sourced by demo.sh, lab.sh and the end-to-end tests: a lab of network namespaces around a gateway.
#
#      [wan]────veth────[gw: linegate]────veth────[lan]
#   the remote peer    ports wan and lan,        a host behind
#   (wireguard-go)     interface wg0             the gateway
#
# LAB is the prefix of the namespaces, LAB_DIR holds keys, configuration, logs and pid files.
: "${LAB:=lglab}"
: "${LAB_DIR:=/run/$LAB}"
: "${LINEGATE:=$(dirname "${BASH_SOURCE[0]}")/../build/release/linegate}"
GW=$LAB-gw WAN=$LAB-wan LAN=$LAB-lan
SOCKET=$LAB_DIR/control.sock
# On a veth, net_af_packet's default ring sizes lose half of the packets.
AF_PACKET_RING=blocksz=1048576,framesz=2048,framecnt=4096,qdisc_bypass=1

in_gw() { ip netns exec "$GW" "$@"; }
in_wan() { ip netns exec "$WAN" "$@"; }
in_lan() { ip netns exec "$LAN" "$@"; }
linegate() { in_gw "$LINEGATE" --socket "$SOCKET" "$@"; }

# veth_pair NS_A IF_A NS_B IF_B: a wire as the kernel makes it, with super-packets and checksums left to its far end.
# OFFLOADS=off: packets are finished, as net_af_packet needs them.
veth_pair() {
  ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
  for end in "$1 $2" "$3 $4"; do
    set -- $end
    ip -n "$1" link set "$2" up
    [ "${OFFLOADS:-on}" = on ] || ip netns exec "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null 2>&1 || true
  done
}

lab_namespaces() {
  mkdir -p "$LAB_DIR"
  for ns in "$GW" "$WAN" "$LAN"; do
    ip netns add "$ns"
    ip -n "$ns" link set lo up
  done
  veth_pair "$GW" wire0 "$WAN" eth0
  veth_pair "$GW" wire1 "$LAN" eth0
  ip -n "$WAN" addr add 10.20.0.2/24 dev eth0
  ip -n "$WAN" addr add fd20::2/64 dev eth0 nodad
  ip -n "$LAN" addr add 192.168.1.2/24 dev eth0
  ip -n "$LAN" addr add fd01::2/64 dev eth0 nodad
  ip -n "$LAN" route add default via 192.168.1.1
  ip -n "$LAN" -6 route add default via fd01::1
}

lab_keys() {
  (
    umask 077
    for name in gw peer; do wg genkey >"$LAB_DIR/$name.key"; done
    wg genpsk >"$LAB_DIR/psk"
  )
  GW_PUBLIC=$(wg pubkey <"$LAB_DIR/gw.key")
  PEER_PUBLIC=$(wg pubkey <"$LAB_DIR/peer.key")
}

# lab_config [YAML]: the gateway's file; the argument is further keys of the peer, e.g. 'persistent_keepalive: 5'. Variables
# hold YAML too: WAN_PORT, LAN_PORT (what a port is), ADDRESSES (of wg0), ALLOWED (IPs of the peer), WG0 (further keys of wg0,
# one per line), PEERS (further peers, one per line), INTERFACES (further interfaces), CONTROL (further keys).
indented() { [ -z "$2" ] || printf '%s\n' "$2" | sed "s/^/$(printf "%$1s")/"; }
lab_config() {
  : "${WAN_PORT:=device: \"linux:wire0\", addresses: [10.20.0.1/24, \"fd20::1/64\"]}"
  : "${LAN_PORT:=device: \"linux:wire1\", addresses: [192.168.1.1/24, \"fd01::1/64\"]}"
  cat >"$LAB_DIR/next.yaml" <<YAML
dpdk: { workers: ${WORKERS:-1}, memory: 256M, hugepages: auto }
ports:
  wan: { $WAN_PORT }
  lan: { $LAN_PORT }
interfaces:
  wg0:
    private_key_file: gw.key
    listen_port: 51820
    addresses: [${ADDRESSES:-10.10.0.1/24, "fd00::1/64"}]
$(indented 4 "${WG0:-}")
    peers:
      - { name: remote, public_key: "$PEER_PUBLIC", preshared_key_file: psk, allowed_ips: [${ALLOWED:-10.10.0.2/32, "fd00::2/128"}]${1:+, $1} }
$(indented 6 "${PEERS:-}")
$(indented 2 "${INTERFACES:-}")
control: { socket: $SOCKET, state_directory: $LAB_DIR/state, log: { level: ${LOG_LEVEL:-info}, format: ${LOG_FORMAT:-text} }${CONTROL:+, $CONTROL} }
YAML
  mv "$LAB_DIR/next.yaml" "$LAB_DIR/gateway.yaml"
}

# wait_for SECONDS COMMAND...: until it succeeds. LAB_PATIENCE: so many times longer, on an emulated machine.
wait_for() {
  local end=$((SECONDS + $1 * ${LAB_PATIENCE:-1}))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

start_gateway() {
  # Not through a function: $! must be the gateway itself. RUN_OPTIONS: further words.
  # shellcheck disable=SC2086
  ip netns exec "$GW" "$LINEGATE" run -c "$LAB_DIR/gateway.yaml" ${RUN_OPTIONS:-} >>"$LAB_DIR/gateway.log" 2>&1 &
  echo $! >"$LAB_DIR/gateway.pid"
  if ! wait_for 15 linegate show interfaces; then
    echo "the gateway did not start:" >&2
    tail -20 "$LAB_DIR/gateway.log" >&2
    return 1
  fi
}

# baseline_up NETDEV: wireguard-go in the gateway's place, with its keys; `stop_pid baseline` ends it.
baseline_up() {
  WG_PROCESS_FOREGROUND=1 ip netns exec "$GW" wireguard-go -f "$1" >"$LAB_DIR/baseline.log" 2>&1 &
  echo $! >"$LAB_DIR/baseline.pid"
  wait_for 5 in_gw wg show "$1"
  in_gw wg set "$1" private-key "$LAB_DIR/gw.key" listen-port 51820 peer "$PEER_PUBLIC" \
    preshared-key "$LAB_DIR/psk" allowed-ips 10.10.0.2/32,fd00::2/128
  ip -n "$GW" addr add 10.10.0.1/24 dev "$1"
  ip -n "$GW" link set "$1" mtu 1420 up
}

stop_pid() {
  local pid
  pid=$(cat "$LAB_DIR/$1.pid" 2>/dev/null) || return 0
  rm -f "$LAB_DIR/$1.pid"
  kill "${2:--TERM}" "$pid" 2>/dev/null || return 0
  for _ in $(seq 50); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}
stop_gateway() { stop_pid gateway; }

# The remote peer: wireguard-go in the wan namespace, interface $LAB (names must be unique per machine).
start_peer() {
  WG_PROCESS_FOREGROUND=1 ip netns exec "$WAN" wireguard-go -f "$LAB" >>"$LAB_DIR/peer.log" 2>&1 &
  echo $! >"$LAB_DIR/peer.pid"
  wait_for 5 in_wan wg show "$LAB"
  in_wan wg set "$LAB" private-key "$LAB_DIR/peer.key" listen-port 51821 \
    peer "$GW_PUBLIC" preshared-key "$LAB_DIR/psk" endpoint "${1:-10.20.0.1:51820}" \
    allowed-ips 10.10.0.0/24,192.168.1.0/24,fd00::/64,fd01::/64
  ip -n "$WAN" addr add 10.10.0.2/24 dev "$LAB"
  ip -n "$WAN" addr add fd00::2/64 dev "$LAB" nodad
  ip -n "$WAN" link set "$LAB" mtu 1420 up
  ip -n "$WAN" route add 192.168.1.0/24 dev "$LAB"
  ip -n "$WAN" route add fd01::/64 dev "$LAB"
}
stop_peer() { stop_pid peer; }

lab_down() {
  for name in gateway peer baseline iperf; do stop_pid "$name"; done
  for ns in "$GW" "$WAN" "$LAN"; do ip netns del "$ns" 2>/dev/null || true; done
  rm -rf "$LAB_DIR"
}

# iperf_mbps NS_CLIENT SERVER_ADDRESS NS_SERVER [extra]: received Mbit/s over IPERF_SECONDS; 0 when nothing came.
iperf_mbps() {
  local client=$1 address=$2 server=$3 pid
  shift 3
  ip netns exec "$server" timeout 20 iperf3 -s -1 >/dev/null 2>&1 &
  pid=$!
  wait_for 5 ip netns exec "$server" sh -c 'ss -ltn | grep -q :5201' || true
  { ip netns exec "$client" timeout 15 iperf3 -J -c "$address" -t "${IPERF_SECONDS:-4}" "$@" 2>/dev/null || true; } |
    python3 -c '
import json, sys
try:
    end = json.load(sys.stdin)["end"]
    print(round((end.get("sum_received") or end["sum"])["bits_per_second"] / 1e6))
except (ValueError, KeyError):
    print(0)'
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}
