#!/usr/bin/env bash
# slow
# limit: 240 s
# TCP through Linux, through flows and by the short cut in one run: out of the tunnel behind masquerade (the short cut
# cannot do that, and goes without), and from port to port.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/flows_lib.sh"
flows_lab lan0 wan0
rules "Road warriors"
# The best of three: other load on the machine only ever takes.
best() {
  local mbps best=0
  for _ in 1 2 3; do
    mbps=$(IPERF_SECONDS=3 iperf_mbps "$@")
    [ "$mbps" -gt "$best" ] && best=$mbps
  done
  echo "$best"
}
ip -n "$WAN" route add 192.168.1.3/32 via 10.20.0.1
ip -n "$LAN" addr add 192.168.1.3/24 dev eth0
declare -A mbps
for mode in kernel flows short_cut; do
  flows_config lan0 wan0 "$mode"
  check "reload to $mode" linegate reload
  sleep 1
  mbps[$mode]=$(best "$WAN" 192.168.1.2 "$LAN")
  echo "flows_tcp mode=$mode way=tunnel mbps=${mbps[$mode]}"
  [ "$mode" = short_cut ] && break
  mbps[port_$mode]=$(best "$WAN" 192.168.1.3 "$LAN" -B 10.20.0.2)
  echo "flows_tcp mode=$mode way=ports mbps=${mbps[port_$mode]}"
  carried=$(worker flows_carried)
done
# No ratio is demanded: with two cores the senders and receivers take most of them. That workers carried it is.
[ "${mbps[flows]}" -gt 10 ] && [ "${mbps[port_flows]}" -gt 10 ] || fail "flows carry next to nothing"
at_least_carried=$((100 * (mbps[flows] + mbps[port_flows])))  # segments: a small part of nine seconds of each
[ "$carried" -ge "$at_least_carried" ] || fail "workers carried $carried packets, fewer than $at_least_carried"
say "workers carried $carried packets"
