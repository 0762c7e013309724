# Sourced: prometheus_start DIRECTORY runs a Prometheus server in the gateway's namespace that scrapes the gateway's
# metrics (127.0.0.1:9586) each second; it listens on 127.0.0.1:9599. Its pid is $PROMETHEUS.
prometheus_start() {
  mkdir -p "$1"
  cat >"$1/prometheus.yml" <<YAML
global: { scrape_interval: 1s }
scrape_configs: [{ job_name: linegate, static_configs: [{ targets: ["127.0.0.1:9586"] }] }]
YAML
  ip netns exec "$GW" prometheus --config.file="$1/prometheus.yml" --storage.tsdb.path="$1/data" \
    --web.listen-address=127.0.0.1:9599 --log.level=error >"$1/log" 2>&1 &
  PROMETHEUS=$!
  wait_for 15 ip netns exec "$GW" curl -sf http://127.0.0.1:9599/-/ready
}
