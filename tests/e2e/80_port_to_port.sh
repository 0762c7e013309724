#!/usr/bin/env bash
# limit: 180 s
# Plain traffic between two ports. With `port_to_port` workers route it, and its ends notice no difference: TTL, MTU, a
# route that is withdrawn, a port that is down. It passes the firewall by, and the gateway says so. Without it Linux routes.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/flows_lib.sh" # counters, milliseconds
# between MODE: the configuration with `port_to_port: MODE`.
between() {
  WAN_PORT="device: \"linux:wire0\", addresses: [10.20.0.1/24, \"fd20::1/64\"], port_to_port: $1"
  LAN_PORT="device: \"linux:wire1\", addresses: [192.168.1.1/24, \"fd01::1/64\"], port_to_port: $1"
  lab_config
}
lab_namespaces
lab_keys
between true
start_gateway
ip -n "$WAN" route add 192.168.1.0/24 via 10.20.0.1
ip -n "$WAN" -6 route add fd01::/64 via fd20::1
forwarded6() { in_gw awk '$1 == "Ip6OutForwDatagrams" { print $2 }' /proc/net/snmp6; }
fragments() { in_gw awk '/^Ip: [0-9]/ { print $20 }' /proc/net/snmp; }
all_forwarded() { echo $(($(forwarded) + $(forwarded6))); }

# Both ways and both families. Linux sees what it needs to find the neighbours.
for far in 10.20.0.2 fd20::2; do check "a first ping to $far" wait_for 5 pings 3 "$LAN" $far; done
for near in 192.168.1.2 fd01::2; do check "and one to $near" wait_for 5 pings 3 "$WAN" $near; done
carried_before=$(worker port_to_port) linux_before=$(all_forwarded)
check "IPv4" pings 25 "$LAN" 10.20.0.2
check "IPv6" pings 25 "$WAN" fd01::2
expect "packets from port to port" 100 $(($(worker port_to_port) - carried_before))
expect "packets that Linux forwarded" 0 $(($(all_forwarded) - linux_before))

# TCP, with all that the kernel leaves to a device at its ends.
# copy FAMILY RECEIVER SENDER ADDRESS: what arrives is what was sent.
copy() {
  head -c 8000000 /dev/urandom >/run/sent
  ip netns exec "$2" timeout 20 nc "$1" -l 7000 >/run/got &
  local receiver=$!
  wait_for 5 ip netns exec "$2" sh -c 'ss -ltn | grep -q :7000'
  ip netns exec "$3" timeout 20 nc -N "$4" 7000 </run/sent
  wait "$receiver"
  cmp /run/sent /run/got
}
linux_before=$(all_forwarded)
check "8 MB by TCP over IPv4" copy -4 "$WAN" "$LAN" 10.20.0.2
check "8 MB by TCP over IPv6" copy -6 "$LAN" "$WAN" fd01::2
expect "packets of them that Linux forwarded" 0 $(($(all_forwarded) - linux_before))
with=$(IPERF_SECONDS=2 iperf_mbps "$LAN" 10.20.0.2 "$WAN")

# answer TEXT NS ADDRESS [options]: what a ping gets that does not arrive.
answer() {
  local text=$1 where=$2 address=$3
  shift 3
  grep -q "$text" <<<"$(ns "$where" ping -n -c 1 -W 2 "$@" "$address" 2>&1)"
}
check "its TTL ends here: Linux answers" answer 'From 192.168.1.1 .*Time to live exceeded' "$LAN" 10.20.0.2 -t 1
check "and over IPv6" answer 'From fd20::1 .*Time exceeded: Hop limit' "$WAN" fd01::2 -t 1
check "with one more it arrives" pings 1 "$LAN" 10.20.0.2 -t 2
ip -n "$GW" link set wan mtu 1400
sleep 0.3
cut_before=$(fragments)
check "too big, and may be cut: Linux cuts" pings 2 "$LAN" 10.20.0.2 -M dont -s 1400
expect "fragments" 4 $(($(fragments) - cut_before))
check "too big: Linux answers" answer 'From 192.168.1.1 .*mtu = 1400' "$LAN" 10.20.0.2 -M do -s 1400
check "too big over IPv6: Linux answers" answer 'From fd01::1 .*Packet too big: mtu=1400' "$LAN" fd20::2 -M do -s 1400
check "as large as the MTU" pings 2 "$LAN" 10.20.0.2 -M do -s 1372
ip -n "$GW" link set wan mtu 1500
ip -n "$LAN" route flush cache
ip -n "$LAN" -6 route flush cache

# A route comes and goes.
ip -n "$WAN" addr add 198.51.100.9/32 dev lo
ip -n "$GW" route add 198.51.100.0/24 via 10.20.0.2
check "a new route" wait_for 3 pings 1 "$LAN" 198.51.100.9
ip -n "$GW" route del 198.51.100.0/24
check "it is withdrawn: Linux answers" wait_for 3 answer 'Destination Net Unreachable' "$LAN" 198.51.100.9
ip -n "$GW" route add blackhole 198.51.100.0/24
sleep 0.3
before=$(drops blackhole)
refuse "a blackhole" pings 1 "$LAN" 198.51.100.9 -W 1
[ "$(drops blackhole)" -gt "$before" ] || fail "the blackhole is not counted"
ip -n "$GW" link set wan down
refuse "a port that is down" pings 1 "$LAN" 10.20.0.2 -W 1
ip -n "$GW" link set wan up
check "it is up again" wait_for 5 pings 1 "$LAN" 10.20.0.2

# explain agrees.
linegate explain packet lan 192.168.1.2 10.20.0.2 icmp >/run/told.txt || fail "$(cat /run/told.txt)"
grep -q 'it leaves by port wan on the short cut' /run/told.txt || fail "explain: $(cat /run/told.txt)"
say "explain tells so"

# A firewall in Linux does not see it, and the gateway says so.
if command -v nft >/dev/null && in_gw nft add table inet f; then
  in_gw nft 'add chain inet f c { type filter hook forward priority 0; policy drop; }'
  check "past a firewall" pings 3 "$LAN" 10.20.0.2
  check "which show says" wait_for 5 sh -c "ip netns exec $GW $LINEGATE --socket $SOCKET show | grep -q 'between ports with .port_to_port.'"
  in_gw "$LINEGATE" check "$LAB_DIR/gateway.yaml" 2>&1 | grep -q 'between ports with .port_to_port.' || fail "check does not say so"
  between false
  check "port_to_port: false" linegate reload
  refuse "not past a firewall" pings 1 "$LAN" 10.20.0.2 -W 1
  in_gw nft delete table inet f
  between true
  check "port_to_port: true" linegate reload
fi

# Live in both directions; without it Linux routes.
stream_start "$LAN" 10.20.0.2
between false
check "a reload with port_to_port: false" linegate reload
linux_before=$(all_forwarded)
check "pings meanwhile" pings 20 "$LAN" fd20::2
[ $(($(all_forwarded) - linux_before)) -ge 40 ] || fail "Linux forwarded $(($(all_forwarded) - linux_before)) packets"
carried_before=$(worker port_to_port)
check "pings through Linux" pings 5 "$LAN" 10.20.0.2
expect "packets from port to port" 0 $(($(worker port_to_port) - carried_before))
stream_stop "a stream over the reload"
without=$(IPERF_SECONDS=2 iperf_mbps "$LAN" 10.20.0.2 "$WAN")
echo "port_to_port_tcp mode=kernel mbps=$without"
echo "port_to_port_tcp mode=short_cut mbps=$with"
linegate explain packet lan 192.168.1.2 10.20.0.2 icmp >/run/told.txt || true
grep -q 'between two ports Linux forwards unless both have .port_to_port: true., and lan has not' /run/told.txt || fail "explain: $(cat /run/told.txt)"

# Contradictions have a place.
sed 's/port_to_port: false/port_to_port: true, forwarding: kernel/' "$LAB_DIR/gateway.yaml" >"$LAB_DIR/wrong.yaml"
refuse "port_to_port with forwarding: kernel" in_gw "$LINEGATE" check "$LAB_DIR/wrong.yaml"
grep -q "wrong.yaml:3:.*ports.wan.port_to_port: is true, but forwarding is 'kernel'" /run/check.out || fail "$(cat /run/check.out)"
