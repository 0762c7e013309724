#!/usr/bin/env bash
# limit: 300 s
# `forwarding: flows` with what translation knows beside masquerade: prefixes of IPv6, hairpin NAT, ICMP errors about
# translated packets in both directions, fragments, packets from the wrong side, the FTP helper.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/flows_lib.sh"

# The peer comes in by lan0; outside, at wan0, is a host that has no way back to the peer's address. There, by another
# tunnel, is another peer of the same interface.
mkdir -p "$LAB_DIR"
other=$(new_key other)
PEERS="- { name: other, public_key: \"$other\", allowed_ips: [10.10.0.3/32] }"
flows_lab lan0 wan0 0.0.0.0/0
ip -n "$WAN" route add 192.168.1.0/24 dev "$LAB" 2>/dev/null || true
ip -n "$LAN" addr add 192.168.1.3/24 dev eth0
wireguard_go "$LAN" e2el
ns "$LAN" wg set e2el private-key "$LAB_DIR/other.key" listen-port 51822 peer "$GW_PUBLIC" \
  endpoint 192.168.1.1:51820 allowed-ips 10.10.0.0/24 persistent-keepalive 1
ip -n "$LAN" addr add 10.10.0.3/32 dev e2el
ip -n "$LAN" link set e2el mtu 1420 up
ip -n "$LAN" route add 10.10.0.1/32 dev e2el src 10.10.0.3
linegate events >/run/events 2>/dev/null &
subscribed() { linegate reload >/dev/null && grep -q config_applied /run/events; }
wait_for 20 subscribed || fail "no events"
in_gw nft -f - <<'NFT' || fail "rules"
table inet gateway {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    ip daddr { 192.168.1.1, 10.20.0.1 } tcp dport 8080 dnat ip to 192.168.1.3:80
    ip daddr 192.168.1.1 tcp dport 8081 dnat ip to 10.10.0.3:81
    iifname "wan0" udp dport 8053 dnat ip to 10.10.0.2:53
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established ct mark set ct mark or 0x40000000
    ct state established,related accept
    ct status dnat accept
    iifname "wg0" oifname "wan0" accept
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "wan0" ip saddr 10.10.0.0/24 masquerade
    iifname "wan0" oifname "wan0" ct status dnat masquerade
    iifname "wg0" oifname "wg0" ct status dnat masquerade
  }
}
NFT
check "a change of rules is an event" wait_for 5 grep -q flows_returned /run/events
check "the other peer" wait_for 10 pings 1 "$LAN" 10.10.0.1

# exchange WHAT LINES: that many lines and answers go through the workers. A late event of nftables may hand a connection
# back for a moment, so that a few go through Linux.
exchange() {
  local before
  before=$(worker flows_carried)
  say_to "$2"
  expect "$1: lines that came back" "$2" "$(lines_back "$2")"
  before=$(($(worker flows_carried) - before))
  [ "$before" -ge $(($2 * 9 / 5)) ] || fail "$1: workers carried $before packets"
}
# closes WHAT PORT: FIN hands the connection back, and connection tracking sees its end.
closes() {
  hang_up
  check "$1: FIN hands it back" wait_for 3 carried_is 0
  in_gw conntrack -L -p tcp --orig-port-dst "$2" ${3:-} 2>/dev/null | grep -qE 'TIME_WAIT|CLOSE|LAST_ACK' ||
    fail "$1: Linux missed the end: $(in_gw conntrack -L ${3:-} 2>/dev/null)"
}
stop_echo() {
  kill "$ECHO"
  wait "$ECHO" 2>/dev/null || true
}

say "hairpin NAT"
start_echo "$LAN" 80
talk "$WAN" 192.168.1.1 8080
check "the public address, from a peer to a host: carried" wait_for 5 carried_is 1
exchange "peer to host" 100
closes "peer to host" 8080
talk "$LAN" 10.20.0.1 8080
check "the public address, back out of the port by which it came: carried" wait_for 5 carried_is 1
exchange "host to host" 100
expect "the host sees the gateway" 192.168.1.1 "$(peer_of_echo)"
closes "host to host" 8080
stop_echo
start_echo "$LAN" 81
talk "$WAN" 192.168.1.1 8081
check "the public address, from a peer to a peer of the same interface: carried" wait_for 5 carried_is 1
exchange "peer to peer" 100
expect "the other peer sees the gateway" 10.10.0.1 "$(peer_of_echo)"
closes "peer to peer" 8081
stop_echo

say "ICMP errors about translated packets, and fragments"
# udp_echo NS PORT, udp_talk NS ADDRESS PORT: tell NAME sends a word to it, hears waits for what it says.
udp_echo() {
  ip netns exec "$1" python3 "$TOOLS/udp_echo.py" "$2" >/run/udp_echo.out 2>&1 &
  ECHO=$!
  wait_for 5 grep -q listening /run/udp_echo.out || fail "no UDP echo at $2"
}
udp_talk() {
  rm -f /run/udp.in
  mkfifo /run/udp.in
  ip netns exec "$1" python3 "$TOOLS/udp_errors.py" "$2" "$3" </run/udp.in >/run/udp.out 2>&1 &
  UDP=$!
  exec 8>/run/udp.in
  wait_for 5 grep -q answered /run/udp.out || fail "no answer from $2:$3: $(cat /run/udp.out)"
}
tell() { echo "$1" >&8; }
hears() { wait_for 5 grep -qx "$1" /run/udp.out || fail "wanted '$1', got: $(sort -u /run/udp.out)"; say "$1"; }
udp_end() {
  exec 8>&-
  wait "$UDP" || fail "udp_errors.py: $(tail -3 /run/udp.out)"
  in_gw conntrack -D -p udp >/dev/null 2>&1 || true
  check "and is gone" wait_for 3 carried_is 0
}

udp_echo "$LAN" 7001
udp_talk "$WAN" 192.168.1.2 7001
check "UDP behind masquerade: carried" wait_for 5 carried_is 1
tell ttl
hears "EHOSTUNREACH from 10.10.0.1 about 192.168.1.2:7001"
tell large
hears "large came back"
fragmented=$(worker flows_carried)
sleep 0.5
expect "still carried after fragments" 1 "$(carried)"
[ "$(worker flows_carried)" -gt $((fragmented + 20)) ] || fail "workers carry nothing after fragments"
stop_echo
hears "ECONNREFUSED from 192.168.1.2 about 192.168.1.2:7001"
udp_end

# From outside through a port forward: errors come from the peer, and from the gateway about the way into the tunnel.
udp_echo "$WAN" 53
udp_talk "$LAN" 192.168.1.1 8053
check "UDP through a port forward: carried" wait_for 5 carried_is 1
tell ttl
hears "EHOSTUNREACH from 192.168.1.1 about 192.168.1.1:8053"
tell big
hears "EMSGSIZE from 192.168.1.1 about 192.168.1.1:8053 mtu 1420"
tell large
hears "large came back"
expect "still carried" 1 "$(carried)"
stop_echo
hears "ECONNREFUSED from 192.168.1.1 about 192.168.1.1:8053"
udp_end

say "packets of a translated connection from the wrong side"
start_echo "$LAN" 7000
talk "$WAN" 192.168.1.2 7000
check "carried" wait_for 5 carried_is 1
port=$(in_gw conntrack -L -p tcp --orig-port-dst 7000 --state ESTABLISHED 2>/dev/null | grep -o 'sport=[0-9]*' | sed -n 1p | cut -d= -f2)
back=$(in_gw conntrack -L -p tcp --orig-port-dst 7000 --state ESTABLISHED 2>/dev/null | grep -o 'dport=[0-9]*' | sed -n 2p | cut -d= -f2)
mac=$(in_gw cat /sys/class/net/lan0/address)
wrong_way_is() { [ "$(worker flows_wrong_way)" = "$1" ]; }
in_wan python3 "$TOOLS/forged_ack.py" eth0 "$mac" 10.10.0.2 "$port" 192.168.1.2 7000
check "as its sender, from another port: not carried" wait_for 3 wrong_way_is 1
in_wan python3 "$TOOLS/forged_ack.py" eth0 "$mac" 192.168.1.2 7000 192.168.1.1 "$back"
check "as its receiver, from another port: not carried" wait_for 3 wrong_way_is 2
exchange "the connection goes on" 50
linegate explain packet wg0 10.10.0.2 192.168.1.2 tcp 7000 --source-port "$port" >/run/explained
grep -q 'workers carry it' /run/explained || fail "explain: $(cat /run/explained)"
say "explain packet: workers carry it"
closes "masquerade" 7000
stop_echo

say "prefix translation of IPv6 (NPT, NAT66)"
if in_gw nft -f - <<'NFT'; then
table ip6 npt {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname "wan0" dnat prefix to ip6 daddr map { fd77:0:0:77::/64 : fd00::/64 }
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "wan0" snat prefix to ip6 saddr map { fd00::/64 : fd77:0:0:77::/64 }
  }
}
NFT
  sleep 0.3
  start_echo "$LAN" 7000
  talk "$WAN" fd01::2 7000
  check "from inside: carried" wait_for 5 carried_is 1
  exchange "from inside" 100
  expect "and leaves with the other prefix" fd77:0:0:77::2 "$(peer_of_echo)"
  closes "from inside" 7000 "-f ipv6"
  stop_echo
  start_echo "$WAN" 7000
  talk "$LAN" fd77:0:0:77::2 7000
  check "from outside: carried" wait_for 5 carried_is 1
  exchange "from outside" 100
  closes "from outside" 7000 "-f ipv6"
  stop_echo
else
  say "skipped: this kernel or nft has no prefix translation"
fi

say "the FTP helper"
if in_gw nft -f - <<'NFT'; then
table inet ftp {
  ct helper ftp { type "ftp" protocol tcp; }
  chain prerouting { type filter hook prerouting priority filter; tcp dport 21 ct helper set "ftp"; }
}
NFT
  sleep 0.3
  in_lan python3 "$TOOLS/ftp.py" serve >/run/ftp.out 2>&1 &
  wait_for 5 grep -q listening /run/ftp.out || fail "no FTP server"
  before=$(worker flows_carried)
  in_wan python3 "$TOOLS/ftp.py" get 192.168.1.2 >/run/ftp_get.out 2>&1 &
  client=$!
  check "the data connection, which the server opens: carried" wait_for 5 carried_is 1
  linegate show flows --json | grep -q '"reason":"helper"' || fail "the control connection: $(linegate show flows)"
  say "the control connection is Linux's"
  linegate explain packet wg0 10.10.0.2 192.168.1.2 tcp 21 >/run/explained || true
  grep -q 'a helper reads its packets' /run/explained || fail "explain: $(cat /run/explained)"
  say "explain packet: a helper reads its packets"
  wait "$client" || fail "FTP: $(cat /run/ftp_get.out /run/ftp.out)"
  say "FTP: $(cat /run/ftp_get.out)"
  [ $(($(worker flows_carried) - before)) -ge 300 ] || fail "workers carried $(($(worker flows_carried) - before)) packets of it"
  expect "PORT names the gateway" "PORT 192.168.1.1" "$(grep PORT /run/ftp.out)"
else
  say "skipped: this kernel has no FTP helper"
fi
