#!/usr/bin/env bash
# slow
# limit: 500 s
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
# best MODE WAY KEY: of all rounds; other load on the machine only ever takes.
best() { sed -n "s/^run mode=$1 way=$2 .* $3=\([0-9]*\) .*/\1/p" /run/figures | sort -n | tail -1; }
# reaches WHAT PERCENT OF GOT
reaches() {
  echo "$1: $4, beside $3"
  [ "$4" -ge $(($3 * $2 / 100)) ]
}

# With two cores the hosts and the other gateway bound what TCP reaches: from port to port not much more than half as much
# again is possible, and through the tunnel nothing (docs/figures.md).
tcp_is_faster() {
  figures one "ports tunnel" "kernel flows short_cut"
  reaches "TCP from port to port, Mbit/s" 110 "$(best kernel ports mbps)" "$(best flows ports mbps)" &&
    reaches "TCP through the tunnel, Mbit/s" 75 "$(best kernel tunnel mbps)" "$(best flows tunnel mbps)"
}
# Twice as many packets as Linux, or nearly all there are when their sender is too slow for that.
more_datagrams() {
  figures datagrams ports "kernel flows"
  local twice=$(($(best kernel ports kpps) * 2)) most=$(($(best flows ports offered_kpps) * 7 / 10))
  reaches "thousands of datagrams a second" 100 $((twice < most ? twice : most)) "$(best flows ports kpps)"
}
# A measurement that other programs disturbed is repeated.
for what in tcp_is_faster more_datagrams; do
  for try in 1 2 3; do
    if "$what"; then continue 2; fi
    say "try $try of 3 is not enough"
  done
  fail "$what"
done
