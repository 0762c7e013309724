#!/usr/bin/env bash
# ip(8) on wg0: down wipes the session and silences it, up brings it back, a new MTU counts, and a deleted netdev takes
# the interface along. A port that is down carries nothing.
source "$(dirname "$0")/lib.sh"
lab 'endpoint: "10.20.0.2:51821"'
check "a tunnel" pings 3 "$WAN" 192.168.1.2
ip -n "$GW" link set wg0 down
check "linegate notices" wait_for 2 sh -c "ip netns exec $GW $LINEGATE --socket $SOCKET show interfaces | grep -E '^wg0.*down'"
refuse "down" pings 1 "$WAN" 192.168.1.2 -W 1
ip -n "$GW" link set wg0 up
check "up again, from the LAN" wait_for 3 pings 1 "$LAN" 10.10.0.2 -W 1
check "from the peer" pings 3 "$WAN" 192.168.1.2
ip -n "$GW" link set wg0 mtu 1300
sleep 0.5
heard=$(in_lan ping -n -c 1 -W 1 -M do -s 1350 10.10.0.2 2>&1) || true
grep -q 'mtu = 1300' <<<"$heard" || fail "the new MTU does not count: $heard"
say "an MTU set by ip link counts"
in_gw ip link del wg0
check "gone from linegate" wait_for 3 sh -c "! ip netns exec $GW $LINEGATE --socket $SOCKET show interfaces | grep -q '^wg0'"
check "gone from wg" wait_for 3 sh -c "! ip netns exec $GW wg show interfaces | grep -qw wg0"
refuse "nothing answers" pings 1 "$WAN" 10.10.0.1 -W 1
check "a reload brings it back" linegate reload
check "and it works" wait_for 5 pings 1 "$LAN" 10.10.0.2 -W 1
ip -n "$GW" link set lan down
sleep 0.5
before=$(drops port_down)
refuse "from a port that is down" pings 3 "$LAN" 10.10.0.2 -W 1
[ "$(drops port_down)" -gt "$before" ] || fail "no packet was dropped as port_down"
ip -n "$GW" link set lan up
check "a port that is up again" wait_for 5 pings 1 "$LAN" 10.10.0.2 -W 1
