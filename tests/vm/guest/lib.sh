# Sourced by the parts, which run as root in the virtual machine.
export LC_ALL=C.UTF-8
PART=$(basename "$0" .sh)
echo "== $PART"
trap 'echo "== end of $PART"' EXIT

# check NAME COMMAND...: one line of the result; what a failed command printed follows.
check() {
  local name=$1 out
  shift
  if out=$("$@" 2>&1); then echo "ok    $PART: $name"; else
    echo "FAIL  $PART: $name"
    printf '%s\n' "$out" | tail -15 | sed 's/^/      /'
    journalctl -u linegate -n 12 --no-pager -o short-monotonic 2>/dev/null | sed 's/^/      | /'
  fi
}
# expect NAME WANTED GOT
expect() { check "$1 ($2)" test "$2" = "$3" || true; [ "$2" = "$3" ] || echo "      got: $3"; }
note() { echo "note  $PART: $*"; }

# within SECONDS COMMAND...: tries every half second until it holds; so many times longer where the processor is emulated.
PATIENCE=$(sed -nE 's/.*patience=([0-9]+).*/\1/p' /proc/cmdline)
within() {
  local end=$((SECONDS + $1 * ${PATIENCE:-1}))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { "$@"; return; }
    sleep 0.5
  done
}
in_output() { # PATTERN COMMAND...
  local pattern=$1
  shift
  "$@" | grep -e "$pattern"
}
refuses() { ! "$@"; }
main_pid() { systemctl show -p MainPID --value linegate; }
active() { [ "$(systemctl is-active linegate)" = active ]; }
test_restarted() { [ "$(restarts)" -gt "$1" ]; }
restarts() { systemctl show -p NRestarts --value linegate; }
show() { linegate show "$@" --json; }
