#!/usr/bin/env bash
# Two WireGuard interfaces: each with its key and port, routed from one to the other without the kernel.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
second=$(new_key second)
other=$(new_key other)
INTERFACES="wg1:
  private_key_file: second.key
  listen_port: 51830
  addresses: [10.11.0.1/24]
  peers: [{ name: other, public_key: \"$other\", allowed_ips: [10.11.0.2/32] }]"
lab_config
start_gateway
start_peer
in_wan wg set "$LAB" peer "$GW_PUBLIC" allowed-ips 10.10.0.0/24,10.11.0.0/24
ip -n "$WAN" route add 10.11.0.0/24 dev "$LAB"
wireguard_go "$LAN" e2el
ns "$LAN" wg set e2el private-key "$LAB_DIR/other.key" peer "$second" endpoint 192.168.1.1:51830 \
  allowed-ips 10.10.0.0/24,10.11.0.0/24
ip -n "$LAN" addr add 10.11.0.2/24 dev e2el
ip -n "$LAN" link set e2el mtu 1420 up
ip -n "$LAN" route add 10.10.0.0/24 dev e2el
check "the second interface" pings 3 "$LAN" 10.11.0.1
check "the first" pings 3 "$WAN" 10.10.0.1
check "from tunnel to tunnel" pings 5 "$WAN" 10.11.0.2
check "and back" pings 5 "$LAN" 10.10.0.2
expect "packets the kernel has forwarded" 0 "$(in_gw awk '/^Ip: [0-9]/ { print $7 }' /proc/net/snmp)"
refuse "the other interface's key on this port" sh -c "ip netns exec $LAN wg set e2el peer $second endpoint 192.168.1.1:51820 && \
  ip netns exec $LAN wg set e2el listen-port 51999 && ip netns exec $LAN ping -c 1 -W 1 10.11.0.1"
