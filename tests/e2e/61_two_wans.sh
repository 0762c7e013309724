#!/usr/bin/env bash
# Two WANs, each with a gateway and a metric. The carrier of the first is lost and comes back: traffic follows within a
# second, both times, in both directions.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
veth_pair "$GW" wire2 "$WAN" eth2
ip -n "$WAN" addr add 10.30.0.2/24 dev eth2
ip -n "$WAN" addr add 10.99.0.1/32 dev lo
wans() {
  WAN_PORT="device: \"linux:wire0\", addresses: [10.20.0.1/24, \"fd20::1/64\"], gateway: $1 }
  wan2: { device: \"linux:wire2\", addresses: [10.30.0.1/24], gateway: $2"
  lab_config 'endpoint: "10.99.0.1:51821"'
}
first='{ address: 10.20.0.2, metric: 100 }'
second='{ address: 10.30.0.2, metric: 200 }'
wans "$first" "$second"
check "check has nothing against it" sh -c "! $LINEGATE check -c $LAB_DIR/gateway.yaml 2>&1 | grep gateway:"
start_gateway
start_peer
defaults() { ip -n "$GW" route show default | sed 's/ *$//' | sort | tr '\n' ';'; }
expect "default routes" \
  "default via 10.20.0.2 dev wan proto 87 metric 100;default via 10.30.0.2 dev wan2 proto 87 metric 200;" "$(defaults)"
leaves_by() { ip -n "$GW" route get 10.99.0.1 | grep -q "dev $1 "; }
peer_sees() { in_wan wg show "$LAB" endpoints | grep -q "$1"; }
check "the first WAN is used" leaves_by wan
check "from the LAN" pings 3 "$LAN" 10.10.0.2
check "the peer sees the first" peer_sees 10.20.0.1:51820

# The stream runs from both ends; the peer answers to where the last packet came from.
stream_start "$LAN" 10.10.0.2
ip -n "$WAN" link set eth0 down
check "Linux has lost the carrier" wait_for 1 sh -c "! ip -n $GW link show wan | grep -q LOWER_UP"
check "the second WAN is used" wait_for 1 leaves_by wan2
check "the peer sees the second" wait_for 4 peer_sees 10.30.0.1:51820
check "from the peer, too" pings 5 "$WAN" 192.168.1.2
ip -n "$WAN" link set eth0 up
check "the first WAN again" wait_for 2 leaves_by wan
check "the peer sees the first again" wait_for 4 peer_sees 10.20.0.1:51820
stream_stop "failing over and back" 200  # 10 ms each: one second both times
check "from the peer, once more" pings 5 "$WAN" 192.168.1.2

# Another metric by reload: never without a default route.
wans '{ address: 10.20.0.2, metric: 300 }' "$second"
stream_start "$LAN" 10.10.0.2
check "the metrics the other way round" linegate reload
check "the second WAN leads now" wait_for 1 leaves_by wan2
stream_stop "a reload of metrics" 100
wans 10.20.0.2 "$second"
check "a gateway without a metric" linegate reload
check "leads" wait_for 1 leaves_by wan
expect "default routes" "default via 10.20.0.2 dev wan proto 87;default via 10.30.0.2 dev wan2 proto 87 metric 200;" "$(defaults)"
