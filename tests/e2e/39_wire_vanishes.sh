#!/usr/bin/env bash
# The netdev under a port is unplugged and returns with another index; a port's own TAP is deleted. The gateway reports
# it and recreates the port.
source "$(dirname "$0")/lib.sh"
lab
check "a tunnel" pings 3 "$WAN" 192.168.1.2
link_of() { linegate show ports | awk -v p="$1" '$1 == p { print $2 }'; }
down() { [ "$(link_of "$1")" = down ]; }
up() { [ "$(link_of "$1")" = up ]; }
expect "the port" up "$(link_of wan)"
ip -n "$WAN" link set eth0 down
check "without a carrier" wait_for 5 down wan
ip -n "$WAN" link set eth0 up
check "the carrier again" wait_for 5 up wan
check "and traffic" wait_for 10 pings 1 "$WAN" 192.168.1.2 -W 1

ip -n "$GW" link del wire0
check "unplugged" wait_for 5 down wan
linegate show | grep -q 'warning: port wan: its wire' || fail "no warning: $(linegate show | grep warning)"
grep -q 'error.*port wan: its wire' "$LAB_DIR/gateway.log" || fail "nothing in the log"
check "the gateway lives" in_lan ping -c 1 -W 2 192.168.1.1
# also gives the port a further address by a reload.
also() {
  sed -i "s|\[10.20.0.1/24,|& $1/24,|" "$LAB_DIR/gateway.yaml"
  linegate reload
}
plug_in() {
  veth_pair "$GW" wire0 "$WAN" eth0
  ip -n "$WAN" address add 10.20.0.2/24 dev eth0
}
check "a reload meanwhile" also 10.20.0.7
plug_in
check "plugged in again" wait_for 5 up wan
check "the tunnel is back" wait_for 20 pings 1 "$WAN" 192.168.1.2 -W 1
check "and stays" pings 5 "$WAN" 192.168.1.2
check "with what was added meanwhile" in_wan ping -c 1 -W 2 10.20.0.7
refuse "the warning is gone" sh -c "ip netns exec $GW $LINEGATE --socket $SOCKET show | grep 'its wire'"

ip -n "$GW" link del wire0
check "unplugged again" wait_for 5 down wan
cp "$LAB_DIR/gateway.yaml" /run/before.yaml
sed -i 's|wan: {|& mac: "02:00:00:00:00:77",|' "$LAB_DIR/gateway.yaml"
refuse "no reload can recreate it now" linegate reload
cp /run/before.yaml "$LAB_DIR/gateway.yaml"
check "one that need not passes" also 10.20.0.8
plug_in
check "plugged in once more" wait_for 5 up wan
check "the tunnel once more" wait_for 20 pings 1 "$WAN" 192.168.1.2 -W 1
check "with all addresses" in_wan ping -c 1 -W 2 10.20.0.8

ip -n "$GW" link del lan
check "a TAP that was deleted is recreated" wait_for 20 pings 1 "$WAN" 192.168.1.2 -W 1
check "with its addresses" in_lan ping -c 1 -W 2 192.168.1.1
ip -n "$GW" link del wire1
check "the other one unplugged" wait_for 5 down lan
check "a reload meanwhile" linegate reload
linegate stop
check "and a stop" wait_for 10 sh -c "! kill -0 $(gateway_pid)"
