#!/usr/bin/env bash
# A VRF beside the short cut: what Linux keeps apart stays apart, and what is in the same VRF passes.
source "$(dirname "$0")/lib.sh"
ip link add probe type vrf table 9 2>/dev/null || skip "this kernel has no VRF devices"
ip link del probe
lab
check "without a VRF" pings 3 "$WAN" 192.168.1.2
ip -n "$GW" link add red type vrf table 500
ip -n "$GW" link set red up
ip -n "$GW" link set lan master red
apart() { no_ping "$WAN" 192.168.1.2 && no_ping "$LAN" 10.10.0.2; }
check "the LAN in a VRF, the tunnel not: nothing passes" wait_for 5 apart
check "IPv6 neither" no_ping "$WAN" fd01::2
check "the peer still has the gateway" pings 3 "$WAN" 10.10.0.1
ip -n "$GW" link set wg0 master red
check "both in the VRF: peer to LAN" wait_for 5 pings 3 "$WAN" 192.168.1.2
check "LAN to peer" wait_for 5 pings 3 "$LAN" 10.10.0.2
ip -n "$GW" link set lan nomaster
check "only the tunnel: nothing passes" wait_for 5 apart
ip -n "$GW" link set wg0 nomaster
check "no VRF: peer to LAN" wait_for 5 pings 3 "$WAN" 192.168.1.2
check "LAN to peer" wait_for 5 pings 3 "$LAN" 10.10.0.2
check "IPv6" wait_for 5 pings 3 "$WAN" fd01::2
