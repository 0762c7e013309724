#!/usr/bin/env bash
# A whole Debian for a virtual machine, without installing anything here:
#   make_guest.sh CACHE_DIRECTORY PACKAGE    PACKAGE: linegate_*.deb; what it depends on is in the image, it itself is not
# Leaves there vmlinuz, initrd.gz, root.img (ext4) and qemu/ (an emulator that knows SR-IOV, where the installed one does not).
# CACHE_DIRECTORY/stamp says that they are complete; a second run with the same dependencies has nothing to do.
# Needs root, debootstrap, busybox-static, cpio, kmod, e2fsprogs, and Debian's mirror.
set -euo pipefail
cache=$1 package=$(readlink -f "$2")
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../e2e/kernel_vm/kernel.sh"
mkdir -p "$cache"
cd "$cache"
depends=$(dpkg-deb -f "$package" Depends)
stamp=$({ cat "$here"/make_guest.sh "$here"/../e2e/kernel_vm/kernel.sh; echo "$depends"; } | sha256sum | cut -c1-16)
[ "$(cat stamp 2>/dev/null)" = "$stamp" ] && exit 0
rm -f stamp
mirror=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Label: Debian" | sed -n 1p)
mirror=${mirror:-http://deb.debian.org/debian}
release=$(. /etc/os-release && echo "$VERSION_CODENAME")

# igb with SR-IOV is in QEMU 8 and later.
new_enough() { [ "$("$1" --version 2>/dev/null | sed -n '1s/.*version \([0-9]*\).*/\1/p')" -ge 8 ] 2>/dev/null; }
fetch_emulator() {
  if new_enough qemu-system-x86_64 || { [ -d qemu ] && new_enough qemu/usr/bin/qemu-system-x86_64; }; then return 0; fi
  rm -rf qemu apt
  mkdir -p qemu apt/lists/partial
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release-backports main" >apt/sources.list
  local apt=(-qq -o "Dir::Etc::sourcelist=$PWD/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$PWD/apt/lists")
  apt-get "${apt[@]}" update
  (cd apt && apt-get "${apt[@]}" download qemu-system-x86 qemu-system-data)
  local deb
  for deb in apt/*.deb; do dpkg-deb -x "$deb" qemu; done
  rm -rf apt
  new_enough qemu/usr/bin/qemu-system-x86_64 || { echo "$release-backports has no QEMU of at least 8 that runs here" >&2; return 1; }
}

make_root() {
  local include=systemd-sysv,udev,kmod,dbus,iproute2,iputils-ping,pciutils,wireguard-tools,iperf3,ethtool,procps,tcpdump,jq
  include+=,wireguard-go,nftables,conntrack,python3
  rm -rf root
  debootstrap --variant=minbase --include=$include "$release" root "$mirror" >debootstrap.log 2>&1 ||
    { tail -3 debootstrap.log >&2; return 1; }
  umount -R root/proc root/sys 2>/dev/null || true
  cp /etc/resolv.conf root/etc/resolv.conf
  chroot root env DEBIAN_FRONTEND=noninteractive bash -c \
    "apt-get -qq update && apt-get satisfy -y -qq --no-install-recommends '$depends'" >depends.log 2>&1 ||
    { tail -3 depends.log >&2; return 1; }
  configure_root
}

# Half of the time that a boot takes where the emulator translates.
not_needed=(sys-fs-fuse-connections.mount sys-kernel-{config,debug,tracing}.mount dev-mqueue.mount
  proc-sys-fs-binfmt_misc.automount modprobe@.service systemd-{logind,update-utmp,pstore,binfmt,random-seed}.service
  systemd-journal-flush.service)
# A root shell on the second serial port; what the tests print goes to the third.
configure_root() {
  cat >root/etc/systemd/system/shell.service <<'UNIT'
[Unit]
DefaultDependencies=no
After=local-fs.target
[Service]
Environment=HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
ExecStart=/bin/bash -c 'stty raw -echo </dev/ttyS1; bash </dev/ttyS1 2>&1 | cat >/dev/ttyS1'
KillMode=process
SendSIGHUP=yes
TimeoutStopSec=2
Restart=always
[Install]
WantedBy=sysinit.target
UNIT
  mkdir -p root/etc/systemd/system/sysinit.target.wants root/var/log/journal root/payload
  ln -sf ../shell.service root/etc/systemd/system/sysinit.target.wants/shell.service
  local unit
  for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer dpkg-db-backup.timer fstrim.timer \
    systemd-timesyncd.service e2scrub_reap.service getty.target serial-getty@ttyS0.service "${not_needed[@]}"; do
    ln -sf /dev/null "root/etc/systemd/system/$unit"
  done
  ln -sf /lib/systemd/system/multi-user.target root/etc/systemd/system/default.target
  mkdir -p root/etc/systemd/system.conf.d
  printf '[Manager]\nDefaultTimeoutStartSec=300\n' >root/etc/systemd/system.conf.d/emulated.conf
  echo gateway >root/etc/hostname
  printf '/dev/vda / ext4 rw,noatime 0 1\n/dev/vdb /payload ext4 ro 0 0\n' >root/etc/fstab
  : >root/etc/resolv.conf
  : >root/etc/apt/sources.list
  rm -rf root/var/cache/apt/* root/var/lib/apt/lists/* root/usr/share/{doc,man,locale}/*
}

# The kernel's modules that a gateway and these tests may need.
install_modules() {
  local version=$1 big
  mkdir -p root/lib/modules
  cp -r "kernel/lib/modules/$version" root/lib/modules/
  for big in sound arch/x86/kvm drivers/{gpu,media,staging,infiniband,scsi,usb,iio,hwmon,input,mmc,nvme,ata,platform,video,bluetooth} \
    drivers/{i2c/busses,mfd,watchdog,acpi,firmware,hid,powercap,cpufreq,edac,parport,cdrom,md,firewire,isdn,mtd,nvdimm,thunderbolt,pcmcia} \
    drivers/net/{wireless,can,usb,ethernet/{broadcom,chelsio,cisco,mellanox,qlogic,netronome,marvell,sfc}} \
    fs/{btrfs,xfs,ocfs2,cifs,smb,nfs,nfsd,ceph,gfs2,jfs,reiserfs,f2fs,ntfs3,ubifs}; do
    rm -rf "root/lib/modules/$version/kernel/$big"
  done
  depmod -b root "$version"
}

make_initrd() {
  local version=$1
  rm -rf initrd
  mkdir -p initrd/{bin,proc,sys,dev,new,m}
  cp "$(command -v busybox)" initrd/bin/busybox
  copy_modules kernel "$version" initrd/m virtio_pci virtio_blk ext4 >initrd/modules
  cat >initrd/init <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
while read -r module; do insmod "/m/$module"; done </modules
for i in $(seq 100); do [ -e /dev/vdb ] && break; sleep .1; done
mount /dev/vda /new
mount --move /dev /new/dev; mount --move /proc /new/proc; mount --move /sys /new/sys
# prepare=PART: what must be there before systemd starts.
part=$(sed -n 's/.*prepare=\([a-z]*\).*/\1/p' /new/proc/cmdline)
if [ -n "$part" ]; then
  mount -t ext4 -o ro /new/dev/vdb /new/payload
  chroot /new /bin/bash "/payload/prepare_$part.sh" >/new/var/log/prepare.log 2>&1
  umount /new/payload
fi
exec switch_root /new /sbin/init
INIT
  chmod +x initrd/init
  (cd initrd && find . | cpio -o -H newc --quiet | gzip -1) >initrd.gz
  rm -rf initrd
}

fetch_emulator
fetch_kernel linux-image-amd64 .
version=$(unpack_kernel . kernel)
cp "kernel/boot/vmlinuz-$version" vmlinuz
make_initrd "$version"
make_root
install_modules "$version"
rm -f root.img
mke2fs -q -t ext4 -O ^has_journal -d root -L root root.img 1800M
rm -rf root kernel
echo "$stamp" >stamp
