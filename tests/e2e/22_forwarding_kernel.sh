#!/usr/bin/env bash
# `forwarding: kernel` sends everything through Linux; `short_cut` nothing that a worker can forward. Changed live.
source "$(dirname "$0")/lib.sh"
lab
forwarded() { in_gw awk '/^Ip: [0-9]/ { print $7 }' /proc/net/snmp; }
check "both ways" pings 5 "$WAN" 192.168.1.2
before=$(forwarded)
pings 10 "$WAN" 192.168.1.2
expect "packets forwarded by Linux for ten pings" 0 "$(($(forwarded) - before))"

WG0='forwarding: kernel'
LAN_PORT="device: \"linux:wire1\", addresses: [192.168.1.1/24, \"fd01::1/64\"], forwarding: kernel"
stream_start "$WAN" 192.168.1.2
lab_config
check "reload to forwarding: kernel" linegate reload
sleep 0.5
before=$(forwarded)
pings 10 "$WAN" 192.168.1.2
[ $(($(forwarded) - before)) -ge 20 ] || fail "Linux has forwarded $(($(forwarded) - before)) packets for ten pings"
check "IPv6" pings 3 "$WAN" fd01::2
check "from the LAN" pings 3 "$LAN" 10.10.0.2
WG0='forwarding: short_cut' LAN_PORT=
lab_config
check "reload to the short cut" linegate reload
stream_stop "stream across both changes"
before=$(forwarded)
pings 10 "$WAN" 192.168.1.2
expect "packets forwarded by Linux for ten pings" 0 "$(($(forwarded) - before))"
