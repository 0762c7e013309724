#!/usr/bin/env bash
# Handshakes as responder and as initiator; IPv4 and IPv6 inside IPv4 and IPv6, to the gateway and through it.
source "$(dirname "$0")/lib.sh"
lab

for outer in 10.20.0.1:51820 "[fd20::1]:51820"; do
  in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint "$outer"
  for to in 10.10.0.1 fd00::1 192.168.1.2 fd01::2; do
    check "peer to $to over $outer" pings 3 "$WAN" "$to"
  done
  for to in 10.10.0.2 fd00::2; do
    check "LAN to $to over $outer" pings 3 "$LAN" "$to"
    check "gateway to $to over $outer" pings 3 "$GW" "$to"
  done
done

# Now the gateway begins: it knows the endpoint, the peer knows none.
for outer in 10.20.0.2:51821 "[fd20::2]:51821"; do
  stop_peer
  start_peer
  in_wan wg set "$LAB" peer "$GW_PUBLIC" remove
  in_wan wg set "$LAB" peer "$GW_PUBLIC" preshared-key "$LAB_DIR/psk" allowed-ips 10.10.0.0/24,192.168.1.0/24,fd00::/64,fd01::/64
  in_gw wg set wg0 peer "$PEER_PUBLIC" remove
  in_gw wg set wg0 peer "$PEER_PUBLIC" preshared-key "$LAB_DIR/psk" allowed-ips 10.10.0.2/32,fd00::2/128 endpoint "$outer"
  check "gateway begins, LAN to peer, over $outer" pings 3 "$LAN" 10.10.0.2
  check "gateway begins, IPv6, over $outer" pings 3 "$GW" fd00::2
done
