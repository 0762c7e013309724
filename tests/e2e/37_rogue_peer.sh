#!/usr/bin/env bash
# A black-box peer that breaks every rule of the protocol it can, as initiator and as responder (tools/rogue_peer.cpp says
# how): what is not authentic gets silence, what is authentic but wrong gets nowhere, and its own session goes on.
source "$(dirname "$0")/lib.sh"
ROGUE=$(dirname "$LINEGATE")/tests/e2e/rogue_peer
[ -x "$ROGUE" ] || skip "no program at $ROGUE: cmake --build --preset release --target e2e_tools"
begins=$(new_key begins) answers=$(new_key answers)
PEERS="- { name: begins, public_key: \"$begins\", allowed_ips: [10.10.0.9/32] }
- { name: answers, public_key: \"$answers\", allowed_ips: [10.10.0.10/32], endpoint: \"10.20.0.2:41010\", persistent_keepalive: 30 }" lab
check "an honest peer" pings 3 "$WAN" 192.168.1.2
in_wan "$ROGUE" answer "$(cat "$LAB_DIR/answers.key")" "$GW_PUBLIC" >/run/answer.out 2>&1 &
answering=$!
stream_start "$WAN" 192.168.1.2 0.05
# report FILE EXIT_CODE: every line is an attack that failed.
report() {
  grep -v '^ok' "$1" || true
  [ "$2" = 0 ] || fail "an attack worked"
  say "$(grep -c '^ok' "$1") attacks, none of them worked"
}
code=0
in_wan "$ROGUE" begin "$(cat "$LAB_DIR/begins.key")" "$GW_PUBLIC" >/run/begin.out 2>&1 || code=$?
report /run/begin.out $code
code=0
wait $answering || code=$?
report /run/answer.out $code
stream_stop "the honest peer's stream meanwhile"
{ linegate explain peer begins || true; } | grep -qi 'ahead' || fail "explain does not name the stamp ahead: $(linegate explain peer begins)"
expect "initiations from martian sources" 5 "$(drops martian_source)"
# What Linux hands to the gateway's own socket ends by name too.
[ "$(drops socket_oversized)" -ge 20 ] || fail "the huge datagrams are counted as $(drops socket_oversized) socket_oversized"
say "larger than any packet buffer: $(drops socket_oversized)"
before=$(drops socket_malformed)
for text in a abc "$(printf '\4')" "$(printf '%.0s.' {1..3})"; do printf %s "$text" | in_gw timeout 1 bash -c 'cat >/dev/udp/127.0.0.1/51820'; done
printf '\4\0\0\0 too short for data' | in_gw timeout 1 bash -c 'cat >/dev/udp/127.0.0.1/51820'
all_counted() { [ "$(($(drops socket_malformed) - before))" = 5 ]; }
wait_for 3 all_counted || fail "of five datagrams too short for any message $(($(drops socket_malformed) - before)) are counted"
say "shorter than any message: 5"
linegate show drops --json | grep -q socket_full || fail "socket_full has no counter"
