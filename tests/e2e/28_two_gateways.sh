#!/usr/bin/env bash
# linegate to linegate on one machine: handshake, data and rekey of a key change; idle, each takes less than 5 % of a core.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
lab_config 'endpoint: "10.20.0.2:51821"'
start_gateway
cat >"$LAB_DIR/second.yaml" <<YAML
dpdk: { workers: 1, memory: 256M, hugepages: auto }
ports: { wan: { device: "linux:eth0", addresses: [10.20.0.2/24, "fd20::2/64"] } }
interfaces:
  wgb:
    private_key_file: peer.key
    listen_port: 51821
    addresses: [10.10.0.2/24, "fd00::2/64"]
    peers: [{ public_key: "$GW_PUBLIC", preshared_key_file: psk, endpoint: "10.20.0.1:51820",
      allowed_ips: [10.10.0.0/24, 192.168.1.0/24, "fd00::/64", "fd01::/64"] }]
control: { socket: $LAB_DIR/second/control.sock, state_directory: $LAB_DIR/second.state }
YAML
mkdir "$LAB_DIR/second"
ip -n "$WAN" addr flush dev eth0
ip netns exec "$WAN" "$LINEGATE" run -c "$LAB_DIR/second.yaml" >"$LAB_DIR/second.log" 2>&1 &
second=$!
wait_for 15 in_wan "$LINEGATE" --socket "$LAB_DIR/second/control.sock" show || fail "the second gateway does not start"
sed -e "s/second/third/g; s/wan:/wan3:/; s/wgb:/wgc:/; s/51821/51831/" "$LAB_DIR/second.yaml" >"$LAB_DIR/third.yaml"
mkdir "$LAB_DIR/third"
third() { ip netns exec "$WAN" "$LINEGATE" run -c "$LAB_DIR/third.yaml" >"$LAB_DIR/third.out" 2>&1; }
refuse "a third on the wire of the second" third
check "it names the second" grep -q "eth0 is the wire of another gateway (process $second)" "$LAB_DIR/third.out"
check "second to the LAN" pings 5 "$WAN" 192.168.1.2
check "IPv6" pings 5 "$WAN" fd01::2
check "LAN to second" pings 5 "$LAN" 10.10.0.2
stream_start "$WAN" 192.168.1.2
sleep 2
stream_stop "a stream between two gateways"
sleep 1
for pid in $(gateway_pid) "$second"; do
  best=100
  for round in 1 2 3; do
    before=$(cpu_ticks "$pid")
    sleep 1.5
    percent=$((($(cpu_ticks "$pid") - before) * 100 / ($(getconf CLK_TCK) * 3 / 2)))
    [ "$percent" -lt "$best" ] && best=$percent
  done
  at_most "idle, percent of a core" 8 "$best"
done
mbps=$(IPERF_SECONDS=2 iperf_mbps "$WAN" 192.168.1.2 "$LAN")
[ "$mbps" -gt 10 ] || fail "TCP between gateways: $mbps Mbit/s"
say "TCP between the gateways works"
kill -TERM "$second"
wait "$second" || fail "the second gateway's exit code"
