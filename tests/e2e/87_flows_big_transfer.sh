#!/usr/bin/env bash
# slow
# limit: 240 s
# One TCP connection of 4.5 GB, more than its sequence numbers count, from port to port through flows with masquerade: what
# arrives is what was sent, workers carried it, and connection tracking sees its end.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/flows_lib.sh"
BYTES=4500000000
flows_lab lan0 wan0
rules "Road warriors"
# "lan0" is the port of the wan namespace; its hosts leave by "wan0" behind the gateway's address.
ip -n "$WAN" route add 192.168.1.2/32 via 10.20.0.1
in_gw nft add rule inet gateway postrouting oifname wan0 ip saddr 10.20.0.0/24 masquerade
sleep 0.3
in_lan timeout 200 python3 "$TOOLS/big_transfer.py" serve 7000 >/run/served &
server=$!
wait_for 5 grep -q listening /run/served || fail "no server"
before=$(worker flows_carried) linux_before=$(forwarded)
in_wan timeout 200 python3 "$TOOLS/big_transfer.py" send 192.168.1.2 7000 $BYTES >/run/sent &
sender=$!
check "it is carried" wait_for 5 carried_is 1
wait "$sender" || fail "sending: $(cat /run/sent)"
wait "$server" || fail "receiving: $(cat /run/served)"
say "sent: $(cat /run/sent)"
say "came: $(tail -1 /run/served)"
expect "bytes and checksum" "$(cut -d' ' -f1,3 /run/sent)" "$(tail -1 /run/served | cut -d' ' -f1,3)"
expect "all of them" $BYTES "$(cut -d' ' -f1 /run/sent)"
expect "behind the gateway's address" 192.168.1.1 "$(tail -1 /run/served | cut -d' ' -f5)"
by_workers=$(($(worker flows_carried) - before)) by_linux=$(($(forwarded) - linux_before))
[ "$by_workers" -ge $((BYTES / 1448)) ] || fail "workers carried $by_workers packets, Linux forwarded $by_linux"
say "workers carried $by_workers packets, Linux forwarded $by_linux"
check "FIN hands it back" wait_for 3 carried_is 0
# A worker may carry the last ACK, in the moment until it hears of the FINs: then Linux waits half a minute for it.
closed() { in_gw conntrack -L -p tcp --orig-port-dst 7000 2>/dev/null | grep -qE ' (TIME_WAIT|CLOSE|LAST_ACK) '; }
wait_for 3 closed || fail "connection tracking missed its end: $(in_gw conntrack -L 2>/dev/null)"
say "connection tracking saw its end: $(in_gw conntrack -L -p tcp --orig-port-dst 7000 2>/dev/null)"
left=$(in_gw conntrack -L -p tcp --orig-port-dst 7000 2>/dev/null | awk '{ print $3 }')
at_most "seconds until it forgets the connection" 120 "$left"
