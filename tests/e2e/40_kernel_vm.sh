#!/usr/bin/env bash
# limit: 180 s
# The Linux kernel's own WireGuard, in a small virtual machine, as the peer: handshakes as initiator and as responder with a
# preshared key, data both ways, both families inside and outside, forced rekeys, roaming. Skipped where it cannot run.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/kernel_vm/boot.sh"
lab_namespaces
lab_keys
boot_kernel
lab_config
start_gateway
guest "echo '$(cat "$LAB_DIR/peer.key")' >/run/key; echo '$(cat "$LAB_DIR/psk")' >/run/psk
ip link add name wg0 type wireguard && wg set wg0 private-key /run/key listen-port 51821
ip addr add 10.10.0.2/24 dev wg0; ip addr add fd00::2/64 dev wg0; ip link set wg0 mtu 1420 up
ip route add 192.168.1.0/24 dev wg0; ip route add fd01::/64 dev wg0" || fail "the guest's set-up"
# kernel_peer KEY [wg arguments]: the gateway as the guest's only peer.
kernel_peer() {
  local key=$1
  shift
  guest "for k in \$(wg show wg0 peers); do wg set wg0 peer \$k remove; done
wg set wg0 peer $key preshared-key /run/psk allowed-ips 10.10.0.0/24,192.168.1.0/24,fd00::/64,fd01::/64 $*"
}
from_guest() { guest "ping -c 3 -W 4 $1 | grep -q ' 3 packets received'"; }

kernel_peer "$GW_PUBLIC" endpoint 10.20.0.1:51820
check "the kernel begins, IPv4 in IPv4" from_guest 10.10.0.1
set -- $(transfer)
expect "bytes from three pings" "$((148 + 3 * 128))" "$1"
check "IPv4 to the LAN" from_guest 192.168.1.2
check "IPv6 to the LAN" from_guest fd01::2
check "from the LAN" pings 5 "$LAN" 10.10.0.2 -i 0.2 -W 5
check "from the LAN, IPv6, of 1420 bytes" pings 5 "$LAN" fd00::2 -i 0.2 -W 5 -s 1372

guest "wg set wg0 listen-port 40001"
check "the kernel's port changes" from_guest 10.10.0.1
expect "endpoint" 10.20.0.2:40001 "$(endpoint)"
guest "wg set wg0 peer $GW_PUBLIC endpoint '[fd20::1]:51820'"
check "the kernel changes to IPv6" from_guest 192.168.1.2
expect "endpoint" "[fd20::2]:40001" "$(endpoint)"
check "from the LAN over IPv6" pings 3 "$LAN" 10.10.0.2 -i 0.2 -W 5
in_gw wg set wg0 listen-port 51899
check "the gateway's port changes, from the LAN" pings 3 "$LAN" 10.10.0.2 -i 0.2 -W 5
guest "wg show wg0 endpoints" | grep -q '\[fd20::1\]:51899' || fail "the kernel has not followed: $(guest 'wg show wg0 endpoints')"
in_gw wg set wg0 listen-port 51820

# The gateway begins: the kernel knows no endpoint. First with the wrong preshared key.
kernel_peer "$GW_PUBLIC"
in_gw wg set wg0 peer "$PEER_PUBLIC" remove
in_gw wg set wg0 peer "$PEER_PUBLIC" preshared-key <(wg genpsk) allowed-ips 10.10.0.2/32,fd00::2/128 endpoint 10.20.0.2:40001
refuse "with another preshared key" pings 1 "$LAN" 10.10.0.2 -W 2
in_gw wg set wg0 peer "$PEER_PUBLIC" preshared-key "$LAB_DIR/psk"
check "the gateway begins" wait_for 15 pings 3 "$LAN" 10.10.0.2 -i 0.2 -W 5

# New keys of either side force new handshakes.
first=$(handshake)
sleep 1
key=$(new_key second)
in_gw wg set wg0 private-key "$LAB_DIR/second.key"
kernel_peer "$key" endpoint 10.20.0.1:51820
check "after the gateway's new key" pings 3 "$LAN" 10.10.0.2 -i 0.2 -W 5
[ "$(handshake)" -gt "$first" ] || fail "no new handshake"
new=$(guest 'rm /run/key; umask 077; wg genkey >/run/key; wg pubkey </run/key')
guest "wg set wg0 private-key /run/key"
in_gw wg set wg0 peer "$PEER_PUBLIC" remove
in_gw wg set wg0 peer "$new" preshared-key "$LAB_DIR/psk" allowed-ips 10.10.0.2/32,fd00::2/128 endpoint 10.20.0.2:40001
check "after the kernel's new key" pings 3 "$LAN" 10.10.0.2 -i 0.2 -W 5
check "from the kernel" from_guest fd01::2
