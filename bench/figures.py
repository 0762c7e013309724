#!/usr/bin/env python3
"""Runs the benches and rewrites the generated tables of docs/figures.md.

  bench/figures.py                  aead, dataplane, lpm and handshake, each with --quick where it has one
  bench/figures.py aead dataplane   only these; `tun`, `wire` and `flows_tcp` (root, iperf3), and `ring` (root), run only when they are named
  bench/figures.py --rounds 5 aead  five runs, medians; the default is written beside each bench below
  bench/figures.py --build DIR      programs from DIR/bench (build/release)

A bench prints one line per figure: a word, then key=value. A table shows the lines of one word. Lines of
several runs that agree in the identifying keys are one row; its figures are medians. Each section says
which processor, commit, command and load it was measured with.
"""
import argparse
import datetime
import os
import pathlib
import re
import statistics
import subprocess
import sys
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "figures.md"


@dataclass(frozen=True)
class Table:
    """Columns are (heading, key, format); a format of "" prints the text as it is and identifies the row."""

    word: str
    columns: tuple
    only: dict = field(default_factory=dict)  # rows whose keys have these values
    title: str = ""


@dataclass(frozen=True)
class Bench:
    command: tuple
    rounds: int
    tables: tuple
    on_request: bool = False


BENCHES = {
    "aead": Bench(
        ("aead", "--quick"),
        5,
        (
            Table(
                "aead",
                (
                    ("payload", "payload", ""),
                    ("operation", "op", ""),
                    ("variant", "variant", ""),
                    ("Linegate ns", "ours_ns", ".1f"),
                    ("best library ns", "best_ns", ".1f"),
                    ("library", "best", ""),
                    ("ratio", "ratio", ".2f"),
                    ("Gbit/s", "ours_gbit", ".1f"),
                ),
            ),
        ),
    ),
    "dataplane": Bench(
        ("dataplane", "--quick"),
        3,
        (
            Table(
                "path",
                (
                    ("direction", "direction", ""),
                    ("inner bytes", "inner", ""),
                    ("peers", "peers", ""),
                    ("clocks", "clocks", ".0f"),
                    ("AEAD clocks", "aead", ".0f"),
                    ("Mpps", "mpps", ".2f"),
                    ("Gbit/s", "gbps", ".1f"),
                ),
                {"outer": "4", "buffers": "hot"},
                "Clocks per packet, IPv4 outside, packet buffers in the cache:",
            ),
            Table(
                "path",
                (
                    ("direction", "direction", ""),
                    ("inner bytes", "inner", ""),
                    ("peers", "peers", ""),
                    ("clocks", "clocks", ".0f"),
                    ("Mpps", "mpps", ".2f"),
                    ("Gbit/s", "gbps", ".1f"),
                ),
                {"outer": "4", "buffers": "cold"},
                "The same with packet buffers outside the cache:",
            ),
            Table(
                "scaling",
                (
                    ("direction", "direction", ""),
                    ("inner bytes", "inner", ""),
                    ("serial clocks", "serial_clocks", ".0f"),
                    ("parallel clocks", "parallel_clocks", ".0f"),
                    ("predicted 2 cores", "predicted_2", ".2f"),
                    ("4", "predicted_4", ".2f"),
                    ("8", "predicted_8", ".2f"),
                    ("16", "predicted_16", ".2f"),
                    ("measured 2", "measured_2", ".2f"),
                ),
                {},
                "One peer over several cores, times one core:",
            ),
            Table(
                "flood",
                (
                    ("junk", "kind", ""),
                    ("share %", "share", ""),
                    ("clocks per refused packet", "refuse_clocks", ".0f"),
                    ("data Mpps beside it", "data_mpps", ".2f"),
                    ("without junk", "alone_mpps", ".2f"),
                ),
                {},
                "Of each burst, `share` per cent are junk; what remains for data (512 bytes, 1000 peers):",
            ),
        ),
    ),
    "lpm": Bench(
        ("lpm", "--quick"),
        1,
        (
            Table(
                "lpm",
                (
                    ("family", "family", ""),
                    ("mix", "mix", ""),
                    ("prefixes", "prefixes", ""),
                    ("Linegate ns", "ours_ns", ".2f"),
                    ("best ns", "best_ns", ".2f"),
                    ("best", "best", ""),
                    ("Linegate bytes", "ours_bytes", ".0f"),
                    ("best bytes", "best_bytes", ".0f"),
                    ("update µs", "update_us", ".2f"),
                ),
            ),
        ),
    ),
    "handshake": Bench(
        ("handshake",),
        3,
        (
            Table(
                "handshake",
                (
                    ("role", "role", ""),
                    ("first of a peer", "first", ""),
                    ("flood", "flood", ""),
                    ("stage", "stage", ""),
                    ("per second", "per_second", ".0f"),
                    ("core µs", "core_us", ".2f"),
                    ("times libsodium one by one", "ratio", ".2f"),
                ),
            ),
            Table(
                "timers",
                (
                    ("peers", "peers", ""),
                    ("add µs", "add_us", ".2f"),
                    ("core µs per firing", "core_us_per_firing", ".2f"),
                    ("bytes per peer", "bytes_per_peer", ".0f"),
                ),
            ),
        ),
    ),
    "tun": Bench(
        ("tun", "3", "3"),
        1,
        (
            Table(
                "tun",
                (
                    ("mode", "mode", ""),
                    ("traffic", "traffic", ""),
                    ("Gbit/s", "gbps", ".2f"),
                    ("forwarder ns per packet", "forward_ns_per_packet", ".0f"),
                    ("times plain", "times_plain", ".2f"),
                ),
            ),
        ),
        on_request=True,
    ),
    "wire": Bench(
        ("wire.sh",),
        3,
        (
            Table(
                "wire",
                (
                    ("port", "port", ""),
                    ("TCP there, Mbit/s", "there_mbps", ".0f"),
                    ("TCP back, Mbit/s", "back_mbps", ".0f"),
                    ("64-byte stream, kpps", "stream_kpps", ".0f"),
                    ("there, times af_packet", "there_ratio", ".2f"),
                    ("back", "back_ratio", ".2f"),
                    ("stream", "stream_ratio", ".2f"),
                ),
            ),
        ),
        on_request=True,
    ),
    "flows": Bench(
        ("dataplane", "--quick", "--only", "flows direction"),
        5,
        (
            Table(
                "flows",
                (
                    ("direction", "direction", ""),
                    ("flows", "flows", ""),
                    ("rewriting", "kind", ""),
                    ("clocks, short cut", "base_clocks", ".0f"),
                    ("more", "extra_clocks", ".1f"),
                    ("bytes per flow", "bytes_per_flow", ".0f"),
                    ("learnt a second", "learn_per_s", ".0f"),
                ),
                {},
                "Carried by a worker, 64 bytes, in random order, beside the plain short cut:",
            ),
        ),
        on_request=True,
    ),
    "flows_tcp": Bench(
        ("flows_tcp.sh",),
        1,
        (
            Table(
                "flows_tcp",
                (
                    ("way", "way", ""),
                    ("traffic", "traffic", ""),
                    ("forwarding", "mode", ""),
                    ("Mbit/s", "mbps", ".0f"),
                    ("requests a second", "requests", ".0f"),
                    ("times kernel", "times", ".2f"),
                    ("clocks per frame", "clocks", ".0f"),
                ),
                {},
                "TCP:",
            ),
            Table(
                "flows_packets",
                (
                    ("way", "way", ""),
                    ("traffic", "traffic", ""),
                    ("forwarding", "mode", ""),
                    ("arrived, kpps", "kpps", ".0f"),
                    ("sent, kpps", "offered_kpps", ".0f"),
                    ("times kernel", "times", ".2f"),
                    ("clocks per frame", "clocks", ".0f"),
                ),
                {},
                "Datagrams of 64 bytes, 64 connections:",
            ),
        ),
        on_request=True,
    ),
    "program": Bench(
        ("dataplane", "--quick", "--only", "program direction"),
        5,
        (
            Table(
                "program",
                (
                    ("direction", "direction", ""),
                    ("inner bytes", "inner", ""),
                    ("clocks, port", "port_clocks", ".0f"),
                    ("clocks, ring", "ring_clocks", ".0f"),
                    ("more", "extra_clocks", ".1f"),
                    ("the copy alone", "copy_clocks", ".1f"),
                ),
                {},
                "A program's ring in place of the LAN port, measured in turns:",
            ),
        ),
    ),
    "ring": Bench(
        ("ring", "--rounds", "5", "--fifo"),
        1,
        (
            *(
                Table(
                    "ring",
                    (
                        ("receiver", "side", ""),
                        ("inner bytes", "inner", ""),
                        ("Mpps", "mpps", ".2f"),
                        ("memif Mpps", "memif_mpps", ".2f"),
                        ("times memif", "ratio", ".2f"),
                    ),
                    {"mode": mode},
                    title,
                )
                for mode, title in (
                    ("turns", "Both ends on one core, in turns:"),
                    ("poll", "Both ends poll, a core each:"),
                )
            ),
            Table(
                "ring",
                (
                    ("receiver", "side", ""),
                    ("inner bytes", "inner", ""),
                    ("clocks", "clocks", ".0f"),
                    ("memif clocks", "memif_clocks", ".0f"),
                    ("times memif", "ratio", ".2f"),
                ),
                {"mode": "paced"},
                "Clocks of the gateway's core for a packet, with other work between the bursts:",
            ),
            Table(
                "ring",
                (
                    ("load", "load", ""),
                    ("inner bytes", "inner", ""),
                    ("waits in", "wait", ""),
                    ("Mpps", "mpps", ".3f"),
                    ("median, µs", "wake_p50_us", ".1f"),
                    ("99 %, µs", "wake_p99_us", ".1f"),
                    ("socket, median", "socket_p50_us", ".1f"),
                    ("socket, 99 %", "socket_p99_us", ".1f"),
                ),
                {"mode": "event"},
                "A program that waits, from the gateway's call until it has the packet, beside a socket pair:",
            ),
        ),
        on_request=True,
    ),
}


def parse(line):
    """The word and the key=value pairs of a bench's line; None for anything else."""
    word, *pairs = line.split() or [""]
    if not re.fullmatch(r"[a-z_]+", word) or not pairs or not all("=" in pair for pair in pairs):
        return None
    return word, dict(pair.split("=", 1) for pair in pairs)


def rows(table, runs):
    """One row per identity over all runs, in the order of the first: texts, and medians of figures."""
    found = {}
    for run in runs:
        for word, values in run:
            if word != table.word or any(values.get(k) != v for k, v in table.only.items()):
                continue
            # Which library is the best may differ between runs: it is shown, but does not identify.
            identity = tuple(values.get(key, "") for _, key, form in table.columns if not form and key != "best")
            found.setdefault(identity, []).append(values)
    return [[cell(key, form, lines) for _, key, form in table.columns] for lines in found.values()]


def cell(key, form, lines):
    if not form:
        return lines[0].get(key, "")
    figures = [float(line[key]) for line in lines if key in line]
    return format(statistics.median(figures), form) if figures else ""


def render(table, runs):
    body = rows(table, runs)
    if not body:
        sys.exit(f"figures: no line begins with '{table.word}' (wanted {table.only})")
    kept = [i for i, _ in enumerate(table.columns) if any(row[i] for row in body)]
    lines = [table.title, ""] if table.title else []
    lines.append("| " + " | ".join(table.columns[i][0] for i in kept) + " |")
    lines.append("|" + "---|" * len(kept))
    lines += ["| " + " | ".join(row[i] for i in kept) + " |" for row in body]
    return "\n".join(lines)


def processor():
    """Its name, and which of the vector extensions that Linegate uses it has."""
    facts = {}
    for line in pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        facts[key.strip()] = value.strip()
    wanted = ("avx2", "avx512f", "avx512ifma", "avx512_vbmi2", "avx512_vnni")
    flags = [flag for flag in wanted if flag in facts.get("flags", "").split()]
    return (
        f"{facts.get('model name', 'unknown processor')} (family {facts.get('cpu family')}, "
        f"model {facts.get('model')}), {os.cpu_count()} CPUs"
    ), " ".join(flags)


def tsc(runs):
    """Clocks per ns of the dataplane bench's lines: no file gives the rate of the TSC on every kernel."""
    for word, values in (line for run in runs for line in run):
        if word == "path" and float(values["ns"]) > 0:
            return f", TSC {float(values['clocks']) / float(values['ns']):.2f} GHz"
    return ""


def commit():
    def git(*arguments):
        return subprocess.run(("git", "-C", ROOT, *arguments), capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!docs", ":!*.md")
    return git("rev-parse", "--short", "HEAD") + (" with local changes" if changed else "")


def path_of(bench, build):
    """A script lies beside this file, a program in the tree that was built."""
    name = bench.command[0]
    return ROOT / "bench" / name if name.endswith(".sh") else build / "bench" / name


def run(bench, build):
    program = path_of(bench, build)
    if not program.exists():
        sys.exit(f"figures: {program} is missing: cmake --build --preset release --target bench_{bench.command[0]}")
    result = subprocess.run((program, *bench.command[1:]), capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"figures: {' '.join(bench.command)} failed:\n{result.stderr[-2000:]}")
    return [parsed for parsed in map(parse, result.stdout.splitlines()) if parsed]


def measure(bench, rounds, build):
    load = [os.getloadavg()[0]]
    runs = []
    for _ in range(rounds):
        runs.append(run(bench, build))
        load.append(os.getloadavg()[0])
    program = path_of(bench, ROOT / "build" / "release").relative_to(ROOT)
    command = " ".join((str(program), *bench.command[1:]))
    name, extensions = processor()
    facts = [
        f"- processor: {name}{tsc(runs)}",
        f"- vector extensions: {extensions}",
        f"- commit {commit()}, {datetime.date.today().isoformat()}, load {min(load):.1f} to {max(load):.1f}",
        f"- `{command}`, " + ("one run" if rounds == 1 else f"medians of {rounds} runs"),
    ]
    return "\n".join(facts) + "\n\n" + "\n\n".join(render(table, runs) for table in bench.tables)


def replace(page, name, text):
    pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.S)
    if not pattern.search(page):
        sys.exit(f"figures: {PAGE} has no markers for {name}")
    return pattern.sub(lambda match: match.group(1) + text + "\n" + match.group(2), page)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("bench", nargs="*", help=" ".join(BENCHES))
    arguments.add_argument("--rounds", type=int, help="runs of each bench")
    arguments.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    chosen = arguments.parse_args()
    unknown = set(chosen.bench) - set(BENCHES)
    if unknown:
        arguments.error(f"no such bench: {' '.join(sorted(unknown))}")
    names = chosen.bench or [name for name, bench in BENCHES.items() if not bench.on_request]
    for name in names:
        text = measure(BENCHES[name], chosen.rounds or BENCHES[name].rounds, chosen.build)
        PAGE.write_text(replace(PAGE.read_text(), name, text))
        print(f"figures: {name} written", flush=True)


if __name__ == "__main__":
    main()
