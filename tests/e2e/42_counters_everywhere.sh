#!/usr/bin/env bash
# A worker's counter is the same number in `linegate show workers --json`, Prometheus and DPDK telemetry, and so are
# drops; a message that the kernel's socket refuses is a counted drop.
source "$(dirname "$0")/lib.sh"
NOWHERE=$(wg genkey | wg pubkey)
PEERS="- { name: nowhere, public_key: \"$NOWHERE\", endpoint: \"203.0.113.9:51820\", allowed_ips: [10.99.0.2/32] }"
CONTROL='metrics: "127.0.0.1:9586"'
lab 'endpoint: "10.20.0.2:51821"'
check "traffic" pings 10 "$GW" 10.10.0.2
in_wan python3 "$TOOLS/flood.py" 10.20.0.1 51820 1 200 >/run/sent
in_gw ip route add unreachable 203.0.113.9/32
in_gw ping -c 1 -W 1 10.99.0.2 >/dev/null 2>&1 || true
refused() { [ "$(drops socket_send_failed)" -gt 0 ]; }
wait_for 8 refused || fail "an initiation to an unreachable endpoint is not counted"

cat >/run/compare.py <<'PYTHON'
import json, re, socket, sys, urllib.request
shown_workers, shown_drops, shown_interfaces = (json.load(open(path)) for path in sys.argv[1:4])
worker = shown_workers["workers"][0]
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect("/run/dpdk/linegate/dpdk_telemetry.v2")
connection.recv(4096)
def telemetry(request):
    connection.send(request.encode())
    return next(iter(json.loads(connection.recv(1 << 20)).values()))
text = urllib.request.urlopen("http://127.0.0.1:9586/metrics").read().decode()
metrics = dict(re.findall(r"^(\S+) (\S+)$", text, re.M))
# Those that move while nothing happens: what is compared are those of traffic.
restless = {"loops", "busy_loops", "busy_cycles", "idle_cycles", "sleeps"}
compared = 0
for name, value in telemetry("/linegate/worker,0").items():
    if name.startswith("stage_"):
        continue
    metric = f'linegate_worker_{name}_total{{worker="0",lcore="{worker["lcore"]}"}}'
    assert name in worker and metric in metrics, name
    if name in restless:
        continue
    assert worker[name] == value == float(metrics[metric]), (name, worker[name], value, metrics[metric])
    compared += 1
assert compared >= 38, compared
for name in ("opened_packets", "sealed_packets", "from_tun", "exception_read_packets", "exception_write_packets"):
    assert worker[name] >= 10, (name, worker[name])
assert telemetry("/linegate/workers")["worker0_sealed_packets"] == worker["sealed_packets"]
drops = telemetry("/linegate/drops")
for drop in shown_drops["drops"]:
    name = drop["name"]
    assert drop["count"] == sum(drop["per_worker"]) + drop["control"], drop
    assert drops[name] >= drop["count"], (name, drops[name], drop["count"])
    assert f'linegate_drops_total{{reason="{name}"}}' in metrics, name
assert drops["bad_message_type"] > 0 and drops["socket_send_failed"] > 0, drops
control = telemetry("/linegate/control")
outcomes = shown_interfaces["interfaces"][0]["handshakes"]
assert control["handshake_response_accepted"] >= 1, control
assert outcomes["response_accepted"] == outcomes["kResponseAccepted"] >= 1, outcomes
print(compared, "counters,", len(drops), "drop reasons")
PYTHON
compare() { # again when a timer's packet came between two readings
  local what
  for what in workers drops interfaces; do linegate show "$what" --json >/run/$what.json; done
  in_gw python3 /run/compare.py /run/{workers,drops,interfaces}.json >/run/check.out 2>&1
}
wait_for 10 compare || fail "JSON, Prometheus and telemetry differ: $(tail -1 /run/check.out)"
say "JSON, Prometheus and telemetry say the same: $(cat /run/check.out)"
