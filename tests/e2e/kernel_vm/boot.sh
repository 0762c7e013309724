# Sourced by the scenarios with the Linux kernel's own WireGuard as the peer: boots it in a virtual machine whose eth0 is
# the other end of the gateway's wire0. Skips the scenario where that cannot be done.
VM=$ROOT/tests/e2e/kernel_vm
source "$VM/accelerator.sh"
CACHE=${LINEGATE_VM_CACHE:-$ROOT/build/kernel_vm}

# Why the guest ended: its kernel's panic, or the last line of the emulator or of the guest.
last_words() {
  cat "$LAB_DIR/qemu.log" "$LAB_DIR/guest.log" 2>/dev/null | tr -d '\r' |
    awk '/Kernel panic/ { panic = $0 } { last = $0 } END { print panic != "" ? panic : last }'
}

boot_kernel() {
  local program
  for program in qemu-system-x86_64 busybox cpio depmod; do
    command -v $program >/dev/null || skip "$program is not installed (scripts/setup.sh)"
  done
  # run.sh has made it, outside of the scenario's network namespace.
  [ -s "$CACHE/stamp" ] || skip "no kernel image: $(tail -1 "$CACHE/log")"
  # no_timer_check: on a busy machine the emulated timer is late, and the kernel would take it for broken and panic.
  ip -n "$GW" link del wire0
  ip -n "$GW" tuntap add dev wire0 mode tap
  # shellcheck disable=SC2046
  ip netns exec "$GW" qemu-system-x86_64 $(accelerator qemu-system-x86_64 "$CACHE/vmlinuz") -M q35 -smp 1 -m 256 -nodefaults -no-user-config -display none \
    -no-reboot -kernel "$CACHE/vmlinuz" -initrd "$CACHE/initramfs.gz" -append "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check" \
    -serial file:"$LAB_DIR/guest.log" -serial unix:/run/guest.sock,server=on,wait=off \
    -netdev tap,id=n,ifname=wire0,script=no,downscript=no,vhost=off \
    -device virtio-net-pci,netdev=n,romfile=,csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off \
    </dev/null >"$LAB_DIR/qemu.log" 2>&1 &
  QEMU=$!
  wait_for 60 sh -c "grep -q ready $LAB_DIR/guest.log || ! kill -0 $QEMU" || skip "the virtual machine does not boot within 60 s"
  grep -q ready "$LAB_DIR/guest.log" || skip "the virtual machine does not run: $(last_words)"
  say "$(grep ready "$LAB_DIR/guest.log")"
  guest "ip addr add 10.20.0.2/24 dev eth0; ip addr add fd20::2/64 dev eth0; ip link set eth0 up
echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad" || fail "the guest's set-up"
}

guest() { timeout 40 python3 "$VM/guest.py" /run/guest.sock "$1"; }

# An emulator that crashed has tested nothing: that is no failure of the gateway. A guest that went down by itself (its
# kernel panicked: QEMU then ends with 0) is one.
fail() {
  if [ -n "${QEMU:-}" ] && ! kill -0 "$QEMU" 2>/dev/null; then
    local code=0
    wait "$QEMU" || code=$?
    [ "$code" -le 128 ] || skip "QEMU crashed (exit code $code) before: $*"
    echo "the guest is down, QEMU's exit code $code" >&2
  fi
  echo "FAILED: $*" >&2
  exit 1
}
