#!/usr/bin/env bash
# limit: 420 s
# An established peer beside floods of four kinds.
#   steady    a UDP stream of half of what the lab can carry: what it loses, the gateway took from it. Its goodput beside
#             each flood, as a share of the goodput without one.
#   greedy    a TCP stream takes all that generator, peers and gateway leave each other of the machine's cores. So only like is
#             compared with like: each flood with its neutral one, the same frames to another host's MAC address, which the
#             port refuses before all else. What the stream has without any flood is printed beside them.
# Shares are of neighbouring phases, medians over rounds.
#   FLOOD_ROUNDS  phases of each kind (3)    FLOOD_PPS  flood rate (a twentieth of what the port carries, at most 20000)
#   FLOOD_KEEPS   least share of the steady goodput in per cent (80), FLOOD_GREEDY of the greedy one (50): here other
#                 scenarios use the cores; see docs/security.md for figures of longer runs
source "$(dirname "$0")/lib.sh"
FLOOD=$(dirname "$LINEGATE")/tests/e2e/flood
[ -x "$FLOOD" ] || skip "no flood generator at $FLOOD: cmake --build --preset release --target e2e_tools"
ROUNDS=${FLOOD_ROUNDS:-3} KEEPS=${FLOOD_KEEPS:-80} GREEDY=${FLOOD_GREEDY:-50}
NEWCOMER=10.10.0.3/32
new_public=$(wg genkey | tee /run/new.key | wg pubkey)
PEERS="- { name: newcomer, public_key: \"$new_public\", allowed_ips: [$NEWCOMER] }" lab
check "a tunnel" pings 3 "$WAN" 192.168.1.2
# Answers to forged sources leave for a router of another address: what becomes of them may cost this machine nothing more.
ip -n "$GW" neigh replace 10.20.0.9 lladdr 02:00:00:00:00:09 dev wan nud permanent
ip -n "$GW" route add 198.18.0.0/16 via 10.20.0.9
mac=$(in_gw cat /sys/class/net/wan/address)
flood() { in_wan "$FLOOD" eth0 "$mac" 10.20.0.1 51820 "$GW_PUBLIC" "$@"; }
outcome() { linegate show interfaces --json | grep -o "\"$1\":[0-9]*" | cut -d: -f2; }
memory() { awk '/VmRSS/ { print $2 }' "/proc/$(gateway_pid)/status"; }
resident=$(memory)

# ---- what the port carries: frames it refuses as fast as they can be made
before=$(drops other_host)
eval "$(flood neutral-mac1 0 2 2>/dev/null)"
arrived=$(($(drops other_host) - before))
say "the port carries $((arrived / 2)) packets/s of $pps offered"
rate=${FLOOD_PPS:-$((arrived / 20 < 20000 ? arrived / 20 : 20000))}

# stream SECONDS OPTIONS...: from the remote peer to the LAN.
stream() {
  local seconds=$1
  shift
  ip netns exec "$LAN" iperf3 -s -1 >/dev/null 2>&1 &
  SERVER=$!
  wait_for 5 ns "$LAN" sh -c 'ss -ltn | grep -q :5201' || fail "no iperf3 server"
  ip netns exec "$WAN" iperf3 -c 192.168.1.2 -t "$seconds" "$@" >/dev/null 2>&1 &
  CLIENT=$!
  sleep 1
}
# Asked kindly, the two ends wait for each other.
stream_end() {
  kill -0 $CLIENT || fail "the stream has broken off"
  kill -KILL $CLIENT $SERVER
  wait $CLIENT $SERVER 2>/dev/null || true
}
received() { in_lan cat /sys/class/net/eth0/statistics/rx_bytes; }
# goodput SECONDS: kbit/s that arrive.
goodput() {
  local from at=${EPOCHREALTIME/./}
  from=$(received)
  sleep "$1"
  echo $((($(received) - from) * 8000 / (${EPOCHREALTIME/./} - at)))
}
# phase KIND: kbit/s of the stream beside that flood, into GOODPUT; alone: beside none.
phase() {
  local flooding=''
  if [ "$1" != alone ]; then
    rm -f /run/begun
    flood "$1" "$rate" 1.3 >>/run/sent 2>/run/begun &
    flooding=$!
    wait_for 25 grep -q begun /run/begun || fail "the flood of $1: $(cat /run/begun)"
  fi
  sleep 0.3
  GOODPUT=$(goodput 0.8)
  [ -z "$flooding" ] || wait "$flooding" || fail "the flood of $1"
  echo "$GOODPUT" >>"/run/$1.kbps"
}
median() { sort -n "/run/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
mbps() { echo $(($(median "$1.kbps") / 1000)); }
# beside YARDSTICK KIND: one phase of each; the share in tenths of a per cent into KIND.share
beside() {
  local yardstick
  phase "$1"
  yardstick=$GOODPUT
  phase "$2"
  [ "$yardstick" -gt 0 ] || fail "nothing arrives beside $1"
  echo $((GOODPUT * 1000 / yardstick)) >>"/run/$2.share"
}
tenths() { echo "$(($1 / 10)).$(($1 % 10))"; }
kinds="junk bad_mac1 mac1 mac2"

# ---- a steady stream
stream 30 -u -b 0 -l 1300
limit=$(goodput 2)
stream_end
[ "$limit" -gt 10000 ] || fail "a stream of $limit kbit/s shows nothing"
steady=$((limit / 2))
stream $((30 + ROUNDS * 30)) -u -b "${steady}k" -l 1300
for ((round = 0; round < ROUNDS; ++round)); do
  for kind in $kinds; do beside alone "$kind"; done
done
stream_end
for kind in $kinds; do
  keeps=$(median "$kind.share")
  say "steady flood=$kind pps=$rate offered_mbps=$((steady / 1000)) goodput_mbps=$(mbps "$kind") alone_mbps=$(mbps alone) keeps=$(tenths "$keeps") %"
  [ "$keeps" -ge $((KEEPS * 10)) ] || fail "a flood of $kind leaves $(tenths "$keeps") % of a steady stream, at least $KEEPS wanted"
done
rm -f /run/*.kbps /run/*.share

# ---- a greedy stream
stream $((30 + ROUNDS * 30))
for ((round = 0; round < ROUNDS; ++round)); do
  phase alone
  for kind in $kinds; do beside "neutral-$kind" "$kind"; done
done
stream_end
for kind in $kinds; do
  keeps=$(median "$kind.share")
  say "greedy flood=$kind pps=$rate goodput_mbps=$(mbps "$kind") beside_neutral_mbps=$(mbps "neutral-$kind") alone_mbps=$(mbps alone) keeps=$(tenths "$keeps") %"
  [ "$keeps" -ge $((GREEDY * 10)) ] || fail "a flood of $kind leaves $(tenths "$keeps") % of a greedy stream, at least $GREEDY wanted"
done
for counted in bad_mac1 cookie_reply_sent rate_limited; do
  [ "$(outcome $counted)" -gt 0 ] || fail "the floods caused no $counted: they were not what they claim"
done
say "cookie replies sent: $(outcome cookie_reply_sent), rate limited: $(outcome rate_limited), bad mac1: $(outcome bad_mac1)"

# ---- a newcomer gets in within two retries (5 s and jitter each) while the worst flood goes on
wireguard_go "$WAN" new0
in_wan wg set new0 private-key /run/new.key peer "$GW_PUBLIC" endpoint 10.20.0.1:51820 allowed-ips 10.10.0.1/32
ip -n "$WAN" addr add 10.10.0.3/32 dev new0
flood mac1 "$rate" 18 >>/run/sent 2>/run/begun &
flooding=$!
sleep 1
began=$SECONDS
ip -n "$WAN" link set new0 up
in_wan ping -c 1 -W 1 -I new0 10.10.0.1 >/dev/null 2>&1 || true # asks for a session
came_in() { [ "$(handshake "$new_public")" != 0 ]; }
wait_for 15 came_in || fail "a newcomer is still outside after 15 s of flood"
say "a newcomer came in after $((SECONDS - began)) s of flood"
kill $flooding
wait $flooding || true
at_most "memory grown, KB" 20000 $(($(memory) - resident))
check "the old session still works" pings 3 "$WAN" 192.168.1.2
