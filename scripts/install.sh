#!/usr/bin/env bash
# Builds the release and installs it on this machine; the service is neither enabled nor started.
#   sudo scripts/install.sh [--no-build]      --no-build: take build/release/linegate as it is
#   sudo scripts/install.sh --uninstall [--purge]   --purge: configuration with its keys, state and group as well
# DESTDIR=/some/where installs below that directory instead (packaging): nothing of this machine is touched then.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${DESTDIR:-}
usage() { sed -n '2,5s/^# \{0,1\}//p' "$0"; }
die() { echo "install: $*" >&2; exit 1; }
systemd_runs() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

build=1 uninstall=0 purge=0
for word in "$@"; do
  case $word in
    --no-build) build=0 ;;
    --uninstall) uninstall=1 ;;
    --purge) purge=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[ "$purge" = 0 ] || [ "$uninstall" = 1 ] || { usage >&2; exit 2; }
[ -n "$root" ] || [ "$(id -u)" = 0 ] || die "root is needed, or DESTDIR"

program=$root/usr/bin/linegate
unit=$root/usr/lib/systemd/system/linegate.service
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

install_all() {
  if [ "$build" = 1 ]; then
    [ "$(id -u)" != 0 ] || scripts/setup.sh
    cmake --preset release
    cmake --build --preset release --target linegate
  fi
  [ -x build/release/linegate ] || die "build/release/linegate is missing: leave out --no-build"
  # What goes where is in cmake/install.cmake.
  DESTDIR=$root cmake --install build/release --prefix /usr >/dev/null
  strip --strip-debug "$program"
  install_shell_files
  install -d -m 0700 "$config"
  install -m 0600 config/examples/gateway.yaml "$config/linegate.yaml.example"
  if [ -z "$root" ]; then
    # The examples' control.admin_group.
    getent group linegate >/dev/null || groupadd --system linegate
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
  if systemd_runs && systemctl cat linegate.service >/dev/null 2>&1; then systemctl disable --now linegate || true; fi
  rm -f "$program" "$unit" "$config/linegate.yaml.example" "$manual" "$bash_file" "$zsh_file" "$fish_file"
  rm -rf "$share" "$doc"
  if systemd_runs; then systemctl daemon-reload; fi
  if [ "$purge" = 1 ]; then
    rm -rf "$config" "$root/var/lib/linegate"
    [ -n "$root" ] || ! getent group linegate >/dev/null || groupdel linegate
    echo "uninstalled, with configuration, keys and state"
  else
    rmdir "$config" 2>/dev/null || echo "uninstalled; configuration and state are kept: $config, $root/var/lib/linegate"
  fi
}

if [ "$uninstall" = 1 ]; then uninstall_all; else install_all; fi
