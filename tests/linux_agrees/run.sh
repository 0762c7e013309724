#!/usr/bin/env bash
# Does the short cut do what Linux does? linux_agrees.py in mount, process and network namespaces of its own.
#   sudo tests/linux_agrees/run.sh [--seed N | --histories N | --minutes M | --plant NAME]
# LINEGATE: the program under test (build/release/linegate).
set -euo pipefail
cd "$(dirname "$0")"
LINEGATE=$(readlink -f "${LINEGATE:-../../build/release/linegate}")
[ "$(id -u)" = 0 ] || { echo "linux_agrees: network namespaces need root" >&2; exit 1; }
[ -x "$LINEGATE" ] || { echo "linux_agrees: no program at $LINEGATE" >&2; exit 1; }
exec unshare --mount --propagation private --net --pid --fork --kill-child --mount-proc bash -c '
  mount -t tmpfs tmpfs /run && mkdir /run/netns /run/wireguard && ip link set lo up &&
  exec env PYTHONDONTWRITEBYTECODE=1 python3 linux_agrees.py --program "$@"' bash "$LINEGATE" "$@"
