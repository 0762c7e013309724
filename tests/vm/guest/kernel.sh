# What the kernel of a test machine often lacks and Debian's has: VLAN devices, VRFs, bonds, nftables' flow tables. The scenarios and
# unit tests that need them run here, with the installed program.
source /payload/lib.sh
export LINEGATE=/usr/bin/linegate JOBS=1 E2E_SECONDS=240 LAB_PATIENCE=${PATIENCE:-1}
cp -r /payload/tree /opt/tree
for module in 8021q vrf bonding nf_flow_table nf_conntrack veth dummy macvlan ipvlan; do
  check "the kernel has $module" modprobe $module
done
scenario() { # NAME
  local out
  out=$(/opt/tree/tests/e2e/run.sh "$1" 2>&1)
  if grep -q "^ok $1" <<<"$out"; then echo "ok    $PART: $(grep "^ok $1" <<<"$out" | cut -d' ' -f2-)"
  else echo "FAIL  $PART: $1"; tail -40 <<<"$out" | sed 's/^/      /'; fi
}
for name in 20_vlan_port 84_vlans_and_bonds 85_vrf 86_flow_table; do scenario $name; done

# A skipped case fails here: this kernel has what it needs.
if [ -x /payload/unit_kernel ]; then
  for filter in '*Vrf*:*Vlan*:*VLAN*' '*Macvlan*:*Announce*' '*Nexthop*'; do
    out=$(/payload/unit_kernel --gtest_color=no --gtest_filter="$filter" 2>&1)
    code=$?
    check "unit_kernel $filter: $(grep -c '^\[       OK' <<<"$out") cases" test $code = 0 -a "$(grep -c '^\[  SKIPPED' <<<"$out")" = 0
    [ $code = 0 ] || tail -20 <<<"$out"
  done
else echo "skip  $PART: unit_kernel is not built (cmake --build --preset release --target unit_kernel)"; fi
