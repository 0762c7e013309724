#!/usr/bin/env bash
# A neighbour whose MAC address is unknown, of the endpoint or of a LAN host: packets take the exception path, where
# Linux resolves it, and none is lost.
source "$(dirname "$0")/lib.sh"
lab
check "a tunnel" pings 3 "$WAN" 192.168.1.2
stream_start "$WAN" 192.168.1.2 0.02
for round in 1 2 3; do
  ip -n "$GW" neigh flush dev wan
  ip -n "$GW" neigh flush dev lan
  ip -n "$GW" neigh del 10.20.0.2 dev wan 2>/dev/null || true
  ip -n "$GW" neigh del 192.168.1.2 dev lan 2>/dev/null || true
  sleep 0.7
done
stream_stop "neighbours flushed"
# The host behind the gateway changes its MAC address.
stream_start "$WAN" 192.168.1.2 0.02
ip -n "$LAN" link set eth0 address 02:11:22:33:44:55
in_lan ping -c 1 -W 1 192.168.1.1 >/dev/null || true
sleep 1
check "after a new MAC address" pings 3 "$WAN" 192.168.1.2
kill -INT "$STREAM"
