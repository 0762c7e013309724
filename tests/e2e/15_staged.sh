#!/usr/bin/env bash
# Packets that come before there is a session wait for it: none of the first twenty is lost, and a peer that never
# answers costs nothing but its own queue.
source "$(dirname "$0")/lib.sh"
lab 'endpoint: "10.20.0.2:51821"'
check "twenty at once, from the LAN, without a session" pings 20 "$LAN" 10.10.0.2 -l 20 -i 0.2
expect "drops by a full queue" 0 "$(drops staging_full)"
# A peer that is not there: its packets wait and make room for newer ones; the others do not notice.
in_gw wg set wg0 peer "$(wg genkey | wg pubkey)" endpoint 10.20.0.2:9 allowed-ips 10.10.0.66/32
in_lan timeout 4 ping -q -n -i 0.005 10.10.0.66 >/dev/null 2>&1 &
check "the other peer meanwhile" pings 20 "$LAN" 10.10.0.2
