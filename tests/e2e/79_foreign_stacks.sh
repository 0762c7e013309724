#!/usr/bin/env bash
# limit: 600 s
# Programs that are not ours are the inner side of wg0: scapy by ctypes; lwIP, whose HTTP server answers curl, with lost
# packets in a small ring and over a restart of the gateway; gVisor's netstack with super-packets; a 32-bit program.
# lib/examples/echo.c comes back by itself.
source "$(dirname "$0")/lib.sh"
BUILD=$(dirname "$LINEGATE")
FOREIGN=$ROOT/tests/e2e/foreign
[ -e "$BUILD/liblinegate.so.1" ] || skip "the library is not built"
export LINEGATE_SOCKET=$SOCKET LD_LIBRARY_PATH=$BUILD
lab
check "Linux answers before" pings 3 "$WAN" 10.10.0.1
peer() { ip netns exec "$WAN" "$@"; }

program() { # COMMAND...: in the background; it says when it is up
  rm -f /run/program.out
  ip netns exec "$GW" "$@" >/run/program.out 2>"$LAB_DIR/program.log" &
  PROGRAM=$!
  wait_for 30 grep -q '^up$' /run/program.out || fail "$1 does not come up: $(cat "$LAB_DIR/program.log")"
}
program_end() {
  kill -0 "$PROGRAM" 2>/dev/null || fail "$1 has ended: $(tail -3 "$LAB_DIR/program.log")"
  kill -KILL "$PROGRAM"
  wait "$PROGRAM" 2>/dev/null || true
  check "Linux answers behind $1" wait_for 5 pings 1 "$WAN" 10.10.0.1
}
ups() { grep -c '^up$' /run/program.out; }
up_again() { [ "$(ups)" -gt "$1" ]; }
restart() { # SIGNAL: the gateway
  local before
  before=$(ups)
  stop_pid gateway "$1"
  sleep "${2:-0}"
  start_gateway
  wait_for 20 up_again "$before" || fail "the program does not come back after $1"
}

cat >/run/peer.py <<'PY'
import socket, sys
def echo(address, sizes):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(3)
        s.connect((address, 7))
        for size in sizes:
            sent = bytes(i * size % 251 for i in range(size))
            s.send(sent)
            assert s.recv(2048) == sent, size
def refused(kind, address):
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(3)
        try:
            s.connect((address, 9))
            s.send(b"x")
            s.recv(1)
        except ConnectionRefusedError: return
        sys.exit("not refused")
if sys.argv[1] == "echo": echo(sys.argv[2], map(int, sys.argv[3:]))
else: refused(socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM, sys.argv[2])
PY

# ---- scapy
if /usr/bin/python3 -c 'import scapy' 2>/dev/null; then
  program /usr/bin/python3 "$FOREIGN/scapy_card.py" wg0 10.10.0.7 fd00::7
  check "scapy answers pings" pings 10 "$WAN" 10.10.0.7
  check "large ones" pings 5 "$WAN" 10.10.0.7 -s 1392
  check "IPv6" pings 5 "$WAN" fd00::7 -s 1372
  check "UDP echo, odd and even lengths" peer python3 /run/peer.py echo 10.10.0.7 0 1 2 3 17 512 1391 1392
  check "a TCP port is refused" peer python3 /run/peer.py tcp 10.10.0.7
  check "a UDP port is unreachable" peer python3 /run/peer.py udp 10.10.0.7
  program_end scapy
else say "left out: python3-scapy is not installed"; fi

# ---- a 32-bit program with the 64-bit gateway
m32=(gcc -m32 -std=c11 -O2 -D_GNU_SOURCE -DLINEGATE_MAJOR=0 -DLINEGATE_MINOR=0 -DLINEGATE_PATCH=0 "-I$ROOT/lib/include" "-I$ROOT")
layout() { # BITS: what a program of so many shares
  gcc "-m$1" -std=c11 "-I$ROOT/lib/include" "-I$ROOT" -c "$FOREIGN/layout.c" -o "/run/layout$1.o" &&
    objcopy -O binary -j .rodata "/run/layout$1.o" "/run/layout$1"
}
if ! gcc -m32 -xc -o /run/tiny32 - <<<'#include <stdio.h>
int main(void) { return puts("") < 0; }' 2>/dev/null; then say "left out: gcc-multilib is not installed"
else
  check "the library and card.c for 32 bits" "${m32[@]}" "$ROOT"/lib/src/*.c "$ROOT/lib/examples/card.c" -o /run/card32 -lpthread
  expect "the class of its file" 1 "$(od -An -tu1 -j4 -N1 /run/card32 | xargs)"
  check "what 32 bits share" layout 32
  check "what 64 bits share" layout 64
  check "is the same" cmp /run/layout32 /run/layout64
  if /run/tiny32 >/dev/null 2>&1; then
    program /run/card32 wg0 10.10.0.7
    check "a 32-bit program answers pings" pings 20 "$WAN" 10.10.0.7
    check "large ones" pings 5 "$WAN" 10.10.0.7 -s 1392
    program_end "a 32-bit program"
  else say "not run: this kernel runs no 32-bit programs"; fi
fi

# ---- a program that comes back by itself
program "$BUILD/lib/echo" wg0 10.10.0.7
check "echo.c" peer python3 /run/peer.py echo 10.10.0.7 0 1 1392
restart -TERM 1
check "it is back after a restart" wait_for 10 peer python3 /run/peer.py echo 10.10.0.7 100
grep -q '^waiting: LG_NOT_RUNNING' /run/program.out || fail "what it says meanwhile: $(cat /run/program.out)"
restart -KILL
check "it is back when the gateway was killed" wait_for 10 peer python3 /run/peer.py echo 10.10.0.7 100
program_end echo.c

# ---- stacks with an HTTP server: what curl brings and takes
head -c 12M /dev/urandom >/run/large
head -c 1M /run/large >/run/small
adler32() { python3 -c 'import sys, zlib; d = open(sys.argv[1], "rb").read(); print(len(d), zlib.adler32(d))' "$1"; }
get() { rm -f /run/got && peer curl -sSf --noproxy '*' --max-time 60 "${@:3}" -o /run/got "http://$1/$2"; }
put() { peer curl -sSf --noproxy '*' --max-time 60 -H 'Expect:' -T "$2" "http://$1/"; }
rate() { awk -v b="$(stat -c %s /run/got)" -v s="$1" -v e="$EPOCHREALTIME" 'BEGIN { printf "%.0f Mbit/s", b * 8e-6 / (e - s) }'; }
serves() { # NAME PAGE: pages, files both ways, and a download that outlasts the gateway
  local begin download sent
  check "$1 answers pings" pings 10 "$WAN" 10.10.0.7 -s 1392
  check "and IPv6" pings 5 "$WAN" fd00::7
  check "curl" get 10.10.0.7 ''
  grep -q "$2" /run/got || fail "the page: $(cat /run/got)"
  say "$(cat /run/got)"
  refuse "what is not there" get 10.10.0.7 nothing
  begin=$EPOCHREALTIME
  check "12 MiB from it" get 10.10.0.7 file
  say "$(rate "$begin")"
  check "they are the same" cmp /run/got /run/large
  expect "12 MiB to it" "$(adler32 /run/large)" "$(put 10.10.0.7 /run/large)"
  check "12 MiB by IPv6" get '[fd00::7]' file
  check "they are the same" cmp /run/got /run/large
  get 10.10.0.7 file --limit-rate 2M &
  download=$!
  sleep 2
  restart -TERM
  check "a download goes on over a restart of the gateway" wait "$download"
  check "it is the same" cmp /run/got /run/large
  sent=$(transfer | cut -d' ' -f2)
  [ "$sent" -gt 2000000 ] || fail "the gateway that came later has sent $sent bytes of it"
  say "the gateway that came later has sent $sent bytes of it"
}

# ---- lwIP
if [ -e /usr/include/lwip/lwip/tcp.h ]; then
  check "a netif for lwIP" cc -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra "-I$ROOT/lib/include" -isystem /usr/include/lwip \
    "$FOREIGN/lwip_httpd.c" -o /run/lwip_httpd "-L$BUILD" -llinegate -llwip
  program /run/lwip_httpd wg0 10.10.0.7 fd00::7 /run/large
  serves lwIP '^lwIP .* behind a ring$'
  program_end lwIP

  program /run/lwip_httpd wg0 10.10.0.7 fd00::7 /run/small 64 60
  begin=$EPOCHREALTIME
  check "1 MiB from it, each 60th packet lost, 64 slots" get 10.10.0.7 file
  say "$(rate "$begin")"
  check "they are the same" cmp /run/got /run/small
  expect "1 MiB to it" "$(adler32 /run/small)" "$(put 10.10.0.7 /run/small)"
  check "four at a time" sh -c "for n in 1 2 3 4; do ip netns exec $WAN curl -sSf --noproxy '*' --max-time 60 http://10.10.0.7/file |
    cmp - /run/small & pids=\"\$pids \$!\"; done; for pid in \$pids; do wait \$pid || exit 1; done"
  program_end "lwIP with lost packets"
else say "left out: liblwip-dev is not installed"; fi

# ---- gVisor's netstack
netstack=$BUILD/e2e_netstack # beside its cache, so that only the first run compiles all of gVisor's stack
go_build() {
  local start=$EPOCHREALTIME
  GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$BUILD/go-cache CGO_CFLAGS=-I$ROOT/lib/include CGO_LDFLAGS=-L$BUILD \
    go build -o "$netstack" "$FOREIGN/netstack.go" || return
  awk -v s="$start" -v e="$EPOCHREALTIME" 'BEGIN { printf "    compiled in %.0f s\n", e - s }'
}
if [ -d /usr/share/gocode/src/gvisor.dev/gvisor/pkg/tcpip ] && command -v go >/dev/null; then
  check "a link endpoint for gVisor" go_build
  program "$netstack" wg0 10.10.0.7 fd00::7 /run/large
  serves netstack "^gVisor's netstack .* behind a ring$"
  check "UDP echo, odd and even lengths" peer python3 /run/peer.py echo 10.10.0.7 1 2 3 17 512 1391 1392
  check "a TCP port is refused" peer python3 /run/peer.py tcp 10.10.0.7
  check "a UDP port is unreachable" peer python3 /run/peer.py udp 10.10.0.7
  kill -TERM "$PROGRAM"
  wait "$PROGRAM"
  say "$(tail -1 /run/program.out)"
  tail -1 /run/program.out | awk '{ exit !($3 > 100 && $5 > 100) }' || fail "no super-packets: $(tail -1 /run/program.out)"
  program "$netstack" wg0 10.10.0.7 fd00::7 /run/large plain
  begin=$EPOCHREALTIME
  check "12 MiB from it, packets alone" get 10.10.0.7 file
  say "$(rate "$begin")"
  check "they are the same" cmp /run/got /run/large
  program_end netstack
else say "left out: golang-go and golang-gvisor-gvisor-dev are not installed"; fi
