#!/usr/bin/env bash
# Jumbo frames: ports of 9000 bytes, packets of 8900 through the tunnel, both families, whole and unfragmented.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
for end in "$GW wire0" "$GW wire1" "$WAN eth0" "$LAN eth0"; do set -- $end; ip -n "$1" link set "$2" mtu 9000; done
AF_PACKET_RING=blocksz=1048576,framesz=16384,framecnt=512,qdisc_bypass=1
WAN_PORT="device: \"net_af_packet0,iface=wire0,$AF_PACKET_RING\", mtu: 9000, addresses: [10.20.0.1/24, \"fd20::1/64\"]"
LAN_PORT="device: \"net_af_packet1,iface=wire1,$AF_PACKET_RING\", mtu: 9000, addresses: [192.168.1.1/24, \"fd01::1/64\"]"
lab_config
start_gateway
start_peer
ip -n "$WAN" link set "$LAB" mtu 8920
expect "MTU of wg0" 8920 "$(cat <(in_gw cat /sys/class/net/wg0/mtu))"
for size in 1400 4000 8892; do
  check "IPv4 of $((size + 28)) bytes, peer to LAN" pings 3 "$WAN" 192.168.1.2 -M do -s $size
  check "IPv4 of $((size + 28)) bytes, LAN to peer" pings 3 "$LAN" 10.10.0.2 -M do -s $size
done
check "IPv6 of 8920 bytes, peer to LAN" pings 3 "$WAN" fd01::2 -M do -s 8872
check "IPv6 of 8920 bytes, to the gateway" pings 3 "$WAN" fd00::1 -M do -s 8872
check "fragments of a packet larger than the MTU, to the gateway" pings 3 "$WAN" 10.10.0.1 -M dont -s 20000
