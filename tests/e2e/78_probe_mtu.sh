#!/usr/bin/env bash
# limit: 180 s
# A path that loses large sealed packets without an ICMP error: the probe finds what gets through, and that size does.
source "$(dirname "$0")/lib.sh"
lab 'endpoint: "10.20.0.2:51821"'
check "peer to LAN" pings 3 "$WAN" 192.168.1.2
# probe CODE PATTERN
probe() {
  local code=0
  linegate explain peer remote --probe-mtu >/run/told.txt 2>&1 || code=$?
  [ "$code" = "$1" ] || { cat /run/told.txt >&2; fail "exit code $code, not $1"; }
  tr -s '\n ' ' ' </run/told.txt | grep -qE "$2" || { cat /run/told.txt >&2; fail "it does not say: $2"; }
}
probe 0 'pings of up to 1420 bytes are answered by 10.10.0.2: the MTU gets through, both ways'
say "the MTU gets through"
# Whole sealed packets above 1300 bytes vanish: 60 bytes around 1240, which padding makes 1232.
in_wan nft add table inet path
in_wan nft add chain inet path in '{ type filter hook prerouting priority -400; }'
in_wan nft add rule inet path in udp dport 51821 meta length gt 1300 drop
probe 4 'pings of up to 1232 bytes are answered by 10.10.0.2, larger ones are not, and the MTU is 1420: lower the `mtu` of the peer to 1232'
say "the limit is found"
refuse "a large packet" pings 1 "$LAN" 10.10.0.2 -s 1372 -W 1
sed -i 's/name: remote,/name: remote, mtu: 1232,/' "$LAB_DIR/gateway.yaml"
check "what it advises" linegate reload
probe 0 'pings of up to 1232 bytes are answered by 10.10.0.2: the MTU gets through'
check "the largest that fits" pings 1 "$LAN" 10.10.0.2 -s 1204
# An address that answers no ping tells nothing.
in_wan nft flush chain inet path in
in_wan sysctl -qw net.ipv4.icmp_echo_ignore_all=1
probe 0 '10.10.0.2 answers no pings, so nothing is known about sizes'
in_wan sysctl -qw net.ipv4.icmp_echo_ignore_all=0
expect "as JSON" true "$(linegate explain peer remote --probe-mtu --json | python3 -c 'import json, sys; print(str(json.load(sys.stdin)["probe"]["ok"]).lower())')"
