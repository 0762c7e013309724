#!/usr/bin/env bash
# slow
# limit: 400 s
# What a gateway carries through Linux, through flows and by the short cut, in one run, behind masquerade: TCP out of a
# tunnel to another gateway and from port to port, and a flood of datagrams from port to port.
source "$(dirname "$0")/lib.sh"
command -v nft >/dev/null && command -v conntrack >/dev/null || skip "needs nft and conntrack"
[ "$(nproc --all)" -gt 1 ] || skip "needs two CPUs"
ENDS_PROGRAM=$(dirname "$LINEGATE")/bench/flow_ends
[ -x "$ENDS_PROGRAM" ] || skip "no $ENDS_PROGRAM: cmake --build --preset release --target bench_flow_ends"
export ENDS_PROGRAM LINEGATE ROUNDS=3 SECONDS_EACH=1 PRIORITY=-3
# figures TRAFFIC WAYS MODES
figures() {
  TRAFFIC=$1 WAYS=$2 MODES=$3 "$ROOT/bench/flows_tcp.sh" >/run/figures 2>&1 || fail "bench/flows_tcp.sh: $(tail -5 /run/figures)"
  cat /run/figures
}
# median MODE WAY KEY
median() { sed -n "s/^flows_.* mode=$1 way=$2 .* $3=\\([0-9]*\\) .*/\\1/p" /run/figures; }
at_least() { [ "$3" -ge "$2" ] || fail "$1: at least $2, got $3"; say "$1: $3, at least $2"; }

# With two cores the hosts and the other gateway bound what TCP reaches: not much more than half as much again is possible
# from port to port, and through the tunnel nothing (docs/figures.md).
figures one "ports tunnel" "kernel flows short_cut"
at_least "TCP from port to port, Mbit/s" $(($(median kernel ports mbps) * 110 / 100)) "$(median flows ports mbps)"
at_least "TCP through the tunnel, Mbit/s" $(($(median kernel tunnel mbps) * 75 / 100)) "$(median flows tunnel mbps)"
# Twice as many packets as Linux, or nearly all there are when their sender is too slow for that.
figures datagrams ports "kernel flows"
wanted=$(($(median kernel ports kpps) * 2)) most=$(($(median flows ports offered_kpps) * 7 / 10))
at_least "thousands of datagrams a second" $((wanted < most ? wanted : most)) "$(median flows ports kpps)"
