#!/usr/bin/env bash
# Several next hops: each flow takes the one that Linux's hash takes, and keeps it. By addresses and by ports, with
# weights, groups of nexthop objects, members that are down or without a carrier; inner packets of both families, and
# sealed packets over two WANs.
# limit: 180 s
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
veth_pair "$GW" wire2 "$LAN" eth2
veth_pair "$GW" wire3 "$WAN" eth3
ip -n "$WAN" addr add 10.30.0.2/24 dev eth3
LAN_PORT='device: "linux:wire1", addresses: [192.168.1.1/24, "fd01::1/64"] }
  dmz: { device: "linux:wire2", addresses: [192.168.2.1/24, "fd02::1/64"] }
  wan2: { device: "linux:wire3", addresses: [10.30.0.1/24]'
lab_config
start_gateway
start_peer
in_wan wg set "$LAB" peer "$GW_PUBLIC" allowed-ips 10.10.0.0/24,192.168.0.0/16,172.16.0.0/16,fd00::/64,fd01::/64,fd10::/64
ip -n "$WAN" route add 172.16.0.0/16 dev "$LAB"
ip -n "$WAN" -6 route add fd10::/64 dev "$LAB"
in_wan sysctl -qw net.ipv6.auto_flowlabels=0  # a label counts in the hash, and `ip route get` cannot name one
# Hosts that only their MAC addresses tell apart.
hops4=192.168.1.11=02:00:00:00:01:11,192.168.1.12=02:00:00:00:01:12,192.168.2.11=02:00:00:00:02:11
hops6=fd01::11=02:00:00:00:06:11,fd01::12=02:00:00:00:06:12,fd02::11=02:00:00:00:06:13
hosts() {
  for hop in ${hops4//,/ } ${hops6//,/ }; do
    case $hop in 192.168.1.* | fd01*) link=lan ;; *) link=dmz ;; esac
    ip -n "$GW" neigh replace "${hop%%=*}" lladdr "${hop#*=}" dev $link nud permanent
  done
}
hosts
check "a tunnel" wait_for 5 pings 2 "$WAN" 192.168.1.2

taken=/run/taken
listen() { # NS PORT IFACE...
  ns "$1" python3 "$TOOLS/multipath.py" listen $taken "${@:2}" >/run/listening 2>&1 &
  listener=$!
  wait_for 20 grep -q listening /run/listening || fail "$(cat /run/listening)"
}
# inner WHAT PREFIX FLOWS HOPS: `used` is then how many flows each next hop got.
inner() {
  : >$taken
  in_wan python3 "$TOOLS/multipath.py" send "$([ "$2" = fd10::/64 ] && echo fd00::2 || echo 10.10.0.2)" "$2" "$3"
  arrived() { [ "$(cut -d' ' -f3 $taken | sort -u | wc -l)" = "$1" ]; }
  wait_for 15 arrived "$3" || fail "$1: $(cut -d' ' -f3 $taken | sort -u | wc -l) of $3 flows arrived"
  sleep 0.3
  compare "$1" wg0 "$4"
}
compare() {
  used=$(in_gw python3 "$TOOLS/multipath.py" compare $taken "$2" "$3" 2>/run/compare) || fail "$1: $(tail -1 /run/compare)"
  say "$1: $used"
}
flows_of() { grep -o "$1=[0-9]*" <<<"$used" | cut -d= -f2; }
policy() { in_gw sysctl -qw net.ipv4.fib_multipath_hash_policy="$1" net.ipv6.fib_multipath_hash_policy="$1"; }
short_cut() { linegate show workers --json | python3 -c 'import json, sys; print(sum(w["short_cut_to_port"] for w in json.load(sys.stdin)["workers"]))'; }

listen "$LAN" 7777 eth0 eth2
route4() { ip -n "$GW" route replace 172.16.0.0/16 "$@"; }
three=(nexthop via 192.168.1.11 dev lan weight 1 nexthop via 192.168.1.12 dev lan weight 5 nexthop via 192.168.2.11 dev dmz weight 2)
route4 "${three[@]}"
ip -n "$GW" -6 route replace fd10::/64 nexthop via fd01::11 dev lan weight 1 nexthop via fd01::12 dev lan weight 5 \
  nexthop via fd02::11 dev dmz weight 2
for policy in 0 1; do
  policy $policy
  inner "policy $policy, weights 1, 5, 2" 172.16.0.0/16 160 $hops4
  for hop in 192.168.1.11 192.168.1.12 192.168.2.11; do
    [ "$(flows_of $hop)" -gt 0 ] || fail "policy $policy: nothing by $hop"
  done
  [ "$(flows_of 192.168.1.12)" -gt "$(flows_of 192.168.1.11)" ] || fail "policy $policy: weights do not count"
  inner "policy $policy, IPv6" fd10::/64 160 $hops6
  [ "$(flows_of fd01::12)" -gt "$(flows_of fd01::11)" ] || fail "policy $policy, IPv6: weights do not count"
done

# A member that is down, then one without a carrier, which counts by a sysctl of Linux.
ip -n "$GW" link set dmz down
inner "a member is down" 172.16.0.0/16 80 $hops4
expect "by the member that is down" 0 "$(flows_of 192.168.2.11)"
ip -n "$GW" link set dmz up
hosts
route4 "${three[@]}"
in_gw sysctl -qw net.ipv4.conf.dmz.ignore_routes_with_linkdown=1
ip -n "$LAN" link set eth2 down
check "no carrier" wait_for 5 sh -c "ip -n $GW route show 172.16.0.0/16 | grep -q 'dmz.*linkdown'"
inner "a member without a carrier" 172.16.0.0/16 80 $hops4
expect "by the member without a carrier" 0 "$(flows_of 192.168.2.11)"
ip -n "$LAN" link set eth2 up
check "the carrier again" wait_for 5 sh -c "! ip -n $GW route show 172.16.0.0/16 | grep -q linkdown"
inner "all members again" 172.16.0.0/16 160 $hops4
[ "$(flows_of 192.168.2.11)" -gt 0 ] || fail "nothing by the member that came back"

# A group of nexthop objects, and what is left of it when a member goes.
ip -n "$GW" nexthop add id 1 via 192.168.1.11 dev lan
ip -n "$GW" nexthop add id 2 via 192.168.1.12 dev lan
ip -n "$GW" nexthop add id 3 via 192.168.2.11 dev dmz
ip -n "$GW" nexthop add id 9 group 1,2/2,5/3,1
route4 nhid 9
inner "a group" 172.16.0.0/16 160 $hops4
ip -n "$GW" nexthop del id 2
inner "a group without one of its members" 172.16.0.0/16 80 $hops4
expect "by the member that has gone" 0 "$(flows_of 192.168.1.12)"
ip -n "$GW" nexthop del id 3
before=$(short_cut)
inner "a group of one" 172.16.0.0/16 80 $hops4
[ "$(short_cut)" -ge $((before + 80)) ] || fail "a group of one member does not take the short cut"
kill $listener

# Sealed packets to a peer whose address is behind two WANs. The source is ours of the moment, so it is asked with it.
for last in 1 2 3 4 5 6; do ip -n "$WAN" addr add 10.50.0.$last/32 dev lo; done
in_wan sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.eth3.rp_filter=0
outer_hops="10.20.0.2=$(in_wan cat /sys/class/net/eth0/address),10.30.0.2=$(in_wan cat /sys/class/net/eth3/address)"
ip -n "$GW" route add 10.50.0.0/16 nexthop via 10.20.0.2 dev wan weight 1 nexthop via 10.30.0.2 dev wan2 weight 2
listen "$WAN" 51821 eth0 eth3
for policy in 0 1; do
  policy $policy
  : >$taken
  for last in 1 2 3 4 5 6; do
    in_gw wg set wg0 peer "$PEER_PUBLIC" endpoint 10.50.0.$last:51821
    check "by 10.50.0.$last" wait_for 8 pings 5 "$LAN" 10.10.0.2
  done
  compare "sealed packets, policy $policy" - "$outer_hops"
done
