#!/usr/bin/env bash
# The cost of captures and traces while no watch runs: bench/dataplane of this tree beside one of the same tree whose hooks are
# compiled out, packets of both taking turns (--paired). Fails above one clock a packet.
#
#   bench/watch_cost.sh [--peers N | --only TEXT] [--rounds N]
#
# Wants a machine at rest: other programs on its cores make the figures meaningless. Builds into build/without_watch.
set -euo pipefail
cd "$(dirname "$0")/.."
with=build/release without=build/without_watch
[ -x "$with/bench/dataplane" ] || { echo "no $with/bench/dataplane: cmake --build --preset release --target dataplane" >&2; exit 1; }
copy=$without/tree
mkdir -p "$copy"
git ls-files -z -co --exclude-standard | tar --null --files-from=- --ignore-failed-read -cf - 2>/dev/null | tar -C "$copy" -xf -
# The one test that every hook makes. Without it the compiler drops what stands behind.
sed -i 's/bool on() const noexcept { return set_ != nullptr; }/bool on() const noexcept { return false; }/' "$copy/dataplane/core/watcher.h"
grep -q 'on() const noexcept { return false; }' "$copy/dataplane/core/watcher.h" ||
  { echo "dataplane/core/watcher.h: the hooks' test is not where it was" >&2; exit 1; }
cmake -S "$copy" --preset release -B "$without/build" >/dev/null
cmake --build "$without/build" --target bench_dataplane
"$with/bench/dataplane" --paired "$without/build/bench/dataplane" "$@" | tee "$without/paired.txt"
# Of the tenth percentile, which other programs disturb least; "old" is the one without hooks.
python3 - "$without/paired.txt" <<'PY'
import re, sys
costs = {}
for line in open(sys.argv[1]):
    found = re.match(r"paired (.*?) old_clocks=.*old_p10=([\d.]+) new_p10=([\d.]+)", line)
    if found:
        costs[found[1]] = float(found[3]) - float(found[2])
for name, clocks in costs.items():
    print(f"{clocks:+.1f} clocks a packet for the hooks: {name}")
sys.exit(not costs or max(costs.values()) > 1)
PY
