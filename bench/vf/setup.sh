#!/usr/bin/env bash
# Four VFs of one or two network cards for bench/vf: creates them, gives them MAC addresses, binds them to vfio-pci, and prints
# the command of a run. The cards' own functions stay with Linux.
#   sudo bench/vf/setup.sh LAN_PF [WAN_PF]   network interfaces, such as enp3s0f0; one alone has all four VFs
#   sudo bench/vf/setup.sh --undo PF...      removes all VFs of these interfaces
# The VFs of one card reach each other by the switch within the card: what that carries is the report's "ports alone".
set -euo pipefail
cd "$(dirname "$0")/../.."
die() { echo "setup: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "root is needed"
[ $# -ge 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }

device_of() { readlink -f "/sys/class/net/$1/device"; }
check_pf() {
  [ -e "/sys/class/net/$1/device/sriov_numvfs" ] || die "$1 has no virtual functions, or is no network interface"
}

if [ "$1" = --undo ]; then
  shift
  for pf in "$@"; do
    check_pf "$pf"
    for link in "$(device_of "$pf")"/virtfn*; do
      [ -e "$link" ] && scripts/bind-port.sh unbind "$(basename "$(readlink -f "$link")")" || true
    done
    echo 0 >"$(device_of "$pf")/sriov_numvfs"
  done
  exit 0
fi

# make PF COUNT FIRST: prints the PCI addresses of the new VFs.
make() {
  local pf=$1 count=$2 first=$3 i
  check_pf "$pf"
  [ "$(cat "/sys/class/net/$pf/device/sriov_numvfs")" = 0 ] || die "$pf has VFs already: $0 --undo $pf"
  [ "$(cat "/sys/class/net/$pf/device/sriov_totalvfs")" -ge "$count" ] || die "$pf has fewer than $count VFs"
  ip link set "$pf" up
  # Linux shall not configure them.
  echo 0 >"/sys/class/net/$pf/device/sriov_drivers_autoprobe"
  echo "$count" >"/sys/class/net/$pf/device/sriov_numvfs"
  for ((i = 0; i < count; ++i)); do
    ip link set "$pf" vf "$i" mac "$(printf '02:4c:47:56:46:%02x' $((first + i)))"
    # The gateway asks for all multicast; a card may grant that to a trusted VF alone.
    ip link set "$pf" vf "$i" trust on || echo "setup: $pf does not trust its VFs" >&2
    basename "$(readlink -f "$(device_of "$pf")/virtfn$i")"
  done
}

lan=$1 wan=${2:-$1}
if [ "$lan" = "$wan" ]; then
  mapfile -t made < <(make "$lan" 4 1)
  vfs=("${made[@]}")
else
  mapfile -t first < <(make "$lan" 2 1)
  mapfile -t second < <(make "$wan" 2 3)
  [ ${#first[@]} = 2 ] && [ ${#second[@]} = 2 ] || exit 1
  vfs=("${first[0]}" "${second[0]}" "${first[1]}" "${second[1]}")
fi
[ ${#vfs[@]} = 4 ] || exit 1
for vf in "${vfs[@]}"; do scripts/bind-port.sh bind "$vf"; done
echo "bench/vf/run.py --quick --huge --ports ${vfs[*]}"
