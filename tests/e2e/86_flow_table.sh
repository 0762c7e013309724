#!/usr/bin/env bash
# nftables' flow table beside the gateway: what Linux forwards for it (`forwarding: kernel`) may take that path, in both directions.
source "$(dirname "$0")/lib.sh"
command -v nft >/dev/null || skip "nft is not installed"
WG0='forwarding: kernel'
LAN_PORT="device: \"linux:wire1\", addresses: [192.168.1.1/24, \"fd01::1/64\"], forwarding: kernel"
lab
check "the tunnel" pings 3 "$WAN" 192.168.1.2
in_gw nft -f - 2>/run/nft.out <<'NFT' || skip "this kernel has no flow tables: $(head -1 /run/nft.out)"
table inet f {
  flowtable fast {
    hook ingress priority 0
    devices = { lan, wg0 }
  }
  chain forward {
    type filter hook forward priority 0
    meta l4proto { tcp, udp } flow add @fast
  }
}
NFT
mbps() { iperf_mbps "$WAN" 192.168.1.2 "$LAN" "$@"; }
export IPERF_SECONDS=3
(wait_for 6 sh -c "ip netns exec $GW grep -q OFFLOAD /proc/net/nf_conntrack && touch /run/offloaded") &
watcher=$!
to=$(mbps)
[ "$to" -gt 0 ] || fail "TCP to the LAN: nothing arrives"
say "TCP to the LAN passes"
wait $watcher || true
[ -e /run/offloaded ] || ! ip netns exec "$GW" test -e /proc/net/nf_conntrack || fail "no connection got into the flow table"
from=$(mbps -R)
[ "$from" -gt 0 ] || fail "TCP from the LAN: nothing arrives"
say "TCP from the LAN passes"
check "pings go on" pings 3 "$LAN" 10.10.0.2
WG0='forwarding: short_cut' LAN_PORT=
lab_config
check "reload to the short cut" linegate reload
[ "$(mbps)" -gt 0 ] || fail "TCP by the short cut: nothing arrives"
say "TCP by the short cut passes, with the flow table in place"
