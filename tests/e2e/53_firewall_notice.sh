#!/usr/bin/env bash
# While a forward or nat chain exists that the short cut passes by, check, show and the log say so.
source "$(dirname "$0")/lib.sh"
lab
ns "$GW" nft list ruleset >/dev/null 2>&1 || skip "this machine has no nftables"
told() { linegate show | grep -q "forward: inet f c"; }
refuse "nothing to tell" told
in_gw nft 'add table inet f; add chain inet f c { type filter hook forward priority 0; policy accept; }'
check "show tells of a forward chain" wait_for 4 told
check "so does the log" grep -q 'do not pass the firewall.*forward: inet f c' "$LAB_DIR/gateway.log"
check "so does check" sh -c "ip netns exec $GW $LINEGATE check -c $LAB_DIR/gateway.yaml 2>&1 | grep 'forward: inet f c'"
in_gw nft delete table inet f
gone() { ! told; }
check "it is over with the chain" wait_for 4 gone
check "the log says that too" grep -q 'no longer: packets on the short cut' "$LAB_DIR/gateway.log"
in_gw sysctl -qw net.ipv4.conf.lan.forwarding=0
off() { linegate show | grep -q 'port lan: Linux forwards no IPv4 packets from it'; }
check "forwarding that is off" wait_for 4 off
