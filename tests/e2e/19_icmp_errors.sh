#!/usr/bin/env bash
# An inside sender receives TTL exceeded, packet too big with the tunnel's MTU, and unreachable, from the right address.
source "$(dirname "$0")/lib.sh"
lab
check "a tunnel" pings 3 "$WAN" 192.168.1.2
# hears NS TEXT ping-arguments: one ping is answered by an error with TEXT.
hears() {
  local where=$1 text=$2 out
  shift 2
  out=$(ns "$where" ping -n -c 2 -i 0.3 -W 2 "$@" 2>&1) || true
  grep -qE "$text" <<<"$out" || { echo "$out" >&2; return 1; }
}
check "TTL, LAN to peer" hears "$LAN" 'From 192.168.1.1 .*Time to live exceeded' -t 1 10.10.0.2
check "TTL, peer to LAN" hears "$WAN" 'From 10.10.0.1 .*Time to live exceeded' -t 1 192.168.1.2
check "hop limit, LAN to peer" hears "$LAN" 'From fd01::1 .*Time exceeded' -t 1 fd00::2
check "hop limit, peer to LAN" hears "$WAN" 'From fd00::1 .*Time exceeded' -t 1 fd01::2
check "too big, IPv4" hears "$LAN" '[Ff]rag.*mtu = 1420' -M do -s 1472 10.10.0.2
check "too big, IPv6" hears "$LAN" 'mtu = 1420|[Pp]acket too big: mtu=1420' -M do -s 1452 fd00::2
check "and the sender has learned it" hears "$LAN" 'mtu ?= ?1420' -M do -s 1472 10.10.0.2
check "a packet of 1420 bytes passes" pings 2 "$LAN" 10.10.0.2 -M do -s 1392
check "no peer has the address, IPv4" hears "$LAN" 'From 192.168.1.1 .*Unreachable' 10.10.0.99
check "no peer has the address, IPv6" hears "$LAN" 'From fd01::1 .*[Uu]nreachable' fd00::99
in_gw wg set wg0 peer "$(wg genkey | wg pubkey)" allowed-ips 10.10.0.77/32
check "the peer has no endpoint" hears "$LAN" 'From 192.168.1.1 .*Unreachable' 10.10.0.77
# Linux answers as a router, workers for what only WireGuard knows.
answered() { in_gw nstat -asz "$1" | awk -v name="$1" '$1 == name { print int($2) }'; }
for counter in IcmpOutTimeExcds Icmp6OutTimeExcds Icmp6OutPktTooBigs; do
  [ "$(answered $counter)" -ge 1 ] || fail "Linux has sent no $counter"
done
lab_config 'mtu: 1300'
check "a smaller MTU for the peer" linegate reload
check "too big for the peer, IPv4" hears "$LAN" '[Ff]rag.*mtu = 1300' -M do -s 1350 10.10.0.2
check "too big for the peer, IPv6" hears "$LAN" 'mtu = 1300|[Pp]acket too big: mtu=1300' -M do -s 1350 fd00::2
for reason in too_big no_peer no_endpoint; do
  [ "$(drops $reason)" -ge 1 ] || fail "no drop by $reason"
done
# From the gateway itself the same holds.
check "no peer, from the gateway" hears "$GW" 'Unreachable' 10.10.0.99
