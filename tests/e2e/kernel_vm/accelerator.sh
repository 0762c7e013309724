# Sourced by what boots virtual machines.

# accelerator QEMU KERNEL [QEMU'S WORDS]: prints the words that make QEMU fast. /dev/kvm alone says little: on a processor without
# virtualization for its guests the kernel interprets the guest's kernel, much slower than QEMU translates it, and some offer it and
# run nothing. So a kernel without a root must have ended within ten seconds.
accelerator() {
  local qemu=$1 kernel=$2
  shift 2
  if [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo && timeout 10 "$qemu" "$@" -accel kvm -cpu host -M q35 -m 256 -nodefaults \
    -display none -no-reboot -kernel "$kernel" -append "panic=-1 quiet" </dev/null >/dev/null 2>&1; then
    echo "-accel kvm -cpu host"
  else echo "-accel tcg,thread=multi -cpu max"; fi
}
