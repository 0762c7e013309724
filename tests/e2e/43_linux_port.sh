#!/usr/bin/env bash
# Ports on Linux interfaces by packet sockets, on veths with all offloads on: super-packets and checksums left to a
# device, fragments of any size, VLAN tags, losses that are counted, jumbo frames, MTUs that are given back, two queues.
# limit: 240 s
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
ports() { # EXTRA-KEYS
  WAN_PORT="device: \"linux:wire0\", addresses: [10.20.0.1/24, \"fd20::1/64\"]$1"
  LAN_PORT="device: \"linux:wire1\", addresses: [192.168.1.1/24, \"fd01::1/64\"]$1"
  lab_config
}
# again: both ends restart, so that neither waits for a handshake.
again() {
  stop_gateway
  stop_peer
  start_gateway
  start_peer
  check "the tunnel again" wait_for 20 pings 1 "$WAN" 192.168.1.2 -W 1
}
# port_value PORT KEY: of show ports --json.
port_value() {
  linegate show ports --json | python3 -c '
import json, sys
print(next(p[sys.argv[2]] for p in json.load(sys.stdin)["ports"] if p["name"] == sys.argv[1]))' "$@"
}
mtu_of() { in_gw cat "/sys/class/net/$1/mtu"; }
tcp() { # WHAT CLIENT ADDRESS SERVER [options of iperf3]
  local mbps
  mbps=$(IPERF_SECONDS=2 iperf_mbps "${@:2}")
  [ "$mbps" -gt 10 ] || fail "TCP, $1: $mbps Mbit/s"
  say "TCP, $1"
}
ports ""
start_gateway
start_peer
check "peer to LAN" pings 3 "$WAN" 192.168.1.2
in_lan ethtool -k eth0 | grep -q '^tcp-segmentation-offload: on' || fail "the veth has no offloads"
tcp "peer to LAN" "$WAN" 192.168.1.2 "$LAN"
tcp "LAN to peer" "$LAN" 10.10.0.2 "$WAN"
tcp "LAN to peer over IPv6" "$LAN" fd00::2 "$WAN"
tcp "LAN to the gateway itself" "$LAN" 192.168.1.1 "$GW"
# vxlan NS ADDRESS LOCAL REMOTE: a tunnel from the LAN host to the peer's host, whose super-packets its veth leaves alone.
vxlan() {
  ip -n "$1" link add v0 type vxlan id 5 local "$3" remote "$4" dstport 4789 2>/dev/null || return 1
  ip -n "$1" addr add "$2/24" dev v0
  ip -n "$1" link set v0 mtu 1370 up
}
if vxlan "$LAN" 10.55.0.1 192.168.1.2 10.10.0.2; then
  vxlan "$WAN" 10.55.0.2 10.10.0.2 192.168.1.2
  check "inside a VXLAN" pings 3 "$LAN" 10.55.0.2
  tcp "inside a VXLAN from the LAN" "$LAN" 10.55.0.2 "$WAN"
  tcp "inside a VXLAN to the LAN" "$WAN" 10.55.0.1 "$LAN"
fi
expect "frames that could not be split" 0 "$(port_value lan rx_errors)"

for size in 1600 2500 4000 8972; do
  check "fragments of $size bytes, LAN to peer" pings 3 "$LAN" 10.10.0.2 -M dont -s $size
  check "fragments of $size bytes, LAN to the gateway" pings 3 "$LAN" 192.168.1.1 -M dont -s $size
  check "fragments of $size bytes, WAN to the gateway" pings 3 "$WAN" 10.20.0.1 -M dont -s $size
done

# tagged NS INTERFACE: 5 frames with VLAN 99 and priority 5 to the MAC address of the gateway's port or of everybody.
tagged() {
  ip netns exec "$1" python3 -c '
import socket, sys
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[1], 0))
for _ in range(5):
    out.send(b"\xff" * 6 + b"\x02\0\0\0\0\x07" + b"\x81\0\xa0\x63" + b"\x88\xb5" + b"a tag that stays" * 4)' "$2"
}
# sees_tags NS INTERFACE COMMAND...: all five arrive there with their tag.
sees_tags() {
  local where=$1 interface=$2 count
  shift 2
  ip netns exec "$where" timeout 10 tcpdump -n -e -c 5 -l -i "$interface" ether proto 0x88b5 or vlan 99 >/run/tags 2>/run/tags.err &
  wait_for 5 grep -q listening /run/tags.err
  "$@"
  wait_for 5 sh -c '[ "$(grep -c "vlan 99, p 5" /run/tags)" = 5 ]' || { cat /run/tags /run/tags.err; return 1; }
}
check "a tag stays, from the wire to Linux" sees_tags "$GW" wan tagged "$WAN" eth0
check "a tag stays, from Linux to the wire" sees_tags "$WAN" eth0 tagged "$GW" wan

# A stopped gateway takes nothing out of its ring.
missed=$(port_value wan rx_missed)
kill -STOP "$(gateway_pid)"
in_wan python3 -c '
import socket
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(12000):
    out.sendto(b"x" * 100, ("10.20.0.1", 9))'
kill -CONT "$(gateway_pid)"
check "the gateway goes on" wait_for 10 pings 1 "$WAN" 192.168.1.2 -W 1
lost=$(($(port_value wan rx_missed) - missed))
[ "$lost" -gt 4000 ] && [ "$lost" -le 12000 ] || fail "$lost of 12000 frames counted as missed"
say "$lost of 12000 frames are counted as missed"

# The wires carry 9000 bytes while the ports do, and their own MTU after that.
for wire in wire0 wire1; do ip -n "$GW" link set $wire mtu 1400; done
ports ""
again
expect "a smaller MTU of the wire is in force" 1400 "$(mtu_of wan)"
ip -n "$GW" link set wire0 mtu 1450
check "and followed" wait_for 5 sh -c "[ \$(ip netns exec $GW cat /sys/class/net/wan/mtu) = 1450 ]"
ip -n "$GW" link set wire0 mtu 1400
ports ", mtu: 9000"
again
expect "the wire's MTU is raised" 9000 "$(mtu_of wire0)"
check "and the port's in force" wait_for 5 sh -c "[ \$(ip netns exec $GW cat /sys/class/net/wan/mtu) = 9000 ]"
for end in "$WAN" "$LAN"; do ip -n "$end" link set eth0 mtu 9000; done
ip -n "$WAN" link set "$LAB" mtu 8920
check "8920 bytes, peer to LAN" pings 3 "$WAN" 192.168.1.2 -M do -s 8892
check "8920 bytes, LAN to peer, IPv6" pings 3 "$LAN" fd00::2 -M do -s 8872
tcp "8880-byte segments, peer to LAN" "$WAN" 192.168.1.2 "$LAN"
tcp "8880-byte segments, LAN to peer" "$LAN" 10.10.0.2 "$WAN"
stop_gateway
expect "the wire's own MTU again" 1400 "$(mtu_of wire0)"
for end in "$WAN" "$LAN"; do ip -n "$end" link set eth0 mtu 1500; done
for wire in wire0 wire1; do ip -n "$GW" link set $wire mtu 1500; done
WORKERS=2
ports ""
again
expect "queues of two workers" "2 2" "$(port_value lan rx_queues) $(port_value wan rx_queues)"
in_lan python3 -c '
import socket
for port in range(2000, 2200):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x" * 50, ("10.10.0.2", port))'
tcp "peer to LAN" "$WAN" 192.168.1.2 "$LAN"
tcp "LAN to peer, eight flows" "$LAN" 10.10.0.2 "$WAN" -P 8
check "fragments with two queues" pings 5 "$LAN" 10.10.0.2 -M dont -s 8972
both=$(linegate show workers --json | python3 -c '
import json, sys
print(sum(w["rx_packets"] > 50 for w in json.load(sys.stdin)["workers"]))')
expect "workers that received frames" 2 "$both"

# One queue: the other worker hands its packets over.
ports ", queues: 1"
again
expect "queues" "1 1" "$(port_value lan rx_queues) $(port_value wan tx_queues)"
tcp "peer to LAN with one queue" "$WAN" 192.168.1.2 "$LAN"
tcp "LAN to peer with one queue" "$LAN" 10.10.0.2 "$WAN"
