#!/usr/bin/env bash
# Draws the pictures of the documents (docs/pictures) from a gateway with traffic: `show`, `top` and `explain drops` as a
# terminal of 80 columns shows them, and the Grafana dashboard from a Prometheus server's answers.
#
#   sudo scripts/pictures.sh [DIRECTORY]
#
# Needs wireguard-go, iperf3, curl and Debian's package prometheus. Takes two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
into=$(readlink -f "${1:-docs/pictures}")
mkdir -p "$into"
LAB=lgpictures
source scripts/lab_lib.sh
source scripts/pictures/prometheus.sh
PROMETHEUS=
trap '[ -z "$PROMETHEUS" ] || kill "$PROMETHEUS"; lab_down' EXIT
lab_down
lab_namespaces
lab_keys
CONTROL='metrics: "127.0.0.1:9586"'
PEERS="- { name: office, public_key: \"$(wg genkey | wg pubkey)\", endpoint: \"10.20.0.9:51820\", allowed_ips: [10.10.0.8/29], persistent_keepalive: 25 }
- { name: phone, public_key: \"$(wg genkey | wg pubkey)\", allowed_ips: [10.10.0.4/32] }"
lab_config 'endpoint: "10.20.0.2:51821"'
start_gateway
start_peer
wait_for 20 ip netns exec "$WAN" ping -c 1 -W 1 192.168.1.2
prometheus_start "$LAB_DIR/prometheus"
ip netns exec "$LAN" iperf3 -s >/dev/null 2>&1 &
server=$!
ip netns exec "$WAN" timeout 60 iperf3 -c 192.168.1.2 --bidir -t 50 -b 20M >/dev/null 2>&1 &
sleep 20
# Some packets of an unknown key.
for _ in $(seq 20); do
  printf '\004\0\0\0\377\377\377\377aaaaaaaabbbbbbbbbbbbbbbb' | ip netns exec "$WAN" nc -u -w0 10.20.0.1 51820 || true
done
draw() {
  local name=$1
  shift
  ip netns exec "$GW" python3 scripts/pictures/terminal.py "$into/$name.svg" 80 "$LINEGATE" --socket "$SOCKET" "$@"
}
draw show show
draw top top --once
draw explain-drops explain drops
sleep 20
ip netns exec "$GW" python3 scripts/pictures/dashboard.py http://127.0.0.1:9599 127.0.0.1:9586 40 "$into/dashboard.svg"
kill "$server" 2>/dev/null || true
ls -l "$into"
