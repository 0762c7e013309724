#!/usr/bin/env bash
# The log as programs read it: every line is JSON with time, level and event; lines about a peer name it and its address;
# a level does what it says, for every logger, also when a reload changes it.
source "$(dirname "$0")/lib.sh"
LOG_FORMAT=json
lab 'endpoint: "10.20.0.2:51821"'
log="$LAB_DIR/gateway.log"
# lines FILTER: how many lines of the log fit the Python expression over `l`.
lines() {
  python3 - "$log" "$1" <<'PY'
import json, sys
print(sum(1 for line in open(sys.argv[1]) for l in [json.loads(line)] if eval(sys.argv[2])))
PY
}
some() { [ "$(lines "$1")" -ge 1 ]; }
none() { [ "$(lines "$1")" = 0 ]; }

check "traffic" pings 3 "$WAN" 192.168.1.2
check "a session has its peer, key and address" some "l['event'] == 'session_up' and l['peer'] == 'remote' and l['public_key'] == '$PEER_PUBLIC' and l['remote'] == '10.20.0.2:51821' and l['interface'] == 'wg0' and l['level'] == 'info'"
check "no handshake message at info" none "l['event'] in ('initiation_sent', 'response_received', 'asked_by')"
check "an unknown peer is no line at info" none "l['event'] == 'handshake_refused'"

# The gateway's level is the one of all its loggers.
linegate log level debug
check "who changes something" some "l['event'] == 'changed_by' and l['method'] == 'log.level' and l['uid'] == '0' and int(l['pid']) > 0"
new_key unknown
wireguard_go "$WAN" unknown
ns "$WAN" wg set unknown private-key "$LAB_DIR/unknown.key" peer "$GW_PUBLIC" endpoint 10.20.0.1:51820 allowed-ips 0.0.0.0/0 persistent-keepalive 1
ip -n "$WAN" link set unknown up
check "an unknown key is a line at debug" wait_for 10 some "l['event'] == 'handshake_refused' and l['public_key'] == '$(peer_key unknown)' and l['remote'].startswith('10.20.0.2:') and l['level'] == 'debug' and l['interface'] == 'wg0'"
check "nothing of trace yet" none "l['level'] == 'trace'"
linegate log level trace
linegate show peers >/dev/null
check "who asks is a line at trace" wait_for 5 some "l['event'] == 'asked_by' and l['method'] == 'show.peers' and l['level'] == 'trace'"

# By the file, and for one interface.
linegate log level off
before=$(wc -l <"$log")
linegate interface down wg0
linegate interface up wg0
expect "lines at off" "$before" "$(wc -l <"$log")"
LOG_LEVEL=warn
lab_config 'endpoint: "10.20.0.2:51821"'
linegate reload >/dev/null
linegate log level debug --interface wg0
calls=$(lines "l['event'] == 'changed_by'")
down=$(lines "l['event'] == 'interface_down'")
linegate interface down wg0
linegate interface up wg0
expect "the interface speaks" $((down + 1)) "$(lines "l['event'] == 'interface_down'")"
expect "the gateway does not" "$calls" "$(lines "l['event'] == 'changed_by'")"

# Followers get the same.
stop_gateway
LOG_LEVEL=info
lab_config 'endpoint: "10.20.0.2:51821"'
start_gateway
ns "$GW" python3 - "$SOCKET" >/run/followed.txt <<'PY' &
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
s.sendall(b'{"id":1,"method":"log.subscribe","params":{"level":"info"}}\n')
for line in s.makefile():
    log = json.loads(line).get("log")
    if log and log["event"] == "interface_down":
        print(log["level"], log["interface"], log["text"])
        break
PY
follower=$!
sleep 1
linegate interface down wg0
wait "$follower"
expect "a follower hears" "info wg0 down" "$(cat /run/followed.txt)"

# All of it, from the first line on.
check "every line has time with offset, level, event and message" python3 - "$log" <<'PY'
import datetime, json, sys
for line in open(sys.argv[1]):
    l = json.loads(line)
    assert datetime.datetime.fromisoformat(l["time"]).utcoffset() is not None, line
    assert abs(datetime.datetime.fromisoformat(l["time"]).timestamp() - l["time_us"] / 1e6) < 1e-3, line
    assert l["level"] in ("critical", "error", "warning", "info", "debug", "trace"), line
    assert l["event"] and l["message"], line
PY
