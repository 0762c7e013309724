#!/usr/bin/env bash
# wg(8) beside traffic: set, setconf, addconf, syncconf, showconf; the peer in use loses not one packet.
source "$(dirname "$0")/lib.sh"
lab
check "a tunnel" pings 3 "$WAN" 192.168.1.2
in_gw wg showconf wg0 >/run/conf
grep -q "^AllowedIPs = 10.10.0.2/32" /run/conf || fail "showconf: $(cat /run/conf)"
spare=$(new_key spare)
more=$(new_key more)
stream_start "$WAN" 192.168.1.2
for round in 1 2 3; do
  in_gw wg set wg0 peer "$spare" allowed-ips 10.66.0.0/16,10.67.0.0/24 endpoint 10.20.0.99:1 persistent-keepalive 25
  printf '[Peer]\nPublicKey = %s\nAllowedIPs = 10.68.0.0/16\n' "$more" >/run/more
  in_gw wg addconf wg0 /run/more
  expect "peers" 3 "$(in_gw wg show wg0 peers | wc -l)"
  in_gw wg set wg0 fwmark 0x51 peer "$spare" persistent-keepalive off
  in_gw wg syncconf wg0 /run/conf
  expect "peers after syncconf" 1 "$(in_gw wg show wg0 peers | wc -l)"
  in_gw wg set wg0 peer "$PEER_PUBLIC" allowed-ips 10.10.0.2/32,fd00::2/128,10.69.0.0/24
  in_gw wg set wg0 peer "$PEER_PUBLIC" allowed-ips 10.10.0.2/32,fd00::2/128
done
for round in $(seq 10); do in_gw wg syncconf wg0 /run/conf; done
stream_stop "set, addconf, syncconf"
shake=$(handshake)
# setconf replaces all peers: the endpoint the peer roamed to is in its file, and a new session follows at once.
in_gw wg showconf wg0 >/run/conf
in_gw wg setconf wg0 /run/conf
check "after setconf" wait_for 8 pings 1 "$WAN" 192.168.1.2 -W 1
expect "round trip of the configuration" "$(cat /run/conf)" "$(in_gw wg showconf wg0)"
refuse "a bad key" in_gw wg set wg0 peer nonsense
refuse "a taken port" sh -c "ip netns exec $GW sh -c 'nc -u -l -p 7000 & sleep 0.5; wg set wg0 listen-port 7000; r=\$?; kill %1; exit \$r'"
in_gw wg set wg0 listen-port 51899
in_wan wg set "$LAB" peer "$GW_PUBLIC" endpoint 10.20.0.1:51899
check "a new listen port, live" pings 3 "$WAN" 192.168.1.2
check "dump" sh -c "ip netns exec $GW wg show all dump | grep -q 51899"
