#!/usr/bin/env python3
"""Writes the bill of materials of a built linegate: SPDX 2.3, JSON, on standard output.

  scripts/sbom.py [BUILD_DIRECTORY]    default: build/release

Listed is what is really in the program: the shared libraries that the dynamic linker loads for it (ldd), with their own
dependencies, DPDK's drivers, which it loads as plug-ins, and the header-only libraries that its objects were compiled with
(ninja's record of dependencies). Package, version, source and licence are those of Debian's package database.
"""
import datetime
import glob
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def packages_of(paths):
    """{package: [path]} for the files that belong to one. Debian 12 merged /lib into /usr/lib."""
    found = {}
    for path in sorted(paths):
        for name in (path, path.removeprefix("/usr"), "/usr" + path):
            owner = run("dpkg", "-S", name).split(": ")[0]
            if owner and "\n" not in owner:
                found.setdefault(owner.split(",")[0].split(":")[0], []).append(path)
                break
    return found


def linked(program):
    return {os.path.realpath(match) for match in re.findall(r"=> (/\S+)", run("ldd", str(program)))}


def headers(build):
    """One header for each folder of /usr/include that an object of the program was compiled with."""
    by_folder = {}
    ours = False
    for line in run("ninja", "-C", str(build), "-t", "deps").splitlines():
        if not line.startswith(" "):
            ours = not line.startswith(("tests/", "bench/"))
        path = line.strip()
        if ours and path.startswith("/usr/include/") and not re.match(r"/usr/include/(c\+\+|[a-z0-9_]+-linux-gnu)", path):
            by_folder.setdefault("/".join(path.split("/")[:4]), path)
    return set(by_folder.values())


def plug_ins():
    """What DPDK's EAL loads at the start: every driver in its folder."""
    return {os.path.realpath(path) for path in glob.glob("/usr/lib/*/dpdk/pmds-*/*.so*")}


def facts(package):
    text = run("dpkg-query", "-W", "-f", "${Version}\t${source:Package}\t${source:Version}\t${Homepage}", package)
    version, source, source_version, home = (text.split("\t") + [""] * 4)[:4]
    return version, source, source_version, home


def licences(package):
    """The names in Debian's machine-readable copyright file, or none."""
    path = pathlib.Path("/usr/share/doc") / package / "copyright"
    if not path.exists():
        return []
    names = re.findall(r"^License: *(\S.*)$", path.read_text(errors="replace"), re.M)
    return sorted(set(name.strip() for name in names))


def entry(package, how, paths):
    version, source, source_version, home = facts(package)
    names = licences(package)
    return {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", package),
        "name": package,
        "versionInfo": version,
        "supplier": "Organization: Debian",
        "downloadLocation": home or "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "licenseComments": "Debian's copyright file names: " + ", ".join(names) if names else "no copyright file here",
        "copyrightText": "NOASSERTION",
        "comment": "%s: %s" % (how, ", ".join(os.path.basename(path) for path in paths)),
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": "pkg:deb/debian/%s@%s?upstream=%s@%s" % (package, version, source, source_version)}],
    }


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release")
    program = build / "linegate"
    if not program.exists():
        sys.exit("sbom: there is no %s: build it first" % program)
    version = run(str(program), "--version").split()
    shared = packages_of(linked(program))
    drivers = {name: paths for name, paths in packages_of(plug_ins()).items() if name not in shared}
    compiled = {name: paths for name, paths in packages_of(headers(build)).items() if name not in shared}
    packages = [entry(name, "shared library", paths) for name, paths in sorted(shared.items())]
    packages += [entry(name, "plug-in of DPDK", paths) for name, paths in sorted(drivers.items())]
    packages += [entry(name, "headers", paths) for name, paths in sorted(compiled.items())]
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    own = {
        "SPDXID": "SPDXRef-linegate",
        "name": "linegate",
        "versionInfo": version[1] if len(version) > 1 else "",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest}],
    }
    when = datetime.datetime.fromtimestamp(program.stat().st_mtime, datetime.timezone.utc)
    relations = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                  "relatedSpdxElement": "SPDXRef-linegate"}]
    relations += [{"spdxElementId": "SPDXRef-linegate",
                   "relationshipType": "DEPENDS_ON" if package["comment"].startswith("headers") else "DYNAMIC_LINK",
                   "relatedSpdxElement": package["SPDXID"]} for package in packages]
    json.dump({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "linegate",
        "documentNamespace": "urn:sha256:" + digest,
        "creationInfo": {"created": when.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: scripts/sbom.py"]},
        "packages": [own] + packages,
        "relationships": relations,
    }, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
