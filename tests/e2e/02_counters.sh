#!/usr/bin/env bash
# `wg show transfer` after ten pings of 84 bytes counts handshakes and padding, as the Linux kernel does.
source "$(dirname "$0")/lib.sh"
lab 'endpoint: "10.20.0.2:51821"'

# The gateway begins: 148 + 10 x 128 out (32 more if it confirmed by a keepalive), 92 + 10 x 128 in.
pings 10 "$GW" 10.10.0.2
set -- $(transfer)
expect "received as initiator" 1372 "$1"
case $2 in 1428 | 1460) say "sent as initiator: $2" ;; *) fail "sent as initiator: $2, wanted 1428 or 1460" ;; esac

# The peer begins: a new peer on both sides, because a removed one takes its counters and its session along.
in_gw wg set wg0 peer "$PEER_PUBLIC" remove
in_gw wg set wg0 peer "$PEER_PUBLIC" preshared-key "$LAB_DIR/psk" allowed-ips 10.10.0.2/32
expect "counters of a new peer" "0 0" "$(transfer)"
stop_peer
start_peer
pings 10 "$WAN" 10.10.0.1
set -- $(transfer)
expect "sent as responder" 1372 "$2"
case $1 in 1428 | 1460) say "received as responder: $1" ;; *) fail "received as responder: $1, wanted 1428 or 1460" ;; esac
