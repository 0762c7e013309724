#!/usr/bin/env bash
# limit: 240 s
# Captures: inner packets in clear beside the frames that carried them, paired by id, from two workers; programs that
# are not ours read every file; drops with their reasons; nothing for those who may only look.
source "$(dirname "$0")/lib.sh"
WORKERS=2
lab 'endpoint: "10.20.0.2:51821"'
check "peer to LAN" pings 3 "$WAN" 192.168.1.2
capture() { ns "$GW" "$LINEGATE" --socket "$SOCKET" capture "$@"; }
# In the background, as $CAPTURE: SIGINT ends it.
capture_start() {
  interruptible ip netns exec "$GW" "$LINEGATE" --socket "$SOCKET" capture "$@" 2>/run/capture.err &
  CAPTURE=$!
  sleep 0.7
}

# 10 000 echo requests and their answers, on whichever worker: 10 000 packets at least, whatever a busy machine loses.
capture_start --peer remote -w /run/both.pcapng --buffer 64
grep -q "capture by uid" "$LAB_DIR/gateway.log" || fail "who captures is not logged"
ns "$WAN" ping -q -n -f -c 10000 -s 200 192.168.1.2 >/run/flood.out || true
sleep 0.5
kill -INT "$CAPTURE"
wait "$CAPTURE" || fail "the capture fails: $(cat /run/capture.err)"
say "$(cat /run/capture.err)"
grep -q " 0 lost" /run/capture.err || fail "packets are lost"
check "pairs" python3 "$TOOLS/pairs.py" /run/both.pcapng 10000

# Others read it: names, comments, ids.
expect "mode of the file" 600 "$(stat -c %a /run/both.pcapng)"
check "tshark reads it" sh -c 'tshark -r /run/both.pcapng -T fields -e frame.interface_name -e frame.comment -e frame.packet_id >/run/both.txt 2>/dev/null'
for name in wan wg0 lan; do grep -q "^$name" /run/both.txt || fail "no interface $name"; done
grep -q "^wg0.remote, session [0-9a-f]\{8\}, counter [0-9]" /run/both.txt || fail "no comment about the session"

# Filters, limits, standard output.
(sleep 0.5; pings 5 "$WAN" 192.168.1.2 -s 300) &
capture --inner --count 4 --seconds 10 'icmp[icmptype] == icmp-echo and greater 320' -w - >/run/four.pcapng 2>/run/four.err
wait $!
grep -q "^4 packets" /run/four.err || fail "not four: $(cat /run/four.err)"
expect "four requests" 4 "$(tshark -r /run/four.pcapng 2>/dev/null | grep -c 'Echo (ping) request')"
# libpcap reads files of one link type alone.
expect "tcpdump reads them" 4 "$(tcpdump -n -r /run/four.pcapng 2>/dev/null | grep -c 'ICMP echo request')"
(sleep 0.5; pings 2 "$WAN" 192.168.1.2) &
capture --outer --count 4 --seconds 10 udp -w /run/outer.pcapng 2>/run/outer.err
wait $!
expect "tcpdump reads frames" 4 "$(tcpdump -n -r /run/outer.pcapng 2>/dev/null | grep -c ' IP ')"
refuse "a bad filter" capture -w /run/no.pcapng 'no such filter'
refuse "an unknown peer" capture -w /run/no.pcapng --peer nobody
refuse "the read-only socket" ns "$GW" "$LINEGATE" --socket "${SOCKET%/*}/read.sock" capture -w /run/no.pcapng

# A drop, and what was before it.
capture_start --before 4 --after 0 --reason unknown_index -w /run/before.pcapng
check "before the drop" pings 3 "$WAN" 192.168.1.2
printf '\004\0\0\0\377\377\377\377aaaaaaaabbbbbbbbbbbbbbbb' | ns "$WAN" nc -u -w1 10.20.0.1 51820 >/dev/null || true
wait "$CAPTURE"
tshark -r /run/before.pcapng -T fields -e frame.comment -e icmp.type >/run/before.txt 2>/dev/null
grep -q "dropped: unknown_index: no session has this receiver index" /run/before.txt || fail "the drop has no comment"
grep -q "remote, session.*8$" /run/before.txt || fail "what was before the drop is not there"

# The same as a story.
(sleep 0.5; printf '\004\0\0\0\377\377\377\377aaaaaaaabbbbbbbbbbbbbbbb' | ns "$WAN" nc -u -w1 10.20.0.1 51820) >/dev/null 2>&1 &
ns "$GW" "$LINEGATE" --socket "$SOCKET" trace --drops --reason unknown_index --count 1 --seconds 10 >/run/drop.txt
grep -q "dropped  *unknown_index: no session has this receiver index" /run/drop.txt || fail "no story of the drop"
(sleep 0.5; pings 1 "$WAN" 192.168.1.2) &
ns "$GW" "$LINEGATE" --socket "$SOCKET" trace --count 1 --seconds 10 'udp dst port 51820 and greater 150' >/run/story.txt
cat /run/story.txt
for stage in received session opened routed transmitted; do grep -q "^  $stage " /run/story.txt || fail "no step $stage"; done
grep -q "to port lan" /run/story.txt || fail "the route is not told"
# Whoever watched has left: workers mark nothing any more.
check "traffic afterwards" pings 3 "$WAN" 192.168.1.2
