#!/usr/bin/env bash
# Peers at link-local addresses of two ports: fe80::/64 is on both, and only the zone selects the port.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
near=$(new_key near) far=$(new_key far)
link_local() { ip -n "$1" -br -6 address show dev eth0 | grep -o 'fe80[^/]*'; }
NEAR=$(link_local "$LAN") FAR=$(link_local "$WAN")
PEERS="- { name: near, public_key: \"$near\", endpoint: \"[$NEAR%lan]:51900\", allowed_ips: [10.99.0.1/32] }
- { name: far, public_key: \"$far\", endpoint: \"[$FAR%wan]:51900\", allowed_ips: [10.99.0.2/32] }"
lab_config
start_gateway
# side NAMESPACE NAME ADDRESS: wireguard-go that knows no endpoint.
side() {
  wireguard_go "$1" "e2e$2"
  ns "$1" wg set "e2e$2" private-key "$LAB_DIR/$2.key" listen-port 51900 peer "$GW_PUBLIC" allowed-ips 10.10.0.1/32
  ip -n "$1" address add "$3/32" dev "e2e$2"
  ip -n "$1" link set "e2e$2" up
  ip -n "$1" route add 10.10.0.1/32 dev "e2e$2"
}
side "$LAN" near 10.99.0.1
side "$WAN" far 10.99.0.2
both() { pings 10 "$GW" 10.99.0.1 && pings 10 "$GW" 10.99.0.2; }
check "the gateway begins, on either link" both
expect "near as wg shows it" "[$NEAR%lan]:51900" "$(endpoint "$near")"
expect "far as wg shows it" "[$FAR%wan]:51900" "$(endpoint "$far")"

in_gw wg showconf wg0 >/run/conf
in_gw wg setconf wg0 /run/conf
check "with what wg itself has shown" both
refuse "another zone does not answer" sh -c "ip netns exec $GW wg set wg0 peer $far endpoint [$FAR%lan]:51900 && ip netns exec $GW ping -c 2 -i 0.2 -W 1 10.99.0.2"
in_gw wg set wg0 peer "$far" endpoint "[$FAR%wan]:51900"
check "the right one again" wait_for 10 both

# The peers initiate, to one address that both ports have, so only the link distinguishes them.
in_gw ip address add fe80::1/64 dev wan nodad
in_gw ip address add fe80::1/64 dev lan nodad
in_gw wg set wg0 peer "$near" remove peer "$far" remove
in_gw wg set wg0 peer "$near" allowed-ips 10.99.0.1/32 peer "$far" allowed-ips 10.99.0.2/32
# begin NAMESPACE INTERFACE: a handshake with fe80::1 at once, whatever session there was.
begin() {
  ns "$1" wg set "$2" peer "$GW_PUBLIC" remove
  ns "$1" wg set "$2" peer "$GW_PUBLIC" endpoint "[fe80::1%eth0]:51820" allowed-ips 10.10.0.1/32
}
begin "$LAN" e2enear
begin "$WAN" e2efar
check "near begins" wait_for 15 pings 3 "$LAN" 10.10.0.1 -W 1
check "far begins" wait_for 15 pings 3 "$WAN" 10.10.0.1 -W 1
check "and is answered on its own link" both
expect "far's link is learnt" "[$FAR%wan]:51900" "$(endpoint "$far")"
# Moving on its link, by data alone.
ip -n "$WAN" address add fe80::77/64 dev eth0 nodad
ip -n "$WAN" address del "$FAR/64" dev eth0
check "far moves" wait_for 20 pings 3 "$WAN" 10.10.0.1 -W 1
expect "far's new place" "[fe80::77%wan]:51900" "$(endpoint "$far")"

in_gw wg set wg0 peer "$far" endpoint "[fe80::77%wan]:51900"
before=$(in_gw cat /sys/class/net/wan/ifindex)
linegate save >/run/save.out
sed -i 's|wan: { device: "linux|wan: { mac: "02:00:00:00:00:77", device: "linux|' "$LAB_DIR/gateway.yaml"
linegate reload >/run/reload.out || fail "reload: $(cat /run/reload.out)"
[ "$before" != "$(in_gw cat /sys/class/net/wan/ifindex)" ] || fail "the port was not recreated"
check "the port is recreated with another index" wait_for 20 both
expect "far, at the same place" "[fe80::77%wan]:51900" "$(endpoint "$far")"
