#!/usr/bin/env bash
# limit: 400 s
# slow
# Every kind of call that can fail does so once: allocations, sockets, netlink, files, event descriptors, TUN and TAP,
# packets, threads, DPDK's pools and devices. At the start the gateway runs or says why not; later it goes on running.
source "$(dirname "$0")/lib.sh"
library=${LINEGATE%/*}/tests/e2e/libfail_calls.so
[ -e "$library" ] || fail "$library is not built"
lab_namespaces
lab_keys
lab_config 'endpoint: "10.20.0.2:51821"'
cp "$LAB_DIR/gateway.yaml" "$LAB_DIR/first.yaml"
PEERS="- { name: more, public_key: \"$(wg genkey | wg pubkey)\", allowed_ips: [10.11.0.0/24] }" \
  INTERFACES='wg1: { private_key_file: peer.key, addresses: [10.12.0.1/24], listen_port: 51900 }' \
  ADDRESSES='10.10.0.1/24, "fd00::1/64", 10.13.0.1/24' lab_config 'endpoint: "10.20.0.2:51821", persistent_keepalive: 5'
mv "$LAB_DIR/gateway.yaml" "$LAB_DIR/second.yaml"
cp "$LAB_DIR/first.yaml" "$LAB_DIR/gateway.yaml"
start_peer
[ -n "${SKIP_START:-}" ] || python3 "$TOOLS/failing_calls.py" start "$library" "$LINEGATE" "$LAB_DIR" "$GW" "$LAB_DIR/gateway.yaml" ||
  fail "a call that fails at the start"
say "the start survives or explains itself"
python3 "$TOOLS/failing_calls.py" running "$library" "$LINEGATE" "$LAB_DIR" "$GW" "$LAB_DIR/gateway.yaml" \
  "$LAB_DIR/second.yaml" ip netns exec "$WAN" ping -n -c 1 -W 1 192.168.1.2 || fail "a call that fails while it runs"
say "a running gateway survives"
