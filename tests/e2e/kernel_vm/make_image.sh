#!/usr/bin/env bash
# A Debian kernel and an initramfs with WireGuard's tools, made without installing a kernel:
#   make_image.sh CACHE_DIRECTORY    leaves CACHE_DIRECTORY/vmlinuz and CACHE_DIRECTORY/initramfs.gz there
# The kernel package is fetched with apt-get download, once. CACHE_DIRECTORY/stamp says that both are complete.
# Needs busybox-static, cpio, kmod, wireguard-tools.
set -euo pipefail
cache=$1
here=$(cd "$(dirname "$0")" && pwd)
source "$here/kernel.sh"
mkdir -p "$cache"
cd "$cache"
stamp=$(sha256sum "$here"/make_image.sh "$here"/kernel.sh "$here"/guest_init.sh | sha256sum | cut -c1-16)
[ -s vmlinuz ] && [ -s initramfs.gz ] && [ "$(cat stamp 2>/dev/null)" = "$stamp" ] && exit 0

rm -f stamp

fetch_kernel linux-image-cloud-amd64 . || exit 1
rm -rf root image
version=$(unpack_kernel . root)
cp "root/boot/vmlinuz-$version" vmlinuz

mkdir -p image/{bin,dev,proc,sys,run,tmp,etc}
cp "$(command -v busybox)" image/bin/busybox
install -m 755 "$here/guest_init.sh" image/init
# wg with its libraries
for file in "$(command -v wg)" $(ldd "$(command -v wg)" | grep -o '/[^ ]*'); do
  install -D "$(readlink -f "$file")" "image$file"
done
copy_modules root "$version" image virtio_pci virtio_net wireguard >image/modules
(cd image && find . | cpio -o -H newc --quiet | gzip -1) >initramfs.gz
rm -rf root image
echo "$stamp" >stamp
