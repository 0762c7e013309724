#!/usr/bin/env bash
# 130 560 allowed IPs on one peer, as the Linux kernel's own test has them: set, shown and used in bounded time.
source "$(dirname "$0")/lib.sh"
WG0='routes: off'
lab
prefixes() { in_gw wg show wg0 allowed-ips | awk '{ n += NF - 1 } END { print n }'; }
check "a tunnel" pings 3 "$WAN" 192.168.1.2
{
  echo "[Interface]"
  echo "PrivateKey = $(cat "$LAB_DIR/gw.key")"
  echo "ListenPort = 51820"
  echo "[Peer]"
  echo "PublicKey = $PEER_PUBLIC"
  echo "PresharedKey = $(cat "$LAB_DIR/psk")"
  awk 'BEGIN { printf "AllowedIPs = 10.10.0.2/32,fd00::2/128"
    for (a = 1; a < 256; ++a) for (b = 0; b < 256; ++b) printf ",%d.%d.0.0/16,%x:%x::/64", a, b, a, b; print "" }'
} >"$LAB_DIR/many.conf"
start=$EPOCHREALTIME
timeout 60 ip netns exec "$GW" wg setconf wg0 "$LAB_DIR/many.conf" || fail "wg setconf of 130 560 prefixes"
took() { awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%d", (b - a) * 1000 }'; }
at_most "wg setconf, ms" 10000 "$(took)"
start=$EPOCHREALTIME
expect "prefixes shown" 130562 "$(prefixes)"
at_most "wg show, ms" 5000 "$(took)"
check "the tunnel still" pings 3 "$WAN" 192.168.1.2 -W 10
ip -n "$WAN" addr add 200.7.1.1/32 dev lo
ip -n "$GW" route add 200.7.0.0/16 dev wg0
check "an address of one of them" pings 3 "$WAN" 10.10.0.1 -I 200.7.1.1
start=$EPOCHREALTIME
in_gw wg set wg0 peer "$PEER_PUBLIC" allowed-ips 10.10.0.2/32
at_most "taking them away, ms" 10000 "$(took)"
expect "prefixes left" 1 "$(prefixes)"
refuse "an address of one of them now" pings 1 "$WAN" 10.10.0.1 -I 200.7.1.1 -W 1
