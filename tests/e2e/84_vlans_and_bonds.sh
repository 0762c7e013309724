#!/usr/bin/env bash
# Ports whose wire is a VLAN device and a bond of Linux: traffic of both families, and a bond that changes over to its other link.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
ip -n "$GW" link add link wire1 name wire1.7 type vlan id 7 2>/dev/null || skip "this kernel has no VLAN devices"
ip -n "$GW" link add bond0 type bond mode active-backup miimon 50 2>/dev/null || skip "this kernel has no bonds"
veth_pair "$GW" wire2 "$WAN" eth2
# In the gateway two links, one bond; outside a bridge with both.
for link in wire0 wire2; do
  ip -n "$GW" link set $link down
  ip -n "$GW" link set $link master bond0
done
ip -n "$GW" link set bond0 up
ip -n "$WAN" link add br0 type bridge
for link in eth0 eth2; do ip -n "$WAN" link set $link master br0; done
ip -n "$WAN" addr flush dev eth0
ip -n "$WAN" addr add 10.20.0.2/24 dev br0
ip -n "$WAN" addr add fd20::2/64 dev br0 nodad
ip -n "$WAN" link set br0 up
# The LAN is VLAN 7.
ip -n "$LAN" addr flush dev eth0
ip -n "$LAN" link add link eth0 name eth0.7 type vlan id 7
ip -n "$LAN" addr add 192.168.1.2/24 dev eth0.7
ip -n "$LAN" addr add fd01::2/64 dev eth0.7 nodad
ip -n "$LAN" link set eth0.7 up
ip -n "$LAN" route replace default via 192.168.1.1 dev eth0.7
ip -n "$LAN" -6 route replace default via fd01::1 dev eth0.7
ip -n "$GW" link set wire1.7 up
WAN_PORT="device: \"linux:bond0\", addresses: [10.20.0.1/24, \"fd20::1/64\"]"
LAN_PORT="device: \"linux:wire1.7\", addresses: [192.168.1.1/24, \"fd01::1/64\"]"
lab_config
start_gateway
start_peer
check "the tunnel over a bond" wait_for 10 pings 1 "$WAN" 10.10.0.1
check "peer to LAN, in VLAN 7" pings 5 "$WAN" 192.168.1.2
check "IPv6" pings 5 "$WAN" fd01::2
check "LAN to peer" pings 5 "$LAN" 10.10.0.2
active() { in_gw cat /sys/class/net/bond0/bonding/active_slave; }
first=$(active)
[ "$first" = wire0 ] && far=eth0 || far=eth2
ip -n "$WAN" link set $far down
other() { [ "$(active)" != "$first" ] && [ -n "$(active)" ]; }
check "the bond changes to its other link" wait_for 5 other
check "peer to LAN by the other link" wait_for 5 pings 3 "$WAN" 192.168.1.2
check "LAN to peer" wait_for 5 pings 3 "$LAN" fd00::2
[ "$first" = wire0 ] && last=eth2 || last=eth0
ip -n "$WAN" link set $last down
no_carrier() { linegate show ports --json | grep -q '"link_up":false'; }
check "without any link the port has no carrier" wait_for 5 no_carrier
ip -n "$WAN" link set $far up
check "and with the first one again all is well" wait_for 10 pings 3 "$WAN" 192.168.1.2
