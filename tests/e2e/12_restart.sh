#!/usr/bin/env bash
# Either side stops, cleanly or not, and restarts: the tunnel works again at once, and no leftovers block it.
source "$(dirname "$0")/lib.sh"
lab 'endpoint: "10.20.0.2:51821"'
check "a tunnel" pings 3 "$WAN" 192.168.1.2

stop_peer
start_peer
check "after the peer's restart, from the peer" pings 3 "$WAN" 192.168.1.2
check "to it" pings 3 "$LAN" 10.10.0.2
stop_pid peer -KILL
ip -n "$WAN" link del "$LAB" 2>/dev/null || true
start_peer
check "after the peer's violent end" pings 3 "$WAN" 192.168.1.2

stop_gateway
start_gateway
check "after the gateway's restart, from the LAN" pings 3 "$LAN" 10.10.0.2
check "from the peer" pings 3 "$WAN" 192.168.1.2

for round in 1 2 3; do
  stop_pid gateway -KILL
  start_gateway
  check "after the gateway's violent end ($round), from the LAN" pings 3 "$LAN" 10.10.0.2
  check "from the peer" pings 3 "$WAN" 192.168.1.2
done
# Without anything to send, the gateway still gets its peers back: they notice after 15 s (protocol).
in_gw wg set wg0 peer "$PEER_PUBLIC" persistent-keepalive 1
stop_pid gateway -KILL
start_gateway
check "the peer finds it by itself" wait_for 25 pings 1 "$WAN" 192.168.1.2 -W 1
