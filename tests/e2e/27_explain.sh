#!/usr/bin/env bash
# linegate explain peer: why is this peer not up?
source "$(dirname "$0")/lib.sh"
lab_namespaces
lab_keys
silent=$(wg genkey | wg pubkey)
PEERS="- { name: silent, public_key: \"$silent\", allowed_ips: [10.10.0.4/32] }
- { name: nobody, public_key: \"$(wg genkey | wg pubkey)\", endpoint: \"10.20.0.2:9\", allowed_ips: [10.10.0.5/32] }"
lab_config
start_gateway
# explains PEER PATTERN
explains() {
  local code=0
  linegate explain peer "$1" >/run/explained 2>&1 || code=$?
  [ "$code" = "${3:-4}" ] || { echo "exit code $code"; cat /run/explained; return 1; }
  grep -qiE "$2" /run/explained || { cat /run/explained; return 1; }
}
check "never seen" explains remote 'never|no handshake|not (been )?(seen|heard)|nothing'
in_lan ping -c 1 -W 0.3 10.10.0.4 >/dev/null 2>&1 || true
check "no endpoint" explains silent 'no endpoint|endpoint is (not known|unknown)'
in_lan ping -c 1 -W 0.3 10.10.0.5 >/dev/null 2>&1 || true
sleep 6
in_lan ping -c 1 -W 0.3 10.10.0.5 >/dev/null 2>&1 || true
check "nothing listens at its endpoint" explains nobody 'ICMP says port unreachable for our packets to 10.20.0.2:9: sent by 10.20.0.2'
check "and what to do" explains nobody 'nothing listens on that UDP port'
start_peer
pings 3 "$WAN" 192.168.1.2
check "up" explains remote 'up|session' 0
ip -n "$WAN" addr add 10.10.0.4/32 dev "$LAB"
in_wan ping -c 2 -i 0.2 -W 0.3 -I 10.10.0.4 192.168.1.2 >/dev/null 2>&1 || true
check "a disallowed source and its owner" explains remote '10\.10\.0\.4.*silent|silent.*10\.10\.0\.4' 0
code=0
linegate explain route 10.10.0.4 >/run/out || code=$?
expect "a route to a peer without a session" 4 "$code"
grep -q 'goes to peer silent (allowed IP 10.10.0.4/32) through wg0; the peer has no session' /run/out || fail "explain route: $(cat /run/out)"
linegate explain drops --seconds 0.5 >/run/out
grep -q '^disallowed_source: ' /run/out || fail "explain drops: $(cat /run/out)"
say "drops are explained"
# A peer with another preshared key: its initiation is authentic, its response is not understood.
in_gw wg set wg0 peer "$PEER_PUBLIC" preshared-key <(wg genpsk)
stop_peer
start_peer
in_wan ping -c 2 -i 0.3 -W 0.5 192.168.1.2 >/dev/null 2>&1 || true
check "a handshake that does not complete, while the session lives" explains remote 'preshared|response|unconfirmed|not confirmed|initiation' 0
code=0
linegate explain peer nonsense >/run/out 2>&1 || code=$?
[ "$code" != 0 ] || fail "explain of an unknown peer succeeds: $(cat /run/out)"
say "an unknown peer is refused"
# An unknown peer: no peer has the key.
in_wan wg set "$LAB" private-key <(wg genkey)
in_wan ping -c 1 -W 1 192.168.1.2 >/dev/null 2>&1 || true
linegate show interfaces --json >/run/out
grep -qi 'unknown' /run/out || fail "initiations of an unknown key are not counted: $(cat /run/out)"
say "an unknown key is counted"
