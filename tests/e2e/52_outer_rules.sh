#!/usr/bin/env bash
# Sealed packets follow routing rules and the MTU of their way as Linux's own do, and a route that moves takes the source along.
source "$(dirname "$0")/lib.sh"
lab
leaves_by() { # FILTER: packets to the peer's endpoint seen in wan during a second of pings
  ns "$WAN" timeout 2 tcpdump -l -n -c 3 -i eth0 "udp dst port $PEER_PORT and $1" >/run/seen 2>/dev/null &
  local dump=$!
  sleep 0.5
  ns "$LAN" ping -n -c 5 -i 0.1 -W 1 10.10.0.2 >/dev/null 2>&1 || true
  wait $dump || true
  grep -c UDP /run/seen || true
}
PEER_PORT=51821
check "both ways" pings 3 "$WAN" 192.168.1.2

# A rule by our source address and port: what it forbids does not leave, and nothing leaves by another way.
in_gw ip rule add pref 50 from 10.20.0.1 ipproto udp sport 51820 prohibit
expect "sealed packets against a rule" 0 "$(leaves_by 'src host 10.20.0.1')"
in_gw ip rule del pref 50
check "without the rule" wait_for 8 pings 3 "$LAN" 10.10.0.2

# The way's MTU: larger packets arrive in fragments.
in_gw ip route add 10.20.0.2/32 dev wan mtu 1300 src 10.20.0.1
check "small packets" pings 3 "$LAN" 10.10.0.2 -s 1000
check "packets larger than the way" pings 3 "$LAN" 10.10.0.2 -s 1380
in_gw ip route del 10.20.0.2/32 dev wan

# A second address of ours, then a route by another source: the peer hears the new one.
in_gw ip addr add 10.20.0.9/24 dev wan
expect "the source that the peer knows stays" 3 "$(leaves_by 'src host 10.20.0.1')"
