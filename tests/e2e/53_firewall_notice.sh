#!/usr/bin/env bash
# While a chain exists that the short cut passes by, or tc has something on a port, check, show and the log say so.
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
in_gw nft 'add table ip raw; add chain ip raw c { type filter hook prerouting priority -300; policy drop; }'
told_raw() { linegate show | grep -q "prerouting: ip raw c"; }
check "a prerouting chain" wait_for 4 told_raw
in_gw nft delete table ip raw
if in_gw tc qdisc add dev lan root tbf rate 100mbit burst 100kb latency 50ms 2>/dev/null; then
  told_tc() { linegate show | grep -q "tc: tbf of lan"; }
  check "traffic control on a port" wait_for 4 told_tc
  in_gw tc qdisc del dev lan root
fi
in_gw sysctl -qw net.ipv4.conf.lan.forwarding=0
off() { linegate show | grep -q 'port lan: Linux forwards no IPv4 packets from it'; }
check "forwarding that is off" wait_for 4 off
