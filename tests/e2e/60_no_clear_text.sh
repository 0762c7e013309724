#!/usr/bin/env bash
# Traffic for a site never leaves by the default route in clear: not while wg0 is down, its peer is disabled, removed by wg
# or its route deleted; nor after a crash. With on_loss: withdraw it does, which shows that the test sees it.
# limit: 180 s
source "$(dirname "$0")/lib.sh"
WAN_PORT='device: "linux:wire0", addresses: [10.20.0.1/24, "fd20::1/64"], gateway: [10.20.0.2, "fd20::2"]'
ALLOWED='10.10.0.2/32, 192.168.2.0/24, "fd00::2/128", "fd02::/64"'
lab
ns "$WAN" tcpdump --version >/dev/null 2>&1 || skip "this machine has no tcpdump"
ip -n "$WAN" addr add 192.168.2.1/32 dev lo
ip -n "$WAN" addr add fd02::1/128 dev lo nodad
in_wan wg set "$LAB" peer "$GW_PUBLIC" allowed-ips 10.10.0.0/24,192.168.1.0/24,fd00::/64,fd01::/64
check "a tunnel" pings 3 "$WAN" 192.168.1.2
check "the site, through the tunnel" pings 3 "$LAN" 192.168.2.1
check "the site's IPv6" wait_for 5 pings 1 "$LAN" fd02::1

# in_clear: how many packets for the site and the tunnel's network cross the WAN unsealed while the LAN host sends them.
in_clear() {
  interruptible ip netns exec "$WAN" tcpdump -lnpi eth0 'icmp or icmp6' >/run/clear 2>/run/clear.err &
  local watcher=$!
  wait_for 5 grep -q listening /run/clear.err || fail "tcpdump does not start"
  for _ in 1 2 3; do
    for to in 192.168.2.1 10.10.0.2 fd02::1 fd00::2; do in_lan ping -n -c 1 -W 0.2 $to >/dev/null 2>&1 || true; done
  done
  sleep 0.5
  kill -INT $watcher
  wait $watcher || true
  grep -cE '> (192\.168\.2\.1|10\.10\.0\.2|fd02::1|fd00::2): ICMP6?,? echo request' /run/clear || true
}
refused() { grep -qi unreachable <<<"$(in_lan ping -n -c 1 -W 1 "$1" 2>&1 || true)"; }
routes_of_wg0() { { ip -n "$GW" route show; ip -n "$GW" -6 route show; } | grep -c 'dev wg0 proto 87' || true; }

expect "in clear through the tunnel" 0 "$(in_clear)"
check "down" linegate interface down wg0
expect "no route leads to wg0" 0 "$(routes_of_wg0)"
expect "in clear while wg0 is down" 0 "$(in_clear)"
sleep 5 # Linux allows one unreachable per sender and second or two; what was refused before has used that up
check "the sender is told" refused 192.168.2.1
check "up" linegate interface up wg0
ip -n "$GW" link set wg0 down
sleep 0.5
expect "in clear while ip link has wg0 down" 0 "$(in_clear)"
ip -n "$GW" link set wg0 up
check "the tunnel again" wait_for 5 pings 1 "$LAN" 192.168.2.1
in_gw wg set wg0 peer "$PEER_PUBLIC" remove
expect "in clear without the peer, removed by wg" 0 "$(in_clear)"
check "a reload brings it back" linegate reload
# Its endpoint is not known: the far end comes by itself when nothing answers it (15 s).
check "the tunnel after the reload" wait_for 30 pings 1 "$WAN" 192.168.1.2
lab_config 'enabled: false'
check "a disabled peer" linegate reload
expect "in clear with the peer disabled" 0 "$(in_clear)"
lab_config
check "enabled again" linegate reload
check "the tunnel once more" wait_for 30 pings 1 "$WAN" 192.168.1.2
ip -n "$GW" route del 192.168.2.0/24 dev wg0
expect "in clear without the route" 0 "$(in_clear)"
kill -KILL "$(gateway_pid)"
sleep 0.5
ip -n "$GW" route show | grep -q '^unreachable 192.168.2.0/24' || fail "a crash has taken the unreachable route along"
say "after a crash the unreachable route stands"
ALLOWED='10.10.0.2/32, "fd00::2/128"' lab_config
start_gateway
gone() { ! ip -n "$GW" route show | grep -q '192.168.2.0/24'; }
check "the next run removes what the file does not name any more" wait_for 3 gone
ALLOWED='10.10.0.2/32, 192.168.2.0/24, "fd00::2/128", "fd02::/64"' WG0='on_loss: withdraw' lab_config
check "withdraw" linegate reload
check "no unreachable route is left" wait_for 3 sh -c "! ip -n $GW route show | grep -q ^unreachable"
check "down once more" linegate interface down wg0
[ "$(in_clear)" -ge 3 ] || fail "the test does not see what leaves in clear"
say "with withdraw it leaves in clear, as it was asked to"
WG0='' ALLOWED='10.10.0.2/32, 192.168.2.0/24, "fd00::2/128", "fd02::/64"' lab_config
check "unreachable again" linegate reload
check "the routes are back" wait_for 3 sh -c "ip -n $GW route show | grep -q '^unreachable 192.168.2.0/24'"
stop_gateway
expect "routes that a stop leaves" 0 "$(ip -n "$GW" route show table all | grep -c 'proto 87' || true)"
