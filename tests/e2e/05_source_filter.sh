#!/usr/bin/env bash
# A packet from a source that is not the peer's is dropped, named and not counted as received, but its sender is authentic:
# the endpoint follows it.
source "$(dirname "$0")/lib.sh"
lab
ip -n "$WAN" addr add 10.10.0.77/32 dev "$LAB"
ip -n "$WAN" addr add fd00::77/128 dev "$LAB"
check "a tunnel" pings 3 "$WAN" 192.168.1.2

in_wan wg set "$LAB" listen-port 40001
before=$(transfer)
refuse "IPv4 from a source that is not allowed" pings 1 "$WAN" 192.168.1.2 -I 10.10.0.77 -W 1
expect "endpoint has followed" 10.20.0.2:40001 "$(endpoint)"
expect "counters have not" "$before" "$(transfer)"
refuse "IPv6 from a source that is not allowed" pings 1 "$WAN" fd01::2 -I fd00::77 -W 1
expect "drops by disallowed source" 2 "$(drops disallowed_source)"

in_gw wg set wg0 peer "$PEER_PUBLIC" allowed-ips 10.10.0.2/32,10.10.0.77/32,fd00::2/128,fd00::77/128
check "IPv4 from it once it is allowed" pings 3 "$WAN" 192.168.1.2 -I 10.10.0.77
check "IPv6 from it once it is allowed" pings 3 "$WAN" fd01::2 -I fd00::77
