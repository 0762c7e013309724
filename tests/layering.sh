#!/usr/bin/env bash
# Who may include whom. A row is a room and the rooms it may include. A room is a folder without its subfolders, or one
# file of a folder (a path without its ending) that others may include without the rest. Rows stand bottom up: a room may
# include itself, dataplane/base and rooms of rows above its own, so there is no circle. DIR/* means every room above under that folder.
# A row whose room does not exist yet is allowed; a source without a row is not. No two files include each other in a circle.
# A change of a stage's header recompiles four units at most.
#   tests/layering.sh           prints each include that breaks a rule, and fails
#   tests/layering.sh --used    prints the arrows that are in use
set -euo pipefail
cd "$(dirname "$0")/.."
rooms='
dataplane/base:
dataplane/packet:
dataplane/crypto:
dataplane/lpm:
dataplane/thread:
dataplane/session:       dataplane/packet
dataplane/flow:          dataplane/packet dataplane/session
dataplane/drop_reason:
dataplane/counters:      dataplane/drop_reason
dataplane/next_hop:      dataplane/packet
dataplane/messages:      dataplane/packet dataplane/session dataplane/thread
dataplane/watch:         dataplane/drop_reason dataplane/packet dataplane/session
dataplane/snapshot:      dataplane/flow dataplane/lpm dataplane/next_hop dataplane/packet dataplane/session
dataplane/ring:
dataplane/io:            dataplane/packet dataplane/ring dataplane/thread dataplane/drop_reason dataplane/counters dataplane/messages
dataplane/core:          dataplane/*
dataplane/stage:         dataplane/*
dataplane:               dataplane/*
config:
control/noise:           dataplane/crypto dataplane/packet dataplane/session
control/kernel:          dataplane/flow dataplane/packet dataplane/session
control/log_events:
control/log_fields:
control/journal:         control/log_fields
control/log_line:        config
control/log:             config control/journal control/log_events control/log_fields control/log_line
control/ignore:          control/log
control/surely:
control/loop:            control/log control/surely
control/version:
control/clock:           control/noise
control/heap:
control/privileges:
control/sandbox:         dataplane/base
control/staging:         dataplane/counters
control/packet_ptr:
control/command_port:    control/packet_ptr dataplane dataplane/*
control/view:            config dataplane/snapshot
control/convert:         config control/kernel dataplane/packet
control/log_limit:
control/round_times:     dataplane/counters dataplane/drop_reason
control/api:             config control/noise control/loop control/log control/log_line dataplane/counters dataplane/drop_reason dataplane/ring
control/watch:           control/api dataplane/drop_reason dataplane/packet dataplane/watch
control/telemetry:       control/api control/noise dataplane dataplane/*
control/publish:         control/kernel dataplane dataplane/*
control/services:        control/api control/command_port control/kernel control/loop control/noise control/publish control/round_times control/staging dataplane dataplane/*
control/interface:       config control/api control/clock control/convert control/ignore control/kernel control/log control/log_limit control/loop control/noise control/packet_ptr control/publish control/services control/surely control/view dataplane dataplane/*
control/flows:           config control/api control/kernel control/log control/log_events control/publish control/services dataplane dataplane/*
control/gateway:         config control/api control/clock control/convert control/flows control/ignore control/interface control/kernel control/log control/log_line control/log_limit control/loop control/noise control/packet_ptr control/privileges control/sandbox control/publish control/round_times control/services control/surely control/telemetry control/view control/watch dataplane dataplane/*
control:                 config control/gateway control/heap control/journal control/log control/privileges control/sandbox
control/card_probe:      config control/gateway dataplane dataplane/*
control/cli:             config control/api control/card_probe control/kernel control/loop control/log control/version control dataplane/crypto
'
# Without DPDK these run under valgrind and libFuzzer; without threads they are the same from any.
free_of_dpdk='dataplane/base dataplane/crypto dataplane/flow dataplane/lpm dataplane/packet dataplane/ring dataplane/session dataplane/thread control/noise config'
free_of_threads='dataplane/base dataplane/crypto dataplane/flow dataplane/lpm dataplane/packet control/noise'

exec python3 - "$rooms" "$free_of_dpdk" "$free_of_threads" "$@" <<'PY'
import re, subprocess, sys
from os.path import dirname, splitext

rooms, free_of_dpdk, free_of_threads = sys.argv[1:4]
faults = []

def expand(word, above):
    if not word.endswith("/*"): return [word]
    return [room for room in above if room.startswith(word[:-1])]

allowed = {}
for row in filter(None, rooms.split("\n")):
    room, words = row.split(":")
    for word in words.split():
        if not word.endswith("/*") and word not in allowed:
            faults.append(f"tests/layering.sh: {room} may include {word}, which has no row above it")
    allowed[room] = {name for word in words.split() for name in expand(word, allowed)} | {room, "dataplane/base"}

def room_of(path):
    stem = splitext(path)[0]
    return stem if stem in allowed else dirname(path)

sources = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "dataplane", "control", "config"],
                         capture_output=True, text=True, check=True).stdout.split()
sources = [path for path in sources if path.endswith((".cpp", ".h"))]
includes, used = {}, {}
for path in sources:
    room = room_of(path)
    if room not in allowed:
        faults.append(f"{path}: {room} has no row in tests/layering.sh")
        continue
    try: text = open(path).read()
    except FileNotFoundError: continue  # moved, and not yet committed
    includes[path] = []
    for number, line in enumerate(text.split("\n"), 1):
        found = re.match(r'#include (?:"(\w+/[^"]+)"|<([^>]+)>)', line)
        if not found: continue
        ours, theirs = found.groups()
        where = f"{path}:{number}"
        if ours:
            includes[path].append(ours)
            used.setdefault(room, set()).add(room_of(ours))
            if room_of(ours) not in allowed[room]: faults.append(f"{where}: {room} may not include {room_of(ours)} ({ours})")
        elif dirname(path) in free_of_dpdk.split() and theirs.startswith(("rte_", "dpdk")):
            faults.append(f"{where}: {room} must do without DPDK (<{theirs}>)")
        elif dirname(path) in free_of_threads.split() and theirs in ("thread", "pthread.h", "mutex"):
            faults.append(f"{where}: {room} must do without threads (<{theirs}>)")

# The library of programs: C on the C library, nothing of the other folders, and they nothing of it.
of_c = {"arpa/inet.h", "errno.h", "fcntl.h", "net/if.h", "poll.h", "pthread.h", "semaphore.h", "signal.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h",
        "stdio.h", "stdlib.h", "string.h", "sys/epoll.h", "sys/eventfd.h", "sys/mman.h", "sys/socket.h", "sys/time.h", "sys/un.h", "time.h", "unistd.h", "internal.h", "linegate.h", "dataplane/ring/layout.h"}
library = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "lib/include", "lib/src"], capture_output=True, text=True,
                         check=True).stdout.split()
for path in library:
    if not path.endswith((".c", ".h")): faults.append(f"{path}: the library is C alone")
    for number, line in enumerate(open(path).read().split("\n"), 1):
        found = re.match(r'#\s*include [<"]([^>"]+)[>"]', line)
        if found and found[1] not in of_c: faults.append(f"{path}:{number}: the library may not include {found[1]}")
for path in sources:
    if path not in includes: continue
    for number, line in enumerate(open(path).read().split("\n"), 1):
        if re.match(r'#include [<"](lib/|linegate\.h)', line): faults.append(f"{path}:{number}: the library is for other programs")

# Circles of files: depth first, with the way that led here.
done = set()
def visit(path, way):
    if path in way: faults.append("circle: " + " -> ".join(way[way.index(path):] + [path])); return
    if path in done: return
    for other in includes.get(path, ()): visit(other, way + [path])
    done.add(path)
for path in includes: visit(path, [])

# What a private change of a stage recompiles: the sources that its header reaches.
UNITS = 4
everything = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.cpp", "*.h"], capture_output=True, text=True,
                            check=True).stdout.split()
includers = {}
for path in everything:
    try: text = open(path).read()
    except FileNotFoundError: continue
    for ours in re.findall(r'^#include "(\w+/[^"]+)"', text, re.M): includers.setdefault(ours, set()).add(path)

def units_of(header, seen):
    for path in includers.get(header, set()) - seen:
        seen.add(path)
        units_of(path, seen)
    return {path for path in seen if path.endswith(".cpp")}

for header in (path for path in everything if re.match(r"dataplane/(stage/|journey).*\.h$", path)):
    units = units_of(header, set())
    if header != "dataplane/journey.h" and len(units) > UNITS:
        faults.append(f"{header}: a change recompiles {len(units)} units, {UNITS} are allowed: {' '.join(sorted(units))}")
    if header == "dataplane/journey.h" and units != {"dataplane/worker.cpp"}:
        faults.append(f"{header}: worker.cpp alone includes it")

if sys.argv[4:] == ["--used"]:
    for room in allowed:
        others = sorted(used.get(room, set()) - {room})
        if room in used: print(f"{room + ':':24} {' '.join(others)}")
print("\n".join(faults), end="\n" if faults else "")
sys.exit(bool(faults))
PY
