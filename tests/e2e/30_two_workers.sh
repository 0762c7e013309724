#!/usr/bin/env bash
# Two workers on ports with one queue each: the same function, in order, nothing lost.
source "$(dirname "$0")/lib.sh"
WORKERS=2
lab 'endpoint: "10.20.0.2:51821"'
expect "workers" 2 "$(linegate show workers | sed '/^$/,$d' | tail -n +2 | wc -l)"
for to in 10.10.0.1 192.168.1.2 fd01::2; do check "peer to $to" pings 5 "$WAN" "$to"; done
check "LAN to peer" pings 5 "$LAN" 10.10.0.2
stream_start "$LAN" 10.10.0.2
mbps=$(IPERF_SECONDS=2 iperf_mbps "$WAN" 192.168.1.2 "$LAN")
[ "$mbps" -gt 10 ] || fail "TCP: $mbps Mbit/s"
kill -INT "$STREAM"
# One TCP stream is one peer's: its crypto went to both workers, and iperf3 saw no disorder worth a word.
linegate show workers --json >/run/workers.json
python3 - <<'PY'
import json
workers = json.load(open("/run/workers.json"))["workers"]
spread, helped = (sum(w[k] for w in workers) for k in ("spread_bursts", "helped_bursts"))
print("-- bursts offered to the other worker:", spread, "done by it:", helped)
assert 0 < helped <= spread
PY
in_wan timeout 20 iperf3 -s -1 >/dev/null 2>&1 &
wait_for 3 in_wan sh -c 'ss -ltn | grep -q :5201'
in_lan timeout 20 iperf3 -J -u -b 20M -l 1200 -t 2 -c 10.10.0.2 >/run/udp.json
python3 - <<'PY'
import json
end = json.load(open("/run/udp.json"))["end"]["sum"]
print("-- UDP:", end["packets"], "sent,", end["lost_packets"], "lost")
assert end["lost_packets"] <= end["packets"] * 0.05
PY
stop_gateway
start_gateway
check "after a restart" pings 3 "$LAN" 10.10.0.2
