#!/usr/bin/env bash
# What to run before each commit: formatting, layering, clang-tidy on what changed, unit tests of the release build.
# Minutes, not an hour. scripts/install-hooks.sh runs the fastest of it at each commit.
set -euo pipefail
cd "$(dirname "$0")/.."
exec scripts/test.sh static unit
