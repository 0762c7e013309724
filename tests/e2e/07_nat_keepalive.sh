#!/usr/bin/env bash
# Behind a NAT that forgets after 2 s: persistent keepalives, the peer's or the gateway's, keep the way open; without them
# the way is lost and found again by roaming. The NAT is tools/nat.py: no packet filter is needed.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
HOME_NS=$LAB-home
ip netns add "$HOME_NS"
veth_pair "$WAN" inside "$HOME_NS" eth0
ip -n "$WAN" addr add 172.16.0.1/24 dev inside
ip -n "$HOME_NS" addr add 172.16.0.2/24 dev eth0
lab_config
start_gateway
in_wan python3 "$TOOLS/nat.py" 172.16.0.1 5000 10.20.0.1 51820 2 &
check "the NAT is there" wait_for 10 in_wan sh -c 'ss -lun | grep -q :5000'

wireguard_go "$HOME_NS" e2eh
ns "$HOME_NS" wg set e2eh private-key "$LAB_DIR/peer.key" listen-port 51821 peer "$GW_PUBLIC" \
  preshared-key "$LAB_DIR/psk" endpoint 172.16.0.1:5000 allowed-ips 10.10.0.0/24,192.168.1.0/24
ip -n "$HOME_NS" addr add 10.10.0.2/24 dev e2eh
ip -n "$HOME_NS" link set e2eh mtu 1420 up
ip -n "$HOME_NS" route add 192.168.1.0/24 dev e2eh

check "out through the NAT" pings 3 "$HOME_NS" 192.168.1.2
check "back while the mapping lives" pings 3 "$LAN" 10.10.0.2
mapped=$(endpoint)
sleep 4
refuse "back when the mapping is gone" pings 1 "$LAN" 10.10.0.2 -W 1
check "out again through another port" pings 3 "$HOME_NS" 192.168.1.2
[ "$(endpoint)" != "$mapped" ] || fail "the NAT did not change the port ($mapped)"
check "the gateway has followed" pings 3 "$LAN" 10.10.0.2

ns "$HOME_NS" wg set e2eh peer "$GW_PUBLIC" persistent-keepalive 1
sleep 1
mapped=$(endpoint)
sleep 6
check "back after 6 s with the peer's keepalives" pings 3 "$LAN" 10.10.0.2
expect "the same mapping" "$mapped" "$(endpoint)"

# The gateway behind a NAT of its own.
ns "$HOME_NS" wg set e2eh peer "$GW_PUBLIC" persistent-keepalive off
in_wan python3 "$TOOLS/nat.py" 10.20.0.2 6000 172.16.0.2 51821 2 &
check "the gateway's NAT is there" wait_for 10 in_wan sh -c 'ss -lun | grep -q :6000'
in_gw wg set wg0 peer "$PEER_PUBLIC" endpoint 10.20.0.2:6000 persistent-keepalive 1
check "out through the gateway's NAT" pings 3 "$LAN" 10.10.0.2
mapped=$(ns "$HOME_NS" wg show e2eh endpoints | cut -f2)
sleep 6
expect "mapping kept by the gateway's keepalives" "$mapped" "$(ns "$HOME_NS" wg show e2eh endpoints | cut -f2)"
check "back after 6 s" pings 3 "$HOME_NS" 192.168.1.2
