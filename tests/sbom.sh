#!/usr/bin/env bash
# The bill of materials of a build names what the program cannot do without, each with a version.
#   tests/sbom.sh [BUILD_DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/sbom.py "${1:-build/release}" | python3 -c '
import json, sys
document = json.load(sys.stdin)
versions = {package["name"]: package["versionInfo"] for package in document["packages"]}
kinds = {relation["relatedSpdxElement"]: relation["relationshipType"] for relation in document["relationships"]}
for name in ("libsodium23", "libyaml-cpp0.7", "librte-eal23", "nlohmann-json3-dev", "libcli11-dev"):
    prefix = name.rstrip("0123456789.")  # another release of Debian has another number
    found = [package for package in versions if package.startswith(prefix)]
    assert found and all(versions[package] for package in found), name
assert not any("gtest" in package for package in versions), "the tests are not part of the program"
assert set(kinds.values()) >= {"DESCRIBES", "DYNAMIC_LINK", "DEPENDS_ON"}, kinds
print(len(versions) - 1, "packages")'
