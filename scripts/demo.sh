#!/usr/bin/env bash
# The main job, end to end, on any Debian 12 machine without a NIC: builds linegate, lets it hold a tunnel with
# wireguard-go between network namespaces over veth ports, passes IPv4 and IPv6 both ways, measures, cleans up.
# Exits non-zero when anything failed.
#   scripts/demo.sh      as root, or as a user who may use sudo: it then starts itself again through sudo
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/root.sh
become_root "$@"
if [ -z "${LINEGATE_DEMO_INSIDE:-}" ]; then
  trap give_back_build EXIT
  scripts/setup.sh
  echo "== building"
  cmake --preset release >/dev/null
  cmake --build --preset release --target linegate dataplane >/dev/null
  give_back_build
fi

# Own mounts and own process ids: nothing of the demo survives it, and a wg0 of this machine is not in its way.
if [ -z "${LINEGATE_DEMO_INSIDE:-}" ]; then
  LINEGATE_DEMO_INSIDE=1 exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$PWD/scripts/demo.sh"
fi
mkdir -p /run/netns /run/wireguard
mount -t tmpfs demo /run/netns
mount -t tmpfs demo /run/wireguard

LAB=lgdemo
LAB_DIR=$(mktemp -d /run/lgdemo.XXXXXX)
source scripts/lab_lib.sh
trap lab_down EXIT
failed=0
check() {
  local what=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "ok    $what"; else echo "FAIL  $what"; failed=1; fi
}

echo "== a gateway between two namespaces, wireguard-go as the remote peer"
lab_namespaces
lab_keys
lab_config
start_gateway
start_peer
check "ping through the exception path: remote host to the gateway's port" in_wan ping -c 3 -i 0.2 -W 2 10.20.0.1
check "tunnel over IPv4: IPv4 to the gateway" in_wan ping -c 3 -i 0.2 -W 2 10.10.0.1
check "tunnel over IPv4: IPv4 to a host behind it" in_wan ping -c 3 -i 0.2 -W 2 192.168.1.2
check "tunnel over IPv4: IPv6 to a host behind it" in_wan ping -c 3 -i 0.2 -W 2 fd01::2
check "tunnel over IPv4: from the host behind it" in_lan ping -c 3 -i 0.2 -W 2 10.10.0.2
in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint "[fd20::1]:51820"
check "tunnel over IPv6: IPv4 to a host behind it" in_wan ping -c 3 -i 0.2 -W 2 192.168.1.2
check "tunnel over IPv6: IPv6 from the host behind it" in_lan ping -c 3 -i 0.2 -W 2 fd00::2
in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint 10.20.0.1:51820
in_wan ping -c 1 -W 2 192.168.1.2 >/dev/null || true

echo "== linegate show"
linegate show interfaces
linegate show peers
linegate show workers
linegate show drops
echo "== wg show (unmodified wg(8), in the gateway's namespace)"
in_gw wg show wg0

echo "== TCP through the tunnel (iperf3, 1 stream; every program of this lab shares $(nproc) cores)"
to_lan=$(iperf_mbps "$WAN" 192.168.1.2 "$LAN")
from_lan=$(iperf_mbps "$LAN" 10.10.0.2 "$WAN")
echo "linegate: remote to LAN $to_lan Mbit/s, LAN to remote $from_lan Mbit/s"
stop_gateway
check "the gateway removed its netdevs on SIGTERM" sh -c "! ip -n $GW link show wg0"

# The same place in the same lab, held by wireguard-go.
# The gateway lets only its own links forward, so that the wires do not, whatever ip_forward says.
for wire in wire0 wire1; do
  in_gw sysctl -qw "net.ipv6.conf.$wire.disable_ipv6=0" "net.ipv4.conf.$wire.forwarding=1"
done
for address in 10.20.0.1/24 fd20::1/64; do ip -n "$GW" addr add "$address" dev wire0; done
for address in 192.168.1.1/24 fd01::1/64; do ip -n "$GW" addr add "$address" dev wire1; done
for ns in "$WAN" "$LAN"; do ip -n "$ns" neigh flush all; done  # the gateway's ports had MAC addresses of their own
in_gw sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
baseline_up lgdemo0
in_wan wg set "$LAB" peer "$GW_PUBLIC" remove
in_wan wg set "$LAB" peer "$GW_PUBLIC" preshared-key "$LAB_DIR/psk" endpoint 10.20.0.1:51820 \
  allowed-ips 10.10.0.0/24,192.168.1.0/24,fd00::/64,fd01::/64
check "wireguard-go in the gateway's place: the tunnel is up" wait_for 15 in_wan ping -c 1 -W 1 192.168.1.2
base_to=$(iperf_mbps "$WAN" 192.168.1.2 "$LAN")
base_from=$(iperf_mbps "$LAN" 10.10.0.2 "$WAN")
echo "wireguard-go in its place: remote to LAN $base_to Mbit/s, LAN to remote $base_from Mbit/s"
python3 - "$to_lan" "$from_lan" "$base_to" "$base_from" <<'PY'
import sys
a, b, c, d = map(float, sys.argv[1:])
print(f"ratio to wireguard-go on the same lab: {a / max(c, 1):.2f} (remote to LAN), {b / max(d, 1):.2f} (LAN to remote)")
print("The kernel copies each packet at both ports, and the peer is wireguard-go itself: the lab proves function.")
print("What a core does without that wire is the in-memory rate of the same worker code:")
PY
build/release/bench/dataplane --quick | grep -E '^path .* outer=4 peers=1 .* buffers=hot' || { echo "FAIL  in-memory bench"; failed=1; }

[ "$failed" = 0 ] && echo "== demo: everything worked" || echo "== demo: something FAILED"
exit "$failed"
