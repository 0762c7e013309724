#!/usr/bin/env bash
# Makes build/arm64-root: Debian's cross compiler, the arm64 libraries that the product links, and QEMU, unpacked from their
# packages. The preset arm64 compiles with it.
#   scripts/arm64.sh                             makes it, or does nothing when it is there; needs no root
#   scripts/arm64.sh run PROGRAM [ARGUMENT...]   runs a program of build/arm64
# Nothing is installed: the cross compiler conflicts with gcc-multilib, and libraries of a second architecture would have to keep
# the machine's own at the same versions. Exit code 3, and a sentence, when the packages cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD/build/arm64-root
if [ "${1:-}" = run ]; then exec "$root/usr/bin/qemu-aarch64-static" -L "$root" "${@:2}"; fi

# As in scripts/setup.sh.
libraries=(libdpdk-dev libsodium-dev libyaml-cpp-dev libspdlog-dev libfmt-dev libb2-dev libmnl-dev libnetfilter-conntrack-dev
  libcli11-dev nlohmann-json3-dev prometheus-cpp-dev libcivetweb-dev libsystemd-dev libcap-dev libseccomp-dev libqrencode-dev
  libexpected-dev libpcap-dev libgtest-dev libgmock-dev libstdc++-12-dev)
# The libraries that these run on (libmpfr, libisl) have come with the machine's g++ 12.
tools=(binutils-aarch64-linux-gnu cpp-12-aarch64-linux-gnu gcc-12-aarch64-linux-gnu g++-12-aarch64-linux-gnu
  libgcc-12-dev-arm64-cross libstdc++-12-dev-arm64-cross qemu-user-static)

unavailable() {
  echo "arm64: $*" >&2
  exit 3
}
[ "$(dpkg --print-architecture)" = amd64 ] || unavailable "the cross compiler is used on amd64 only"

stamp=$root/made-of
made_of=$(cat /etc/debian_version "scripts/${0##*/}" && echo "$root")
[ "$made_of" != "$(cat "$stamp" 2>/dev/null)" ] || exit 0

# An apt of its own: the machine's sources and keys, with lists and a state of installed packages (none) below build.
apt=$PWD/build/arm64-apt
rm -rf "$root"
mkdir -p "$apt"/{lists,archives}/partial "$root"/usr/{bin,sbin,lib}
: >"$apt/status"
cat >"$apt/apt.conf" <<EOF
APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "";
APT::Install-Recommends "false";
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dpkg::Use-Pty "false";
EOF
export APT_CONFIG=$apt/apt.conf
echo "arm64: downloading the cross compiler and arm64 libraries (about 140 MB)"
apt-get update -qq >"$apt/log" 2>&1 || unavailable "apt-get update failed: $(tail -1 "$apt/log")"
apt-get install -y -qq --download-only -o APT::Architecture=arm64 "${libraries[@]}" >>"$apt/log" 2>&1 ||
  unavailable "the arm64 libraries cannot be had: $(tail -1 "$apt/log")"
(cd "$apt/archives" && apt-get download -qq "${tools[@]}") >>"$apt/log" 2>&1 ||
  unavailable "the cross compiler cannot be had: $(tail -1 "$apt/log")"

for folder in bin sbin lib; do ln -s "usr/$folder" "$root/$folder"; done
for package in "$apt"/archives/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root" --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./dev/*' \
    --exclude='./usr/lib/aarch64-linux-gnu/perl*'
done
# The assembler and the linker find their own libraries in this tree.
mkdir "$root/usr/binutils"
for tool in "$root"/usr/bin/aarch64-linux-gnu-*; do
  { [ ! -L "$tool" ] && grep -qE 'NEEDED.*lib(bfd|opcodes|ctf)' <<<"$(readelf -d "$tool" 2>/dev/null)"; } || continue
  mv "$tool" "$root/usr/binutils/"
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$root/usr/lib/x86_64-linux-gnu" "$root/usr/binutils/${tool##*/}" >"$tool"
  chmod +x "$tool"
done
# Absolute links lead into this tree.
find "$root" -type l -lname '/*' | while read -r link; do
  ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$root$(readlink "$link")")" "$link"
done
rm -rf "$apt"
printf '%s\n' "$made_of" >"$stamp"
