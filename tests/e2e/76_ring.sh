#!/usr/bin/env bash
# limit: 240 s
# A program is the inner side of an interface (lib/examples/card.c): it answers the pings of a wireguard-go peer; Linux is
# the inner side again when it is killed, and nothing of it is left; a program that breaks the rules is shut out.
source "$(dirname "$0")/lib.sh"
BUILD=$(dirname "$LINEGATE")
ADAPTER=$BUILD/lib/adapter CARD=$BUILD/lib/card
[ -x "$ADAPTER" ] && [ -x "$CARD" ] || skip "the library is not built"
export LINEGATE_SOCKET=$SOCKET LD_LIBRARY_PATH=$BUILD
lab
far=$(new_key far) near=$(new_key near)
wireguard_go "$WAN" far0
in_wan wg set far0 private-key "$LAB_DIR/far.key" listen-port 51999 peer "$near" endpoint 10.20.0.1:51900 allowed-ips 10.99.0.0/24
in_wan ip address add 10.99.0.2/24 dev far0
in_wan ip link set far0 up
ip netns exec "$GW" "$ADAPTER" app0 10.99.0.1/24 "$LAB_DIR/near.key" 51900 "$far" 10.99.0.2/32 10.20.0.2 51999 >/run/app0.out 2>"$LAB_DIR/app0.log" &
wait_for 10 grep -q '^up$' /run/app0.out || fail "app0 does not come up: $(cat "$LAB_DIR/app0.log")"
linegate events >/run/events 2>/dev/null &
subscribed() { linegate reload >/dev/null && grep -q config_applied /run/events; }
wait_for 20 subscribed || fail "no events"
check "Linux answers before" pings 3 "$WAN" 10.99.0.1

descriptors() { find "/proc/$(gateway_pid)/fd" -maxdepth 1 | wc -l; }
memory() { grep -c linegate-ring "/proc/$(gateway_pid)/maps" || true; }
settled() { [ "$(descriptors)" -le "$open" ] && [ "$(memory)" = 0 ]; }
open=$(descriptors)
card() { # in the background; it says when it is there
  rm -f /run/card.out
  ip netns exec "$GW" "$CARD" app0 10.99.0.7 >/run/card.out 2>"$LAB_DIR/card.log" &
  CARD_PID=$!
  wait_for 10 grep -q '^up$' /run/card.out || fail "the card does not come up: $(cat "$LAB_DIR/card.log")"
}

# ---- the program answers
card
check "the program answers" pings 20 "$WAN" 10.99.0.7
check "large packets" pings 5 "$WAN" 10.99.0.7 -s 1300
check "after a pause" sh -c "sleep 1; ip netns exec $WAN ping -n -c 3 -i 0.4 -W 3 10.99.0.7 >/run/ping.out"
say "$(tail -1 /run/ping.out)"
expect "one memory" 1 "$(memory)"
state() { linegate show interfaces | sed -n 's/^app0 *\(up\(, program\)\?\) .*/\1/p'; }
expect "who is inside" "up, program" "$(state)"
inside() { linegate show interfaces --json | python3 -c 'import json, sys; print([i["program"] for i in json.load(sys.stdin)["interfaces"] if i["name"] == "app0"][0]["pid"])'; }
expect "the process" "$CARD_PID" "$(inside)"
linegate explain packet app0 10.99.0.2 10.99.0.7 icmp >/run/told.txt || fail "explain packet: $(cat /run/told.txt)"
grep -q '^the program that is the inner side of app0 gets it' /run/told.txt || fail "explain packet: $(cat /run/told.txt)"
in_gw "$CARD" app0 10.99.0.8 >/run/second.out 2>&1 && fail "two programs inside of one interface"
grep -q 'LG_BUSY' /run/second.out || fail "the refusal: $(cat /run/second.out)"
say "a second one: $(cat /run/second.out)"

# ---- what it may not, and what Linux may not meanwhile
before=$(drops ring_source)
check "it cannot answer for another address" no_ping "$WAN" 10.99.0.1
[ "$(drops ring_source)" -gt "$before" ] || fail "ring_source is not counted"
before=$(drops program_inside)
check "Linux is not the inner side" no_ping "$GW" 10.99.0.2
[ "$(drops program_inside)" -gt "$before" ] || fail "program_inside is not counted"
linegate show workers --json | grep -q '"to_program"' || fail "no counter of packets to programs"
check "the event" wait_for 5 grep -q ring_opened /run/events

# ---- killed: nothing is left, and Linux is the inner side again
stream_start "$WAN" 192.168.1.2
kill -KILL "$CARD_PID"
check "Linux answers again" wait_for 5 pings 1 "$WAN" 10.99.0.1
expect "nobody is inside" up "$(state)"
check "no descriptor and no memory is left" wait_for 10 settled
check "the event of its end" wait_for 5 grep -q ring_closed /run/events
for round in $(seq "${RING_KILLS:-15}"); do
  ip netns exec "$WAN" ping -n -c 20 -i 0.01 -W 1 10.99.0.7 >/run/ping.out 2>&1 &
  in_gw timeout -s KILL "0.$((RANDOM % 3))$((RANDOM % 9 + 1))" "$CARD" app0 10.99.0.7 >/run/card.out 2>&1 || true
  wait_for 10 settled || fail "round $round leaves $(descriptors) descriptors of $open, $(memory) mappings"
done
check "Linux answers after ${RING_KILLS:-15} kills" wait_for 5 pings 1 "$WAN" 10.99.0.1
rm -f /run/card.out
ip netns exec "$GW" python3 "$(dirname "$0")/../../lib/examples/card.py" app0 10.99.0.7 >/run/card.out 2>"$LAB_DIR/card.log" &
CARD_PID=$!
wait_for 10 grep -q '^up$' /run/card.out || fail "card.py does not come up: $(cat "$LAB_DIR/card.log")"
check "the same in Python" pings 5 "$WAN" 10.99.0.7
kill -KILL "$CARD_PID"
check "Linux answers again" wait_for 5 pings 1 "$WAN" 10.99.0.1
exists() { in_gw ip link show app0 >/run/link.out 2>&1; }
check "the interface is there" exists

# ---- a program that breaks the rules
cat >/run/hostile.py <<'PY'
import json, mmap, os, random, socket, struct, sys, time
what = sys.argv[1]
control = socket.socket(socket.AF_UNIX)
control.connect(os.environ["LINEGATE_SOCKET"])
def call(method, params):
    control.sendall(json.dumps({"method": method, "params": params}).encode() + b"\n")
    data, fds, _, _ = socket.recv_fds(control, 65536, 64)
    answer = json.loads(data)
    if "error" in answer: sys.exit(answer["error"]["message"])
    return answer["result"], fds
offer, fds = call("ring.open", {"interface": "app0", "slots": 64, "sources": ["10.99.0.7/32"]})
memory = mmap.mmap(fds[0], offer["bytes"])
call("ring.start", {})
from_program = offer["bytes"] // offer["queues"] // 2
def word(at, value): memory[at:at + 4] = struct.pack("<I", value)
print("up", flush=True)
if what == "index": word(from_program, 100000)
elif what == "hangup": [os.close(fd) for fd in fds]
else:
    chance = random.Random(5)
    end = time.monotonic() + 4
    while time.monotonic() < end:  # lengths and packets at random; the index stays true, so that they are looked at
        for i in range(64): word(from_program + 512 + 4 * i, chance.choice((0, 19, 20, 60, 1500, 2048, 2049, 1 << 31, 0xffffffff)))
        at = from_program + 4096 + chance.randrange(64 * 2048 - 64)
        memory[at:at + 64] = chance.randbytes(64)
        consumed = struct.unpack("<I", memory[from_program + 128:from_program + 132])[0]
        word(from_program, (consumed + 32) & 0xffffffff)
    sys.exit()
control.settimeout(15)
told = b""
while True:
    more = control.recv(4096)
    if not more: break
    told += more
print(json.loads(told)["ring"]["closed"])
PY
expect "an index that cannot be" "the program claims to have put in more packets than the ring has slots" \
  "$(in_gw python3 /run/hostile.py index 2>&1 | tail -1)"
check "Linux answers again" wait_for 5 pings 1 "$WAN" 10.99.0.1
expect "a queue that is closed" "the program has closed its end of a queue" "$(in_gw python3 /run/hostile.py hangup 2>&1 | tail -1)"
before=$(drops ring_bad_packet)
in_gw python3 /run/hostile.py scribble >/run/scribble.out 2>&1 || fail "scribble: $(cat /run/scribble.out)"
[ "$(drops ring_bad_packet)" -gt "$before" ] || fail "ring_bad_packet is not counted"
check "nothing is left" wait_for 10 settled
check "Linux answers again" wait_for 5 pings 1 "$WAN" 10.99.0.1
stream_stop "the stream of another peer, beside all of it"
check "the reason in the log" grep -q 'the ring of its program ends: the program claims' "$LAB_DIR/gateway.log"

# ---- the interface goes from under a program
card
linegate interface delete app0
check "the program is told" wait_for 10 sh -c "! kill -0 $CARD_PID 2>/dev/null"
check "nothing is left" wait_for 10 settled
