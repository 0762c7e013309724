#!/usr/bin/env bash
# What scripts/test.sh says of a case that fails and then passes alone: it is counted as passed, and the closing lines name it.
# Runs a copy of the script on stand-ins for the tree, the compiler and the test programs.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{scripts,bin,build/tsan/tests}
cp scripts/test.sh "$tree/scripts/"
echo 'become_root() { :; }; give_back_build() { :; }' >"$tree/scripts/root.sh"
echo 'exit 0' >"$tree/scripts/setup.sh"

# stand_in PATH: a program of two cases, whose second fails when all are run and does alone what $ALONE says.
stand_in() {
  cat >"$1"
  chmod +x "$1"
}
stand_in "$tree/bin/cmake" <<'END'
#!/bin/sh
exit 0
END
stand_in "$tree/build/tsan/tests/unit_session" <<'END'
#!/bin/sh
case "$*" in *--gtest_filter=Two.Second*)
  [ "$ALONE" = passes ] && echo '[       OK ] Two.Second (1 ms)' && exit 0
  echo '[  FAILED  ] Two.Second (1 ms)'
  exit 1 ;;
esac
echo '[       OK ] Two.First (1 ms)'
echo '[  FAILED  ] Two.Second (1 ms)'
exit 1
END
stand_in "$tree/build/tsan/tests/unit_lpm" <<'END'
#!/bin/sh
echo '[       OK ] One.Only (1 ms)'
END

# closing ALONE: the last two lines without the times.
closing() { ALONE=$1 PATH="$tree/bin:$PATH" "$tree/scripts/test.sh" tsan | tail -2 | grep -v '^time: ' || true; }
expect() { # WHAT WANTED GOT
  [ "$2" = "$3" ] || { printf 'FAIL %s\nwanted:\n%s\ngot:\n%s\n' "$1" "$2" "$3"; exit 1; }
}
expect "a second try that passes is named" "passed only at the second try: 1 (tsan/unit_session:Two.Second)
3 passed, 0 failed, 0 skipped" "$(closing passes)"
expect "a second try that fails is a failure" "2 passed, 1 failed, 0 skipped" "$(closing fails)"
echo "the closing lines name what passed at the second try"
