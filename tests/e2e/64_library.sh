#!/usr/bin/env bash
# limit: 240 s
# Programs with adapters of their own (liblinegate): a tunnel to wireguard-go by lib/examples/adapter.c, several programs at
# once, the same ifindex for the same id, a reload beside them, programs that are killed, users who may not.
source "$(dirname "$0")/lib.sh"
BUILD=$(dirname "$LINEGATE")
LIBRARY=$BUILD/liblinegate.so.1
EXAMPLE=$BUILD/lib/adapter
[ -e "$LIBRARY" ] && [ -x "$EXAMPLE" ] || skip "the library is not built"
export LINEGATE_SOCKET=$SOCKET LD_LIBRARY_PATH=$BUILD
lab
check "a tunnel of the file" pings 3 "$WAN" 192.168.1.2

# A wireguard-go peer of the program's own, in wan.
far=$(new_key far) near=$(new_key near)
wireguard_go "$WAN" far0
in_wan wg set far0 private-key "$LAB_DIR/far.key" listen-port 51999 peer "$near" endpoint 10.20.0.1:51900 allowed-ips 10.99.0.0/24
in_wan ip address add 10.99.0.2/24 dev far0
in_wan ip link set far0 up
adapter() { # NAME: in the background; up when it says so
  # Not through a function: $! must be the program itself.
  ip netns exec "$GW" "$EXAMPLE" "$1" 10.99.0.1/24 "$LAB_DIR/near.key" 51900 "$far" 10.99.0.2/32 10.20.0.2 51999 >"/run/$1.out" 2>"$LAB_DIR/$1.log" &
  PROGRAM=$!
  wait_for 10 grep -q '^up$' "/run/$1.out" || fail "$1 does not come up: $(cat "$LAB_DIR/$1.log")"
}
adapter app0
check "the program's tunnel, from the peer" pings 5 "$WAN" 10.99.0.1
check "the program's tunnel, from us" pings 5 "$GW" 10.99.0.2
check "wg shows it" sh -c "ip netns exec $GW wg show app0 | grep -q 'latest handshake'"
kill -USR1 "$PROGRAM"
check "the program reads its counters" wait_for 5 grep -Eq '^rx [1-9][0-9]* tx [1-9]' /run/app0.out
check "and the gateway's log, with its prefix" grep -q '^app0: up, listening on UDP port 51900' "$LAB_DIR/app0.log"

stream_start "$WAN" 10.99.0.1
check "a reload leaves it alone" linegate reload
expect "nothing differs from the file" "" "$(linegate diff | grep app0 || true)"
check "save" linegate save
refuse "save does not write it" grep -q app0 "$LAB_DIR/gateway.yaml"
stream_stop "a reload and a save beside a program"

# ---- several programs, one of them killed
cat >/run/many.py <<'PY'
import ctypes, os, signal, sys
lib = ctypes.CDLL("liblinegate.so.1")
name, identity = sys.argv[1].encode(), bytes.fromhex(sys.argv[2]) if len(sys.argv) > 2 else None
adapter, ifindex, netns = ctypes.c_void_p(), ctypes.c_uint32(), ctypes.c_uint64()
def must(error):
    if error == 0: return
    text = ctypes.c_char_p()
    lib.lg_last_error(ctypes.byref(text))
    sys.exit(f"{error} {text.value.decode()}")
must(lib.lg_adapter_create(name, b"test", identity, 0, ctypes.byref(adapter)))
must(lib.lg_adapter_set_state(adapter, 1))
must(lib.lg_adapter_luid(adapter, ctypes.byref(ifindex), ctypes.byref(netns)))
assert netns.value == os.stat("/proc/self/ns/net").st_ino, netns.value
print(ifindex.value, flush=True)
signal.pause()
PY
many() { # NAME [ID]
  : >"/run/$1.out"
  ip netns exec "$GW" python3 /run/many.py "$@" >"/run/$1.out" 2>&1 &
  PIDS+=($!)
  wait_for 10 grep -q . "/run/$1.out" || fail "$1 says nothing"
}
exists() { in_gw ip link show "$1" >/run/link.out 2>&1; }
gone() { ! exists "$1"; }
PIDS=()
for n in 1 2 3 4 5; do many "many$n"; done
for n in 1 2 3 4 5; do expect "ifindex of many$n" "$(in_gw cat "/sys/class/net/many$n/ifindex")" "$(cat "/run/many$n.out")"; done
kill -KILL "${PIDS[2]}"
check "a killed program's adapter goes" wait_for 5 gone many3
check "and no other" exists many4
for pid in "${PIDS[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
for n in 1 2 4 5; do check "many$n is gone" wait_for 5 gone "many$n"; done
check "the first program's tunnel" pings 3 "$WAN" 10.99.0.1

# ---- identity: the same ifindex each time, also after a restart of the gateway
PIDS=()
many same 6f0a4b5e0a1c4f7e9a533f0c1b7d2e11
first=$(cat /run/same.out)
[ "$first" -ge 1073741824 ] || fail "ifindex $first"
kill -KILL "${PIDS[0]}"
check "it goes" wait_for 5 gone same
many other
many same 6f0a4b5e0a1c4f7e9a533f0c1b7d2e11
expect "ifindex of the same id" "$first" "$(cat /run/same.out)"
in_gw python3 /run/many.py taken 6f0a4b5e0a1c4f7e9a533f0c1b7d2e11 >/run/taken.out 2>&1 && fail "an id for two adapters"
grep -q 'interface same has this id' /run/taken.out || fail "the refusal: $(cat /run/taken.out)"
say "one id, one adapter"

# ---- killed at random moments: LIBRARY_KILLS for more
before=$(in_gw ls /sys/class/net | sort | xargs)
descriptors() { find "/proc/$(gateway_pid)/fd" -maxdepth 1 | wc -l; }
open=$(descriptors)
for round in $(seq "${LIBRARY_KILLS:-25}"); do
  in_gw timeout -s KILL "0.$((RANDOM % 10))$((RANDOM % 9 + 1))" "$BUILD/tests/lib_program" churn churn0 >/run/churn.out 2>&1 || true
  wait_for 5 gone churn0 || fail "round $round leaves churn0"
done
expect "interfaces after the kills" "$before" "$(in_gw ls /sys/class/net | sort | xargs)"
check "no descriptor is left" wait_for 10 sh -c "[ \$(find /proc/$(gateway_pid)/fd -maxdepth 1 | wc -l) -le $open ]"

# ---- adapters that come and go while Linux sends into them: a worker may be at their tables
cat >/run/flood.py <<'PY'
import socket, struct, sys, time
packet = struct.pack("!IHBB", 0x60000000, 8, 17, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + struct.pack("!HHHH", 7, 7, 8, 0)
flood = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
sent, end = 0, time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for _ in range(200):
        try:
            flood.sendto(packet, (sys.argv[1], 0x86dd))
            sent += 1
        except OSError: pass
print(sent)
PY
in_gw timeout -s KILL 9 "$BUILD/tests/lib_program" churn churn1 >/run/churn.out 2>&1 &
sent=$(in_gw python3 /run/flood.py churn1 8)
[ "$sent" -gt 1000 ] || fail "only $sent packets into an adapter that comes and goes"
check "the gateway outlives $sent packets into them" pings 3 "$WAN" 10.99.0.1
wait_for 10 gone churn1 || fail "churn1 is left"

# ---- who may not
in_gw setpriv --reuid 65534 --regid 65534 --clear-groups /usr/bin/python3 /run/many.py nobody0 >/run/nobody.out 2>&1 && fail "a user without rights makes adapters"
grep -q '^-4 no permission' /run/nobody.out || fail "the refusal: $(cat /run/nobody.out)"
say "without permission: $(cat /run/nobody.out)"

# ---- the end
kill -TERM "$PROGRAM"
wait "$PROGRAM" || fail "the example ends with $?"
check "its adapter goes" wait_for 5 gone app0
check "the tunnel of the file" pings 3 "$WAN" 192.168.1.2
