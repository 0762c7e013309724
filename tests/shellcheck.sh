#!/usr/bin/env bash
# Runs shellcheck over every script. Left out: SC2034 and SC2154, variables that a sourced file sets or reads; SC2164, SC2086 and
# SC2046, words that are meant to be split; SC1090 and SC1091, files found at run time;
# SC1010, `ping -M do`; SC2120, parameters with a default that no script gives.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
shellcheck --shell=bash --severity=warning --exclude=SC1010,SC1090,SC1091,SC2034,SC2046,SC2086,SC2120,SC2154,SC2164 "${scripts[@]}"

# A grep that ends at its first match fails the program that writes to it, and so the pipe, now and then. The scenarios have a
# grep of their own (tests/e2e/lib.sh); elsewhere: grep -q WORD <<<"$(PROGRAM)".
mapfile -t strict < <(grep -lE '^set .*pipefail' "${scripts[@]}" | grep -v '^tests/e2e/[0-9]')
if grep -nE '\| *grep -[a-zA-Z]*q' "${strict[@]}" | grep -v 'sh -c'; then
  echo "shellcheck.sh: a pipe into grep -q under pipefail" >&2
  exit 1
fi
