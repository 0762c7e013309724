#!/usr/bin/env bash
# Builds the Debian packages linegate, liblinegate1 and liblinegate-dev with their -dbgsym, and has lintian judge them.
#   scripts/package.sh OUTDIR    leaves OUTDIR/PACKAGE_VERSION_ARCH.deb
# What is built is in build/release; what is installed where is in cmake/install.cmake and scripts/install.sh.
set -euo pipefail
[ $# = 1 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
OUTDIR=$(cd "$1" && pwd)
export OUTDIR
cd "$(dirname "$0")/.."
[ "$(id -u)" != 0 ] || scripts/setup.sh
for program in dh fakeroot lintian; do
  command -v "$program" >/dev/null || { echo "package: $program is not installed: sudo scripts/setup.sh" >&2; exit 1; }
done
missing=$(dpkg-checkbuilddeps 2>&1 || true)
[ -z "$missing" ] || { echo "package: $missing" >&2; exit 1; }

rm -f "$OUTDIR"/linegate_*.deb "$OUTDIR"/linegate-dbgsym_*.deb "$OUTDIR"/liblinegate*.deb
clean() { rm -rf debian/.debhelper debian/linegate debian/liblinegate1 debian/liblinegate-dev debian/files debian/debhelper-build-stamp debian/*.substvars debian/*.debhelper; }
clean
trap clean EXIT
fakeroot debian/rules binary
lintian --fail-on error,warning "$OUTDIR"/linegate_*.deb "$OUTDIR"/liblinegate1_*.deb "$OUTDIR"/liblinegate-dev_*.deb
ls "$OUTDIR"/linegate*.deb "$OUTDIR"/liblinegate*.deb
