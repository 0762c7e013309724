#!/usr/bin/env bash
# A peer behind a smaller MTU sends its messages in fragments: Linux puts them together, control hands the message to
# a worker. The way back respects the peer's own mtu: what may be fragmented is cut inside the tunnel.
source "$(dirname "$0")/lib.sh"
lab 'mtu: 1340'
ip -n "$WAN" link set eth0 mtu 1420
ip -n "$WAN" link set "$LAB" mtu 1420
# count NS FAMILY NAME: of /proc/net/snmp or snmp6.
count() {
  if [ "$2" = 4 ]; then
    ns "$1" awk -v name="$3" '/^Ip:/ { if (seen) print $at; else for (i = 1; i <= NF; ++i) if ($i == name) at = i; seen = 1 }' /proc/net/snmp
  else
    ns "$1" awk -v name="Ip6$3" '$1 == name { print $2 }' /proc/net/snmp6
  fi
}
more_than() { [ "$2" -gt "$1" ] || fail "$3: no more than $1"; say "$3: $(($2 - $1))"; }

for family in 4 6; do
  endpoint='10.20.0.1:51820'
  if [ $family = 6 ]; then endpoint='[fd20::1]:51820'; fi
  ns "$WAN" wg set "$LAB" peer "$GW_PUBLIC" endpoint "$endpoint"
  check "small pings, IPv$family outside" pings 3 "$WAN" 192.168.1.2
  before=$(count "$GW" $family ReasmOKs)
  cut_before=$(count "$WAN" 4 ReasmOKs)
  check "1420 bytes from the peer, IPv$family outside" pings 10 "$WAN" 192.168.1.2 -M dont -s 1392
  more_than "$before" "$(count "$GW" $family ReasmOKs)" "messages put together, IPv$family"
  more_than "$cut_before" "$(count "$WAN" 4 ReasmOKs)" "answers cut at the peer's mtu"
  check "1420 bytes of IPv6 from the peer, answers by path MTU discovery" \
    bash -c "ip netns exec $WAN ping -n -c 4 -i 0.2 -W 2 -s 1372 fd01::2 | tee /dev/stderr | grep -c 'bytes from' | grep -qx '[34]'"
done

# First fragments without an end must not cost the gateway more than the exception path's budget.
cat >/run/fragments.py <<'PY'
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
udp = struct.pack('!HHHH', 51820, 51820, 1400, 0) + bytes(1000)
for i in range(20000):
    ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), i & 0xffff, 0x2000, 64, 17, 0,
                     socket.inet_aton('10.20.0.2'), socket.inet_aton('10.20.0.1'))
    s.sendto(ip + udp, ('10.20.0.1', 0))
PY
ns "$WAN" wg set "$LAB" peer "$GW_PUBLIC" endpoint 10.20.0.1:51820
stream_start "$WAN" 192.168.1.2
ns "$WAN" timeout 20 python3 /run/fragments.py
stream_stop "small pings during 20000 fragments that never end" 5
check "and small ones afterwards" pings 5 "$WAN" 192.168.1.2
