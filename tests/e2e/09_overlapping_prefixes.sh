#!/usr/bin/env bash
# Two peers with overlapping allowed IPs: the longest prefix wins, both ways, and a prefix that is moved changes hands.
# The second peer sits in the LAN.
source "$(dirname "$0")/lib.sh"
ALLOWED='10.10.0.2/32, 10.50.0.0/16, "fd50::/16"'
lab_namespaces
lab_keys
other=$(new_key other)
PEERS="- { name: other, public_key: \"$other\", allowed_ips: [10.10.0.3/32, 10.50.1.0/24, \"fd50:1::/64\"] }"
lab_config
start_gateway
start_peer
wireguard_go "$LAN" e2el
ns "$LAN" wg set e2el private-key "$LAB_DIR/other.key" listen-port 51822 peer "$GW_PUBLIC" \
  endpoint 192.168.1.1:51820 allowed-ips 10.10.0.0/24,fd00::/64
for where in "$WAN $LAB" "$LAN e2el"; do
  set -- $where
  for address in 10.50.1.1/32 10.50.2.1/32 fd50:1::1/128 fd50:2::1/128; do ip -n "$1" addr add $address dev lo; done
  ip -n "$1" link set "$2" mtu 1420 up
done
ip -n "$LAN" addr add 10.10.0.3/24 dev e2el
ip -n "$LAN" route add fd00::/64 dev e2el
in_lan ping -c 1 -W 2 10.10.0.1 >/dev/null
in_wan ping -c 1 -W 2 10.10.0.1 >/dev/null

# goes_to PEER ADDRESS: three pings from the gateway come back, and it was this peer that answered.
goes_to() {
  local before after
  before=$(transfer "$1")
  pings 3 "$GW" "$2" || return 1
  after=$(transfer "$1")
  [ "${before% *}" != "${after% *}" ]
}
check "10.50.2.1 by the short prefix" goes_to "$PEER_PUBLIC" 10.50.2.1
check "10.50.1.1 by the long prefix" goes_to "$other" 10.50.1.1
check "fd50:2::1 by the short prefix" goes_to "$PEER_PUBLIC" fd50:2::1
check "fd50:1::1 by the long prefix" goes_to "$other" fd50:1::1
refuse "the owner of the short prefix may not send from the long one" pings 1 "$WAN" 10.10.0.1 -I 10.50.1.1 -W 1

in_gw wg set wg0 peer "$PEER_PUBLIC" allowed-ips 10.10.0.2/32,10.50.0.0/16,10.50.1.0/24
expect "prefixes the other is left with" "10.10.0.3/32 fd50:1::/64" \
  "$(in_gw wg show wg0 allowed-ips | awk -v k="$other" '$1 == k { print $2, $3, $4 }' | xargs)"
check "10.50.1.1 has moved" goes_to "$PEER_PUBLIC" 10.50.1.1
check "fd50:1::1 has not" goes_to "$other" fd50:1::1
check "its new owner may send from it" pings 1 "$WAN" 10.10.0.1 -I 10.50.1.1
in_gw wg set wg0 peer "$other" allowed-ips 10.10.0.3/32,10.50.1.0/24
check "10.50.1.1 has moved back" goes_to "$other" 10.50.1.1
in_gw wg set wg0 peer "$other" remove
check "10.50.1.1 falls to the short prefix" goes_to "$PEER_PUBLIC" 10.50.1.1
