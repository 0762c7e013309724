#!/usr/bin/env bash
# A route that leads the tunnel's own outer packets into the tunnel: they are dropped by name, and nothing spins.
source "$(dirname "$0")/lib.sh"
lab 'endpoint: "10.20.0.2:51821"'
check "a tunnel" pings 3 "$LAN" 10.10.0.2
in_gw wg set wg0 peer "$PEER_PUBLIC" allowed-ips 10.10.0.2/32,10.20.0.2/32,fd00::2/128
ip -n "$GW" route show 10.20.0.2 | grep -q wg0 || ip -n "$GW" route add 10.20.0.2/32 dev wg0
sleep 0.5
before=$(cpu_ticks "$(gateway_pid)")
in_lan ping -c 20 -i 0.02 -W 1 10.10.0.2 >/dev/null 2>&1 || true
[ "$(drops routing_loop)" -gt 0 ] || fail "no drop by routing_loop: $(linegate show drops)"
at_most "CPU ticks in that second" 60 $(($(cpu_ticks "$(gateway_pid)") - before))
ip -n "$GW" route del 10.20.0.2/32 dev wg0 || true
in_gw wg set wg0 peer "$PEER_PUBLIC" allowed-ips 10.10.0.2/32,fd00::2/128
check "after the route is gone" wait_for 5 pings 1 "$LAN" 10.10.0.2 -W 1
