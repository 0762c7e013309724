#!/usr/bin/env bash
# limit: 240 s
# `forwarding: flows` and Linux's helpers behind masquerade: a connection that a helper reads is never carried; the data
# connections that it finds are, with TFTP, IRC and SIP. FTP is in 49_flows_translation.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/flows_lib.sh"
flows_lab lan0 wan0 0.0.0.0/0
in_wan ip route add 192.168.1.0/24 dev "$LAB" 2>/dev/null || true
ip -n "$LAN" route del default
rules "Road warriors"
in_gw nft add rule inet gateway forward ct state related accept

# helper NAME TRANSPORT PORT: assigns it. False: this kernel has none of that name.
helper() {
  in_gw nft -f - <<NFT 2>/run/nft.err || return 1
table inet helpers
delete table inet helpers
table inet helpers {
  ct helper it { type "$1" protocol $2; }
  chain prerouting { type filter hook prerouting priority filter; $2 dport $3 ct helper set "it"; }
}
NFT
  sleep 0.3
}
is_helpers() { linegate show flows --json | grep -q '"reason":"helper"'; }
idle() {
  in_gw conntrack -F 2>/dev/null
  check "$1: nothing is carried afterwards" wait_for 3 carried_is 0
}

tried=0
for row in "ftp tcp 21" "irc tcp 6667" "sip tcp 5060" "sip udp 5060" "tftp udp 69" "amanda udp 10080" "sane tcp 6566" \
  "pptp tcp 1723" "netbios-ns udp 137"; do  # those of SNMP and H.323 drop what is none
  read -r name transport port <<<"$row"
  helper "$name" "$transport" "$port" || { say "no helper $name ($transport): $(head -1 /run/nft.err)"; continue; }
  if [ "$transport" = tcp ]; then
    start_echo "$LAN" "$port"
    talk "$WAN" 192.168.1.2 "$port"
    check "$name ($transport): is the helper's" wait_for 5 is_helpers
    say_to 20
    expect "$name: lines that came back" 20 "$(lines_back 20)"
    expect "$name: carried" 0 "$(carried)"
    hang_up
    kill "$ECHO"
    wait "$ECHO" 2>/dev/null || true
  else
    ip netns exec "$LAN" python3 "$TOOLS/udp_echo.py" "$port" >/run/udp_echo.out 2>&1 &
    ECHO=$!
    wait_for 5 grep -q listening /run/udp_echo.out || fail "no UDP echo"
    ip netns exec "$WAN" python3 "$TOOLS/udp_talk.py" 192.168.1.2 "$port" 4 >/run/udp.out &
    talker=$!
    check "$name ($transport): is the helper's" wait_for 5 is_helpers
    sleep 1
    expect "$name: carried" 0 "$(carried)"
    wait "$talker" || true  # SIP drops what is no SIP
    kill "$ECHO"
    wait "$ECHO" 2>/dev/null || true
  fi
  idle "$name"
  tried=$((tried + 1))
done
say "$tried helpers"

# data NAME TRANSPORT PORT: a transfer by that protocol; its data connection is carried.
data() {
  helper "$1" "$2" "$3" || { say "skipped: no helper $1"; return 0; }
  ip netns exec "$LAN" python3 "$TOOLS/helpers.py" serve "$1" >/run/served.out 2>&1 &
  local server=$! client before
  wait_for 10 grep -q listening /run/served.out || fail "no server of $1: $(cat /run/served.out)"
  before=$(worker flows_carried)
  ip netns exec "$WAN" python3 "$TOOLS/helpers.py" get "$1" 192.168.1.2 10.10.0.2 >/run/got.out 2>&1 &
  client=$!
  check "$1: the data connection is carried" wait_for 8 carried_is 1
  wait "$client" || fail "$1: $(cat /run/got.out /run/served.out)"
  say "$1: $(cat /run/got.out); $(tail -1 /run/served.out)"
  [ $(($(worker flows_carried) - before)) -ge 100 ] || fail "$1: workers carried $(($(worker flows_carried) - before)) packets"
  grep -q ' 192.168.1.1\b' /run/served.out || fail "$1: the server does not see the gateway: $(cat /run/served.out)"
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  idle "$1"
}
data tftp udp 69
data irc tcp 6667
data sip udp 5060
