#!/usr/bin/env bash
# An endpoint given as a host name: resolved in the background, again when the peer is silent, and failures are reported.
source "$(dirname "$0")/lib.sh"
cp /etc/hosts /run/hosts
echo "10.20.0.2 peer.e2e.test" >>/run/hosts
mount --bind /run/hosts /etc/hosts
lab 'endpoint: "peer.e2e.test:51821"'
check "the LAN reaches it" pings 3 "$LAN" 10.10.0.2
PEERS="- { name: lost, public_key: \"$(wg genkey | wg pubkey)\", endpoint: \"nowhere.e2e.invalid:51821\", allowed_ips: [10.10.0.8/32] }"
lab_config 'endpoint: "peer.e2e.test:51821"'
check "another whose name does not resolve" linegate reload
check "the first one does not notice" pings 5 "$LAN" 10.10.0.2
check "explain says so" wait_for 20 sh -c "ip netns exec $GW $LINEGATE --socket $SOCKET explain peer lost | grep -qi 'nowhere.e2e.invalid'"
# Of a name with several addresses the first ones are silent: the next is tried after two initiations.
sed -i 's/^10.20.0.2 peer.e2e.test/10.20.0.201 many.e2e.test\n10.20.0.202 many.e2e.test\n10.20.0.2 many.e2e.test/' /run/hosts
cat /run/hosts >/etc/hosts
in_wan wg set "$LAB" peer "$GW_PUBLIC" remove
PEERS='' lab_config 'endpoint: "many.e2e.test:51821", persistent_keepalive: 5'
check "stop" linegate stop
in_wan wg set "$LAB" listen-port 51821 peer "$GW_PUBLIC" preshared-key "$LAB_DIR/psk" allowed-ips 0.0.0.0/0,::/0
rm -rf "$LAB_DIR"/state/*
start_gateway
check "the third address answers" wait_for 40 sh -c "ip netns exec $GW wg show wg0 latest-handshakes | grep -qv '	0\$'"
expect "endpoint" 10.20.0.2:51821 "$(endpoint)"
check "traffic passes" pings 3 "$LAN" 10.10.0.2
check "stops at once all the same" sh -c "timeout 2 ip netns exec $GW $LINEGATE --socket $SOCKET stop"
