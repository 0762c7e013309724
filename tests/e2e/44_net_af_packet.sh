#!/usr/bin/env bash
# Ports by DPDK's own driver for Linux interfaces, with the rings and without the offloads that it needs: both
# families, TCP both ways, and a wire that is unplugged and returns.
source "$(dirname "$0")/lib.sh"
OFFLOADS=off
WAN_PORT="device: \"net_af_packet0,iface=wire0,$AF_PACKET_RING\", addresses: [10.20.0.1/24, \"fd20::1/64\"]"
LAN_PORT="device: \"net_af_packet1,iface=wire1,$AF_PACKET_RING\", addresses: [192.168.1.1/24, \"fd01::1/64\"]"
lab
check "peer to LAN" pings 3 "$WAN" 192.168.1.2
check "LAN to peer, IPv6" pings 3 "$LAN" fd00::2
for size in 2500 8000; do
  check "fragments of $size bytes from the LAN" pings 3 "$LAN" 10.10.0.2 -s "$size" -M dont
  check "fragments of $size bytes to the gateway" pings 3 "$WAN" 10.20.0.1 -s "$size" -M dont
done
in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint "[fd20::1]:51820"
check "peer to LAN over IPv6" pings 3 "$WAN" fd01::2
for way in "$WAN 192.168.1.2 $LAN" "$LAN 10.10.0.2 $WAN"; do
  mbps=$(IPERF_SECONDS=2 iperf_mbps $way)
  [ "$mbps" -gt 10 ] || fail "TCP, $way: $mbps Mbit/s"
done
say "TCP both ways"
in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint 10.20.0.1:51820
ip -n "$GW" link del wire0
check "unplugged" wait_for 5 sh -c "ip netns exec $GW $LINEGATE --socket $SOCKET show ports | grep -q '^wan *down'"
veth_pair "$GW" wire0 "$WAN" eth0
ip -n "$WAN" address add 10.20.0.2/24 dev eth0
check "plugged in again" wait_for 20 pings 1 "$WAN" 192.168.1.2 -W 1
