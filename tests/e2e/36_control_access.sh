#!/usr/bin/env bash
# Who may do what: the admin group, the read group, other users; and clients that send too much, half a request, or a byte
# now and then. The metrics endpoint.
source "$(dirname "$0")/lib.sh"
# Accounts of this scenario's own, over a copy of the real files.
for file in passwd group; do
  cp "/etc/$file" "/run/$file"
  mount --bind "/run/$file" "/etc/$file"
done
printf 'lgadmin:x:64101:\nlgread:x:64102:\n' >>/etc/group
printf 'adam:x:64111:64101::/:/bin/sh\nrita:x:64112:64102::/:/bin/sh\nnick:x:64113:64113::/:/bin/sh\n' >>/etc/passwd
CONTROL='admin_group: lgadmin, read_group: lgread, metrics: "127.0.0.1:9586"'
chmod 755 /run /run/lab
lab
READ=${SOCKET%/*}/read.sock
check "a tunnel" pings 3 "$WAN" 192.168.1.2
as() { # USER COMMAND...
  in_gw setpriv --reuid "$1" --regid "$(id -g "$1")" --clear-groups "$LINEGATE" --socket "$SOCKET" "${@:2}"
}
expect "owner, group, mode" "root lgadmin 660 root lgread 660" "$(stat -c '%U %G %a' "$SOCKET" "$READ" | xargs)"
check "the admin group looks" as adam show peers
check "the admin group changes" as adam reload
check "the read group looks" as rita show peers
refuse "the read group does not change" as rita reload
refuse "nor read keys" as rita export wg0
refuse "another user does not look" as nick show peers
refuse "another user does not change" as nick reload
refuse "wg is for root alone" in_gw setpriv --reuid adam --regid lgadmin --clear-groups wg show wg0
in_gw python3 "$TOOLS/bad_clients.py" "$SOCKET" "$READ" /run/wireguard/wg0.sock "$(gateway_pid)" || fail "bad clients"
check "the tunnel" pings 3 "$WAN" 192.168.1.2

scrape() { in_gw curl -sf http://127.0.0.1:9586/metrics; }
scrape >/run/metrics || fail "the metrics endpoint does not answer"
for family in linegate_peer_receive_bytes_total linegate_peer_transmit_bytes_total linegate_peer_last_handshake_seconds \
  linegate_drops_total linegate_worker_busy_share linegate_config_last_reload_seconds; do
  grep -q "^$family" /run/metrics || fail "no $family: $(grep -o '^linegate[a-z_]*' /run/metrics | sort -u | xargs)"
done
grep -q 'peer="remote"' /run/metrics || fail "no peer by name"
first=$(awk '/^linegate_peer_receive_bytes_total.*remote/ { print $2 }' /run/metrics)
pings 5 "$WAN" 192.168.1.2 -s 1000
sleep 1.2 # scrapes share a copy for a second
second=$(scrape | awk '/^linegate_peer_receive_bytes_total.*remote/ { print $2 }')
awk -v a="$first" -v b="$second" 'BEGIN { exit !(b - a >= 5000) }' || fail "bytes of the peer: $first, then $second"
CONTROL+=', metrics_per_peer: false'
lab_config
check "sums only, live" linegate reload
scrape | grep -q 'peer="remote"' && fail "peers are still named"
CONTROL=${CONTROL/metrics: \"127.0.0.1:9586\", /}
lab_config
check "no metrics, live" linegate reload
refuse "the socket does not answer" scrape
