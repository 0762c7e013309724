#!/usr/bin/env bash
# The gateway's private key changes while it runs, by wg(8) and by reload: a new handshake follows at once.
source "$(dirname "$0")/lib.sh"
lab 'endpoint: "10.20.0.2:51821"'
check "a tunnel" pings 3 "$LAN" 10.10.0.2

# peer_follows PUBLIC_KEY: the peer learns the gateway's new key.
peer_follows() {
  in_wan wg set "$LAB" peer "$GW_PUBLIC" remove
  in_wan wg set "$LAB" peer "$1" preshared-key "$LAB_DIR/psk" endpoint 10.20.0.1:51820 \
    allowed-ips 10.10.0.0/24,192.168.1.0/24,fd00::/64,fd01::/64
  GW_PUBLIC=$1
}
second=$(new_key second)
in_gw wg set wg0 private-key "$LAB_DIR/second.key"
expect "public key" "$second" "$(in_gw wg show wg0 public-key)"
peer_follows "$second"
check "from the gateway, at once" pings 3 "$LAN" 10.10.0.2
check "from the peer" pings 3 "$WAN" 192.168.1.2

# A peer that is ourselves cannot be: it goes.
third=$(new_key third)
in_gw wg set wg0 peer "$third" allowed-ips 10.10.0.9/32
in_gw wg set wg0 private-key "$LAB_DIR/third.key"
expect "peers with our own key" 0 "$(in_gw wg show wg0 peers | grep -cF "$third" || true)"
peer_follows "$third"
check "after the third key" pings 3 "$LAN" 10.10.0.2

fourth=$(new_key gw)
check "reload of a new key file" linegate reload
peer_follows "$fourth"
check "after the fourth key" pings 3 "$LAN" 10.10.0.2

# A new preshared key counts from the next handshake: the session stays.
in_gw wg set wg0 peer "$PEER_PUBLIC" preshared-key <(wg genpsk)
check "the session outlives a new preshared key" pings 3 "$LAN" 10.10.0.2
