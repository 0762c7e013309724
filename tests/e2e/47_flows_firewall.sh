#!/usr/bin/env bash
# limit: 180 s
# `forwarding: flows` as a stateful firewall, by the rules of docs/firewall.md as they stand there: site to site, kill
# switch, access lists; between two ports, over IPv6, across reloads and a restart.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/flows_lib.sh"
flows_lab wan0 lan0

rules "Site to site"
start_echo "$WAN" 7000
talk "$LAN" 10.10.0.2 7000
check "from this site: carried" wait_for 5 carried_is 1
say_to 100
expect "lines that came back" 100 "$(lines_back 100)"
hang_up
refuse "the other site may not do the same" reach "$WAN" 192.168.1.2 7000
check "but ping" pings 2 "$WAN" 192.168.1.2

# A packet of a carried connection from another port: Linux decides, and workers do not believe it.
talk "$LAN" 10.10.0.2 7000
check "carried" wait_for 5 carried_is 1
ip -n "$WAN" addr add 192.168.1.2/32 dev lo
port=$(in_gw conntrack -L -p tcp --dport 7000 --state ESTABLISHED 2>/dev/null | grep -o 'sport=[0-9]*' | sed -n 1p | cut -d= -f2)
in_wan python3 "$TOOLS/forged_ack.py" eth0 "$(in_gw cat /sys/class/net/wan0/address)" 192.168.1.2 "$port" 10.10.0.2 7000
check "a forged packet is not carried" wait_for 3 sh -c "[ \"\$(ip netns exec $GW $LINEGATE --socket $SOCKET show workers --json | grep -o '\"flows_wrong_way\":[0-9]*' | cut -d: -f2)\" -ge 1 ]"
ip -n "$WAN" addr del 192.168.1.2/32 dev lo
say_to 20
expect "and the connection goes on" 20 "$(lines_back 20)"

# A route that is lost: within 100 ms nothing is carried; back again, it is.
ip -n "$GW" route del 10.10.0.2/32 dev wg0 2>/dev/null || ip -n "$GW" addr del 10.10.0.1/24 dev wg0
wait_ms 100 carried_is 0 || fail "still carried 100 ms after the route has gone"
say "a lost route cuts within 100 ms"
ip -n "$GW" route add 10.10.0.2/32 dev wg0 2>/dev/null || ip -n "$GW" addr add 10.10.0.1/24 dev wg0
say_to 5
check "carried again with the route" wait_for 5 carried_is 1
: >/run/talk.out

# Reloads under traffic, and a restart: connections are learnt again.
flows_config wan0 lan0 kernel
check "reload to kernel" linegate reload
say_to 20
lines_back 20 >/dev/null
flows_config wan0 lan0 flows
check "reload to flows" linegate reload
check "the connection is learnt" wait_for 5 carried_is 1
say_to 50
expect "lines that came back" 50 "$(lines_back 50)"
stop_gateway
start_gateway
check "the tunnel after a restart" wait_for 15 pings 1 "$WAN" 10.10.0.1
say_to 20
expect "lines that came back after a restart" 20 "$(lines_back 20 8000)"
hang_up

rules "Access lists per peer"
start_echo "$LAN" 80
talk "$WAN" 192.168.1.2 80
check "what the list allows is carried" wait_for 5 carried_is 1
hang_up
start_echo "$LAN" 7001
refuse "what it does not name" reach "$WAN" 192.168.1.2 7001

rules "Kill switch"
check "LAN to the tunnel" reach "$LAN" 10.10.0.2 7000
refuse "LAN past the tunnel" reach "$LAN" 10.20.0.2 7000

# Between two ports, without a tunnel, IPv6.
in_gw nft -f - <<'NFT'
flush ruleset
table inet gateway {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established ct mark set ct mark or 0x40000000
    ct state established,related accept
    iifname "lan0" oifname "wan0" accept
  }
}
NFT
ip -n "$WAN" -6 route add fd01::/64 via fd20::1 dev eth0 metric 1 2>/dev/null || true
ip -n "$WAN" -6 route del fd01::/64 dev "$LAB" 2>/dev/null || true
talk "$LAN" fd20::2 7000
check "from port to port over IPv6" wait_for 5 carried_is 1
before=$(worker flows_carried)
say_to 100
expect "lines that came back" 100 "$(lines_back 100)"
[ $(($(worker flows_carried) - before)) -ge 200 ] || fail "workers carried $(($(worker flows_carried) - before)) packets"
linegate show flows
hang_up
