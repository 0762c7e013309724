#!/usr/bin/env bash
# limit: 240 s
# A program behind an interface (LG_RING_ROUTED) that calls every address its own and sends what no host may: the gateway's
# addresses, martian sources, groups and broadcasts, TTL 0 and 1, what is too large or broken; loops between two programs;
# whole packets at random, killed while it sends. Each ends by name or with Linux, and a peer beside it has its stream.
source "$(dirname "$0")/lib.sh"
BUILD=$(dirname "$LINEGATE")
HOSTILE=$TOOLS/hostile_ring.py
[ -e "$BUILD/liblinegate.so.1" ] || skip "the library is not built"
export LINEGATE_SOCKET=$SOCKET LD_LIBRARY_PATH=$BUILD
INTERFACES="app0: { private_key: \"$(wg genkey)\", addresses: [10.99.0.1/24, fd99::1/64] }
app1: { private_key: \"$(wg genkey)\", addresses: [10.98.0.1/24] }"
lab 'endpoint: "10.20.0.2:51821"'
in_wan wg set "$LAB" peer "$GW_PUBLIC" allowed-ips 0.0.0.0/0,::/0
in_wan ip route add 10.99.0.0/24 dev "$LAB"
check "the tunnel" pings 3 "$WAN" 192.168.1.2
hostile() { in_gw python3 "$HOSTILE" "$@"; }
listen() { # NAMESPACE DEVICE FILE
  ip netns exec "$1" python3 "$HOSTILE" sniff "$2" >"$3" 2>&1 &
  wait_for 10 grep -q '^up$' "$3" || fail "no ear at $2: $(cat "$3")"
}
device_of() { ip -n "$1" -o route get "$2" | sed 's/.* dev \([^ ]*\).*/\1/'; }
listen "$LAN" "$(device_of "$LAN" 192.168.1.1)" /run/lan.heard
listen "$WAN" "$LAB" /run/wan.heard
stream_start "$WAN" 192.168.1.2

# ---- one of each kind
martian=$(drops martian_inner) bad=$(drops ring_bad_packet) too_big=$(drops too_big)
hostile attack >/run/answers || fail "the attack: $(cat /run/answers)"
count() { grep -c "^$1" /run/answers; }
answered() { awk -v kind="^$1" '$1 ~ kind && $2 != "nothing"' /run/answers; }
answer() { sed -n "s/^$1 //p" /run/answers; }
expect "martian_inner" "$(count martian)" $(($(drops martian_inner) - martian))
expect "ring_bad_packet" "$(count bad)" $(($(drops ring_bad_packet) - bad))
expect "an answer to a martian, or to what is broken" "" "$(answered 'martian|bad')"
expect "TTL 1, to a port" "11/0 from 10.99.0.1" "$(answer ttl-1)"
expect "TTL 1, to a peer" "11/0 from 10.99.0.1" "$(answer ttl-1-peer)"
expect "too large for a port" "3/4 from 10.99.0.1" "$(answer large-port)"
expect "too large for a peer" "3/4 from 10.99.0.1" "$(answer large-peer)"
expect "an answer to nobody, for a group or a broadcast" "" "$(answered 'linux-(from|to-(22|23|ff|.*[.]255$))')"
sleep 0.5
expect "what came to the host behind the port" up "$(cat /run/lan.heard)"
expect "what came to the peer" up "$(cat /run/wan.heard)"
say "$(wc -l </run/answers) kinds, none of them passes"

# ---- what does pass, and ends
hostile passes >/run/passes
expect "an echo request in fragments" "fragments answered" "$(sed -n 1p /run/passes)"
expect "to itself, one hop older" "self ttl 63" "$(sed -n 2p /run/passes)"
ways=$(hostile loop)
at_most "ways between two programs that send everything back" 600 "$ways"
[ "$ways" -ge 253 ] || fail "the loop ends after $ways"

# ---- whole packets at random, and killed at it
say "$(hostile random "${HOSTILE_SECONDS:-5}") packets at random"
for _ in 1 2 3 4 5; do
  in_gw timeout -s KILL "0.$((RANDOM % 5 + 4))" python3 "$HOSTILE" random 9 >/run/random.out 2>&1 || true
done
rings_are_gone() { linegate show interfaces --json | python3 -c 'import json, sys; sys.exit(any(i["program"] for i in json.load(sys.stdin)["interfaces"]))'; }
check "nothing is left of those that were killed" wait_for 10 rings_are_gone
stream_stop "the stream of a peer, beside all of it"
check "everything goes on" pings 5 "$WAN" 192.168.1.2
expect "drops of the worker's memory" "0 0" "$(drops no_mbuf) $(drops no_headroom)"
