#!/usr/bin/env bash
# The Grafana dashboard and the alerting rules of docs/grafana beside a running exporter: no query names a metric or a
# label that it does not have, docs/metrics.md lists what it has, and promtool (when it is installed) accepts the page,
# the rules, their own tests, and every query of the dashboard.
source "$(dirname "$0")/lib.sh"
CONTROL='metrics: "127.0.0.1:9586"'
lab 'endpoint: "10.20.0.2:51821"'
check "traffic" pings 10 "$GW" 10.10.0.2
scrape() { in_gw curl -sf http://127.0.0.1:9586/metrics >/run/metrics; }
latency() { scrape && grep -q '^linegate_worker_latency_seconds{' /run/metrics && grep -q '^linegate_peer_info{' /run/metrics; }
check "a scrape with peers and latencies" wait_for 10 latency
check "queries and docs/metrics.md against the exporter" python3 "$ROOT/tests/docs/monitoring.py" --queries /run/queries.yml /run/metrics
# The check itself: without a metric that a query needs it must complain.
grep -v linegate_port_link_up /run/metrics >/run/fewer
refuse "an exporter without linegate_port_link_up" python3 "$ROOT/tests/docs/monitoring.py" /run/fewer
if ! command -v promtool >/dev/null; then
  say "promtool (Debian's package prometheus) is not installed: rules, queries and types are not checked by it"
  exit 0
fi
check "promtool check metrics" sh -c 'promtool check metrics </run/metrics'
check "promtool check rules" promtool check rules "$ROOT/docs/grafana/alerts.yml"
check "promtool test rules" promtool test rules "$ROOT/docs/grafana/alerts_test.yml"
check "promtool on the dashboard's queries" promtool check rules /run/queries.yml
