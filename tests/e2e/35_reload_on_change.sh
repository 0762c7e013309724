#!/usr/bin/env bash
# reload_on_change: the file, a peer file and a key file; replaced by renaming, and written in place in several steps,
# of which no half is ever taken for the whole.
source "$(dirname "$0")/lib.sh"
CONTROL='reload_on_change: true'
WG0='peer_files: ["peers.d/*.yaml"]'
mkdir -p "$LAB_DIR/peers.d"
lab
check "a tunnel" pings 3 "$WAN" 192.168.1.2
shake=$(handshake)
stream_start "$WAN" 192.168.1.2
has() { in_gw wg show wg0 allowed-ips | grep -q "$1"; }
has_not() { ! has "$1"; }
reloads() { grep -c 'reload' "$LAB_DIR/gateway.log" || true; }

PEERS="- { name: one, public_key: \"$(wg genkey | wg pubkey)\", allowed_ips: [10.80.1.0/24] }"
lab_config
check "the file was renamed over" wait_for 5 has 10.80.1.0/24
two=$(wg genkey | wg pubkey)
echo "- { name: two, public_key: \"$two\", preshared_key_file: two.psk, allowed_ips: [10.80.2.0/24] }" >"$LAB_DIR/two.yaml"
(umask 077; wg genpsk >"$LAB_DIR/peers.d/two.psk")
mv "$LAB_DIR/two.yaml" "$LAB_DIR/peers.d/two.yaml"
check "a peer file came" wait_for 5 has 10.80.2.0/24
psk() { in_gw wg show wg0 preshared-keys | awk -v k="$two" '$1 == k { print $2 }'; }
(umask 077; wg genpsk >"$LAB_DIR/next.psk")
mv "$LAB_DIR/next.psk" "$LAB_DIR/peers.d/two.psk"
psk_is_new() { [ "$(psk)" = "$(cat "$LAB_DIR/peers.d/two.psk")" ]; }
check "its key file was replaced" wait_for 5 psk_is_new

# In place, peer by peer, with pauses shorter than a moment (250 ms) and each line a valid end: only the whole may be seen.
# Where the machine has made a longer pause of one, nothing can be said, and it is tried again.
for i in $(seq 20); do
  echo "- { name: many$i, public_key: \"$(wg genkey | wg pubkey)\", allowed_ips: [10.81.$i.0/24] }"
done >"$LAB_DIR/many.txt"
for _ in 1 2 3 4 5; do
  python3 "$TOOLS/write_slowly.py" "$LAB_DIR/peers.d/many.yaml" <"$LAB_DIR/many.txt" >/run/longest_pause &
  writer=$!
  seen=
  while kill -0 "$writer" 2>/dev/null; do
    seen+=" $(in_gw wg show wg0 allowed-ips | grep -c '10\.81\.' || true)"
    sleep 0.05
  done
  wait "$writer"
  [ "$(cat /run/longest_pause)" -lt 150 ] && break
  say "a pause of $(cat /run/longest_pause) ms: once more"
  rm "$LAB_DIR/peers.d/many.yaml"
  check "none of them" wait_for 5 has_not 10.81.1.0/24
done
[ "$(cat /run/longest_pause)" -lt 150 ] || fail "five times a pause of more than 150 ms"
expect "peers while they were being written, but for none and all" "" "$(echo $seen | tr ' ' '\n' | sort -u | grep -vx -e 0 -e 20 || true)"
check "all of them afterwards" wait_for 5 has 10.81.20.0/24
expect "how many" 20 "$(in_gw wg show wg0 allowed-ips | grep -c '10\.81\.')"
# Held open by its writer, for longer than a moment.
before=$(in_gw wg showconf wg0)
exec 7>>"$LAB_DIR/peers.d/many.yaml"
echo "- { name: last, public_key: \"$(wg genkey | wg pubkey)\", allowed_ips: [10.82.0.0/24] }" >&7
sleep 1.5
expect "while the writer has it open" "$before" "$(in_gw wg showconf wg0)"
exec 7>&-
check "when it has closed it" wait_for 5 has 10.82.0.0/24
rm "$LAB_DIR/peers.d/many.yaml"
check "the peer file has gone" wait_for 5 has_not 10.81.20.0/24

# A bad file is reported and changes nothing; the next good one is applied.
before=$(in_gw wg showconf wg0)
sed -i.good 's/listen_port/listen_prot/' "$LAB_DIR/gateway.yaml"
check "a bad file is named" wait_for 5 grep -q 'gateway.yaml:[0-9]*:[0-9]*: .*listen_prot' "$LAB_DIR/gateway.log"
expect "and changes nothing" "$before" "$(in_gw wg showconf wg0)"
applied=$(grep -c "reload: [0-9]* change" "$LAB_DIR/gateway.log")
sed 's/reload_on_change: true/reload_on_change: false/' "$LAB_DIR/gateway.yaml.good" >"$LAB_DIR/next.yaml"
mv "$LAB_DIR/next.yaml" "$LAB_DIR/gateway.yaml"
logged() { [ "$(grep -c "reload: [0-9]* change" "$LAB_DIR/gateway.log")" -gt "$1" ]; }
check "switched off by its own doing" wait_for 5 logged "$applied"
sleep 1
sed 's/10.80.1.0/10.80.3.0/' "$LAB_DIR/gateway.yaml" >"$LAB_DIR/next.yaml"
mv "$LAB_DIR/next.yaml" "$LAB_DIR/gateway.yaml"
sleep 1
check "no reload any more" has 10.80.1.0/24
stream_stop "changes of files"
expect "the session is the same" "$shake" "$(handshake)"
