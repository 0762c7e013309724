#!/usr/bin/env bash
# A capture with keys, for laboratories: a gateway gives none unless it was started for that, and then tshark decrypts the
# messages to exactly the inner packets that the same file has beside them. Both roles of the handshake, with a preshared key.
source "$(dirname "$0")/lib.sh"
lab 'endpoint: "10.20.0.2:51821"'
capture() { ns "$GW" "$LINEGATE" --socket "$SOCKET" capture "$@"; }
# In the background, as $CAPTURE.
capture_start() {
  interruptible ip netns exec "$GW" "$LINEGATE" --socket "$SOCKET" capture "$@" 2>/run/capture.err &
  CAPTURE=$!
}
capture_stop() {
  sleep 0.3
  kill -INT "$CAPTURE"
  wait "$CAPTURE" || fail "the capture fails: $(cat /run/capture.err)"
}
secrets() { grep -acE 'LOCAL_(STATIC|EPHEMERAL)_PRIVATE_KEY' "$1" || true; }

# Not armed: refused, and no file has a key.
refuse "keys of a gateway that was not started for it" capture --peer remote --with-keys -w /run/no.pcapng
grep -q -- "--allow-key-captures" /run/check.out || fail "the refusal does not say what would allow it: $(cat /run/check.out)"
expect "keys in the file" 0 "$(secrets /run/no.pcapng)"
linegate show | grep -q "private keys" && fail "a warning without a reason"

# Armed: it says so, everywhere.
stop_gateway
RUN_OPTIONS=--allow-key-captures
start_gateway
check "show warns" sh -c "'$LINEGATE' --socket '$SOCKET' show | grep -q 'captures may record private keys'"
grep -q "warning captures may record private keys" "$LAB_DIR/gateway.log" || fail "nothing in the log"
refuse "keys on standard output" capture --peer remote --with-keys
refuse "keys of all peers" capture --with-keys -w /run/no.pcapng
refuse "a trace with keys" ns "$GW" "$LINEGATE" --socket "$SOCKET" trace --with-keys
refuse "the read-only socket" ns "$GW" "$LINEGATE" --socket "${SOCKET%/*}/read.sock" capture --peer remote --with-keys -w /run/no.pcapng
check "traffic before" pings 3 "$WAN" 192.168.1.2

# We initiate: the capture starts a handshake of its own.
touch /run/keys.pcapng
chmod 644 /run/keys.pcapng
capture_start --peer remote --with-keys -w /run/keys.pcapng
wait_for 15 sh -c 'tshark -r /run/keys.pcapng -Y "wg.type == 2" 2>/dev/null | grep -q .' || fail "no handshake within the capture"
sleep 0.3
check "a session with known keys" pings 20 "$WAN" 192.168.1.2 -s 333
check "the other direction" pings 5 "$LAN" 10.10.0.2
refuse "two at a time" capture --peer remote --with-keys -w /run/no.pcapng
grep -q "warning: /run/keys.pcapng will hold the interface's private key" /run/capture.err || fail "no warning: $(cat /run/capture.err)"
capture_stop
expect "mode of the file" 600 "$(stat -c %a /run/keys.pcapng)"
grep -q "private key of wg0.*go into a capture" "$LAB_DIR/gateway.log" || fail "not logged"
check "tshark decrypts it" python3 "$TOOLS/decrypted.py" /run/keys.pcapng 50
expect "key captures" 1 "$(linegate show --json | grep -o '"key_captures": *[0-9]*' | grep -o '[0-9]*$')"

# The peer initiates: from here on it knows where we are, and we do not know where it is.
stop_peer
stop_gateway
rm -rf "$LAB_DIR/state"
lab_config
start_gateway
capture_start --peer remote --with-keys -w /run/responder.pcapng
sleep 0.7
start_peer
check "the peer's session" pings 20 "$WAN" 192.168.1.2 -s 444
capture_stop
check "tshark decrypts that too" python3 "$TOOLS/decrypted.py" /run/responder.pcapng 40

# Afterwards nothing is told any more, and without the file's keys nothing is readable.
check "a capture without keys" sh -c "'$LINEGATE' --socket '$SOCKET' capture --peer remote --count 6 --seconds 5 -w /run/plain.pcapng & sleep 0.5; ip netns exec '$WAN' ping -q -c 5 -i 0.05 192.168.1.2; wait"
expect "keys in a plain capture" 0 "$(secrets /run/plain.pcapng)"
for secret in gw.key psk; do
  grep -qF "$(cat "$LAB_DIR/$secret")" "$LAB_DIR/gateway.log" && fail "$secret is in the log"
done
true
