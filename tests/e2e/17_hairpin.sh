#!/usr/bin/env bash
# Two peers of one interface reach each other through the gateway, unless hairpin is off.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
other=$(new_key other)
PEERS="- { name: other, public_key: \"$other\", allowed_ips: [10.10.0.3/32, \"fd00::3/128\"] }"
lab_config
start_gateway
start_peer
wireguard_go "$LAN" e2el
ns "$LAN" wg set e2el private-key "$LAB_DIR/other.key" listen-port 51822 peer "$GW_PUBLIC" \
  endpoint 192.168.1.1:51820 allowed-ips 10.10.0.0/24,fd00::/64 persistent-keepalive 1
ip -n "$LAN" addr add 10.10.0.3/24 dev e2el
ip -n "$LAN" addr add fd00::3/64 dev e2el nodad
ip -n "$LAN" link set e2el mtu 1420 up
check "the other peer is there" pings 1 "$LAN" 10.10.0.1
check "peer to peer, IPv4" pings 5 "$WAN" 10.10.0.3
check "peer to peer, IPv6" pings 5 "$WAN" fd00::3
check "the other way" pings 5 "$LAN" 10.10.0.2
WG0='hairpin: false'
lab_config
check "hairpin off by reload" linegate reload
refuse "peer to peer" pings 1 "$WAN" 10.10.0.3 -W 1
[ "$(drops hairpin_off)" -ge 1 ] || fail "no drop by hairpin_off"
check "peer to gateway still" pings 3 "$WAN" 10.10.0.1
WG0='hairpin: true'
lab_config
check "hairpin on by reload" linegate reload
check "peer to peer again" pings 3 "$WAN" 10.10.0.3
