#!/usr/bin/env bash
# Junk at the listen port, 3 000 datagrams a second for 5 s, beside a ping stream: nothing is answered, nothing is lost,
# nothing grows.
source "$(dirname "$0")/lib.sh"
lab
check "a tunnel" pings 3 "$WAN" 192.168.1.2
in_wan timeout 30 tcpdump -n -l -i eth0 'udp src port 51820 and not udp dst port 51821' >/run/answers 2>/run/tcpdump &
wait_for 5 grep -q listening /run/tcpdump
memory() { awk '/VmRSS/ { print $2 }' "/proc/$(gateway_pid)/status"; }
before=$(memory)
session=$(handshake)
stream_start "$WAN" 192.168.1.2
in_wan python3 "$TOOLS/flood.py" 10.20.0.1 51820 3 3000 >/run/sent
in_wan python3 "$TOOLS/flood.py" fd20::1 51820 2 3000 >>/run/sent
stream_stop "a stream beside the flood"
say "junk sent: $(xargs </run/sent)"
expect "answers to junk" "" "$(cat /run/answers)"
[ "$(drops bad_message_length)" -gt 0 ] && [ "$(drops bad_message_type)" -gt 0 ] || fail "junk is not counted"
[ "$(drops unknown_index)" -gt 0 ] || fail "unknown indices are not counted"
expect "the session is the same" "$session" "$(handshake)"
at_most "memory grown, KB" 20000 $(($(memory) - before))
in_wan wg set "$LAB" private-key <(wg genkey) # an unknown peer with a perfect handshake
in_wan ping -c 2 -i 0.3 -W 1 192.168.1.2 >/dev/null 2>&1 || true
expect "answers to an unknown peer" "" "$(cat /run/answers)"
