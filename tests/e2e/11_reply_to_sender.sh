#!/usr/bin/env bash
# Several local addresses: handshakes and data are answered from the address they came to, until that address goes away.
source "$(dirname "$0")/lib.sh"
WAN_PORT="device: \"linux:wire0\", addresses: [10.20.0.1/24, 10.20.0.5/24, 10.99.0.1/32, \"fd20::1/64\", \"fd20::5/64\"]"
lab
ip -n "$WAN" route add 10.99.0.1/32 via 10.20.0.1
peer_sees() { [ "$(in_wan wg show "$LAB" endpoints | cut -f2)" = "$1" ]; }
for local in 10.20.0.5:51820 10.20.0.1:51820 10.99.0.1:51820 "[fd20::5]:51820" "[fd20::1]:51820"; do
  in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint "$local"
  check "to $local" pings 3 "$WAN" 192.168.1.2
  check "from behind it" pings 3 "$LAN" 10.10.0.2
  check "answers came from $local" peer_sees "$local"
done
# A handshake, too, is answered from where it went: the peer is new.
stop_peer
start_peer 10.20.0.5:51820
check "a fresh handshake with 10.20.0.5" pings 3 "$WAN" 192.168.1.2
check "it was answered from there" peer_sees 10.20.0.5:51820

ip -n "$GW" addr del 10.20.0.5/24 dev wan
check "the gateway uses another address when this one is gone" wait_for 3 pings 1 "$LAN" 10.10.0.2
check "and the peer follows" peer_sees 10.20.0.1:51820
check "both ways" pings 5 "$WAN" 192.168.1.2
