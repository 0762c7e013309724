#!/usr/bin/env bash
# Runs shellcheck over every script. Left out: SC2034 and SC2154, variables that a sourced file sets or reads; SC2164, SC2086 and
# SC2046, words that are meant to be split; SC1090 and SC1091, files found at run time;
# SC1010, `ping -M do`; SC2120, parameters with a default that no script gives.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
shellcheck --shell=bash --severity=warning --exclude=SC1010,SC1090,SC1091,SC2034,SC2046,SC2086,SC2120,SC2154,SC2164 "${scripts[@]}"
