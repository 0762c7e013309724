#!/usr/bin/env bash
# limit: 180 s
# `forwarding: flows` with the rules of docs/firewall.md as they stand there: masquerade for a road warrior and a port
# forward. Linux accepts and translates, workers carry, and what Linux takes back is theirs no longer.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/flows_lib.sh"
# The peer comes in by lan0; the "Internet" is the host at wan0, which has no way back to the peer's address.
flows_lab lan0 wan0 0.0.0.0/0
ip -n "$LAN" route del default
in_wan ip route add 192.168.1.0/24 dev "$LAB" 2>/dev/null || true

rules "Road warriors"
check "ICMP through Linux's masquerade" pings 3 "$WAN" 192.168.1.2
refuse "no host from outside reaches a peer" reach "$LAN" 10.10.0.2 81
start_echo "$LAN" 7000
talk "$WAN" 192.168.1.2 7000
check "a connection is carried" wait_for 5 carried_is 1
expect "and leaves from the gateway's address" 192.168.1.1 "$(peer_of_echo)"
before=$(forwarded) carried=$(worker flows_carried)
say_to 200
expect "lines that came back through the workers" 200 "$(lines_back 200)"
# A late event of nftables hands it back for a moment, so that a few of the 400 packets may go through Linux.
[ $(($(worker flows_carried) - carried)) -ge 360 ] || fail "workers carried $(($(worker flows_carried) - carried)) packets"
at_most "packets that Linux forwarded meanwhile" 20 $(($(forwarded) - before))
linegate show flows | tail -3

conntrack_deleted_at=$(now_ms)
in_gw conntrack -D -p tcp --dport 7000 >/dev/null 2>&1
wait_ms 100 carried_is 0 || fail "still carried 100 ms after conntrack -D"
say "conntrack -D cuts within 100 ms ($(($(now_ms) - conntrack_deleted_at)) ms with the command itself)"
hang_up

talk "$WAN" 192.168.1.2 7000
check "the next connection is carried" wait_for 5 carried_is 1
hang_up
check "FIN hands it back" wait_for 3 carried_is 0
in_gw conntrack -L -p tcp --dport 7000 2>/dev/null | grep -qE 'TIME_WAIT|CLOSE|LAST_ACK' || fail "Linux missed the end: $(in_gw conntrack -L 2>/dev/null)"
say "and Linux has seen its end"

# A change of rules in the middle of a connection.
talk "$WAN" 192.168.1.2 7000
check "carried" wait_for 5 carried_is 1
in_gw nft add rule inet gateway input counter
say_to 20
expect "the connection goes on" 20 "$(lines_back 20)"
check "and earns the mark again" wait_for 5 carried_is 1
in_gw nft insert rule inet gateway forward tcp dport 7000 drop
sleep 0.2
expect "carried after a rule that forbids it" 0 "$(carried)"
say_to 20
sleep 0.5
expect "lines that came back" 0 "$(lines_back 20 0)"
hang_up
in_gw conntrack -F 2>/dev/null

rules "Port forward"
start_echo "$WAN" 80
talk "$LAN" 192.168.1.1 8080
check "a port forward is carried" wait_for 5 carried_is 1
say_to 100
expect "lines that came back" 100 "$(lines_back 100)"
expect "the peer sees the client's own address" 192.168.1.2 "$(peer_of_echo)"

# UDP becomes a stream after two seconds.
in_gw conntrack -F 2>/dev/null
rules "Road warriors"
in_lan python3 "$TOOLS/udp_echo.py" 7001 >/run/udp_echo.out &
wait_for 5 grep -q listening /run/udp_echo.out || fail "no UDP echo"
in_wan python3 "$TOOLS/udp_talk.py" 192.168.1.2 7001 4 >/run/udp.out &
talker=$!
check "UDP is carried" wait_for 5 carried_is 1
wait "$talker" || fail "UDP: $(cat /run/udp.out)"
say "UDP: $(cat /run/udp.out)"
expect "drops of packets from elsewhere" 0 "$(worker flows_wrong_way)"
