#!/usr/bin/env bash
# SIGTERM: gone within two seconds, with its netdevs, sockets and routes; the wires are Linux's again.
source "$(dirname "$0")/lib.sh"
lab
check "a tunnel" pings 3 "$WAN" 192.168.1.2
stream_start "$WAN" 192.168.1.2
for signal in TERM INT; do
  pid=$(gateway_pid)
  start=$EPOCHREALTIME
  kill -"$signal" "$pid"
  wait "$pid" && code=0 || code=$?
  took=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%d", (b - a) * 1000 }')
  expect "exit code after SIG$signal" 0 "$code"
  at_most "stopped after ms" 2000 "$took"
  expect "netdevs left" "lo wire0 wire1" "$(in_gw ls /sys/class/net | sort | xargs)"
  expect "sockets left" "" "$(ls /run/wireguard/wg0.sock "$SOCKET" 2>/dev/null | tr '\n' ' ')"
  expect "the wire answers ARP again" 0 "$(ip -n "$GW" link show wire0 | grep -c NOARP || true)"
  start_gateway
done
check "works again" wait_for 25 pings 1 "$WAN" 192.168.1.2 -W 1
kill -INT "$STREAM"
check "linegate stop" linegate stop
check "it is gone" wait_for 2 sh -c "! kill -0 $(gateway_pid)"
