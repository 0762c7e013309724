#!/usr/bin/env bash
# The installed package in virtual machines with systemd, an IOMMU, and emulated cards under vfio-pci. What it prints ends with
# "N passed, N failed, N skipped".
#   sudo tests/vm/run.sh [PART...]    parts: systemd, cards, kernel (all, without arguments); each is a script in guest/ that runs
#                                     in a machine of its own, two machines at a time
#   tests/vm/run.sh shell [PART]      leaves PART's machine running until its input ends, and says how to run commands in it
# LINEGATE_VM_PACKAGE: the package under test (by default scripts/package.sh makes it). LINEGATE_VM: the cache (build/vm).
# LINEGATE_VM_SECONDS: the most that all of it may take once the package is built (900). What has not come to its end by then fails;
# on a machine that gave the emulator no processor for half of that time or more it is skipped.
# A machine has no network of the host's: its own network cards are joined by two hubs inside the emulator, "wan" and "lan".
# Function only: nothing here says how fast a card is.
set -uo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/vm
cache=${LINEGATE_VM:-$PWD/build/vm}
limit=${LINEGATE_VM_SECONDS:-900}
mkdir -p "$cache"
cache=$(readlink -f "$cache")
source "$PWD/tests/e2e/kernel_vm/accelerator.sh"
work=$(mktemp -d)
passed=0
cleanup() {
  local pid
  for pid in $(cat "$work"/*.emulator 2>/dev/null); do kill "$pid" 2>/dev/null; done
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
leave() { echo "skip  virtual machine: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
refuse() { echo "FAIL  $*"; echo "$passed passed, 1 failed, 0 skipped"; exit 1; }

[ "$(id -u)" = 0 ] || leave "root is needed"
[ "$(uname -m)" = x86_64 ] || leave "the emulated cards and the image are those of x86-64; this machine is $(uname -m)"
unshare --mount true 2>/dev/null || leave "this machine allows no mount namespace, which debootstrap needs (a container without rights?)"
# Each machine has 2 GB.
at_once=$(awk '/^MemAvailable/ { n = int($2 / 2500000); print (n > 2 ? 2 : n) }' /proc/meminfo)
[ "$at_once" -gt 0 ] || leave "a machine needs 2.5 GB of free memory"
for program in debootstrap busybox cpio depmod mke2fs; do
  command -v $program >/dev/null || leave "$program is not installed (scripts/setup.sh)"
done
exec 9>"$cache/lock"
flock 9

package=${LINEGATE_VM_PACKAGE:-}
if [ -z "$package" ]; then
  scripts/package.sh "$cache/packages" >"$cache/package.log" 2>&1 || { tail -20 "$cache/package.log"; refuse "scripts/package.sh"; }
  package=$(ls "$cache"/packages/linegate_*.deb)
  echo "ok    the package builds, and lintian has nothing to say"
  passed=1
fi
# In a mount namespace of its own: what debootstrap mounts goes with it.
begin=$SECONDS
timeout "$limit" unshare --mount --propagation private "$here/make_guest.sh" "$cache" "$package" >"$cache/make_guest.log" 2>&1 ||
  leave "no image ($(grep -vE '^W: |^$' "$cache/make_guest.log" | tail -1)); see build/vm/make_guest.log"
[ $((SECONDS - begin)) -lt 5 ] || echo "      (image made in $((SECONDS - begin)) s)"

# The package of a later version, with another example of a configuration.
make_upgrade() {
  dpkg-deb -R "$package" "$work/later"
  sed -i 's/^Version: .*/&+upgrade/' "$work/later/DEBIAN/control"
  echo "# a line of the later version" >>"$work/later/etc/linegate/linegate.yaml.example"
  dpkg-deb --root-owner-group -b "$work/later" "$1/later.deb" >/dev/null
}
# The scenarios run in the machine too, and the unit tests of Linux's interfaces where they are built.
make_payload() {
  mkdir -p "$work/payload"
  cp "$package" "$work/payload/linegate.deb"
  cp "$here"/guest/* "$work/payload/"
  make_upgrade "$work/payload"
  mkdir -p "$work/payload/tree/tests/e2e" "$work/payload/tree/scripts"
  cp -r tests/e2e/*.sh tests/e2e/tools "$work/payload/tree/tests/e2e/"
  cp scripts/lab_lib.sh "$work/payload/tree/scripts/"
  local unit=build/release/tests/unit_kernel
  [ ! -x $unit ] || strip -o "$work/payload/unit_kernel" $unit
  mke2fs -q -t ext4 -O ^has_journal -d "$work/payload" "$work/payload.img" 96M >/dev/null
}

qemu=$cache/qemu/usr/bin/qemu-system-x86_64
firmware=(-L "$cache/qemu/usr/share/qemu" -L /usr/share/seabios -L /usr/share/qemu)
[ -x "$qemu" ] || { qemu=qemu-system-x86_64 firmware=(); }

# card HUB DEVICE[,PROPERTY...] LAST_BYTE_OF_MAC: behind a root port of its own, so in an IOMMU group of its own.
card() {
  local hub=$1 device=$2 n=$3
  devices+=(-netdev "hubport,id=net$n,hubid=$hub" -device "pcie-root-port,id=root$n,slot=$n"
    -device "$device,bus=root$n,netdev=net$n,mac=52:54:00:77:00:0$n,romfile=")
}
devices=(-device "intel-iommu,intremap=on,caching-mode=on")
card 1 igb 1
card 2 igb 2
card 1 e1000e 3
card 2 virtio-net-pci,disable-legacy=on,iommu_platform=on,mq=off 4
card 1 virtio-net-pci,disable-legacy=on,iommu_platform=on 5
card 2 virtio-net-pci,disable-legacy=on,iommu_platform=on 6

# ---- one machine. PART is its part, DIR has its sockets and logs, EMULATOR is its process.
boot() {
  local prepare=
  [ ! -e "$here/guest/prepare_$PART.sh" ] || prepare="prepare=$PART"
  mkdir -p "$DIR"
  rm -f "$DIR"/*
  "$qemu" "${firmware[@]}" $accelerator -M q35,kernel-irqchip=split -smp 2 -m 2048 -nodefaults -no-user-config -display none \
    -kernel "$cache/vmlinuz" -initrd "$cache/initrd.gz" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check tsc=reliable intel_iommu=on iommu=nopt net.ifnames=1 patience=$patience $prepare" \
    -drive "file=$cache/root.img,if=virtio,format=raw,snapshot=on" -drive "file=$work/payload.img,if=virtio,format=raw,readonly=on" \
    -serial "file:$DIR/console.log" -serial "unix:$DIR/shell.sock,server=on,wait=off" -serial "file:$DIR/tests.log" \
    "${devices[@]}" </dev/null >"$DIR/qemu.log" 2>&1 9>&- &
  EMULATOR=$!
  echo $EMULATOR >"$work/$PART.emulator"
}
guest() { timeout "${2:-60}" python3 "$PWD/tests/e2e/kernel_vm/guest.py" "$DIR/shell.sock" "$1" "${2:-60}"; }
alive() { kill -0 "$EMULATOR" 2>/dev/null; }
late() { [ $((SECONDS - begin)) -ge "$limit" ]; }
left() { late && echo 1 || echo $((limit - SECONDS + begin)); }
# Words to a shell that is not there yet are lost: each try is a short one.
await_boot() {
  until [ "$(guest 'echo up' 3 2>/dev/null | tail -1)" = up ]; do
    { alive && ! late; } || return 1
    sleep 1
  done
  guest 'systemctl is-system-running --wait' "$(left)" >/dev/null 2>&1
  [ "$(guest 'echo up' 10 2>/dev/null | tail -1)" = up ]
}
# Of processor time: on a busy machine it says more than the clock.
spent() { awk -v hz="$(getconf CLK_TCK)" '{ printf "%d", ($14 + $15) / hz }' "/proc/$EMULATOR/stat" 2>/dev/null; }
# Seconds during which a thread of the emulator was ready, and had no processor; of one thread, the one that waited most.
waited() { awk '$2 > most { most = $2 } END { printf "%d", most / 1e9 }' /proc/"$EMULATOR"/task/*/schedstat 2>/dev/null; }
results() { tr -d '\r' <"$DIR/tests.log" | sed -n "/^== $PART\$/,\$p" >"$DIR/log"; grep -E '^(ok|FAIL|skip|note)  ' "$DIR/log"; }
not_ended() { # EXIT_CODE
  local took=$((SECONDS - BEGIN))
  if late && [ "$(waited)" -gt $((took / 2)) ]; then
    echo "skip  $PART: not at its end after $took s, on a machine whose processors were busy elsewhere"
  else echo "FAIL  $PART: did not come to its end (exit code $1, $took s); $(tail -1 "$DIR/log")"; fi
}
run_part() {
  local code=0 booted=$((SECONDS - BEGIN))
  echo "      ($PART: booted after $booted s)"
  guest "bash /payload/$PART.sh >/dev/ttyS2 2>&1" "$(left)" >"$DIR/out" 2>&1 || code=$?
  results
  grep -qx "== end of $PART" "$DIR/log" || not_ended "$code"
  echo "      ($PART: $((SECONDS - BEGIN)) s, of them $booted s to boot; $(spent) s of processor time, $(waited) s waiting for it)"
}
run_machine() { # PART
  PART=$1 DIR=$cache/$1 BEGIN=$SECONDS
  boot
  if await_boot; then run_part
  elif alive; then echo "skip  $PART: it had not booted $limit s after the beginning: $(tail -1 "$DIR/console.log")"
  else echo "skip  $PART: QEMU does not run: $(tail -1 "$DIR/qemu.log")"; fi
  kill "$EMULATOR" 2>/dev/null
  wait "$EMULATOR" 2>/dev/null
  rm -f "$work/$PART.emulator"
}

make_payload
accelerator=$(accelerator "$qemu" "$cache/vmlinuz" "${firmware[@]}")
[[ $accelerator == *kvm* ]] && patience=1 || patience=4
echo "      (QEMU with $accelerator)"
if [ "${1:-}" = shell ]; then
  PART=${2:-systemd} DIR=$cache/${2:-systemd} BEGIN=$SECONDS
  boot
  await_boot || refuse "it does not boot: $(tail -1 "$DIR/console.log")"
  echo "tests/e2e/kernel_vm/guest.py $DIR/shell.sock 'COMMAND'"
  cat >/dev/null 9>&-
  exit
fi
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(cards systemd kernel)
for part in "${parts[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n; done
  run_machine "$part" >"$work/$part.report" &
done
wait
for part in "${parts[@]}"; do cat "$work/$part.report"; done
passed=$((passed + $(cat "$work"/*.report | grep -c '^ok  '))) failed=$(cat "$work"/*.report | grep -c '^FAIL  ')
skipped=$(cat "$work"/*.report | grep -c '^skip  ')
[ "$failed" = 0 ] || for part in "${parts[@]}"; do ! grep -q '^FAIL  ' "$work/$part.report" || tail -60 "$cache/$part/log"; done
echo "      (all of it: $SECONDS s)"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
