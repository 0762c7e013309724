#!/usr/bin/env bash
# limit: 300 s
# Programs are hosts behind interfaces of the gateway (LG_RING_ROUTED): workers route between them, a port, a tunnel's peer,
# each other and Linux, without the kernel; where Linux would not forward, they do not.
source "$(dirname "$0")/lib.sh"
BUILD=$(dirname "$LINEGATE")
CARD=$BUILD/lib/card PING=$ROOT/tests/e2e/foreign/ring_ping.py
[ -x "$CARD" ] || skip "the library is not built"
export LINEGATE_SOCKET=$SOCKET LD_LIBRARY_PATH=$BUILD
INTERFACES="app0: { private_key: \"$(wg genkey)\", addresses: [10.99.0.1/24] }
app1: { private_key: \"$(wg genkey)\", addresses: [10.98.0.1/24] }"
lab 'endpoint: "10.20.0.2:51821"'
in_wan wg set "$LAB" peer "$GW_PUBLIC" allowed-ips 10.10.0.0/24,192.168.1.0/24,10.99.0.0/24,10.98.0.0/24
in_wan ip route add 10.99.0.0/24 dev "$LAB"
in_wan ip route add 10.98.0.0/24 dev "$LAB"
check "the tunnel" pings 3 "$WAN" 192.168.1.2
counter() { linegate show workers --json | python3 -c 'import json, sys; print(sum(w[sys.argv[1]] for w in json.load(sys.stdin)["workers"]))' "$1"; }
card() {
  rm -f /run/card.out
  ip netns exec "$GW" "$CARD" app0 10.99.0.7 routed >/run/card.out 2>"$LAB_DIR/card.log" &
  CARD_PID=$!
  wait_for 10 grep -q '^up$' /run/card.out || fail "the card does not come up: $(cat "$LAB_DIR/card.log")"
}
refuse "nobody is there before" pings 1 "$LAN" 10.99.0.7 -W 1
card

flags() { linegate show interfaces --json | python3 -c 'import json, sys
program = [i["program"] for i in json.load(sys.stdin)["interfaces"] if i["name"] == "app0"][0]
print(*[name for name in ("routed", "offloads", "join_udp") if program[name]])'; }
expect "the state of its interface" "up, routed" "$(linegate show interfaces | sed -n 's/^app0 *\(up, [a-z]*\) .*/\1/p')"
expect "its flags" routed "$(flags)"

# ---- from everywhere to the program, and back
check "a host behind a port" pings 3 "$LAN" 10.99.0.7
stage_before=$(counter to_tun) to_port=$(counter short_cut_to_port)
check "the same, many" pings 40 "$LAN" 10.99.0.7
at_most "of it by Linux" 10 $(($(counter to_tun) - stage_before))
[ "$(counter short_cut_to_port)" -ge $((to_port + 40)) ] || fail "the answers do not leave by the short cut"
check "large packets" pings 3 "$LAN" 10.99.0.7 -s 1300
check "a peer in a tunnel" pings 10 "$WAN" 10.99.0.7
check "the gateway itself" pings 3 "$GW" 10.99.0.7
check "Linux keeps its address" pings 3 "$LAN" 10.99.0.1
linegate explain packet lan 192.168.1.2 10.99.0.7 icmp >/run/told.txt || fail "explain packet: $(cat /run/told.txt)"
grep -q '^the program behind app0 gets it' /run/told.txt || fail "explain packet: $(cat /run/told.txt)"
linegate explain packet app0 10.99.0.7 192.168.1.2 icmp >/run/told.txt || fail "explain packet: $(cat /run/told.txt)"
grep -q 'by port lan on the short cut' /run/told.txt || fail "explain packet: $(cat /run/told.txt)"

# ---- a second program reaches all of them
from_app1() { in_gw python3 "$PING" app1 10.98.0.7 "$@"; }
expect "another program" 5 "$(from_app1 10.99.0.7 5)"
expect "a host behind a port" 5 "$(from_app1 192.168.1.2 5)"
expect "a peer in a tunnel" 5 "$(from_app1 10.10.0.2 5)"
expect "the gateway" 5 "$(from_app1 192.168.1.1 5)"
expect "the TTL ends at the gateway" "0 11 from 10.98.0.1" "$(from_app1 192.168.1.2 1 1)"
expect "no such host" "0 3 from 10.98.0.1" "$(from_app1 10.99.0.8 1)"

# ---- what it may not
before=$(drops ring_source)
expect "another's address" 0 "$(SPOOF=10.99.0.7 from_app1 192.168.1.2 1)"
[ "$(drops ring_source)" -gt "$before" ] || fail "ring_source is not counted"
refuse "the gateway's address" in_gw python3 "$PING" app1 10.98.0.1 192.168.1.2 1
grep -q 'is an address of this machine' /run/check.out || fail "the refusal: $(cat /run/check.out)"
refuse "a second program at one interface" in_gw "$CARD" app0 10.99.0.9 routed
in_gw sysctl -qw net.ipv4.conf.app1.forwarding=0
wait_for 5 sh -c "! ip netns exec $GW python3 $PING app1 10.98.0.7 192.168.1.2 1 | grep -q '^1'" || fail "Linux would not forward it"
say "with Linux's forwarding off nothing is forwarded"
in_gw sysctl -qw net.ipv4.conf.app1.forwarding=1
again() { [ "$(from_app1 192.168.1.2 1)" = 1 ]; }
check "and is again" wait_for 5 again

# ---- killed under traffic
stream_start "$WAN" 192.168.1.2
kill -KILL "$CARD_PID"
check "it is gone" wait_for 5 no_ping "$LAN" 10.99.0.7
card
check "and is back" wait_for 5 pings 3 "$LAN" 10.99.0.7
stream_stop "the stream of a peer, beside it"

# ---- super-packets: Linux's own stack in a namespace of its own behind a ring
kill -KILL "$CARD_PID"
cc -Wall -Wextra -Werror -I"$ROOT/lib/include" -o /run/ring_tun "$ROOT/tests/e2e/foreign/ring_tun.c" -L"$BUILD" -l:liblinegate.so.1
BULK=$ROOT/tests/e2e/foreign/bulk.py
ip netns add "$LAB-box"
ip netns exec "$LAN" python3 "$BULK" serve 192.168.1.2 7000 >/run/bulk.out 2>&1 &
wait_for 10 grep -q '^up$' /run/bulk.out || fail "no server: $(cat /run/bulk.out)"
ip netns exec "$WAN" python3 "$BULK" serve 10.10.0.2 7000 >/run/bulk2.out 2>&1 &
wait_for 10 grep -q '^up$' /run/bulk2.out || fail "no server: $(cat /run/bulk2.out)"
box() { # WORDS...: the program, and addresses for its namespace
  rm -f /run/box.out
  ip netns exec "$LAB-box" /run/ring_tun app0 10.99.0.9 "$@" >/run/box.out 2>"$LAB_DIR/box.log" &
  BOX_PID=$!
  wait_for 10 grep -q '^up$' /run/box.out || fail "ring_tun does not come up: $(cat "$LAB_DIR/box.log")"
  ip -n "$LAB-box" addr add 10.99.0.9/24 dev ring0
  ip -n "$LAB-box" link set ring0 mtu 1420 up
  ip -n "$LAB-box" route add default dev ring0
}
box_end() {
  kill -TERM "$BOX_PID"
  wait "$BOX_PID" || fail "ring_tun: $(cat "$LAB_DIR/box.log")"
  PASSED=$(tail -1 /run/box.out)
}
bulk() { ip netns exec "$LAB-box" timeout 60 python3 "$BULK" "$@"; }
box
plain=$(bulk 192.168.1.2 7000 "${BULK_MB:-20}") || fail "packets alone"
box_end
say "packets alone: $plain MB/s, $PASSED"
box offloads
expect "its flags" "routed offloads" "$(flags)"
joined=$(bulk 192.168.1.2 7000 "${BULK_MB:-20}") || fail "super-packets to and from a host behind a port"
say "super-packets: $joined MB/s"
[ "$joined" -ge "$plain" ] || fail "super-packets are slower than packets alone: $joined and $plain MB/s"
peer=$(bulk 10.10.0.2 7000 10) || fail "super-packets to and from a peer"
say "to a peer in a tunnel: $peer MB/s"
check "small packets" pings 10 "$LAN" 10.99.0.9
check "and large ones" pings 3 "$LAN" 10.99.0.9 -s 1380
box_end
say "$PASSED"
echo "$PASSED" | awk '{ exit !($4 > 100 && $8 > 100) }' || fail "no super-packets: $PASSED"

# ---- an adapter that the program made, over restarts of the gateway
export RING_CREATES="ip -n $GW addr add 10.97.0.1/24 dev app2"
rm -f /run/box.out
ip netns exec "$LAB-box" /run/ring_tun app2 10.97.0.9 offloads >/run/box.out 2>"$LAB_DIR/box.log" &
BOX_PID=$!
wait_for 10 grep -q '^up$' /run/box.out || fail "ring_tun does not come up: $(cat "$LAB_DIR/box.log")"
ip -n "$LAB-box" addr add 10.97.0.9/24 dev ring0
ip -n "$LAB-box" link set ring0 mtu 1420 up
ip -n "$LAB-box" route add default dev ring0
check "a program with an adapter of its own" pings 3 "$LAN" 10.97.0.9
index() { in_gw cat /sys/class/net/app2/ifindex; }
first=$(index)
bulk 192.168.1.2 7000 20 15 >/run/long.out 2>&1 &
long=$!
for signal in -TERM -KILL; do
  ups=$(grep -c '^up$' /run/box.out)
  sleep 0.3
  kill -0 "$long" || fail "the transfer ends too soon: $(cat /run/long.out)"
  stop_pid gateway "$signal"
  refuse "the adapter is gone with the gateway" in_gw ip link show app2
  start_gateway
  back() { [ "$(grep -c '^up$' /run/box.out)" -gt "$ups" ]; }
  check "the program is back after $signal" wait_for 20 back
  expect "its ifindex" "$first" "$(index)"
  check "it answers" wait_for 10 pings 3 "$LAN" 10.97.0.9
done
check "a transfer has outlasted both" wait "$long"
box_end
say "$(cat /run/long.out) MB/s, $PASSED"
