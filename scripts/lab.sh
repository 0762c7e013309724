#!/usr/bin/env bash
# A lab to play with: the demo's namespaces, a running gateway and a wireguard-go peer.
#   scripts/lab.sh up             make it (linegate must be built: cmake --build --preset release)
#   scripts/lab.sh shell gw|wan|lan   a shell inside
#   scripts/lab.sh down           remove it
set -euo pipefail
cd "$(dirname "$0")/.."
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 1 ] || usage
source scripts/root.sh
become_root "$@"
LINEGATE=$PWD/build/release/linegate
source scripts/lab_lib.sh
case $1 in
  up)
    [ -x "$LINEGATE" ] || { echo "lab: $LINEGATE is missing: cmake --preset release && cmake --build --preset release" >&2; exit 1; }
    if grep -qw "$GW" <<<"$(ip netns list)"; then echo "lab: it is up already" >&2; exit 1; fi
    trap lab_down ERR
    lab_namespaces
    lab_keys
    lab_config
    start_gateway
    start_peer
    trap - ERR
    cat <<TXT
up. Try:
  scripts/lab.sh shell wan      then: ping 192.168.1.2, iperf3 -c …
  sudo ip netns exec $GW $LINEGATE --socket $SOCKET show peers
  sudo ip netns exec $GW wg show
Configuration: $LAB_DIR/gateway.yaml   log: $LAB_DIR/gateway.log
TXT
    ;;
  down) lab_down ;;
  shell)
    case ${2:-} in gw | wan | lan) ;; *) usage ;; esac
    exec ip netns exec "$LAB-$2" "${SHELL:-/bin/bash}"
    ;;
  *) usage ;;
esac
