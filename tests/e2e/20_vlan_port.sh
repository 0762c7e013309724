#!/usr/bin/env bash
# A port with a VLAN tag on every packet, and beside it untagged frames that are not ours.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
ip -n "$WAN" link add link eth0 name eth0.100 type vlan id 100 2>/dev/null || skip "this kernel has no VLAN devices"
for address in 10.20.0.2/24 fd20::2/64; do
  ip -n "$WAN" addr del $address dev eth0
  ip -n "$WAN" addr add $address dev eth0.100 $([[ $address = *:* ]] && echo nodad)
done
ip -n "$WAN" link set eth0.100 up
WAN_PORT="device: \"linux:wire0\", vlan: 100, addresses: [10.20.0.1/24, \"fd20::1/64\"]"
lab_config
start_gateway
start_peer
check "ping through the exception path" pings 3 "$WAN" 10.20.0.1
for outer in 10.20.0.1:51820 "[fd20::1]:51820"; do
  in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint "$outer"
  check "peer to LAN over $outer" pings 3 "$WAN" 192.168.1.2
  check "LAN to peer over $outer" pings 3 "$LAN" fd00::2
done
tagged=$(in_wan timeout 5 tcpdump -n -e -c 5 -i eth0 udp or vlan 2>/dev/null & sleep 1; pings 5 "$WAN" 192.168.1.2; wait)
grep -q 'vlan 100' <<<"$tagged" || fail "no tagged frame on the wire: $tagged"
