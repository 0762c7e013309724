#!/usr/bin/env bash
# Public keys of low order (RFC 7748 section 6.1: the shared secret is zero) are never sent anything.
source "$(dirname "$0")/lib.sh"
lab
in_wan timeout 30 tcpdump -n -l -i eth0 udp dst port 1111 >/run/heard 2>/run/tcpdump &
wait_for 5 grep -q listening /run/tcpdump
for key in AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
  4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA= X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc= \
  7P///////////////////////////////////////38= 7f///////////////////////////////////////38= \
  7v///////////////////////////////////////38=; do
  in_gw wg set wg0 peer "$key" persistent-keepalive 1 endpoint 10.20.0.2:1111 allowed-ips 10.10.0.66/32 ||
    say "$key is refused as a key"
  in_gw ping -c 1 -W 0.3 10.10.0.66 >/dev/null 2>&1 || true
done
sleep 3
expect "messages to keys of low order" "" "$(cat /run/heard)"
# The trap itself works:
in_gw wg set wg0 peer "$(wg genkey | wg pubkey)" persistent-keepalive 1 endpoint 10.20.0.2:1111
check "a message to an ordinary key is seen" wait_for 8 grep -q 'length 148' /run/heard
check "the tunnel beside it" pings 3 "$WAN" 192.168.1.2
