#!/usr/bin/env bash
# Reserves hugepages and gives ports to DPDK, as /etc/default/linegate says. linegate-ports.service runs it before the gateway.
#   BIND="PORT..."   PCI addresses, or names of interfaces, for bind-port.sh; a port that is with DPDK already is left alone
#   BIND_OPTIONS     "--without-iommu", "--force": see bind-port.sh
#   HUGEPAGES_MB     megabytes of free hugepages of 2 MB
#   WAIT_SECONDS     how long to wait for a port that is not there yet: VFs are made by others (10)
# Goes on after a port that cannot be bound, and exits with 1.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
failed=0

present() { [ -e "/sys/class/net/$1" ] || [ -e "/sys/bus/pci/devices/$1" ] || [ -e "/sys/bus/pci/devices/0000:$1" ]; }

if [ "${HUGEPAGES_MB:-0}" != 0 ]; then "$here/setup-hugepages.sh" "$HUGEPAGES_MB" || failed=1; fi
read -ra ports <<<"${BIND:-}"
read -ra options <<<"${BIND_OPTIONS:-}"
for port in "${ports[@]}"; do
  for ((i = 0; i < 10 * ${WAIT_SECONDS:-10}; i++)); do
    if present "$port"; then break; fi
    sleep 0.1
  done
  "$here/bind-port.sh" bind "$port" "${options[@]}" || failed=1
done
exit $failed
