#!/usr/bin/env bash
# linegate interface create, up, down, delete; and the error of every command without a gateway (exit code 3).
source "$(dirname "$0")/lib.sh"
lab 'endpoint: "10.20.0.2:51821"'
check "a tunnel" pings 3 "$WAN" 192.168.1.2
new_key five >/dev/null
check "create" linegate interface create wg5 --private-key-file "$LAB_DIR/five.key" --listen-port 51855 --address 10.55.0.1/24
check "its netdev" ip -n "$GW" link show wg5
check "wg sees it" in_gw wg show wg5
refuse "create it twice" linegate interface create wg5 --private-key-file "$LAB_DIR/five.key"
in_gw wg set wg5 peer "$PEER_PUBLIC" allowed-ips 10.55.0.2/32
check "down" linegate interface down wg0
refuse "nothing answers" pings 1 "$WAN" 192.168.1.2 -W 1
check "the other one stays" ip -n "$GW" link show wg5
check "up" linegate interface up wg0
check "from the LAN" pings 3 "$LAN" 10.10.0.2
check "from the peer" pings 3 "$WAN" 192.168.1.2
check "drift is shown" sh -c "ip netns exec $GW $LINEGATE --socket $SOCKET diff | grep -q wg5"
check "delete" linegate interface delete wg5
refuse "its netdev is gone" ip -n "$GW" link show wg5
refuse "delete it twice" linegate interface delete wg5
refuse "a name that cannot be" linegate interface create 'a/b' --private-key-file "$LAB_DIR/five.key"
check "the tunnel" pings 3 "$WAN" 192.168.1.2
stop_gateway
for command in "show" "show peers" "show --json" "reload" "diff" "save" "stop" "interface up wg0" "explain peer remote"; do
  code=0
  linegate $command >/run/out 2>&1 || code=$?
  expect "linegate $command without a gateway" 3 "$code"
done
