#!/usr/bin/env bash
# Reserves hugepages of 2 MB at run time and prints how many it got.
#   sudo scripts/setup-hugepages.sh MB [--node N]   so that MB megabytes are free, spread over the NUMA nodes or all on N
#   sudo scripts/setup-hugepages.sh 0               releases the unused ones
#   scripts/setup-hugepages.sh show
# Exits with 1 when fewer are available. A reboot releases them; to keep them set vm.nr_hugepages in /etc/sysctl.d.
set -euo pipefail
usage() { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
die() { echo "setup-hugepages: $*" >&2; exit 1; }
pages() { echo "$1/hugepages/hugepages-2048kB"; }

nodes=(/sys/devices/system/node/node*)
[ -e "$(pages "${nodes[0]}")" ] || die "this kernel has no hugepages of 2 MB"

show() {
  local node p
  for node in "${nodes[@]}"; do
    p=$(pages "$node")
    echo "${node##*/}: $(cat "$p/nr_hugepages") pages of 2 MB, $(cat "$p/free_hugepages") free ($(($(cat "$p/free_hugepages") * 2)) MB)"
  done
}

# reserve NODE PAGES: makes PAGES free on the node. The kernel silently provides fewer if it must.
reserve() {
  local p used want
  p=$(pages "$1")
  used=$(($(cat "$p/nr_hugepages") - $(cat "$p/free_hugepages")))
  want=$((used + $2))
  echo "$want" >"$p/nr_hugepages"
  [ "$(cat "$p/nr_hugepages")" -ge "$want" ] && return
  # Memory is fragmented or full of cached files: compact it, drop the caches and try again.
  echo 1 >/proc/sys/vm/compact_memory 2>/dev/null || true
  echo "$want" >"$p/nr_hugepages"
}

megabytes=${1:-}
[ "$megabytes" = show ] && [ $# = 1 ] && { show; exit; }
[[ $megabytes =~ ^[0-9]+$ ]] || usage
only=
if [ $# -gt 1 ]; then
  [ "$2" = --node ] && [ $# = 3 ] || usage
  only=/sys/devices/system/node/node$3
  [ -d "$only" ] || die "there is no NUMA node $3"
fi
[ "$(id -u)" = 0 ] || die "root is needed"

wanted=$(((megabytes + 1) / 2))
if [ -n "$only" ]; then
  nodes=("$only")
  reserve "$only" "$wanted"
else
  left=$wanted
  for i in "${!nodes[@]}"; do
    share=$((left / (${#nodes[@]} - i)))
    reserve "${nodes[$i]}" "$share"
    left=$((left - share))
  done
fi
show
got=0
for node in "${nodes[@]}"; do got=$((got + $(cat "$(pages "$node")/free_hugepages"))); done
if [ "$got" -lt "$wanted" ]; then
  die "requested $((wanted * 2)) MB, but only $((got * 2)) MB are free: stop other programs, or reserve them at boot
  (kernel arguments: hugepagesz=2M hugepages=$wanted)"
fi
