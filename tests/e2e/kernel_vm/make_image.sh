#!/usr/bin/env bash
# A Debian kernel and an initramfs with WireGuard's tools, made without installing a kernel:
#   make_image.sh CACHE_DIRECTORY    leaves CACHE_DIRECTORY/vmlinuz and CACHE_DIRECTORY/initramfs.gz there
# The kernel package is fetched with apt-get download, once. CACHE_DIRECTORY/stamp says that both are complete.
# Needs busybox-static, cpio, kmod, wireguard-tools.
set -euo pipefail
cache=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$cache"
cd "$cache"
stamp=$(sha256sum "$here"/make_image.sh "$here"/guest_init.sh | sha256sum | cut -c1-16)
[ -s vmlinuz ] && [ -s initramfs.gz ] && [ "$(cat stamp 2>/dev/null)" = "$stamp" ] && exit 0

rm -f stamp

kernel_package() { apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-[0-9]/ { print $2; exit }'; }
fetch() {
  local package
  package=$(kernel_package)
  [ -n "$package" ] || { echo "apt's lists know no linux-image-cloud-amd64" >&2; return 1; }
  apt-get -qq download "$package"
}
# With old lists the package's version may be gone from the mirror.
if ! ls linux-image-*.deb >/dev/null 2>&1; then
  fetch || { apt-get -qq update && fetch; } || exit 1
fi
rm -rf root image
dpkg-deb -x linux-image-*.deb root
version=$(ls root/lib/modules)
cp "root/boot/vmlinuz-$version" vmlinuz
depmod -b root "$version"

mkdir -p image/{bin,dev,proc,sys,run,tmp,etc}
cp "$(command -v busybox)" image/bin/busybox
install -m 755 "$here/guest_init.sh" image/init
# wg with its libraries
for file in "$(command -v wg)" $(ldd "$(command -v wg)" | grep -o '/[^ ]*'); do
  install -D "$(readlink -f "$file")" "image$file"
done
# The modules in the order they must be loaded, decompressed.
for module in virtio_pci virtio_net wireguard; do
  modprobe -d root -S "$version" --show-depends "$module" | awk '/^insmod/ { print $2 }'
done | awk '!seen[$0]++' | while read -r file; do
  name=$(basename "$file" | sed 's/\.ko.*/.ko/')
  case $file in
    *.xz) xz -dc "$file" ;;
    *.zst) zstd -qdc "$file" ;;
    *) cat "$file" ;;
  esac >"image/$name"
  echo "$name"
done >image/modules
(cd image && find . | cpio -o -H newc --quiet | gzip -1) >initramfs.gz
rm -rf root image
echo "$stamp" >stamp
