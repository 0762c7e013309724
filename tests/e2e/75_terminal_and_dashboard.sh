#!/usr/bin/env bash
# Every command that only reads fits a terminal of 80 columns, also with long, wide and missing names; the dashboard's queries are
# answered by a Prometheus server that scrapes the gateway (when it is installed); both can be drawn.
source "$(dirname "$0")/lib.sh"
source "$ROOT/scripts/pictures/prometheus.sh"
CONTROL='metrics: "127.0.0.1:9586"'
PEERS="- { name: a-peer-with-quite-a-long-name-of-an-office, public_key: \"$(wg genkey | wg pubkey)\", endpoint: \"[fd20::aaaa:bbbb:cccc:dddd]:51820\", allowed_ips: [10.10.0.8/29, \"fd00:1111:2222:3333:4444:5555:6666:7777/128\"] }
- { name: \"北京办公室-路由器\", public_key: \"$(wg genkey | wg pubkey)\", allowed_ips: [10.10.0.16/28] }
- { public_key: \"$(wg genkey | wg pubkey)\", allowed_ips: [10.10.0.32/28] }"
lab 'endpoint: "10.20.0.2:51821"'
check "traffic" pings 10 "$WAN" 192.168.1.2
printf '\004\0\0\0\377\377\377\377aaaaaaaabbbbbbbbbbbbbbbb' | ns "$WAN" nc -u -w0 10.20.0.1 51820 || true
terminal() { ns "$GW" python3 "$ROOT/scripts/pictures/terminal.py" "$@"; }
on80() { check "80 columns: ${*:-linegate alone}" terminal --widest 80 "$LINEGATE" --socket "$SOCKET" "$@"; }
for table in "" interfaces peers ports workers drops flows; do
  on80 show $table
  on80 show $table --watch 1 --times 2
done
on80 explain peer remote
on80 explain peer a-peer-with-quite-a-long-name-of-an-office
on80 explain drops
on80 explain route 192.168.1.2
on80 explain route 10.10.0.2
on80 top --once
on80 history -c "$LAB_DIR/gateway.yaml"
on80 diff
on80 reload --dry-run
on80 peer list -c "$LAB_DIR/gateway.yaml"
refuse "a line of 81 cells" terminal --widest 80 printf '%81s.\n' x

check "a picture of a table" terminal /run/show.svg 80 "$LINEGATE" --socket "$SOCKET" show peers
check "it is XML and has the peer" python3 -c '
import xml.etree.ElementTree as tree
words = [e.text for e in tree.parse("/run/show.svg").iter() if e.text]
assert any("remote" in word for word in words) and any("show peers" in word for word in words), words'

if ! command -v prometheus >/dev/null; then
  say "Debian's package prometheus is not installed: the dashboard is not asked for"
  exit 0
fi
prometheus_start /run/prometheus
interruptible ip netns exec "$WAN" ping -q -i 0.02 192.168.1.2 >/dev/null &
pinging=$!
sleep 14
dashboard() { ns "$GW" python3 "$ROOT/scripts/pictures/dashboard.py" http://127.0.0.1:9599 127.0.0.1:9586 10 /run/dashboard.svg; }
check "the dashboard's queries" wait_for 20 dashboard
dashboard
check "its picture is XML and has every panel" python3 - "$ROOT/docs/grafana/linegate.json" <<'PY'
import json, sys, xml.etree.ElementTree as tree
words = {e.text for e in tree.parse("/run/dashboard.svg").iter() if e.text}
titles = {panel["title"] for panel in json.load(open(sys.argv[1]))["panels"]}
assert titles <= words, titles - words
PY
kill -INT "$pinging"
kill "$PROMETHEUS"
wait "$PROMETHEUS" || true
