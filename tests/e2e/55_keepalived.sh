#!/usr/bin/env bash
# keepalived on a port, with the virtual MAC address of VRRP (use_vmac): the virtual address answers by it, leads into the
# tunnel, goes with the carrier and comes back.
source "$(dirname "$0")/lib.sh"
command -v keepalived >/dev/null || skip "keepalived is not installed"
ip link add probe type veth peer name probe1
ip link add link probe name probe2 type macvlan 2>/dev/null || skip "this kernel has no macvlan"
ip link del probe
lab 'endpoint: "10.20.0.2:51821"'
cat >/run/keepalived.conf <<'CONF'
vrrp_instance inside {
  state MASTER
  interface lan
  use_vmac
  virtual_router_id 7
  priority 150
  advert_int 1
  virtual_ipaddress { 192.168.1.7/24 }
}
CONF
chmod 600 /run/keepalived.conf
ip netns exec "$GW" keepalived --dont-fork --log-console --vrrp -f /run/keepalived.conf -p /run/keepalived.pid -r /run/vrrp.pid >"$LAB_DIR/keepalived.log" 2>&1 &
keepalived=$!
has_address() { ip -n "$GW" -o addr show | grep -q ' 192\.168\.1\.7/24'; }
lacks_address() { ! has_address; }
check "in charge" wait_for 15 has_address
check "the virtual address answers" wait_for 5 pings 3 "$LAN" 192.168.1.7
by_virtual_mac() {
  ip -n "$LAN" neigh flush dev eth0
  pings 1 "$LAN" 192.168.1.7 && ip -n "$LAN" neigh show 192.168.1.7 | grep 00:00:5e:00:01:07
}
check "by the virtual MAC address" wait_for 15 by_virtual_mac
ip -n "$LAN" route replace 10.10.0.0/24 via 192.168.1.7
check "into the tunnel by way of it" pings 5 "$LAN" 10.10.0.2
check "and from the peer" pings 5 "$WAN" 192.168.1.2
ip -n "$LAN" link set eth0 down
check "without a carrier it gives up" wait_for 8 lacks_address
ip -n "$LAN" link set eth0 up
check "with the carrier it is in charge again" wait_for 15 has_address
ip -n "$LAN" route replace 10.10.0.0/24 via 192.168.1.7
check "into the tunnel again" wait_for 8 pings 3 "$LAN" 10.10.0.2
kill -TERM "$keepalived"
wait "$keepalived" || true
check "the address goes with keepalived" wait_for 5 lacks_address
check "the port's own stays" pings 3 "$LAN" 192.168.1.1
