#!/usr/bin/env bash
# slow
# limit: 280 s
# Across REKEY_AFTER_TIME (120 s) with the Linux kernel's own WireGuard: on wg0 the kernel is the initiator and rekeys, on
# wg1 the gateway is. Only the initiator rekeys by time, and neither stream notices.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/kernel_vm/boot.sh"
lab_namespaces
lab_keys
boot_kernel
new_key gw1 >/dev/null
kernel1=$(new_key kernel1)
INTERFACES="wg1:
  private_key_file: gw1.key
  listen_port: 51830
  addresses: [10.11.0.1/24]
  peers: [ { name: kernel, public_key: \"$kernel1\", allowed_ips: [10.11.0.2/32], endpoint: \"10.20.0.2:51831\" } ]"
lab_config
start_gateway
guest "echo '$(cat "$LAB_DIR/peer.key")' >/run/key; echo '$(cat "$LAB_DIR/psk")' >/run/psk; echo '$(cat "$LAB_DIR/kernel1.key")' >/run/key1
ip link add name wg0 type wireguard && wg set wg0 private-key /run/key listen-port 51821 peer $GW_PUBLIC \
preshared-key /run/psk endpoint 10.20.0.1:51820 allowed-ips 10.10.0.0/24
ip link add name wg1 type wireguard && wg set wg1 private-key /run/key1 listen-port 51831 peer $(peer_key gw1) allowed-ips 10.11.0.0/24
ip addr add 10.10.0.2/24 dev wg0; ip link set wg0 mtu 1420 up; ip addr add 10.11.0.2/24 dev wg1; ip link set wg1 mtu 1420 up" ||
  fail "the guest's WireGuard"

guest "ping 10.10.0.1 >/run/ping.out 2>&1 &" || fail "the guest's stream"
interruptible ip netns exec "$GW" ping -n -i 0.5 10.11.0.2 >/run/gateway.out 2>&1 &
stream=$!
handshake1() { in_gw wg show wg1 latest-handshakes | awk '{ print $2 }'; }
both_up() { [ "$(handshake)" != 0 ] && [ "$(handshake1)" != 0 ]; }
wait_for 20 both_up || fail "no sessions"
kernel_began=$(handshake) gateway_began=$(handshake1)
sleep 118
rekeyed() { [ "$(handshake)" != "$kernel_began" ] && [ "$(handshake1)" != "$gateway_began" ]; }
wait_for 20 rekeyed || fail "no rekey within 138 s: $(handshake) $(handshake1) after $kernel_began $gateway_began"
within() { [ "$2" -ge 119 ] && [ "$2" -le 133 ] || fail "$1 after $2 s"; say "$1 after $2 s"; }
within "the kernel rekeyed" $(($(handshake) - kernel_began))
within "the gateway rekeyed" $(($(handshake1) - gateway_began))
sleep 2
# The direction of the rekey: only the initiator rekeys by time.
outcome() { linegate show interfaces --interface "$1" --json | grep -o "\"$2\":[0-9]*" | cut -d: -f2; }
[ "$(outcome wg0 initiation_answered)" -ge 2 ] || fail "the kernel has not begun twice"
expect "handshakes the gateway began where it is the responder" 0 "$(outcome wg0 response_accepted)"
[ "$(outcome wg1 response_accepted)" -ge 2 ] || fail "the gateway has not begun twice"
expect "handshakes the kernel began where it is the responder" 0 "$(outcome wg1 initiation_answered)"
guest 'kill -INT $(pidof ping); sleep 1; tail -2 /run/ping.out' >/run/guest.out || fail "the guest's stream"
kill -INT "$stream"
wait "$stream" || true
lost() { awk '/packets transmitted/ { gsub(/[^0-9 ]/, ""); print $1 - $2 }' "$1"; }
at_most "lost from the kernel" 1 "$(lost /run/guest.out)"
at_most "lost from the gateway" 1 "$(lost /run/gateway.out)"
