#!/usr/bin/env bash
# The gateway dies under traffic and is started again. Peers that it heard of lately get an initiation at once, so their
# traffic is back within a second of the start; the peer alone would notice after 15 s. No other peer hears anything.
# limit: 120 s
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
# It has an endpoint and was never heard of: nothing may be sent there.
SILENT=$(new_key silent)
PEERS="- { name: silent, public_key: \"$SILENT\", endpoint: \"10.20.0.2:7777\", allowed_ips: [10.10.0.77/32] }"
lab_config
start_gateway
start_peer
check "a tunnel" pings 3 "$WAN" 192.168.1.2
FILE=$LAB_DIR/state/wg0.peers
check "the peer is in the file of peers" wait_for 25 test -s "$FILE"
expect "mode of the file" 600 "$(stat -c %a "$FILE")"

in_wan timeout 100 tcpdump -n -l -i eth0 udp dst port 7777 >/run/heard 2>/run/tcpdump &
wait_for 5 grep -q listening /run/tcpdump

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
# The time of the first answer after millisecond $1, in milliseconds since 1970.
first_answer_after() {
  sed -n 's/^\[\([0-9]*\)\.\([0-9][0-9][0-9]\).*bytes from.*/\1\2/p' /run/stream.out | awk -v t="$1" '$1 > t { print; exit }'
}
answered_after() { [ -n "$(first_answer_after "$1")" ]; }

# kill_and_restart: KILLED, BEGUN, READY and BACK are when it happened.
kill_and_restart() {
  interruptible ip netns exec "$WAN" ping -D -n -i 0.02 192.168.1.2 >/run/stream.out 2>&1 &
  STREAM=$!
  wait_for 5 grep -q icmp_seq= /run/stream.out || fail "the stream does not start"
  stop_pid gateway -KILL
  KILLED=$(milliseconds)
  sleep 0.5
  BEGUN=$(milliseconds)
  start_gateway
  READY=$(milliseconds)
  wait_for 30 answered_after $((KILLED + 100)) || fail "no traffic within 30 s"
  BACK=$(first_answer_after $((KILLED + 100)))
  kill -INT "$STREAM"
  wait "$STREAM" || true
}

for round in 1 2 3; do
  kill_and_restart
  after=$((BACK > READY ? BACK - READY : 0))
  echo "restart round=$round start_ms=$((READY - BEGUN)) traffic_after_start_ms=$after"
  at_most "milliseconds from the start to traffic" 1000 "$after"
done
expect "packets to the peer that was never heard of" 0 "$(grep -c . /run/heard)"
linegate explain peer remote >/run/explain
check "explain says where the endpoint is from" grep -q "endpoint taken over from before the start" /run/explain

WG0="remember_endpoints: false"
lab_config
linegate reload >/dev/null
check "switched off, the file goes" wait_for 15 test ! -e "$FILE"
kill_and_restart
[ "$((BACK - READY))" -gt 1000 ] || fail "switched off, traffic is back after $((BACK - READY)) ms nevertheless"
say "switched off, the peer notices after $((BACK - READY)) ms"
refuse "and no file is written" test -e "$FILE"
