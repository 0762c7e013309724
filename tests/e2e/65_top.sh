#!/usr/bin/env bash
# linegate top on a terminal, by tmux: figures of real traffic, order, filter, pause, explain, 80 columns and fewer lines,
# NO_COLOR, and a terminal that is left as it was; and `--once` and `--json` for scripts.
source "$(dirname "$0")/lib.sh"
command -v tmux >/dev/null || skip "tmux is not installed"
PEERS="- { name: silent, public_key: \"$(wg genkey | wg pubkey)\", allowed_ips: [10.10.0.4/32] }"
lab 'endpoint: "10.20.0.2:51821"'
check "the tunnel" wait_for 10 pings 1 "$WAN" 192.168.1.2
stream_start "$WAN" 192.168.1.2 0.01

# The figures are those of the traffic: about 100 echo requests and answers a second.
figures() { linegate top --json --interval 1 >/run/top.json && python3 - <<'PYTHON'
import json
top = json.load(open("/run/top.json"))
peer = top["peers"][0]
assert peer["name"] == "remote", peer
assert 10 < peer["rx_packets_rate"] < 300 and 10 < peer["tx_packets_rate"] < 300, peer
assert 100 < peer["rx_bytes_rate"] / peer["rx_packets_rate"] < 140, peer
assert top["peers_total"] == 2 and top["peers_moving"] == 1 and len(top["peers"]) == 2, top
assert {port["name"] for port in top["ports"]} == {"wan", "lan"}, top
assert top["workers"] and top["complete"], top
PYTHON
}
check "figures of the traffic" figures
check "the read-only socket" ns "$GW" "$LINEGATE" --socket "${SOCKET%/*}/read.sock" top --once
linegate top --once --filter silent >/run/out
grep -q '^ *silent' /run/out && ! grep -q remote /run/out || fail "--filter: $(cat /run/out)"
say "a filter"

TMUX=(tmux -L top -f /dev/null)
export TERM=xterm
"${TMUX[@]}" new-session -d -x 80 -y 24 "ip netns exec $GW env -u COLUMNS -u LINES bash --norc"
trap '"${TMUX[@]}" kill-server 2>/dev/null; on_exit' EXIT
screen() { "${TMUX[@]}" capture-pane -p "$@"; }
shows() { screen | grep -qE -- "$1"; }
# What is on the screen within ten seconds.
awaits() { wait_for 10 shows "$2" || { screen >&2; fail "$1: no '$2' on the screen"; }; say "$1"; }
key() { "${TMUX[@]}" send-keys "$@"; }
start() { key "PS1='ready> '; $1 $LINEGATE --socket $SOCKET top $2" Enter; }
start "" ""
awaits "peers with rates" '^> *remote +[0-9.]+k +[0-9.]+k'
awaits "the summary" '^2 peers, 1 with traffic'
[ "$(screen | wc -l)" -le 24 ] || fail "more than 24 lines"
at_most "columns" 80 "$(screen | wc -L)"
screen -e | grep -q $'\033\[33m' || fail "no colour on a terminal"
key r
awaits "order by what is received" 'RX BIT/S\*'
key p
awaits "order by packets" 'PACKETS/S\*'
key /
awaits "a filter is asked for" '^filter .*_$'
key -l sil
key Enter
awaits "only the silent peer" '^> *silent'
shows remote && fail "the filter leaves the other peer"
awaits "the filter is named" '\[sil\]'
key / BSpace BSpace BSpace Enter
awaits "without the filter" '^. *remote'
key Space
awaits "paused" '^PAUSED'
stands() { screen | sed -n 1p; }
first=$(stands)
sleep 2
expect "a paused screen stands" "$first" "$(stands)"
key Space
moves() { [ "$(stands)" != "$first" ] && ! shows PAUSED; }
wait_for 5 moves || fail "it does not go on"
key t
awaits "the usual order" 'RX BIT/S\*'
key Down
awaits "the second peer is selected" '^> *silent'
key Enter
awaits "explained" 'silent is not up'
key x
awaits "back" '^2 peers, 1 with traffic'
"${TMUX[@]}" resize-window -x 60 -y 12
fits() { shows '^> ' && [ "$(screen | wc -L)" -le 60 ] && screen | tail -1 | grep -q 'order'; }
wait_for 5 fits || { screen >&2; fail "a smaller terminal"; }
say "a smaller terminal"
"${TMUX[@]}" resize-window -x 140 -y 30
awaits "a wider one shows the endpoint" 'ENDPOINT'
key q
awaits "the shell again" '^ready> *$'
shows 'packets/s' && fail "the screen is not that of before"
key "stty -a | tr ';' '\n' | grep -cE '(^| )(icanon|echo)( |$)'; echo over" Enter
awaits "the terminal is as before" '^over'
shows '^[12]$' || fail "neither canonical nor echoing: $(screen)"
"${TMUX[@]}" send-keys -R \; clear-history
start "NO_COLOR=1" "--sort drops"
awaits "the order of an option" 'DROPS/S\*'
screen -e | grep -q $'\033\[3[0-9]m' && fail "colours despite NO_COLOR"
key C-c
awaits "Ctrl-C ends it" '^ready> *$'
# The gateway ends while it is shown.
start "" ""
awaits "shown again" '^2 peers'
stop_gateway
awaits "the gateway has gone" 'linegate is not running'
