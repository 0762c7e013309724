#!/usr/bin/env bash
# Installs every package that building, testing and the demo need, by name, from the distribution (Debian 12).
# Does nothing when all are there.
set -euo pipefail

build=(g++ cmake ninja-build pkg-config ccache python3 git
  libdpdk-dev libsodium-dev libyaml-cpp-dev libspdlog-dev libfmt-dev libb2-dev libmnl-dev libnetfilter-conntrack-dev libcli11-dev
  nlohmann-json3-dev prometheus-cpp-dev libcivetweb-dev libsystemd-dev libcap-dev libseccomp-dev libqrencode-dev libexpected-dev
  libpcap-dev)
test_=(libgtest-dev libgmock-dev libbenchmark-dev libipsec-mb-dev libssl-dev clang libclang-rt-14-dev
  clang-format-14 clang-tidy-14 shellcheck universal-ctags binutils valgrind abigail-tools python3-jsonschema librsvg2-bin)
lab=(nftables conntrack keepalived wireguard-tools wireguard-go netcat-openbsd python3-cryptography iproute2 iputils-ping iperf3 ethtool tcpdump tshark tmux procps util-linux curl
  python3-scapy liblwip-dev gcc-multilib golang-go golang-gvisor-gvisor-dev)
vm=(qemu-system-x86 busybox-static cpio kmod xz-utils zstd debootstrap e2fsprogs)
packages=(debhelper fakeroot lintian)

wanted=("${build[@]}" "${test_[@]}" "${lab[@]}" "${vm[@]}" "${packages[@]}")

missing=()
for package in "${wanted[@]}"; do
  grep -q 'install ok installed' <<<"$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" != 0 ]; then
  echo "setup: root is needed to install: ${missing[*]}" >&2
  exit 1
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# Without recommendations: `dpdk` would otherwise pull in a kernel image.
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
