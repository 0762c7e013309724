#!/usr/bin/env bash
# Reload by command and by SIGHUP beside traffic: what did not change loses not one packet, what changed has changed; a
# bad file changes nothing and the error names the position.
source "$(dirname "$0")/lib.sh"
lab
check "a tunnel" pings 3 "$WAN" 192.168.1.2
shake=$(handshake)
stream_start "$WAN" 192.168.1.2
for round in 1 2 3 4 5; do
  PEERS="- { name: extra$round, public_key: \"$(wg genkey | wg pubkey)\", allowed_ips: [10.80.$round.0/24] }"
  lab_config
  linegate reload --dry-run >/run/plan
  grep -q "extra$round: add" /run/plan || fail "the plan does not name the new peer: $(cat /run/plan)"
  in_gw wg show wg0 allowed-ips | grep -q "10.80.$round.0" && fail "a dry run has changed something"
  if [ $((round % 2)) = 1 ]; then linegate reload >/run/reload; else kill -HUP "$(gateway_pid)"; fi
  wait_for 5 sh -c "ip netns exec $GW wg show wg0 allowed-ips | grep -q 10.80.$round.0" || fail "reload $round"
done
expect "peers" 2 "$(in_gw wg show wg0 peers | wc -l)"
WG0=$'mtu: 1380\naddresses: [10.10.0.1/24, 10.12.0.1/24, "fd00::1/64"]' ADDRESSES=
python3 - "$LAB_DIR/gateway.yaml" <<'PY'
import sys
text = open(sys.argv[1]).read().replace("10.10.0.1/24,", "10.10.0.1/24, 10.12.0.1/24,").replace("    listen_port: 51820", "    listen_port: 51820\n    mtu: 1380")
open(sys.argv[1] + ".new", "w").write(text)
PY
mv "$LAB_DIR/gateway.yaml.new" "$LAB_DIR/gateway.yaml"
check "another address and MTU" linegate reload
check "the address is there" sh -c "ip -n $GW addr show dev wg0 | grep -q 10.12.0.1"
check "the MTU is there" sh -c "ip -n $GW link show dev wg0 | grep -q 'mtu 1380'"
stream_stop "six reloads"
expect "the session is the same" "$shake" "$(handshake)"

cp "$LAB_DIR/gateway.yaml" /run/good.yaml
before=$(in_gw wg showconf wg0)
sed 's/listen_port: 51820/listen_prot: 51999/; s/mtu: 1380/mtu: 99999/' /run/good.yaml >"$LAB_DIR/gateway.yaml"
for command in "reload" "reload --dry-run" "diff"; do
  code=0
  linegate $command >/run/out 2>&1 || code=$?
  case $code in 1 | 2) ;; *) fail "$command of a bad file: exit code $code, $(cat /run/out)" ;; esac
  grep -qE 'gateway.yaml:[0-9]+:[0-9]+: .*listen_prot' /run/out || fail "$command does not say where: $(cat /run/out)"
  grep -qE 'gateway.yaml:[0-9]+:[0-9]+: .*mtu' /run/out || fail "$command does not tell every problem: $(cat /run/out)"
done
expect "linegate check of it" 2 "$(linegate check -c "$LAB_DIR/gateway.yaml" >/dev/null 2>&1; echo $?)"
kill -HUP "$(gateway_pid)"
sleep 0.5
expect "what runs" "$before" "$(in_gw wg showconf wg0)"
check "the tunnel" pings 3 "$WAN" 192.168.1.2
# A file that is fine but that the system refuses: all or nothing.
cp /run/good.yaml "$LAB_DIR/gateway.yaml"
in_gw nc -u -l -p 51777 >/dev/null 2>&1 &
sleep 0.3
sed -i 's/listen_port: 51820/listen_port: 51777/; s/mtu: 1380/mtu: 1390/' "$LAB_DIR/gateway.yaml"
refuse "a listen port that is taken" linegate reload
check "the MTU has not changed either" sh -c "ip -n $GW link show dev wg0 | grep -q 'mtu 1380'"
check "the tunnel" pings 3 "$WAN" 192.168.1.2
cp /run/good.yaml "$LAB_DIR/gateway.yaml"
refuse "nothing waits to be confirmed" linegate confirm
sed -i 's/mtu: 1380/mtu: 1370/' "$LAB_DIR/gateway.yaml"
mtu_is() { ip -n "$GW" link show dev wg0 | grep -q "mtu $1 "; }
check "a reload to be confirmed" linegate reload --confirm 2s
check "it is applied" mtu_is 1370
check "it goes back by itself" wait_for 5 mtu_is 1380
check "once more" linegate reload --confirm 2s
check "confirmed" linegate confirm
sleep 2.5
check "it stays" mtu_is 1370
check "a reload without a change" linegate reload --confirm 1s
refuse "nothing waits then" linegate confirm
sleep 1.5
check "it goes nowhere by itself" mtu_is 1370
check "rollback" linegate rollback
check "what ran before" mtu_is 1380
refuse "a second rollback" linegate rollback
check "the tunnel after the ways back" pings 3 "$WAN" 192.168.1.2
cp /run/good.yaml "$LAB_DIR/gateway.yaml"
sed -i 's/workers: 1/workers: 2/' "$LAB_DIR/gateway.yaml"
linegate reload >/run/out || fail "reload with a change that needs a restart"
grep -q 'restart' /run/out || fail "the need of a restart is not named: $(cat /run/out)"
