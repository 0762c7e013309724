#!/usr/bin/env bash
# The installed package in a virtual machine with systemd, an IOMMU, and emulated cards under vfio-pci. What it prints ends with
# "N passed, N failed, N skipped".
#   sudo tests/vm/run.sh [PART...]    parts: systemd (without arguments), cards; each is a script in guest/ that runs inside
#   tests/vm/run.sh shell             leaves the machine running until its input ends: tests/e2e/kernel_vm/guest.py BUILD/vm/shell.sock
# LINEGATE_VM_PACKAGE: the package under test (by default scripts/package.sh makes it). LINEGATE_VM: the cache (build/vm).
# LINEGATE_VM_SECONDS: the most that a part may take.
# The machine has no network of the host's: its own network cards are joined by two hubs inside the emulator, "wan" and "lan".
# Function only: nothing here says how fast a card is.
set -uo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/vm
cache=${LINEGATE_VM:-$PWD/build/vm}
mkdir -p "$cache"
work=$(mktemp -d)
emulator=
cleanup() {
  [ -z "$emulator" ] || kill "$emulator" 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT
leave() { echo "skip  virtual machine: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }

[ "$(id -u)" = 0 ] || leave "root is needed"
for program in debootstrap busybox cpio depmod mke2fs; do
  command -v $program >/dev/null || leave "$program is not installed (scripts/setup.sh)"
done
exec 9>"$cache/lock"
flock 9

package=${LINEGATE_VM_PACKAGE:-}
if [ -z "$package" ]; then
  scripts/package.sh "$cache/packages" >"$cache/package.log" 2>&1 || { tail -20 "$cache/package.log"; echo "FAIL  scripts/package.sh"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
  package=$(ls "$cache"/packages/linegate_*.deb)
  echo "ok    the package builds, and lintian has nothing to say"
  passed=1
fi
# In a mount namespace of its own: what debootstrap mounts goes with it.
unshare --mount --propagation private "$here/make_guest.sh" "$cache" "$package" >"$cache/make_guest.log" 2>&1 || leave "no image: $(tail -1 "$cache/make_guest.log")"

# The package of a later version, with another example of a configuration.
make_upgrade() {
  dpkg-deb -R "$package" "$work/later"
  sed -i 's/^Version: .*/&+upgrade/' "$work/later/DEBIAN/control"
  echo "# a line of the later version" >>"$work/later/etc/linegate/linegate.yaml.example"
  dpkg-deb --root-owner-group -b "$work/later" "$1/later.deb" >/dev/null
}
make_payload() {
  mkdir -p "$work/payload"
  cp "$package" "$work/payload/linegate.deb"
  cp "$here"/guest/* "$work/payload/"
  make_upgrade "$work/payload"
  mke2fs -q -t ext4 -O ^has_journal -d "$work/payload" "$work/payload.img" 32M
}

qemu=$cache/qemu/usr/bin/qemu-system-x86_64
firmware=(-L "$cache/qemu/usr/share/qemu" -L /usr/share/seabios -L /usr/share/qemu)
[ -x "$qemu" ] || { qemu=qemu-system-x86_64 firmware=(); }

# Some machines offer /dev/kvm and run nothing with it: a kernel without a root must have ended within ten seconds.
accelerate() {
  if [ -w /dev/kvm ] && timeout 10 "$qemu" "${firmware[@]}" -accel kvm -cpu host -M q35 -m 256 -nodefaults -display none -no-reboot \
    -kernel "$cache/vmlinuz" -append "panic=-1 quiet" </dev/null >/dev/null 2>&1; then
    echo "-accel kvm -cpu host"
  else echo "-accel tcg,thread=multi -cpu max"; fi
}

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

boot() {
  local log=$cache/qemu.log
  : >"$cache/tests.log"
  rm -f "$cache/shell.sock"
  "$qemu" "${firmware[@]}" $(accelerate) -M q35,kernel-irqchip=split -smp 2 -m 2048 -nodefaults -no-user-config -display none \
    -kernel "$cache/vmlinuz" -initrd "$cache/initrd.gz" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check tsc=reliable intel_iommu=on iommu=nopt net.ifnames=1" \
    -drive "file=$cache/root.img,if=virtio,format=raw,snapshot=on" -drive "file=$work/payload.img,if=virtio,format=raw,readonly=on" \
    -serial "file:$cache/console.log" -serial "unix:$cache/shell.sock,server=on,wait=off" -serial "file:$cache/tests.log" \
    -object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-pci,rng=rng "${devices[@]}" </dev/null >"$log" 2>&1 9>&- &
  emulator=$!
}
guest() { timeout "${2:-60}" python3 "$PWD/tests/e2e/kernel_vm/guest.py" "$cache/shell.sock" "$1" "${2:-60}"; }
alive() { kill -0 "$emulator" 2>/dev/null; }
await_boot() {
  local deadline=$((SECONDS + 300))
  until [ "$(guest 'systemctl is-system-running --wait 2>/dev/null; echo up' 100 2>/dev/null | tail -1)" = up ]; do
    alive || return 1
    [ $SECONDS -lt $deadline ] || return 1
    sleep 1
  done
}
boot_id() { guest 'cat /proc/sys/kernel/random/boot_id' 10 2>/dev/null; }
await_another_boot() { # BOOT_ID
  local deadline=$((SECONDS + 300)) now
  until now=$(boot_id) && [ -n "$now" ] && [ "$now" != "$1" ]; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 1
  done
  await_boot
}
reboot_for_cards() {
  local before
  before=$(boot_id)
  guest "bash /payload/prepare_cards.sh" 120 >"$cache/prepare.log" 2>&1 || tail -5 "$cache/prepare.log"
  guest "systemd-run --on-active=1 systemctl reboot" 20 >/dev/null 2>&1
  await_another_boot "$before" || echo "FAIL  the machine does not come back from its reboot"
}

run_part() { # NAME SECONDS
  local begin=$SECONDS code=0
  guest "bash /payload/$1.sh >/dev/ttyS2 2>&1" "$2" >"$cache/$1.out" 2>&1 || code=$?
  tr -d '\r' <"$cache/tests.log" | sed -n "/^== $1\$/,\$p" >"$cache/$1.log"
  grep -E '^(ok|FAIL|skip|note)  ' "$cache/$1.log"
  grep -qx "== end of $1" "$cache/$1.log" || echo "FAIL  $1: did not come to its end (exit code $code, $((SECONDS - begin)) s); $(tail -1 "$cache/$1.log")"
  echo "      ($1: $((SECONDS - begin)) s)"
}

make_payload
boot
await_boot || { alive || leave "QEMU does not run: $(tail -1 "$cache/qemu.log")"; leave "it does not boot within 300 s: $(tail -1 "$cache/console.log")"; }
echo "      (booted after $SECONDS s)"
if [ "${1:-}" = shell ]; then
  cat >/dev/null 9>&-
  exit
fi
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(systemd)
for part in "${parts[@]}"; do
  [ "$part" != cards ] || reboot_for_cards
  run_part "$part" "${LINEGATE_VM_SECONDS:-1200}"
done | tee "$work/report"
guest "systemctl poweroff --force" 5 >/dev/null 2>&1
passed=$((${passed:-0} + $(grep -c '^ok  ' "$work/report"))) failed=$(grep -c '^FAIL  ' "$work/report") skipped=$(grep -c '^skip  ' "$work/report")
[ "$failed" = 0 ] || for part in "${parts[@]}"; do tail -60 "$cache/$part.log"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
