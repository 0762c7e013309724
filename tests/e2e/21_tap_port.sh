#!/usr/bin/env bash
# `device: tap`: the port's other end is a TAP device that another namespace takes.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
WAN_PORT='device: tap, addresses: [10.20.0.1/24, "fd20::1/64"]'
lab_config
start_gateway
ip -n "$GW" link set wan.wire netns "$WAN" || fail "there is no wan.wire: $(ls /sys/class/net)"
ip -n "$WAN" link del eth0
ip -n "$WAN" addr add 10.20.0.2/24 dev wan.wire
ip -n "$WAN" addr add fd20::2/64 dev wan.wire nodad
ip -n "$WAN" link set wan.wire up
check "ping through the exception path" wait_for 5 pings 1 "$WAN" 10.20.0.1 -W 1
start_peer
for outer in 10.20.0.1:51820 "[fd20::1]:51820"; do
  in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint "$outer"
  check "peer to LAN over $outer" pings 3 "$WAN" 192.168.1.2
  check "LAN to peer over $outer" pings 3 "$LAN" 10.10.0.2
done
mbps=$(IPERF_SECONDS=2 iperf_mbps "$WAN" 192.168.1.2 "$LAN")
[ "$mbps" -gt 10 ] || fail "TCP from the peer to the LAN: $mbps Mbit/s"
mbps=$(IPERF_SECONDS=2 iperf_mbps "$LAN" 10.10.0.2 "$WAN")
[ "$mbps" -gt 10 ] || fail "TCP from the LAN to the peer: $mbps Mbit/s"
say "TCP both ways"
