#!/usr/bin/env bash
# slow
# limit: 190 s
# Across REKEY_AFTER_TIME (120 s): the gateway rekeys where it is the initiator, follows where the peer is, and neither
# stream loses a packet.
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
other=$(new_key other)
PEERS="- { name: other, public_key: \"$other\", allowed_ips: [10.10.0.3/32] }"
lab_config 'endpoint: "10.20.0.2:51821"'
start_gateway
start_peer
wireguard_go "$LAN" e2el
ns "$LAN" wg set e2el private-key "$LAB_DIR/other.key" listen-port 51822 peer "$GW_PUBLIC" \
  endpoint 192.168.1.1:51820 allowed-ips 10.10.0.0/24
ip -n "$LAN" addr add 10.10.0.3/24 dev e2el
ip -n "$LAN" link set e2el mtu 1420 up

# The gateway begins with one, the other begins with the gateway.
interruptible ip netns exec "$GW" ping -n -i 0.2 10.10.0.2 >/run/initiator.out 2>&1 &
first=$!
interruptible ip netns exec "$LAN" ping -n -i 0.2 10.10.0.1 >/run/responder.out 2>&1 &
second=$!
wait_for 10 test -n "$(sleep 2; handshake)" || fail "no handshake"
as_initiator=$(handshake) as_responder=$(handshake "$other")
sleep 132
at_least() { [ "$3" -ge "$2" ] || fail "$1: at least $2 s, got $3"; at_most "$1, s" 130 "$3"; }
at_least "rekeyed as initiator after" 119 $(($(handshake) - as_initiator))
at_least "rekeyed as responder after" 119 $(($(handshake "$other") - as_responder))
kill -INT "$first" "$second"
wait "$first" "$second" || true
for role in initiator responder; do
  expect "lost as $role" 0 "$(awk -F'icmp_seq=' '/bytes from/ { split($2, a, " "); ++n; if (a[1] > last) last = a[1] + 0 }
    END { print last - n }' /run/$role.out)"
done
