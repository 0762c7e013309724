#!/usr/bin/env bash
# The peer changes its port, its address and its family: the gateway follows with the first packet it can authenticate.
source "$(dirname "$0")/lib.sh"
lab
check "a tunnel" pings 3 "$WAN" 192.168.1.2
expect "endpoint" 10.20.0.2:51821 "$(endpoint)"

in_wan wg set "$LAB" listen-port 40001
check "after a new port, from the peer" pings 1 "$WAN" 192.168.1.2
expect "endpoint" 10.20.0.2:40001 "$(endpoint)"
check "towards the new port" pings 5 "$LAN" 10.10.0.2

in_wan sysctl -qw net.ipv4.conf.eth0.promote_secondaries=1
ip -n "$WAN" addr add 10.20.0.77/24 dev eth0
ip -n "$WAN" addr del 10.20.0.2/24 dev eth0
in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint 10.20.0.1:51820 # wireguard-go would insist on the old source
check "after a new address, from the peer" wait_for 5 pings 1 "$WAN" 192.168.1.2 -W 1
expect "endpoint" 10.20.0.77:40001 "$(endpoint)"
check "towards the new address" pings 5 "$LAN" fd00::2

in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint "[fd20::1]:51820"
check "after changing to IPv6, from the peer" pings 1 "$WAN" 192.168.1.2
expect "endpoint" "[fd20::2]:40001" "$(endpoint)"
check "towards IPv6" pings 5 "$LAN" 10.10.0.2

in_wan wg set "$LAB" listen-port 40002
check "a new port over IPv6" pings 1 "$WAN" 192.168.1.2
expect "endpoint" "[fd20::2]:40002" "$(endpoint)"
check "towards it" pings 5 "$LAN" 10.10.0.2
expect "handshakes" 1 "$(grep -c 'session established' "$LAB_DIR/gateway.log")"

# Who sets an endpoint means it, also where it is configured already and the peer has roamed away from it.
in_gw wg set wg0 peer "$PEER_PUBLIC" endpoint 10.20.0.88:51821
expect "the endpoint that was set" "10.20.0.88:51821" "$(endpoint)"
check "it roams away" wait_for 5 pings 1 "$WAN" 192.168.1.2 -W 1
expect "endpoint" "[fd20::2]:40002" "$(endpoint)"
in_gw wg set wg0 peer "$PEER_PUBLIC" endpoint 10.20.0.88:51821
expect "the same endpoint, set again" "10.20.0.88:51821" "$(endpoint)"
