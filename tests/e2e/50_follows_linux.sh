#!/usr/bin/env bash
# The short cut forwards only what Linux would: its switches, routes that more than the destination decides, blackholes.
source "$(dirname "$0")/lib.sh"
lab
switch() { in_gw sysctl -qw "$1"; sleep 0.3; }
check "both ways" pings 5 "$WAN" 192.168.1.2
expect "net.ipv4.ip_forward" 1 "$(in_gw sysctl -n net.ipv4.ip_forward)"
for off in net.ipv4.ip_forward net.ipv4.conf.lan.forwarding net.ipv4.conf.wg0.forwarding; do
  switch $off=0
  refuse "host to peer with $off=0" pings 2 "$LAN" 10.10.0.2 -W 1
  check "IPv6 with $off=0" pings 2 "$LAN" fd00::2
  switch net.ipv4.ip_forward=0
  switch net.ipv4.ip_forward=1
  check "host to peer with forwarding on again" pings 3 "$LAN" 10.10.0.2
done
switch net.ipv6.conf.all.forwarding=0
refuse "IPv6 with net.ipv6.conf.all.forwarding=0" pings 2 "$LAN" fd00::2 -W 1
check "IPv4 with IPv6 forwarding off" pings 3 "$LAN" 10.10.0.2
switch net.ipv6.conf.all.forwarding=1
# A route for one TOS: Linux takes it, and the other packets go on as before.
in_gw ip route add 10.10.0.2/32 tos 0x10 via 192.168.1.77 dev lan onlink
refuse "a TOS that has a route of its own" pings 2 "$LAN" 10.10.0.2 -Q 0x10 -W 1
check "any other TOS" pings 3 "$LAN" 10.10.0.2
# A host asks for places that the gateway refuses. Linux would answer it about once a second.
switch net.ipv4.icmp_ratelimit=0
answer() { sleep 1; in_lan ping -n -c 1 -W 1 "$1" | sed -n 's/^From 192.168.1.1 icmp_seq=1 //p'; }
in_gw ip route add blackhole 203.0.113.1 && in_gw ip route add prohibit 203.0.113.2 && in_gw ip route add unreachable 203.0.113.3
expect "a blackhole" "" "$(answer 203.0.113.1)"
expect "prohibit" "Packet filtered" "$(answer 203.0.113.2)"
expect "unreachable" "Destination Host Unreachable" "$(answer 203.0.113.3)"
[ "$(drops blackhole)" -ge 1 ] || fail "the blackhole is not counted"
