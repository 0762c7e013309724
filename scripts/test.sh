#!/usr/bin/env bash
# The one command for all tests: installs what it needs, builds, runs everything that this machine can run, and
# closes with a line "N passed, N failed, N skipped". Exits non-zero when anything failed.
#   scripts/test.sh             all stages
#   scripts/test.sh STAGE...    only these: static unit consttime gates e2e linux_agrees vm clang asan fuzz tsan arm64
# As root, or as a user who may use sudo: it then starts itself again through sudo. tests/README.md lists the variables.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/root.sh
become_root "$@"
all=(static unit consttime gates e2e linux_agrees vm clang asan fuzz tsan arm64)
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=("${all[@]}")
for stage in "${stages[@]}"; do
  [[ " ${all[*]} " == *" $stage "* ]] || { echo "test.sh: unknown stage '$stage'" >&2; exit 2; }
done
wanted() { [[ " ${stages[*]} " == *" $1 "* ]]; }
bash scripts/setup.sh || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }

# A clone elsewhere hits the same cache: paths below the clone are hashed relative to it, and the working directory, which -g
# writes into the debug information, is not hashed. Nor are macros that a precompiled header might see: ours are of others' headers.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros
passed=0 failed=0 skipped=0
second_tries=()
logs=$PWD/build/test-logs
mkdir -p "$logs"
pass() { passed=$((passed + 1)); echo "ok    $*"; }
fail() { failed=$((failed + 1)); echo "FAIL  $*"; }
skip() { skipped=$((skipped + 1)); echo "skip  $*"; }

# check NAME LOG COMMAND...: one check that passes or shows the end of its log.
check() {
  local name=$1 log=$logs/$2.log
  shift 2
  if "$@" >"$log" 2>&1; then pass "$name"; else
    fail "$name"; tail -20 "$log"; fi
}

# The trees of later stages compile with what the running stage leaves of the cores: at idle priority, so that no test that
# measures time notices. build() ends that and compiles the rest at full speed. It is no job of this shell, whose `wait` is for
# tests.
background=
compile_ahead() { # PRESET...
  end_background
  (
    for preset in "$@"; do
      wanted "$preset" && cmake --preset "$preset" >"$logs/ahead-$preset.log" 2>&1 &&
        chrt -i 0 cmake --build --preset "$preset" -- -j "$(nproc)" >>"$logs/ahead-$preset.log" 2>&1
    done
  ) &
  background=$!
  disown "$background"
}
end_background() {
  [ -n "$background" ] || return 0
  kill $(descendants "$background") 2>/dev/null
  while kill -0 "$background" 2>/dev/null; do sleep 0.1; done
  background=
}
descendants() {
  local child
  for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do descendants "$child"; done
  echo "$1"
}
trap 'end_background; give_back_build' EXIT

# build PRESET TARGET...: false and the compiler's last words when it fails.
build() {
  local preset=$1 log=$logs/build-$1.log
  shift
  # What still compiles ahead goes on at full speed here.
  [ "$preset" = release ] || end_background
  if cmake --preset "$preset" >"$log" 2>&1 && cmake --build "build/$preset" --target "$@" >>"$log" 2>&1; then return 0; fi
  fail "build $preset"
  grep -E 'error|FAILED|undefined' "$log" | head -20
  return 1
}

# What a test program is run by: nothing, or an emulator of its processor.
run_by=()
# gtest NAME BINARY [ARGUMENT...]: counts the cases one by one, names the failed ones.
gtest() {
  timeout "${GTEST_SECONDS:-600}" "${run_by[@]}" "${@:2}" --gtest_color=no >"$logs/$1.log" 2>&1
  judge "$1" "$2" $?
}

judge() { # NAME BINARY EXITCODE: of a run that is over
  local name=$1 binary=$2 code=$3 log=$logs/$1.log
  local ok bad none
  ok=$(grep -cE '^\[       OK \]' "$log")
  none=$(grep -cE '^\[  SKIPPED \] .*\(' "$log")
  bad=$(grep -E '^\[  FAILED  \] .*\(' "$log" | sort -u | wc -l)
  passed=$((passed + ok)) skipped=$((skipped + none))
  if [ "$code" != 0 ] && [ "$bad" -gt 0 ] && again "$name" "$binary"; then
    passed=$((passed + bad))
    local one
    for one in $(again_names "$log"); do second_tries+=("$name:$one"); done
    echo "ok    $name: $((ok + bad)) passed, $none skipped; at the second try, alone: $(again_names "$log")"
  elif [ "$code" != 0 ]; then
    [ "$bad" -gt 0 ] || bad=1 # crashed, or ran out of time
    failed=$((failed + bad))
    echo "FAIL  $name: $bad of $((ok + bad)) (exit $code)"
    grep -E '^\[  FAILED  \]|ERROR: AddressSanitizer|runtime error|WARNING: ThreadSanitizer' "$log" | sort -u | head -20
    tail -15 "$log"
  else
    echo "ok    $name: $ok passed, $none skipped"
  fi
}

# These machines are shared: a case that failed is tried once more, alone, and what passes only then is named.
# A sanitizer's report is never given a second chance.
again_names() { grep -E '^\[  FAILED  \] .*\(' "$1" | sed -E 's/^\[  FAILED  \] ([^ ,]+).*/\1/' | sort -u | tr '\n' ' '; }
again() {
  local log=$logs/$1.log
  grep -qE 'ERROR: AddressSanitizer|runtime error|WARNING: ThreadSanitizer' "$log" && return 1
  timeout "${GTEST_SECONDS:-600}" "${run_by[@]}" "$2" --gtest_color=no --gtest_filter="$(again_names "$log" | tr ' ' ':')" \
    >"$logs/$1.again.log" 2>&1
}

units() { # PRESET [ARGUMENT...]: every unit test of the tree under it, and the tests of the whole daemon
  for binary in build/"$1"/tests/{unit_*,daemon_tests}; do
    [ -x "$binary" ] && gtest "$1/$(basename "$binary")" "$binary" "${@:2}"
  done
}
# The same without daemon_tests, a program on each core, for trees whose cases do not measure speed. unit_dataplane comes last and
# alone: its workers poll.
units_side_by_side() { # PRESET
  local binary name code=$logs/$1/code names=()
  for binary in build/"$1"/tests/unit_*; do
    name=$(basename "$binary")
    [ -x "$binary" ] && [ "$name" != unit_dataplane ] && names+=("$name")
  done
  for name in "${names[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
    (
      timeout "${GTEST_SECONDS:-600}" "build/$1/tests/$name" --gtest_color=no >"$logs/$1/$name.log" 2>&1
      echo $? >"$code-$name"
    ) &
  done
  wait
  for name in "${names[@]}"; do judge "$1/$name" "build/$1/tests/$name" "$(cat "$code-$name")"; done
  gtest "$1/unit_dataplane" "build/$1/tests/unit_dataplane"
}
# gtest() logs by name: one folder per preset.
mkdir -p "$logs"/{release,asan,tsan,arm64}

stage_static() {
  check "layering: every include follows the table of folders" layering tests/layering.sh
  check "every header compiles alone" headers tests/headers.sh
  check "documents: links, paths, names, columns" docs tests/docs/check.py
  check "language: comments, texts and pages keep to docs/style.md" language tests/language.py
  check "the closing lines name what passed at the second try" second_try tests/second_try.sh
  check "dashboard and alerts: metrics and labels" monitoring tests/docs/monitoring.py
  check "bench/vf: its search beside simulated devices" vf_search python3 tests/bench/vf_search_test.py
  check "bench/vf: what makes a run fail, its page" vf_run python3 tests/bench/vf_run_test.py
  if ! command -v clang-format-14 >/dev/null; then skip "format: clang-format-14 is not installed"
  else check "format (scripts/format.sh)" format scripts/format.sh --check; fi
  if ! command -v shellcheck >/dev/null; then skip "shellcheck is not installed"
  else check "shellcheck" shellcheck tests/shellcheck.sh; fi
  if ! command -v clang-tidy >/dev/null; then skip "clang-tidy is not installed"
  else check "clang-tidy on the sources of the last commit (at most ${TIDY_FILES:-6})" tidy env TIDY_FILES="${TIDY_FILES:-6}" scripts/tidy.sh; fi
  if ! command -v ctags >/dev/null; then skip "function sizes: universal-ctags is not installed"
  else
    check "sizes of functions and classes" function_sizes python3 tests/function_sizes.py
    grep '^warning:' "$logs/function_sizes.log" || true
  fi
}

# The soak of reloads (a minute; SOAK_SECONDS for more) mostly waits: it runs beside the other unit tests.
stage_unit() {
  build release all || return
  check "docs/cli.md and --help" cli tests/docs/check.py build/release/linegate
  local daemon=build/release/tests/daemon_tests
  timeout "${GTEST_SECONDS:-$((600 + ${SOAK_SECONDS:-60}))}" "$daemon" --gtest_filter='Soak.*' --gtest_color=no \
    >"$logs/release/daemon_tests-soak.log" 2>&1 &
  local soak=$!
  units release '--gtest_filter=-Soak.*'
  wait "$soak"
  judge release/daemon_tests-soak "$daemon" $?
  check "hardening of the program" hardening tests/hardening.sh build/release/linegate
  check "bill of materials" sbom tests/sbom.sh build/release
  check "ABI of the library" abi tests/abi.sh build/release
}

# A second opinion: the product compiled by clang, whose warnings are errors too. The stages asan and fuzz use its tree.
stage_clang() {
  command -v clang++ >/dev/null || { skip "clang is not installed"; return; }
  build asan linegate && pass "the product compiles with clang"
}

# Under AddressSanitizer and UBSan. Debian's DPDK is not instrumented: its pools hide overruns, our parsers do not use them.
stage_asan() {
  command -v clang++ >/dev/null || { skip "asan: clang is not installed"; return; }
  build asan unit_tests || return
  compile_ahead tsan
  units_side_by_side asan
}

# Thread tests that use no DPDK, whose inline assembly ThreadSanitizer cannot see.
stage_tsan() {
  build tsan unit_session unit_lpm || return
  for module in session lpm; do gtest "tsan/unit_$module" "build/tsan/tests/unit_$module"; done
}

stage_consttime() {
  build release consttime_memcheck consttime_statistical || return
  local log=$logs/consttime.log
  if ! command -v valgrind >/dev/null; then skip "constant time under memcheck: valgrind is not installed"
  elif tests/consttime/memcheck.sh build/release/tests/consttime/consttime_memcheck >"$log" 2>&1; then
    pass "constant time under memcheck"
  else fail "constant time under memcheck"; tail -20 "$log"; fi
  if build/release/tests/consttime/consttime_statistical >"$log" 2>&1; then pass "constant time, statistical"; else
    fail "constant time, statistical"; tail -20 "$log"; fi
}

# Speed that is lost fails: the ratios of the benches beside the thresholds of this class of processor (bench/gates). On a shared
# machine a run may be disturbed, so only what is lost three times counts.
stage_gates() {
  build release bench/aead bench/lpm bench/dataplane bench/ring bench/vf linegate || return
  gate aead --quick --bursts=1,32
  gate lpm --quick --prefixes 1000
  gate dataplane --quick --only "outer=4 peers=1 order=random buffers=hot"
  gate ring --rounds 7
  gate dataplane/program --quick --only "program direction"
  # Does it work? It judges no speed.
  if [ "$(id -u)" != 0 ] || [ ! -e /dev/net/tun ]; then skip "bench/vf: needs root and /dev/net/tun"; return; fi
  check "bench/vf on memif pairs: NDR, latency, overload, the page" vf bench/vf/run.py --ci --out "$logs/vf"
  check "bench/vf: its results keep to their schema" vf_results tests/bench/vf_results.py "$logs/vf"
}

gate() { # BENCH OPTION..., or BENCH/FILE OPTION... with other thresholds
  local name=${1%/*} file=${1#*/} log=$logs/gate-${1#*/}.log try
  shift
  for try in 1 2 3; do
    if "build/release/bench/$name" "$@" --gate "bench/gates/$file" >"$log" 2>&1; then
      if grep -q '^gate class=.*no thresholds' "$log"; then skip "gate $file: $(grep -o 'class=.*' "$log")"
      else pass "gate $file: $(grep -o 'class=.*' "$log"), try $try"; fi
      return
    fi
  done
  fail "gate $file, three times"
  grep -E '^gate' "$log" || tail -5 "$log"
}

stage_fuzz() {
  command -v clang++ >/dev/null || { skip "fuzz: clang is not installed"; return; }
  build asan fuzz_targets || return
  compile_ahead tsan
  local target name seconds=${FUZZ_SECONDS:-3}
  for target in build/asan/fuzz/fuzz_${FUZZ_TARGET:-*}; do
    name=$(basename "$target")
    [ -x "$target" ] || { fail "there is no fuzz target $name"; continue; }
    if timeout $((seconds + 57)) "$target" -max_total_time="$seconds" -rss_limit_mb=4096 -print_final_stats=0 \
      -artifact_prefix="$logs/$name-" >"$logs/$name.log" 2>&1; then pass "$name"; else
      fail "$name"; tail -20 "$logs/$name.log"; fi
  done
}

stage_e2e() {
  if [ "$(id -u)" != 0 ] || [ ! -e /dev/net/tun ]; then skip "end to end: needs root and /dev/net/tun"; return; fi
  build release linegate e2e_tools || return
  compile_ahead asan tsan
  tests/e2e/run.sh 2>&1 | tee "$logs/e2e.log" | grep -vE '^[0-9]+ passed'
  local rescued=0
  # The runner names each that failed twice: with its log, and at its end.
  mapfile -t again < <(grep -oE '^FAIL [0-9a-z_]+' "$logs/e2e.log" | cut -d' ' -f2 | sort -u)
  if [ ${#again[@]} -gt 0 ] && [ ${#again[@]} -le 5 ]; then
    end_background
    echo "      once more, one at a time: ${again[*]}"
    if JOBS=1 tests/e2e/run.sh "${again[@]}" >"$logs/e2e.again.log" 2>&1; then
      echo "ok    passed at the second try: ${again[*]}"
      rescued=${#again[@]}
      second_tries+=("${again[@]/#/e2e:}")
    else tail -60 "$logs/e2e.again.log"; fi
  fi
  local line
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$logs/e2e.log" | tail -1)
  if [ -z "$line" ]; then fail "end to end: the runner did not finish"; return; fi
  read -r ok bad none < <(echo "$line" | grep -oE '[0-9]+' | tr '\n' ' ')
  passed=$((passed + ok + rescued)) failed=$((failed + bad - rescued)) skipped=$((skipped + ${none:-0}))
}

# The short cut beside Linux on random networks (tests/linux_agrees). Neighbours answer when they like, so a run that differs is
# made once more, from the start, and named.
stage_linux_agrees() {
  if [ "$(id -u)" != 0 ] || [ ! -e /dev/net/tun ]; then skip "linux agrees: needs root and /dev/net/tun"; return; fi
  build release linegate || return
  local log=$logs/linux_agrees.log
  if ! tests/linux_agrees/run.sh >"$log" 2>&1; then
    grep -A8 DISAGREE "$log" | cut -c1-160
    log=$logs/linux_agrees.again.log
    if ! tests/linux_agrees/run.sh >"$log" 2>&1; then
      fail "linux agrees, twice"
      tail -30 "$log" | cut -c1-160
      return
    fi
    second_tries+=(linux_agrees)
  fi
  pass "linux agrees: $(grep -E '^[0-9]+ states' "$log" | tail -1)"
}

# The package in virtual machines: tests/vm/run.sh. They wait for much, and the trees of the next stages compile meanwhile. A part
# that failed is run once more, alone.
stage_vm() {
  build release linegate unit_kernel || return
  compile_ahead asan tsan
  local line ok=0 bad=0 none=0 part again=() log=$logs/vm.log begin=$SECONDS
  tests/vm/run.sh 2>&1 | tee "$log" | grep -vE '^[0-9]+ passed'
  line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
  if [ -z "$line" ]; then fail "virtual machines: the runner did not finish"; return; fi
  read -r ok bad none < <(grep -oE '[0-9]+' <<<"$line" | tr '\n' ' ')
  mapfile -t again < <(sed -nE 's/^FAIL  (cards|systemd|kernel): .*/\1/p' "$log" | sort -u)
  for part in "${again[@]}"; do
    [ $((SECONDS - begin)) -lt 900 ] || break # a machine as slow as that gets no second try
    end_background
    vm_part_again "$part" || continue
    second_tries+=("vm:$part")
    local failures
    failures=$(grep -c "^FAIL  $part: " "$log")
    ok=$((ok + failures)) bad=$((bad - failures))
  done
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + none))
}
vm_part_again() { # PART: true when it passes, all of it
  local log=$logs/vm.$1.again.log package
  package=$(ls build/vm/packages/linegate_*.deb) || return
  LINEGATE_VM_SECONDS=600 LINEGATE_VM_PACKAGE=$package tests/vm/run.sh "$1" >"$log" 2>&1 && grep -q "^ok    $1: " "$log" && ! grep -q "^skip  $1: " "$log" ||
    { grep -A20 '^FAIL' "$log"; return 1; }
  echo "ok    vm: $1 passed at the second try"
}

# The cross compiler and the arm64 libraries. False: skipped, or failed.
arm64_root() {
  scripts/arm64.sh >"$logs/arm64.log" 2>&1
  case $? in
    0) run_by=(scripts/arm64.sh run) ;;
    3) skip "$(tail -1 "$logs/arm64.log")"; return 1 ;;
    *) fail "scripts/arm64.sh"; tail -20 "$logs/arm64.log"; return 1 ;;
  esac
}

# What has vector variants or shares memory between threads, compiled for arm64 and run under QEMU's user emulation.
stage_arm64() {
  arm64_root || return
  local module
  if build arm64 unit_crypto unit_lpm unit_packet unit_session; then
    for module in crypto lpm packet session; do gtest "arm64/unit_$module" "build/arm64/tests/unit_$module"; done
  fi
  run_by=()
}

# A tree that a developer configured stays as it is; ours compiles tests several at a time (cmake/unity.cmake).
[ -e build/release/CMakeCache.txt ] || cmake --preset release -DLINEGATE_UNITY=ON >"$logs/build-release.log" 2>&1

times=()
for stage in "${stages[@]}"; do
  echo "== $stage"
  begin=$SECONDS
  "stage_$stage"
  times+=("$stage $((SECONDS - begin)) s")
  echo "   ($((SECONDS - begin)) s)"
done
echo "time: $(IFS=,; echo "${times[*]}" | sed 's/,/, /g'); in all $SECONDS s"
[ ${#second_tries[@]} = 0 ] || echo "passed only at the second try: ${#second_tries[@]} (${second_tries[*]})"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
