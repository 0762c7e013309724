#!/usr/bin/env python3
"""Counts the arm64 instructions per byte, or per lookup, of each variant, under QEMU: no speed.

usage: tests/arm64/instructions.py [PIECE...]     seal open checksum lpm4 lpm6; all by default

QEMU translates one instruction at a time and logs each. The lines of a run of two rounds less those of a run of one are the
instructions of a round. It needs build/arm64/tests/instructions: cmake --build --preset arm64 --target instructions.
"""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SYSROOT = os.path.join(ROOT, "build/arm64-root")
PROGRAM = os.path.join(ROOT, "build/arm64/tests/instructions")
BURST = 32
SIZES = {"seal": (64, 512, 1420), "open": (64, 512, 1420), "checksum": (64, 1420), "lpm4": (10, 200), "lpm6": (10,)}


def lines(piece, variant, size, rounds):
    emulator = [f"{SYSROOT}/usr/bin/qemu-aarch64-static", "-L", SYSROOT, "-singlestep", "-d", "nochain,exec", "-D", "/dev/stdout"]
    run = subprocess.Popen(emulator + [PROGRAM, piece, variant, str(size), str(rounds)], stdout=subprocess.PIPE)
    count = sum(chunk.count(b"\n") for chunk in iter(lambda: run.stdout.read(1 << 20), b""))
    if run.wait() != 0:
        sys.exit(f"instructions: {piece} {variant} {size} failed")
    return count


def main():
    pieces = sys.argv[1:] or list(SIZES)
    if not set(pieces) <= set(SIZES):
        sys.exit(__doc__)
    print("| piece | size | unit | portable | NEON |")
    print("|---|---|---|---|---|")
    for piece in pieces:
        for size in SIZES[piece]:
            divisor = BURST if piece.startswith("lpm") else BURST * size
            counts = [(lines(piece, v, size, 2) - lines(piece, v, size, 1)) / divisor for v in ("portable", "neon")]
            unit, what = ("lookup", "prefixes") if piece.startswith("lpm") else ("byte", "bytes")
            print(f"| {piece} | {size} {what} | {unit} | " + " | ".join(f"{c:.2f}" for c in counts) + " |", flush=True)


main()
