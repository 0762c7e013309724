#!/usr/bin/env bash
# Every thread of a running gateway has the filters of the process, and workers one more. The gateway works under them:
# every other scenario shows that, and here a reload, a save and a handshake.
source "$(dirname "$0")/lib.sh"
WORKERS=2 lab 'endpoint: "10.20.0.2:51821"'
pid=$(cat "$LAB_DIR/gateway.pid")
filters() { # the number of filters of each thread, with its name
  for task in /proc/"$pid"/task/*; do
    echo "$(sed -n 's/^Seccomp_filters:\s*//p' "$task/status") $(cat "$task/comm")"
  done
}
expect "threads without a filter" "" "$(filters | grep '^0' || true)"
expect "workers have two" 2 "$(filters | grep -c '^2 .*worker')"
expect "no other thread has" 0 "$(filters | grep -v worker | grep -vc '^1' || true)"
expect "no new privileges" 1 "$(sed -n 's/^NoNewPrivs:\s*//p' /proc/"$pid"/status)"
check "a tunnel" pings 3 "$WAN" 192.168.1.2
check "reload" linegate reload
check "save" linegate save
check "an interface at run time" linegate interface create wg7
check "and its end" linegate interface delete wg7
check "still a tunnel" pings 3 "$LAN" 10.10.0.2
stop_gateway
CONTROL="sandbox: false" lab_config 'endpoint: "10.20.0.2:51821"'
start_gateway
pid=$(cat "$LAB_DIR/gateway.pid")
expect "switched off" "" "$(filters | grep -v '^0' || true)"
