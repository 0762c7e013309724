#!/usr/bin/env bash
# Builds the release and installs it on this machine; the service is neither enabled nor started. A gateway needs no compilers:
# build elsewhere, with scripts/package.sh, and install the package.
#   sudo scripts/install.sh [--no-build | --with-compilers]
#       --no-build: take build/release/linegate as it is; --with-compilers: install first what building needs (scripts/setup.sh)
#   sudo scripts/install.sh --uninstall [--purge]   --purge: configuration with its keys, state and group as well
# DESTDIR=/some/where installs below that directory instead (packaging): nothing of this machine is touched then. NO_STRIP=1
# leaves the debugging information in the program.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${DESTDIR:-}
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; }
die() { echo "install: $*" >&2; exit 1; }
systemd_runs() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

build=1 compilers=0 uninstall=0 purge=0
for word in "$@"; do
  case $word in
    --no-build) build=0 ;;
    --with-compilers) compilers=1 ;;
    --uninstall) uninstall=1 ;;
    --purge) purge=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[ "$purge" = 0 ] || [ "$uninstall" = 1 ] || { usage >&2; exit 2; }
[ -n "$root" ] || [ "$(id -u)" = 0 ] || die "root is needed, or DESTDIR"

program=$root/usr/bin/linegate
units=$root/usr/lib/systemd/system
defaults=$root/etc/default/linegate
share=$root/usr/share/linegate
doc=$root/usr/share/doc/linegate
config=$root/etc/linegate
manual=$root/usr/share/man/man1/linegate.1.gz
bash_file=$root/usr/share/bash-completion/completions/linegate
zsh_file=$root/usr/share/zsh/vendor-completions/_linegate
fish_file=$root/usr/share/fish/vendor_completions.d/linegate.fish

# The manual page and the completion scripts, which the program itself makes.
install_shell_files() {
  install -d "$(dirname "$manual")" "$(dirname "$bash_file")" "$(dirname "$zsh_file")" "$(dirname "$fish_file")"
  "$program" man | gzip -9n >"$manual"
  "$program" completion bash >"$bash_file"
  "$program" completion zsh >"$zsh_file"
  "$program" completion fish >"$fish_file"
}

require_compilers() {
  local word missing=()
  for word in g++ cmake ninja pkg-config; do command -v "$word" >/dev/null || missing+=("$word"); done
  [ ${#missing[@]} = 0 ] && pkg-config --exists libdpdk && return
  die "this machine cannot build it (${missing[*]:-libdpdk-dev} is missing). Either
  build a package elsewhere with scripts/package.sh, and install that here with apt, or
  scripts/install.sh --with-compilers"
}

require_libraries() {
  local missing
  missing=$(ldd "$program" | awk '/not found/ { print $1 }' | paste -sd' ')
  [ -z "$missing" ] || die "the program is installed, but not what it needs: $missing. A package brings that: scripts/package.sh"
}

install_all() {
  if [ "$build" = 1 ]; then
    [ "$compilers" = 0 ] || scripts/setup.sh
    require_compilers
    cmake --preset release
    cmake --build --preset release --target linegate linegate_library
  fi
  [ -x build/release/linegate ] || die "build/release/linegate is missing: leave out --no-build"
  [ -e build/release/liblinegate.so.1 ] || die "build/release/liblinegate.so.1 is missing: leave out --no-build"
  # What goes where is in cmake/install.cmake.
  DESTDIR=$root cmake --install build/release --prefix /usr >/dev/null
  [ -n "${NO_STRIP:-}" ] || strip --strip-debug "$program" "$(find "$root/usr/lib" -name 'liblinegate.so.1.*' -type f)"
  install_shell_files
  install -d -m 0700 "$config"
  install -m 0600 config/examples/gateway.yaml "$config/linegate.yaml.example"
  [ -e "$defaults" ] || install -D -m 0644 config/default-linegate "$defaults"
  if [ -z "$root" ]; then
    # The examples' control.admin_group.
    getent group linegate >/dev/null || groupadd --system linegate
    require_libraries
    "$program" version
  fi
  if systemd_runs; then systemctl daemon-reload; fi
  cat <<TXT
installed. Next:
  cp $config/linegate.yaml.example $config/linegate.yaml && \$EDITOR $config/linegate.yaml
  (umask 077; linegate genkey > $config/wg0.key)
  linegate check
  systemctl enable --now linegate
TXT
}

uninstall_all() {
  if systemd_runs && systemctl cat linegate.service >/dev/null 2>&1; then systemctl disable --now linegate linegate-ports || true; fi
  rm -f "$program" "$units"/linegate{,-ports}.service "$config/linegate.yaml.example" "$manual" "$bash_file" "$zsh_file" "$fish_file"
  rm -rf "$share" "$doc" "$root/usr/share/doc/liblinegate-dev"
  rm -f "$root"/usr/lib/liblinegate.so* "$root"/usr/lib/*/liblinegate.so* "$root"/usr/{lib,lib/*}/pkgconfig/liblinegate.pc
  rm -f "$root/usr/include/linegate.h" "$root/usr/share/man/man3/liblinegate.3"
  if systemd_runs; then systemctl daemon-reload; fi
  if [ "$purge" = 1 ]; then
    rm -rf "$config" "$defaults" "$root/var/lib/linegate"
    if [ -z "$root" ] && getent group linegate >/dev/null; then
      groupdel linegate || echo "the group linegate stays: it is some user's primary group"
    fi
    echo "uninstalled, with configuration, keys and state"
  else
    rmdir "$config" 2>/dev/null || echo "uninstalled; configuration and state are kept: $config, $root/var/lib/linegate"
  fi
}

if [ "$uninstall" = 1 ]; then uninstall_all; else install_all; fi
