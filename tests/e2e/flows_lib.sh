# Sourced by the scenarios of `forwarding: flows`, after lib.sh.

# flows_lab NAME_OF_WAN NAME_OF_LAN [ALLOWED of the gateway at the peer]: the lab with all sides in flows, and ports named
# as the rules of docs/firewall.md want them.
flows_lab() {
  command -v nft >/dev/null && command -v conntrack >/dev/null || skip "needs nft and conntrack"
  lab_namespaces
  lab_keys
  flows_config "$1" "$2" flows
  start_gateway
  start_peer
  [ -z "${3:-}" ] || in_wan wg set "$LAB" peer "$GW_PUBLIC" allowed-ips "$3,fd00::/64,fd01::/64"
  check "the tunnel" wait_for 10 pings 1 "$WAN" 10.10.0.1
}
# flows_config NAME_OF_WAN NAME_OF_LAN MODE
flows_config() {
  WG0="forwarding: $3"
  WAN_PORT="device: \"linux:wire0\", addresses: [10.20.0.1/24, \"fd20::1/64\"], forwarding: $3"
  LAN_PORT="device: \"linux:wire1\", addresses: [192.168.1.1/24, \"fd01::1/64\"], forwarding: $3"
  lab_config
  sed -i "s/^  wan:/  $1:/; s/^  lan:/  $2:/" "$LAB_DIR/gateway.yaml"
}

# rules HEADING: loads the rules below that heading of docs/firewall.md.
rules() {
  awk -v heading="## $1" '$0 == heading { found = 1 } found && /^```$/ && inside { exit } inside { print }
    found && /^```nft$/ { inside = 1 }' "$ROOT/docs/firewall.md" >/run/rules.nft
  grep -q 'hook forward' /run/rules.nft || fail "docs/firewall.md has no rules below $1"
  in_gw nft -f /run/rules.nft || fail "rules of $1"
  sleep 0.3  # the change of rules is followed
}

now_ms() { date +%s%3N; }
# wait_ms MILLISECONDS COMMAND...
wait_ms() {
  local end=$(($(now_ms) + $1))
  shift
  until "$@"; do [ "$(now_ms)" -lt "$end" ] || return 1; done
}
# The gateway's own count, without the time that the command line takes to start.
carried() { in_gw python3 "$TOOLS/flows.py" "$SOCKET" carried; }
carried_is() { [ "$(carried)" = "$1" ]; }
worker() { linegate show workers --json | python3 -c 'import json, sys
print(sum(w[sys.argv[1]] for w in json.load(sys.stdin)["workers"]))' "$1"; }
forwarded() { in_gw awk '/^Ip: [0-9]/ { print $7 }' /proc/net/snmp; }

# A server that sends every line back, and tells who has connected; a client that stays.
start_echo() {
  ip netns exec "$1" python3 "$TOOLS/line_echo.py" "$2" >/run/echo.out 2>&1 &
  ECHO=$!
  wait_for 5 grep -q listening /run/echo.out || fail "no echo at $2"
}
peer_of_echo() { awk '/^from/ { last = $2 } END { print last }' /run/echo.out; }
reach() { ip netns exec "$1" nc -z -w 1 "$2" "$3"; }
talk() {
  rm -f /run/talk.in
  mkfifo /run/talk.in
  ip netns exec "$1" nc "$2" "$3" </run/talk.in >/run/talk.out 2>/run/talk.err &
  TALK=$!
  exec 9>/run/talk.in
  (trap '' PIPE; say_to 5) 2>/dev/null || true # a program that has ended says why
  wait_for 10 grep -q line /run/talk.out || fail "no connection from $1 to $2:$3: $(cat /run/talk.err)"
  wait_ms 2000 has_lines 5 || true
  : >/run/talk.out
}
say_to() {
  for ((i = 0; i < $1; ++i)); do
    echo "line $i" >&9
    sleep 0.002
  done
}
has_lines() { [ "$(grep -c line /run/talk.out)" -ge "$1" ]; }
# lines_back COUNT [MILLISECONDS to wait for them]
lines_back() {
  wait_ms "${2:-3000}" has_lines "$1" || true
  grep -c line /run/talk.out || true
  : >/run/talk.out
}
hang_up() {
  exec 9>&-
  sleep 0.3
  kill "$TALK" 2>/dev/null || true
  wait "$TALK" 2>/dev/null || true
}
