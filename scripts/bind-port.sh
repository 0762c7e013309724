#!/usr/bin/env bash
# Gives a PCI network port to DPDK (driver vfio-pci), or back to Linux. PORT is a PCI address or the name of a
# network interface. Nothing is permanent: after a reboot Linux has its ports back, but for those in /etc/default/linegate.
#   scripts/bind-port.sh list                     every network port, its driver, and obstacles to binding it
#   sudo scripts/bind-port.sh [bind] PORT [--force] [--without-iommu]
#       to vfio-pci. --force: even when it carries the default route. --without-iommu: even when nothing keeps the device
#       from reading and writing all memory; the driver is then uio_pci_generic where the kernel's vfio-pci cannot do that
#   sudo scripts/bind-port.sh unbind PORT         back to the driver Linux would choose; refused while a program uses the port
set -euo pipefail
devices=/sys/bus/pci/devices

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
die() { echo "bind-port: $*" >&2; exit 1; }

driver_of() { [ -e "$devices/$1/driver" ] && basename "$(readlink "$devices/$1/driver")" || echo none; }
netdevs_of() {
  local path names=()
  for path in "$devices/$1"/net/* "$devices/$1"/virtio*/net/*; do
    [ ! -e "$path" ] || names+=("${path##*/}")
  done
  echo "${names[*]}"
}
iommu_group_of() { [ -e "$devices/$1/iommu_group" ] && basename "$(readlink "$devices/$1/iommu_group")" || true; }
is_network() { [[ $(cat "$devices/$1/class") == 0x02* ]]; }

# The physical interfaces below NAME (a VLAN, bridge or bond stands on others), itself when there are none.
physical_below() {
  local below found=0
  for below in /sys/class/net/"$1"/lower_*; do
    [ -e "$below" ] || continue
    found=1
    physical_below "${below##*/lower_}"
  done
  [ "$found" = 1 ] || echo "$1"
}
default_route_interfaces() {
  { ip -4 route show default; ip -6 route show default; } 2>/dev/null |
    grep -oE 'dev [^ ]+' | cut -d' ' -f2 | sort -u | while read -r name; do physical_below "$name"; done | sort -u
}
carries_default_route() {
  local name
  for name in $(netdevs_of "$1"); do
    if grep -qxF "$name" <<<"$(default_route_interfaces)"; then return 0; fi
  done
  return 1
}

# Prints the PCI address meant by WORD.
resolve() {
  local word=$1 path
  if [ -e "/sys/class/net/$word" ]; then
    path=$(readlink -f "/sys/class/net/$word/device" 2>/dev/null) || die "$word is not a hardware port"
    path=$(grep -oE '[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]' <<<"$path" | tail -1)
    [ -n "$path" ] || die "$word is not a PCI port"
    echo "$path"
    return
  fi
  word=${word,,}
  [[ $word == ????:* ]] || word=0000:$word
  [ -e "$devices/$word" ] || die "there is no PCI device or network interface '$1'"
  echo "$word"
}

list() {
  local path address names note
  printf '%-13s %-12s %-12s %-6s %s\n' "PCI ADDRESS" DRIVER INTERFACE GROUP NOTE
  for path in "$devices"/*; do
    address=${path##*/}
    is_network "$address" || continue
    names=$(netdevs_of "$address")
    note=
    carries_default_route "$address" && note="carries the default route"
    [[ $(driver_of "$address") == mlx[45]* ]] && note="${note:+$note; }needs no binding: DPDK shares it with Linux"
    printf '%-13s %-12s %-12s %-6s %s\n' "$address" "$(driver_of "$address")" "${names:--}" \
      "$(iommu_group_of "$address" | grep . || echo -)" "$note"
  done
  have_iommu || echo "No IOMMU is active: vfio-pci refuses every port until there is one (docs/operations.md, Ports)."
}

holds_for_dpdk() { [[ $1 == vfio-pci || $1 == uio_pci_generic ]]; }

# The programs that use a port bound to DPDK, as "name (pid)" one a line. Taking the port from one of them would wait in the
# kernel, past any signal, until it ends.
users_of() {
  local address=$1 node nodes=() group
  group=$(iommu_group_of "$address")
  [ -z "$group" ] || nodes+=("/dev/vfio/$group" "/dev/vfio/noiommu-$group")
  for node in "$devices/$address"/uio/uio*; do
    [ ! -e "$node" ] || nodes+=("/dev/${node##*/}")
  done
  local pid
  for node in "${nodes[@]}"; do
    for pid in $(find /proc/[0-9]*/fd -lname "$node" 2>/dev/null | cut -d/ -f3 | sort -un); do
      echo "$(cat "/proc/$pid/comm" 2>/dev/null) ($pid)"
    done
  done
}

have_iommu() { [ -n "$(ls /sys/kernel/iommu_groups 2>/dev/null)" ]; }
unsafe_noiommu() { [ "$(cat /sys/module/vfio/parameters/enable_unsafe_noiommu_mode 2>/dev/null)" = Y ]; }

require_root() { [ "$(id -u)" = 0 ] || die "root is needed"; }

require_vfio() {
  [ -e /sys/bus/pci/drivers/vfio-pci ] || modprobe vfio-pci 2>/dev/null || true
  [ -e /sys/bus/pci/drivers/vfio-pci ] ||
    die "this kernel has no vfio-pci driver (modprobe vfio-pci fails). Use a virtual device instead:
  device: \"linux:NAME\"   (docs/operations.md, Ports)"
}

require_iommu() {
  local address=$1
  [ -z "$(iommu_group_of "$address")" ] || return 0
  die "$address is behind no IOMMU, so vfio-pci would refuse it. Either
  - switch the IOMMU on: firmware setting VT-d or AMD-Vi, and on Intel the kernel argument intel_iommu=on;
    in a virtual machine the host must provide one (viommu), or
  - accept that the device can read and write all memory of this machine: --without-iommu"
}

# Prints the driver for a port behind no IOMMU. Debian's kernels are built without vfio's mode for that.
driver_without_iommu() {
  local switch=/sys/module/vfio/parameters/enable_unsafe_noiommu_mode
  echo "bind-port: WARNING: without an IOMMU the device can read and write all memory of this machine." >&2
  echo "bind-port: Linegate then also needs hugepages,   dpdk: { eal: [\"--iova-mode=pa\"] }   and, as a service, the" >&2
  echo "bind-port: drop-in without-iommu.conf (docs/operations.md, Binding a card)." >&2
  modprobe vfio 2>/dev/null || true
  if [ -e "$switch" ] && echo Y >"$switch" && unsafe_noiommu; then
    require_vfio
    echo vfio-pci
    return
  fi
  modprobe uio_pci_generic 2>/dev/null || true
  [ -e /sys/bus/pci/drivers/uio_pci_generic ] || die "this kernel has neither vfio's mode without an IOMMU nor uio_pci_generic"
  echo uio_pci_generic
}

# vfio hands out whole IOMMU groups: every function in it must be with vfio, with no driver, or be a bridge.
require_whole_group() {
  local address=$1 group other others=()
  group=$(iommu_group_of "$address")
  [ -n "$group" ] || return 0
  for other in /sys/kernel/iommu_groups/"$group"/devices/*; do
    other=${other##*/}
    [ "$other" = "$address" ] && continue
    [[ $(cat "$devices/$other/class") == 0x0604* ]] && continue
    case $(driver_of "$other") in vfio-pci | none | pci-stub) ;; *) others+=("$other ($(driver_of "$other"))") ;; esac
  done
  [ ${#others[@]} -eq 0 ] ||
    die "$address shares IOMMU group $group with ${others[*]}: give those to vfio-pci too, or use another slot"
}

# rebind ADDRESS OVERRIDE: OVERRIDE empty lets Linux choose.
rebind() {
  local address=$1 override=$2
  echo "$override" >"$devices/$address/driver_override"
  [ ! -e "$devices/$address/driver" ] || echo "$address" >"$devices/$address/driver/unbind"
  echo "$address" >/sys/bus/pci/drivers_probe || true
}

# take_port ADDRESS DRIVER
take_port() {
  local address=$1 driver=$2 before names
  before=$(driver_of "$address")
  names=$(netdevs_of "$address")
  rebind "$address" "$driver"
  if [ "$(driver_of "$address")" != "$driver" ]; then
    rebind "$address" ""
    die "$driver did not take $address (see dmesg); it is back with $(driver_of "$address")"
  fi
  echo "$address: $before -> $driver${names:+ ($names is not available to Linux until unbind)}"
}

bind_port() {
  local address force=$2 without_iommu=$3 before driver=vfio-pci
  require_root
  address=$(resolve "$1")
  is_network "$address" || die "$address is not a network port (class $(cat "$devices/$address/class"))"
  before=$(driver_of "$address")
  case $before in
    vfio-pci | uio_pci_generic) echo "$address is with $before already"; return ;;
    mlx4* | mlx5*) die "$address ($before) needs no binding: DPDK shares it with Linux; name it in the configuration" ;;
  esac
  if carries_default_route "$address" && [ "$force" = 0 ]; then
    die "$address ($(netdevs_of "$address")) carries the default route: taking it may cut you off. --force does it all the same"
  fi
  if [ "$without_iommu" = 1 ] && [ -z "$(iommu_group_of "$address")" ]; then
    driver=$(driver_without_iommu)
  else
    require_vfio
    require_iommu "$address"
    require_whole_group "$address"
  fi
  take_port "$address" "$driver"
}

unbind_port() {
  local address before users
  require_root
  address=$(resolve "$1")
  before=$(driver_of "$address")
  holds_for_dpdk "$before" || die "$address is with $before, not with vfio-pci or uio_pci_generic"
  users=$(users_of "$address" | paste -sd, | sed 's/,/, /g')
  [ -z "$users" ] || die "$address is in use by $users: stop that first, or take the port out of its configuration"
  rebind "$address" ""
  echo "$address: $before -> $(driver_of "$address")"
}

words=() force=0 without_iommu=0
for word in "$@"; do
  case $word in
    --force) force=1 ;;
    --without-iommu) without_iommu=1 ;;
    -*) usage ;;
    *) words+=("$word") ;;
  esac
done
case "${words[0]:-}" in
  list) [ ${#words[@]} = 1 ] || usage; list ;;
  bind) [ ${#words[@]} = 2 ] || usage; bind_port "${words[1]}" "$force" "$without_iommu" ;;
  unbind) [ ${#words[@]} = 2 ] || usage; unbind_port "${words[1]}" ;;
  "") usage ;;
  *) [ ${#words[@]} = 1 ] || usage; bind_port "${words[0]}" "$force" "$without_iommu" ;;
esac
