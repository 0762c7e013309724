#!/usr/bin/env bash
# What to run before each commit: formatting, layering, unit tests of the release build. Minutes, not an hour.
set -euo pipefail
cd "$(dirname "$0")/.."
exec scripts/test.sh static unit
