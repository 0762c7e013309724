#!/usr/bin/env bash
# A good guest: a default route of another program is not replaced, and what the gateway changes on the machine (sysctls,
# flags of wires) is as before after a stop, also after a crash and another run. A gateway outside of every subnet; a wire
# that keeps its address; two gateways with equal names in two network namespaces.
# limit: 180 s
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
ip netns add "$LAB-mgmt"
veth_pair "$GW" mgmt "$LAB-mgmt" eth0
ip -n "$GW" addr add 10.98.0.1/24 dev mgmt
ip -n "$LAB-mgmt" addr add 10.98.0.2/24 dev eth0
ip -n "$GW" route add default via 10.98.0.2 dev mgmt
in_gw sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0 net.ipv6.conf.mgmt.accept_ra=1
in_gw sysctl -qw net.ipv4.conf.mgmt.forwarding=1
ip -n "$GW" link set wire1 down

machine() {
  in_gw sysctl net.ipv4.ip_forward net.ipv4.conf.default.forwarding net.ipv4.conf.mgmt.forwarding \
    net.ipv4.conf.wire0.forwarding net.ipv6.conf.all.forwarding net.ipv6.conf.mgmt.accept_ra \
    net.ipv6.conf.wire0.disable_ipv6 net.ipv6.conf.wire1.disable_ipv6
  ip -n "$GW" -o link show wire0 | grep -o '<.*>' | tr , '\n' | grep -E 'NOARP|PROMISC|[^_]UP' || true
  ip -n "$GW" -o link show wire1 | grep -o '<.*>' | tr , '\n' | grep -E 'NOARP|PROMISC|^<?UP' || true
  ip -n "$GW" -o link show wire0 | grep -o 'mtu [0-9]*'
  ip -n "$GW" route show default
  ip -n "$GW" route show table all | grep 'proto 87' || true
}
before=$(machine)
WAN_PORT='device: "linux:wire0", mtu: 1600, addresses: [10.20.0.1/24, "fd20::1/64"], gateway: 10.20.0.2'
lab_config 'endpoint: "10.20.0.2:51821"'
start_gateway
start_peer
check "the tunnel" wait_for 5 pings 1 "$LAN" 10.10.0.2
expect "the default route of the machine" "default via 10.98.0.2 dev mgmt " "$(ip -n "$GW" route show default)"
told() { linegate show | grep -q "$1"; }
check "show tells of it" wait_for 5 told 'port wan: default route via 10.20.0.2 is missing, another stands in its place (via 10.98.0.2 dev mgmt)'
expect "router advertisements go on" 2 "$(in_gw sysctl -n net.ipv6.conf.mgmt.accept_ra)"
expect "forwarding" 1 "$(in_gw sysctl -n net.ipv4.ip_forward)"
[ "$(machine)" != "$before" ] || fail "the test does not see what the gateway changes"
stop_gateway
expect "after the stop" "$before" "$(machine)"
[ ! -e "$LAB_DIR/state/machine" ] || fail "the state file is left"

# A crash, then a run of another file, then a stop.
start_gateway
kill -KILL "$(gateway_pid)"
sleep 0.5
[ -s "$LAB_DIR/state/machine" ] || fail "a crash leaves nothing to put back by"
lab_config 'endpoint: "10.20.0.2:51821"'
start_gateway
check "the tunnel after a crash" wait_for 8 pings 1 "$LAN" 10.10.0.2
stop_gateway
expect "after a crash, a run and a stop" "$before" "$(machine)"
start_gateway
kill -KILL "$(gateway_pid)"
sleep 0.5
WAN_PORT='device: tap, addresses: [10.20.0.1/24]' LAN_PORT='device: tap' lab_config
start_gateway
expect "a wire that the next run does not use" 0 "$(in_gw sysctl -n net.ipv6.conf.wire0.disable_ipv6)"
stop_gateway
expect "after that" "$before" "$(machine)"

# A value that another program changes meanwhile stays.
lab_config 'endpoint: "10.20.0.2:51821"'
start_gateway
in_gw sysctl -qw net.ipv6.conf.mgmt.accept_ra=0
stop_gateway
expect "a sysctl that an operator has changed" 0 "$(in_gw sysctl -n net.ipv6.conf.mgmt.accept_ra)"

# The default route comes when the other one has gone; and a metric lets both stand.
start_gateway
ip -n "$GW" route del default via 10.98.0.2 dev mgmt
default_is() { ip -n "$GW" route show default | grep -q "$1"; }
check "ours comes when the other has gone" wait_for 6 default_is 'via 10.20.0.2 dev wan'
ip -n "$GW" addr add 10.20.7.7/24 dev wire0
check "a wire with an address" wait_for 4 told 'its wire wire0 keeps the address 10.20.7.7/24'
ip -n "$GW" addr del 10.20.7.7/24 dev wire0
WAN_PORT='device: "linux:wire0", addresses: [10.20.0.1/32], gateway: { address: 10.20.0.2, metric: 5 }'
lab_config 'endpoint: "10.20.0.2:51821"'
check "a gateway outside of every subnet" linegate reload
check "is on the link" wait_for 3 default_is 'via 10.20.0.2 dev wan.*metric 5.*onlink'
check "the tunnel by it" wait_for 5 pings 3 "$LAN" 10.10.0.2

# Another gateway of the same names in another network namespace: it needs a /run/wireguard of its own.
ip netns add "$LAB-b"
new_key second >/dev/null
mkdir -p "$LAB_DIR/b" "$LAB_DIR/b/wireguard"
cat >"$LAB_DIR/b/gateway.yaml" <<YAML
dpdk: { workers: 1, memory: 256M, hugepages: auto }
ports: { wan: { device: tap, addresses: [10.20.0.1/24] } }
interfaces: { wg0: { private_key_file: ../second.key, listen_port: 51820, addresses: [10.10.0.1/24] } }
control: { socket: $LAB_DIR/b/control.sock, state_directory: $LAB_DIR/b/state }
YAML
enter_b=(ip netns exec "$LAB-b" unshare --mount sh -c
  'mount --bind "$0" "$(readlink -f /var/run/wireguard)" && exec "$@"' "$LAB_DIR/b/wireguard")
in_b() { "${enter_b[@]}" "$@"; }
# Not through the function: $! must be the gateway itself.
"${enter_b[@]}" "$LINEGATE" run -c "$LAB_DIR/b/gateway.yaml" >"$LAB_DIR/b.log" 2>&1 &
second=$!
check "a second gateway" wait_for 15 in_b "$LINEGATE" --socket "$LAB_DIR/b/control.sock" show
expect "wg there" "$(peer_key second)" "$(in_b wg show wg0 public-key)"
expect "wg here" "$GW_PUBLIC" "$(in_gw wg show wg0 public-key)"
check "the tunnel beside it" pings 3 "$LAN" 10.10.0.2
kill -TERM "$second"
wait "$second" || fail "the second gateway's exit code"
