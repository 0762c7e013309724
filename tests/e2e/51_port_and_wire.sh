#!/usr/bin/env bash
# What Linux knows of a port's wire (carrier, MTU), which MAC addresses a port listens to, and what it tells its hosts.
source "$(dirname "$0")/lib.sh"
lab
carrier_is() { [ "$(in_gw cat /sys/class/net/lan/carrier)" = "$1" ]; }
shows() { linegate show | grep -q "$1"; }
logged() { grep -q "$1" "$LAB_DIR/gateway.log"; }
check "both ways" pings 3 "$WAN" 192.168.1.2

ip -n "$LAN" link set eth0 down
check "Linux sees the carrier go" wait_for 5 carrier_is 0
check "the log says so" wait_for 3 logged 'port lan: the carrier is lost'
check "show says so" wait_for 3 shows 'port lan: no carrier'
ip -n "$LAN" link set eth0 up
check "Linux sees the carrier again" wait_for 5 carrier_is 1
check "and the speed of the wire, not that of a TAP" wait_for 5 ns "$GW" sh -c '[ "$(cat /sys/class/net/lan/speed)" = 10000 ]'
check "the log says so" wait_for 3 logged 'port lan: the carrier is back'
ip -n "$LAN" addr add fd01::2/64 dev eth0 nodad 2>/dev/null || true
ip -n "$LAN" route replace default via 192.168.1.1
check "both ways again" wait_for 5 pings 3 "$WAN" 192.168.1.2

# Another MAC address: the port follows, and the host behind it is told.
ns "$LAN" timeout 6 tcpdump -l -n -e -i eth0 'arp or icmp6' >/run/told 2>/dev/null &
sleep 1
ip -n "$GW" link set lan address 02:00:00:00:00:99
announced() { grep -q "02:00:00:00:00:99 > ff:ff:ff:ff:ff:ff.*who-has 192.168.1.1 .*tell 192.168.1.1" /run/told && grep -q "advertisement, tgt is fd01::1" /run/told; }
check "gratuitous ARP and an unsolicited neighbour advertisement" wait_for 5 announced
check "from the LAN with the new address" pings 3 "$LAN" 10.10.0.2
check "from the peer" pings 3 "$WAN" 192.168.1.2

# A second MAC address on the port, as VRRP makes it, and one that no host has.
if in_gw ip link add vrrp link lan address 00:00:5e:00:01:07 type macvlan mode bridge 2>/dev/null; then
  in_gw sysctl -qw net.ipv4.conf.lan.arp_ignore=1  # otherwise lan answers for the addresses of others too
  in_gw ip addr add 192.168.1.7/32 dev vrrp
  in_gw ip link set vrrp up
  check "the virtual address answers" wait_for 5 pings 2 "$LAN" 192.168.1.7
  ip -n "$LAN" route replace 10.10.0.0/24 via 192.168.1.7
  check "into the tunnel by way of it" pings 2 "$LAN" 10.10.0.2
  check "the host's way leads to the virtual MAC address" ns "$LAN" sh -c "ip neigh show 192.168.1.7 | grep 00:00:5e:00:01:07"
else
  say "this kernel has no macvlan"
fi
before=$(drops other_host)
ip -n "$LAN" neigh replace 192.168.1.9 lladdr 02:00:00:00:00:98 dev eth0 nud permanent
no_ping "$LAN" 192.168.1.9
[ "$(drops other_host)" -gt "$before" ] || fail "frames for an unknown MAC address are not other_host"

# The wire's MTU is smaller than the port's: it is in force, and a packet too large is answered.
in_gw ip link set wire1 mtu 1300
mtu_is() { [ "$(in_gw cat /sys/class/net/lan/mtu)" = "$1" ]; }
check "the smaller MTU" wait_for 5 mtu_is 1300
check "show says so" wait_for 3 shows 'wire1 has an MTU of 1300'
ns "$WAN" ping -n -c 2 -s 1350 -M do -W 1 192.168.1.2 >/run/big 2>&1 || true
grep -qiE 'frag|mtu' /run/big || fail "a packet too large for the wire is not answered: $(cat /run/big)"
in_gw ip link set wire1 mtu 1500
check "the port's own MTU again" wait_for 5 mtu_is 1500

# The MTU for IPv6 alone, as a router advertisement or a sysctl sets it.
ip -n "$LAN" -6 route replace default via fd01::1
large() { ns "$WAN" ping -n -c 1 -s 1350 -M do -W 1 fd01::2 2>&1; }
check "a large IPv6 packet" wait_for 5 large
in_gw sysctl -qw net.ipv6.conf.lan.mtu=1300
told_mtu() {
  large >/run/large || true
  grep -qi 'mtu.*1300' /run/large
}
check "is too big for the IPv6 MTU" wait_for 5 told_mtu
in_gw sysctl -qw net.ipv6.conf.lan.mtu=1500
in_wan ip -6 route flush cache
check "and passes again" wait_for 5 large
