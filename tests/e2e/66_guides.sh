#!/usr/bin/env bash
# limit: 180 s
# docs/guides as they stand: the commands and files of each tested page are carried out, in the order of the page, in a
# network like that of docs/guides/README.md.
#
#   [host]──192.168.1.0/24──[gw]──203.0.113.0/24, 100.64.0.0/24──[internet]──198.51.100.0/24──[away]
source "$(dirname "$0")/lib.sh"
for tool in nft wg-quick wireguard-go; do command -v $tool >/dev/null || skip "$tool is not installed"; done
AWAY=$LAB-away
# Files of the pages are made beside those of this machine, not on it.
for directory in /etc /var/lib; do
  mkdir -p "/run/over$directory"/{new,work}
  mount -t overlay overlay -o "lowerdir=$directory,upperdir=/run/over$directory/new,workdir=/run/over$directory/work" "$directory" ||
    skip "no overlay over $directory"
done
rm -rf /etc/linegate /etc/wireguard /var/lib/linegate
mkdir -p /etc/linegate /etc/wireguard /var/lib/linegate /run/bin /run/guide "$LAB_DIR"

veth() { # NS_A IF_A ADDRESS_A NS_B IF_B ADDRESS_B
  veth_pair "$1" "$2" "$4" "$5"
  ip -n "$1" addr add "$3" dev "$2"
  ip -n "$4" addr add "$6" dev "$5"
}
for ns in "$GW" "$WAN" "$LAN" "$AWAY"; do
  ip netns add "$ns"
  ip -n "$ns" link set lo up
done
veth "$GW" eth0 203.0.113.2/24 "$WAN" eth0 203.0.113.1/24
veth "$GW" eth1 192.168.1.1/24 "$LAN" eth0 192.168.1.2/24
veth "$GW" eth2 100.64.0.2/24 "$WAN" eth2 100.64.0.1/24
veth "$WAN" eth1 198.51.100.1/24 "$AWAY" eth0 198.51.100.7/24
ip -n "$LAN" route add default via 192.168.1.1
ip -n "$AWAY" route add default via 198.51.100.1
ip -n "$WAN" addr add 192.0.2.80/32 dev lo
ip -n "$AWAY" addr add 192.168.2.1/32 dev lo
in_wan sysctl -qw net.ipv4.ip_forward=1

# What a machine with the package has in its path. systemd is not there: its unit's command is run instead.
cat >/run/bin/linegate <<SH
#!/bin/sh
exec "$LINEGATE" "\$@"
SH
cat >/run/bin/systemctl <<SH
#!/bin/bash
case "\$*" in
  "enable --now linegate" | "restart linegate") ;;
  *) echo "systemctl \$*: not known to this test" >&2; exit 1 ;;
esac
[ ! -e /run/gateway.pid ] || { kill "\$(cat /run/gateway.pid)"; while kill -0 "\$(cat /run/gateway.pid)" 2>/dev/null; do sleep 0.1; done; }
setsid linegate run </dev/null >>"$LAB_DIR/gateway.log" 2>&1 &
echo \$! >/run/gateway.pid
for _ in \$(seq 300); do linegate show interfaces >/dev/null 2>&1 && exit; sleep 0.1; done
exit 1
SH
chmod +x /run/bin/*
export PATH=/run/bin:$PATH

place_of() {
  case $1 in
    gateway) echo "$GW" ;;
    host) echo "$LAN" ;;
    laptop | branch) echo "$AWAY" ;;
    *) return 1 ;;
  esac
}
# guide PAGE: every block of it, each by a shell that stops at the first failure.
guide() {
  local step where begun=$SECONDS steps
  steps=$(python3 "$TOOLS/guide.py" "$ROOT/docs/guides/$1.md" "/run/steps/$1") || fail "$1"
  [ -n "$steps" ] || fail "$1 has no commands"
  for step in $steps; do
    where=$(place_of "${step#*.}") || fail "$1: no machine ${step#*.}"
    (cd /run/guide && ns "$where" bash -euo pipefail "/run/steps/$1/$step") >"/run/steps/$1/$step.out" 2>&1 </dev/null || {
      cat "/run/steps/$1/$step" >&2
      tail -20 "/run/steps/$1/$step.out" >&2
      fail "$1, block ${step%%.*}"
    }
  done
  say "$1: $(wc -w <<<"$steps") blocks, $((SECONDS - begun)) s"
}
out_has() { grep -rqE "$2" "/run/steps/$1"/*.out || { cat "/run/steps/$1"/*.out >&2; fail "$1 does not show: $2"; }; }
wg_down() { for link in "$@"; do ip -n "$AWAY" link del "$link"; done; }

begun=$SECONDS
guide first-tunnel
out_has first-tunnel '^laptop is up'
wg_down laptop
guide site-to-site
out_has site-to-site '^branch is up'
out_has site-to-site 'goes to peer branch'
# What the router gets from the second line: pings that were sealed.
from_wan1() { in_wan cat /sys/class/net/eth2/statistics/rx_bytes; }
before=$(from_wan1)
guide two-wans
[ $(($(from_wan1) - before)) -ge $((5 * 150)) ] || fail "two-wans: only $(($(from_wan1) - before)) bytes took the second line"
guide when-something-is-wrong
out_has when-something-is-wrong 'transmitted|to_linux'
[ "$(stat -c %s /run/guide/branch.pcapng)" -gt 500 ] || fail "the capture is empty"
wg_down branch
# Flows: the rules that the page names.
awk '$0 == "## Road warriors" { found = 1 } found && /^```$/ && inside { exit } inside { print }
  found && /^```nft$/ { inside = 1 }' "$ROOT/docs/firewall.md" >/etc/nftables.conf
guide road-warriors
out_has road-warriors '█'
wg_down traveller
in_gw nft flush ruleset
# A gateway that ran the kernel's WireGuard (here by wireguard-go).
kill "$(cat /run/gateway.pid)"
wait_for 10 sh -c '! kill -0 $(cat /run/gateway.pid)' || fail "the gateway does not end"
rm -rf /etc/linegate/* /run/gateway.pid
ip -n "$GW" addr flush dev eth0
ip -n "$GW" addr add 203.0.113.2/24 dev eth0
(
  umask 077
  wg genkey >/run/gw.key
  wg genkey >/run/old.key
  cat >/etc/wireguard/wg0.conf <<CONF
[Interface]
PrivateKey = $(cat /run/gw.key)
ListenPort = 51820
Address = 10.10.0.1/24
PostUp = true

[Peer]
PublicKey = $(wg pubkey </run/old.key)
AllowedIPs = 10.10.0.2/32
CONF
  cat >/run/guide/old.conf <<CONF
[Interface]
PrivateKey = $(cat /run/old.key)
Address = 10.10.0.2/24

[Peer]
PublicKey = $(wg pubkey </run/gw.key)
Endpoint = 203.0.113.2:51820
AllowedIPs = 10.10.0.0/24, 192.168.1.0/24
CONF
)
check "wg-quick up wg0" in_gw wg-quick up wg0
guide from-kernel-wireguard
grep -q '^PrivateKey' /run/guide/back.conf || fail "no way back"
say "all pages: $((SECONDS - begun)) s"
