#!/usr/bin/env bash
# limit: 120 s
# What `explain packet` says about a packet is what a trace tells of the same packet when it is sent.
source "$(dirname "$0")/lib.sh"
silent=$(wg genkey | wg pubkey)
PEERS="- { name: silent, public_key: \"$silent\", endpoint: \"10.20.0.2:9\", allowed_ips: [10.10.0.4/32] }"
lab 'endpoint: "10.20.0.2:51821"'
check "peer to LAN" pings 3 "$WAN" 192.168.1.2
# explained CODE WORDS...: explains the packet into /run/told.txt.
explained() {
  local code=0 wanted=$1
  shift
  linegate explain packet "$@" >/run/told.txt 2>&1 || code=$?
  [ "$code" = "$wanted" ] || { cat /run/told.txt >&2; fail "explain packet $*: exit code $code"; }
}
told() { grep -qE -- "$1" /run/told.txt || { cat /run/told.txt >&2; fail "it does not say: $1"; }; }
# traced FILTER COMMAND...: the story of the first packet of a command, in /run/seen.txt.
traced() {
  local filter=$1
  shift
  (sleep 0.7; "$@") >/dev/null 2>&1 &
  linegate trace --count 1 --seconds 15 "$filter" >/run/seen.txt 2>/dev/null
  wait $!
}
# What both tell: stage by stage, without what is of a live packet alone (session, counter) or of an explanation alone.
stages() { awk '/^  [a-z_]+ / { print $1 }' "$1" | grep -vxE 'source|peer|session' | paste -sd' '; }
same() { expect "$1" "$(stages /run/seen.txt)" "$(stages /run/told.txt)"; }

explained 0 wg0 10.10.0.2 192.168.1.2 icmp
told '^  session +remote: there is a session'
told '^  source +10.10.0.2/32 is remote.s'
told '^it leaves by port lan on the short cut'
traced 'udp dst port 51820 and greater 150' pings 1 "$WAN" 192.168.1.2
sed -i '/^  received /d' /run/seen.txt # the message; the explanation is of what is inside
same "from a peer to the LAN"
told "to $(ns "$LAN" cat /sys/class/net/eth0/address)"
routed=$(sed -n 's/^  routed  *//p' /run/seen.txt)
told "^  routed .*$routed"

explained 0 lan 192.168.1.2 10.10.0.2 icmp
traced 'icmp and src 192.168.1.2' pings 1 "$LAN" 10.10.0.2
same "from the LAN to a peer"
size=$(sed -n 's/^  transmitted .*, \([0-9]*\) bytes/\1/p' /run/seen.txt)
told "^  sending .* $((size - 14)) bytes with outer headers"
told "^it leaves by port wan, sealed for remote \(10.20.0.2:51821\)"
explained 0 lan fd01::2 fd00::2 icmp
told 'sealed for remote'
explained 0 linux 10.10.0.1 10.10.0.2 icmp
told '^  linux +10.10.0.2 goes to peer remote'
explained 0 wan 10.20.0.2 10.20.0.1 udp 51820 --source-port 51821
told 'a message for wg0; remote is reached at that source'
explained 0 wan 10.20.0.2 10.20.0.1 tcp 22
told '10.20.0.1 is an address of this machine'

# Drops, as they are counted when the packet is sent.
explained 4 lan 192.168.1.2 10.10.0.77 icmp
told 'no_peer'
before=$(drops no_peer)
no_ping "$LAN" 10.10.0.77
[ "$(drops no_peer)" -gt "$before" ] || fail "no_peer is not what happens"
explained 4 wg0 10.10.0.9 192.168.1.2 icmp --peer remote
told 'disallowed_source.*10.10.0.9 is in no peer.s allowed IPs'
explained 4 wg0 192.168.1.2 10.10.0.2 --peer silent
told 'disallowed_source'
explained 4 lan 192.168.1.2 10.10.0.4 icmp
told '^  staged +silent has no session'
# Larger than the way, TTL, what Linux decides.
explained 0 lan 192.168.1.2 10.10.0.2 --size 1500
told 'Linux decides: it is larger than the MTU of its way, 1420'
explained 4 lan 192.168.1.2 10.10.0.2 --ttl 1
told 'time exceeded'
explained 0 wan 10.20.0.2 192.168.1.2 icmp
told 'between two ports Linux forwards'
in_gw sysctl -qw net.ipv4.conf.lan.forwarding=0
wait_for 5 sh -c "ip netns exec $GW $LINEGATE --socket $SOCKET explain packet lan 192.168.1.2 10.10.0.2 | grep -q 'lan.forwarding is 0'" || fail "no word of the switch"
explained 4 lan 192.168.1.2 10.10.0.2
told '^Linux does not forward the packet: net.ipv4.conf.lan.forwarding is 0'
in_gw sysctl -qw net.ipv4.conf.lan.forwarding=1
ip -n "$GW" route add blackhole 192.168.77.0/24
wait_for 5 sh -c "ip netns exec $GW $LINEGATE --socket $SOCKET explain packet wg0 10.10.0.2 192.168.77.1 | grep -q blackhole" || fail "no word of the blackhole"
ip -n "$GW" link set wan down
wait_for 5 sh -c "ip netns exec $GW $LINEGATE --socket $SOCKET explain packet wan 10.20.0.2 10.20.0.1 | grep -q port_down" || fail "no word of the port"
say "drops, Linux and switches are told"
refuse "a place that is not there" linegate explain packet nowhere 10.0.0.1 10.0.0.2
grep -q 'no port and no interface nowhere' /run/check.out || fail "$(cat /run/check.out)"

# Drops have times.
linegate explain drops --seconds 0.2 >/run/told.txt
told '^no_peer: '
told '^  (all of them|first) '
check "the read-only socket may ask" ns "$GW" "$LINEGATE" --socket "${SOCKET%/*}/read.sock" explain packet linux 10.10.0.1 10.10.0.1
