# Sourced by scripts here that need root, from the top of the tree. become_root "$@" starts the calling script again through
# sudo when it is not root, with the variables that the scripts and tests read. As root it does nothing: sudo need not be there.
become_root() {
  # A tree that belongs to the user who called sudo is still this tree to git.
  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$PWD
  [ "$(id -u)" != 0 ] || return 0
  local script name kept=()
  script=$PWD/scripts/${0##*/} # $0 may be relative to where the caller was
  command -v sudo >/dev/null || { echo "${script##*/}: root is needed, and sudo is not installed: run it as root" >&2; exit 1; }
  for name in SIM_SEED SOAK_SECONDS FUZZ_SECONDS FUZZ_TARGET RING_SECONDS RING_ROUNDS RING_KILLS HOSTILE_SECONDS \
    FLOOD_ROUNDS FLOOD_PPS FLOOD_KEEPS FLOOD_GREEDY GTEST_SECONDS IPERF_SECONDS \
    JOBS TIDY_FILES LINEGATE LINEGATE_AEAD LINEGATE_VM_CACHE LINEGATE_VM LINEGATE_VM_PACKAGE WIREGUARD_GO CCACHE_DIR CCACHE_DISABLE; do
    [ -z "${!name+set}" ] || kept+=("$name=${!name}")
  done
  echo "${script##*/}: root is needed (packages, network namespaces): starting again through sudo" >&2
  exec sudo env "${kept[@]}" "$script" "$@"
}
# give_back_build: what root built in a user's tree belongs to that user afterwards.
give_back_build() { [ -z "${SUDO_UID:-}" ] || [ ! -d build ] || chown -R "$SUDO_UID:$SUDO_GID" build; }
