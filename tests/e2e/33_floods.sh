#!/usr/bin/env bash
# limit: 300 s
# An established TCP stream beside floods of four kinds, each against a neutral flood of the same rate and length that the
# port refuses before all else (another host's MAC address): generator, peers and gateway share the machine's cores, so
# only like is compared with like. Figures are medians over alternating phases of one stream; what the stream has
# without any flood is printed beside them.
#   FLOOD_ROUNDS  phases of each kind (3)    FLOOD_PPS  flood rate (a sixth of what the port carries, at most 20000)
#   FLOOD_KEEPS   least share of the goodput a kind must leave, in per cent (50 here, where other scenarios use the cores; see
#                 docs/security.md for the figures of longer runs)
source "$(dirname "$0")/lib.sh"
FLOOD=$(dirname "$LINEGATE")/tests/e2e/flood
[ -x "$FLOOD" ] || skip "no flood generator at $FLOOD: cmake --build --preset release --target e2e_tools"
ROUNDS=${FLOOD_ROUNDS:-3} KEEPS=${FLOOD_KEEPS:-50}
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

# ---- what the port carries: neutral frames as fast as they can be made
before=$(drops other_host)
eval "$(flood neutral 0 2 2>/dev/null)"
arrived=$(($(drops other_host) - before))
say "the port carries $((arrived / 2)) packets/s of $pps offered"
rate=${FLOOD_PPS:-$((arrived / 12 < 20000 ? arrived / 12 : 20000))}

# ---- the stream
ns "$LAN" iperf3 -s -1 >/dev/null 2>&1 &
wait_for 5 ns "$LAN" sh -c 'ss -ltn | grep -q :5201' || fail "no iperf3 server"
ns "$WAN" iperf3 -c 192.168.1.2 -t 280 >/dev/null 2>&1 &
stream=$!
received() { in_lan cat /sys/class/net/eth0/statistics/rx_bytes; }
# phase KIND: kbit/s of the stream beside that flood, into /run/KIND.kbps; alone: beside none.
phase() {
  local flooding='' from from_at
  if [ "$1" != alone ]; then
    rm -f /run/begun
    flood "$1" "$rate" 1.3 >>/run/sent 2>/run/begun &
    flooding=$!
    wait_for 25 grep -q begun /run/begun || fail "the flood of $1: $(cat /run/begun)"
  fi
  sleep 0.3
  from=$(received) from_at=${EPOCHREALTIME/./}
  sleep 0.8
  echo $((($(received) - from) * 8000 / (${EPOCHREALTIME/./} - from_at))) >>"/run/$1.kbps"
  [ -z "$flooding" ] || wait "$flooding" || fail "the flood of $1"
}
kinds="junk bad_mac1 mac1 mac2"
sleep 1
for ((round = 0; round < ROUNDS; ++round)); do
  phase alone
  for kind in $kinds; do phase neutral; phase "$kind"; done
done
median() { sort -n "/run/$1.kbps" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
kill -0 $stream || fail "the stream has broken off"
reference=$(median neutral) alone=$(median alone)
say "flood=neutral pps=$rate goodput_mbps=$((reference / 1000)) alone_mbps=$((alone / 1000)): of the stream alone the port's own work and the generator leave $((reference * 100 / alone)) %"
for kind in $kinds; do
  keeps=$(($(median "$kind") * 100 / reference))
  say "flood=$kind pps=$rate goodput_mbps=$(($(median "$kind") / 1000)) beside_neutral_mbps=$((reference / 1000)) keeps=$keeps % (of the stream alone $(($(median "$kind") * 100 / alone)) %)"
  [ "$keeps" -ge "$KEEPS" ] || fail "a flood of $kind leaves $keeps % of the goodput, at least $KEEPS wanted"
done
kill $stream
wait $stream || true
for counted in kBadMac1 kCookieReplySent kRateLimited; do
  [ "$(outcome $counted)" -gt 0 ] || fail "the floods caused no $counted: they were not what they claim"
done
say "cookie replies sent: $(outcome kCookieReplySent), rate limited: $(outcome kRateLimited), bad mac1: $(outcome kBadMac1)"

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
