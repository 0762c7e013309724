#!/usr/bin/env bash
# The history of applied configurations: start and reloads are kept, refused files are not; what one of them would change;
# the way back by number, which also puts the file back; sessions stay, and nothing of it can be read by others.
source "$(dirname "$0")/lib.sh"
lab 'endpoint: "10.20.0.2:51821"'
check "the tunnel" wait_for 10 pings 1 "$WAN" 192.168.1.2
FILE=$LAB_DIR/gateway.yaml
entries() { linegate history -c "$FILE" --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["history"]))'; }
has() { [ "$(entries)" = "$1" ]; }
wait_for 5 has 1 || fail "the start is not in the history: $(entries) entries"
cp "$FILE" /run/first.yaml
sed -i 's/listen_port: 51820/listen_port: 51820\n    mtu: 1300/' "$FILE"
check "a reload" linegate reload
wait_for 5 has 2 || fail "the reload is not in the history"
linegate reload >/dev/null
linegate reload --dry-run >/dev/null
cp "$FILE" /run/second.yaml
echo 'nonsense: 1' >>"$FILE"
refuse "a file with an error" linegate reload
sleep 0.5
expect "entries after a reload without change, a dry run and a refusal" 2 "$(entries)"
refuse "a rollback while the file has changes that are not applied" linegate rollback 1 -c "$FILE"
cp /run/second.yaml "$FILE"
linegate history -c "$FILE"
linegate history -c "$FILE" | grep -qE '^ +2 .* as the file$' || fail "the newest is not marked"
linegate history diff 1 -c "$FILE" >/run/out
grep -q 'wg0: .*mtu\|wg0: .*MTU' /run/out || fail "the difference is not told: $(cat /run/out)"
linegate history show 1 -c "$FILE" | cmp - /run/first.yaml || fail "the first is not what it was"
say "show and diff"
before=$(handshake)
check "the way back" linegate rollback 1 -c "$FILE"
cmp "$FILE" /run/first.yaml || fail "the file is not that of before"
expect "no difference between what runs and the file" "no difference" "$(linegate diff)"
wait_for 5 has 3 || fail "the way back is not in the history"
check "traffic" pings 3 "$WAN" 192.168.1.2
expect "the session was kept" "$before" "$(handshake)"
refuse "a number that there is not" linegate rollback 77 -c "$FILE"
refuse "history diff of it" linegate history diff 77 -c "$FILE"
expect "modes" "700 600 600 600" "$(stat -c %a "$LAB_DIR/state/history" "$LAB_DIR"/state/history/*.yaml | tr '\n' ' ' | sed 's/ $//')"
# Without a gateway nothing is written.
cp /run/second.yaml "$FILE"
check "applied again" linegate reload
wait_for 5 has 4 || fail "not in the history"
stop_gateway
refuse "the way back without a gateway" linegate rollback 1 -c "$FILE"
cmp "$FILE" /run/second.yaml || fail "the file was changed although nothing was applied"
