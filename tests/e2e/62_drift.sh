#!/usr/bin/env bash
# Linux stays as the file says, or the operator is told: a deleted route, a flushed address and what a link bounce takes
# along are put back; an MTU, a link that is down, sysctls and a wire with ARP are shown and put back by reload. Adding what is there and
# removing what is gone are no errors, and undoing takes back only what was done.
# limit: 180 s
source "$(dirname "$0")/lib.sh"
WAN_PORT='device: "linux:wire0", addresses: [10.20.0.1/24, "fd20::1/64"], gateway: [10.20.0.2, "fd20::2"]'
ALLOWED='10.10.0.2/32, 192.168.2.0/24, "fd00::2/128", "fd02::/64"'
lab
has() { ip -n "$GW" "${@:2}" | grep -qF "$1"; }
lacks() { ! has "$@"; }
site='192.168.2.0/24 dev wg0'
check "a tunnel" pings 3 "$WAN" 192.168.1.2
check "nothing to tell" sh -c "ip netns exec $GW $LINEGATE --socket $SOCKET diff | grep -q 'no difference'"

# What the trial of an operator did: the kernel flushes the routes with the last address.
linegate events >/run/events 2>/dev/null &
events=$!
ip -n "$GW" addr del 10.10.0.1/24 dev wg0
ip -n "$GW" addr add 10.10.0.1/24 dev wg0
has "$site" route show || linegate diff | grep -q 'route 192.168.2.0/24 is missing' || fail "diff does not tell of the lost route"
check "routes that went with an address" wait_for 5 has "$site" route show
ip -n "$GW" route del 192.168.2.0/24 dev wg0
linegate diff >/run/diff
grep -q 'interface wg0: route 192.168.2.0/24 is missing' /run/diff || has "$site" route show || fail "diff: $(cat /run/diff)"
check "a deleted route" wait_for 5 has "$site" route show
ip -n "$GW" -6 route del fd02::/64 dev wg0
check "a deleted route of IPv6" wait_for 5 has 'fd02::/64 dev wg0' -6 route show
ip -n "$GW" route del unreachable 192.168.2.0/24
check "a deleted unreachable route" wait_for 5 has 'unreachable 192.168.2.0/24' route show
ip -n "$GW" addr flush dev wg0
check "flushed addresses" wait_for 6 has 10.10.0.1/24 addr show dev wg0
check "and the routes" wait_for 5 has "$site" route show
check "of IPv6" wait_for 5 has fd00::1/64 addr show dev wg0
ip -n "$GW" addr del 192.168.1.1/24 dev lan
check "an address of a port" wait_for 6 has 192.168.1.1/24 addr show dev lan
ip -n "$GW" route del default
check "a deleted default route" wait_for 6 has 'default via 10.20.0.2 dev wan' route show
ip -n "$GW" link set wan down
ip -n "$GW" link set wan up
check "the default route after a link bounce" wait_for 6 has 'default via 10.20.0.2 dev wan' route show
check "of IPv6" wait_for 6 has 'default via fd20::2 dev wan' -6 route show
check "the IPv6 address" wait_for 6 has fd20::1/64 addr show dev wan
check "the event" wait_for 6 grep -q put_back /run/events
kill $events
linegate show --json >/run/show
put_back=$(python3 -c 'import json; d = json.load(open("/run/show")); d = d.get("gateway", d); print(d["put_back"])')
[ "$put_back" -ge 7 ] || fail "only $put_back things are counted as put back"
check "the tunnel" wait_for 5 pings 3 "$WAN" 192.168.1.2

# What an operator has set otherwise.
ip -n "$GW" link set wg0 mtu 1300
ip -n "$GW" link set lan down
told() { linegate show | grep -q "drift.*$1"; }
check "show tells of the MTU" wait_for 5 told 'interface wg0: MTU 1300 instead of 1420'
check "and of a port that is down" wait_for 5 told 'port lan: down instead of up'
in_gw sysctl -qw net.ipv4.conf.wg0.forwarding=0
sleep 0.5
linegate diff >/run/diff
for text in 'MTU 1300 instead of 1420' 'port lan: down instead of up' 'wg0.forwarding is 0 instead of 1'; do
  grep -q "$text" /run/diff || fail "diff lacks '$text': $(cat /run/diff)"
done
say "diff tells of all three"
# Sysctls that the gateway has set on a link, on a wire and for the machine; one is of an operator, and stays.
in_gw sysctl -qw net.ipv4.conf.wan.rp_filter=2 net.ipv4.conf.wg0.accept_local=0 net.ipv6.conf.lan.keep_addr_on_down=0 \
  net.ipv6.conf.wire0.disable_ipv6=0 net.ipv6.conf.all.forwarding=0 net.ipv4.ip_forward=0
in_gw sysctl -qw net.ipv4.conf.lo.forwarding=0
ip -n "$GW" link set wire1 arp on
for text in 'port wan: net.ipv4.conf.wan.rp_filter is 2 instead of 0' 'wg0.accept_local is 0 instead of 1' \
  'lan.keep_addr_on_down is 0 instead of 1' 'wire0.disable_ipv6 is 0 instead of 1' \
  'machine: net.ipv6.conf.all.forwarding is 0 instead of 1' 'machine: net.ipv4.ip_forward is 0 instead of 1' \
  'its wire wire1 answers ARP requests by itself'; do
  check "show tells: $text" wait_for 5 told "$text"
done
drifts() { linegate show --json | python3 -c 'import json, sys; d = json.load(sys.stdin); print(len(d.get("gateway", d)["drift"]))'; }
[ "$(drifts)" -ge 9 ] || fail "show counts $(drifts) differences"
check "reload" linegate reload
check "the MTU" has 'mtu 1420' link show dev wg0
check "up" lacks 'state DOWN' link show dev lan
expect "forwarding" 1 "$(in_gw sysctl -n net.ipv4.conf.wg0.forwarding)"
expect "the other sysctls" "0 1 1 1 1 1 0 " "$(in_gw sysctl -n net.ipv4.conf.wan.rp_filter net.ipv4.conf.wg0.accept_local \
  net.ipv6.conf.lan.keep_addr_on_down net.ipv6.conf.wire0.disable_ipv6 net.ipv6.conf.all.forwarding net.ipv4.ip_forward \
  net.ipv4.conf.lo.forwarding | tr '\n' ' ')"
check "the wire is a wire again" has NOARP link show dev wire1
ip -n "$GW" link set wg0 down
sleep 0.3
check "reload puts an interface up" linegate reload
check "the tunnel" wait_for 8 pings 1 "$LAN" 10.10.0.2 -W 1
quiet() { linegate diff | grep -q 'no difference'; }
check "no drift is left" wait_for 5 quiet

# By hand first, then by the file: no errors.
config() { WAN_PORT="device: \"linux:wire0\", addresses: [10.20.0.1/24, \"fd20::1/64\"$1], gateway: [10.20.0.2, \"fd20::2\"]" \
  ADDRESSES="10.10.0.1/24, \"fd00::1/64\"$2" lab_config; }
ip -n "$GW" addr add 10.20.9.1/24 dev wan
ip -n "$GW" addr add fd00:9::1/64 dev wg0
config ', 10.20.9.1/24' ', "fd00:9::1/64"'
check "addresses that are there already" linegate reload
ip -n "$GW" addr del 10.20.9.1/24 dev wan
ip -n "$GW" addr del fd00:9::1/64 dev wg0
config '' ''
check "addresses that are gone already" linegate reload
check "gone" lacks 10.20.9.1 addr show dev wan
# A reload that is refused takes back what it did, and not what the operator had done.
ip -n "$GW" addr add 10.20.9.1/24 dev wan
in_gw nc -u -l -p 51777 >/dev/null 2>&1 &
sleep 0.3
config ', 10.20.9.1/24, 10.20.8.1/24' ', 10.10.0.1/32'
sed -i 's/listen_port: 51820/listen_port: 51777/' "$LAB_DIR/gateway.yaml"
refuse "a listen port that is taken" linegate reload
check "the operator's address stays" has 10.20.9.1/24 addr show dev wan
check "the other is not there" lacks 10.20.8.1 addr show dev wan
