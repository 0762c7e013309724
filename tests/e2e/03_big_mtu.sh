#!/usr/bin/env bash
# Jumbo frames: ports of 9000 bytes, packets of 8920 through the tunnel, both families, whole and unfragmented.
# On TAP ports: DPDK 22.11's net_af_packet refuses an MTU above 1500.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
WAN_PORT='device: tap, mtu: 9000, addresses: [10.20.0.1/24, "fd20::1/64"]'
LAN_PORT='device: tap, mtu: 9000, addresses: [192.168.1.1/24, "fd01::1/64"]'
lab_config
start_gateway
# take NS WIRE ADDRESS...: the port's other end, in place of the veth.
take() {
  local where=$1 wire=$2
  shift 2
  ip -n "$GW" link set "$wire" netns "$where"
  ip -n "$where" link del eth0
  ip -n "$where" link set "$wire" name eth0
  for address in "$@"; do ip -n "$where" addr add "$address" dev eth0 $([[ $address = *:* ]] && echo nodad); done
  ip -n "$where" link set eth0 mtu 9000 up
}
take "$WAN" wan.wire 10.20.0.2/24 fd20::2/64
take "$LAN" lan.wire 192.168.1.2/24 fd01::2/64
ip -n "$LAN" route add default via 192.168.1.1
ip -n "$LAN" -6 route add default via fd01::1
start_peer
ip -n "$WAN" link set "$LAB" mtu 8920
expect "MTU of wg0" 8920 "$(in_gw cat /sys/class/net/wg0/mtu)"
for size in 1400 4000 8892; do
  check "IPv4 of $((size + 28)) bytes, peer to LAN" pings 3 "$WAN" 192.168.1.2 -M do -s $size
  check "IPv4 of $((size + 28)) bytes, LAN to peer" pings 3 "$LAN" 10.10.0.2 -M do -s $size
done
check "IPv6 of 8920 bytes, peer to LAN" pings 3 "$WAN" fd01::2 -M do -s 8872
check "IPv6 of 8920 bytes, to the gateway" pings 3 "$WAN" fd00::1 -M do -s 8872
check "fragments of a packet larger than the MTU, to the gateway" pings 3 "$WAN" 10.10.0.1 -M dont -s 20000
mbps=$(IPERF_SECONDS=2 iperf_mbps "$WAN" 192.168.1.2 "$LAN")
[ "$mbps" -gt 0 ] || fail "TCP of 8880-byte segments, peer to LAN"
mbps=$(IPERF_SECONDS=2 iperf_mbps "$LAN" 10.10.0.2 "$WAN")
[ "$mbps" -gt 0 ] || fail "TCP of 8880-byte segments, LAN to peer"
say "TCP of 8880-byte segments, both ways"
# A route into the tunnel may allow less than the interface does.
in_gw ip route add 10.10.0.2/32 dev wg0 mtu 4000
refuse "8920 bytes where the route says 4000" pings 1 "$LAN" 10.10.0.2 -M do -s 8892
check "4000 bytes there" pings 3 "$LAN" 10.10.0.2 -M do -s 3972
check "and 8920 in fragments" pings 3 "$LAN" 10.10.0.2 -M dont -s 8892

# A device that cannot is reported immediately, with its limit.
stop_gateway
cat >/run/lab/small.yaml <<'YAML'
dpdk: { memory: 256M }
ports: { wan: { device: "net_af_packet0,iface=lo", mtu: 9000 } }
interfaces: {}
YAML
refuse "an MTU of 9000 on net_af_packet" in_gw timeout 10 "$LINEGATE" run -c /run/lab/small.yaml
grep -q "mtu 9000 is more than this device takes; allowed: at most 1500" /run/check.out || fail "and why: $(cat /run/check.out)"
