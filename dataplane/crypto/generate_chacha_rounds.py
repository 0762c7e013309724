#!/usr/bin/env python3
"""Writes the ChaCha20 rounds of the vector variants as inline assembly, in a C++ header each.

Compilers spill when all vector registers are live, and a spill costs more than the round it is in, so the rounds
are generated. One register holds one state word of every lane of a group (chacha20_avx512.h, chacha20_avx2.h).

AVX-512: 32 registers, 16 lanes of 32 bits each, two groups at once and no register for anything else.

    zmm0  .. zmm15   state words 0..15 of the first group
    zmm16 .. zmm31   state words 0..15 of the second group

A quarter round (RFC 8439 section 2.1) is a chain of 12 instructions, each waiting for the one before. The four
quarter rounds of a round are independent, so their instructions are issued step by step side by side; the two
groups are woven together in runs of STEPS_PER_RUN steps. That gives eight chains to a processor that needs eight:
four vector instructions per cycle at a latency of two (Zen 5), or two per cycle at one to two (Zen 4).

Small bursts take another layout (chacha20_rows_avx512.h): a register holds one row of the 4 x 4 state of two blocks
(ymm) or four (zmm), and four registers are a set. The diagonals come into columns by turning rows b, c and d within
the register. Up to 16 blocks are 1 to 8 ymm sets; beyond, some of eight sets are zmm.

    registers 4i .. 4i+3      rows a, b, c, d of set i; the zmm sets first

AVX2: 16 registers, 8 lanes, one group.

    ymm0 .. ymm15    state words 0..15

A rotation by 12 or 7 takes two shifts and a temporary, and there is no 17th register: while words 4..7 rotate, words
8..11 wait, so word 8 lends its register and is kept in memory (in the keystream's place) meanwhile.

Usage: generate_chacha_rounds.py avx2|avx512 > chacha20_rounds_<variant>.h
"""

import sys

COLUMNS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
DIAGONALS = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]

# a += b; d ^= a; d <<<= 16;  c += d; b ^= c; b <<<= 12;  a += b; d ^= a; d <<<= 8;  c += d; b ^= c; b <<<= 7
# as (sum, addend, target of xor and rotation, distance), indices into the words of a quarter round.
QUARTER_ROUND = [(0, 1, 3, 16), (2, 3, 1, 12), (0, 1, 3, 8), (2, 3, 1, 7)]

# Measured (core cycles per pair of groups on Zen 4): 1: 1125, 2: 1103, 3: 1085, 4: 1102, 6: 1086, 12: 1104, 24: 1160.
STEPS_PER_RUN = 6


def steps_of_round(quarters, first_register):
    """The 12 steps of a round; a step is one instruction for each of the four quarter rounds."""

    def register(word):
        return f"%%zmm{first_register + word}"

    steps = []
    for total, addend, target, distance in QUARTER_ROUND:
        steps.append([f"vpaddd {register(q[addend])}, {register(q[total])}, {register(q[total])}" for q in quarters])
        steps.append([f"vpxord {register(q[total])}, {register(q[target])}, {register(q[target])}" for q in quarters])
        steps.append([f"vprold ${distance}, {register(q[target])}, {register(q[target])}" for q in quarters])
    return steps


def double_round(groups):
    """Column and diagonal round of every group, woven together."""
    per_group = [
        steps_of_round(COLUMNS, 16 * g) + steps_of_round(DIAGONALS, 16 * g) for g in range(groups)
    ]
    instructions = []
    for start in range(0, 24, STEPS_PER_RUN):
        for steps in per_group:
            for step in steps[start : start + STEPS_PER_RUN]:
                instructions += step
    return instructions


def emit_avx512(name, groups):
    rows = 16 * groups
    load = [f"vmovdqa64 {64 * i}(%[state]), %%zmm{i}" for i in range(rows)]
    add = [f"vpaddd {64 * i}(%[state]), %%zmm{i}, %%zmm{i}" for i in range(rows)]
    store = [f"vmovdqa64 %%zmm{i}, {64 * i}(%[keystream])" for i in range(rows)]
    clobbered = ", ".join(f'"xmm{i}"' for i in range(rows))

    print(f"// keystream = state + 20 rounds of state, for {rows} rows of 64 bytes.")
    print("[[gnu::always_inline]] inline void", f"{name}(const void* state, void* keystream) {{")
    print("  int double_rounds = 10;")
    print("  asm volatile(")
    emit_lines(load + LOOP_START + double_round(groups) + LOOP_END + add + store)
    print('      : [double_rounds] "+r"(double_rounds)')
    print('      : [state] "r"(state), [keystream] "r"(keystream)')
    print(f'      : "memory", "cc", {clobbered});')
    print("}\n")


# ---- Rows of two or four blocks

ROW_QUARTER_ROUND = (("a", "b", "d", 16), ("c", "d", "b", 12), ("a", "b", "d", 8), ("c", "d", "b", 7))


# (zmm sets, ymm sets): 2, 4, ... 24 blocks.
ROW_KERNELS = [(0, n) for n in range(1, 9)] + [(n, 8 - n) for n in range(1, 5)]


def row_register(widths, index, name):
    prefix = "zmm" if widths[index] == 64 else "ymm"
    return f"%%{prefix}{4 * index + 'abcd'.index(name)}"


def steps_of_row_round(widths, sets, turn_b, turn_d):
    """A round of some sets, step by step side by side; then rows b, c, d turned. Nine steps."""
    steps = []
    for total, addend, target, distance in ROW_QUARTER_ROUND:
        add, mix = [], []
        for i in sets:
            a, b, d = (row_register(widths, i, name) for name in (total, addend, target))
            add.append(f"vpaddd {b}, {a}, {a}")
            mix += [f"vpxord {a}, {d}, {d}", f"vprold ${distance}, {d}, {d}"]
        steps += [add, mix]
    turns = []
    for i in sets:
        for name, turn in (("b", turn_b), ("c", 0x4E), ("d", turn_d)):
            register = row_register(widths, i, name)
            turns.append(f"vpshufd ${turn}, {register}, {register}")
    return steps + [turns]


def double_round_of_rows(widths):
    """Three sets go in two halves, one behind the other by STEPS_PER_RUN steps: their rotations, which only two of
    the processor's four units do, meet less (three narrow sets: 425 instead of 457 core cycles; no gain for more)."""
    count = len(widths)
    halves = [range(0, count, 2), range(1, count, 2)] if count == 3 else [range(count)]
    per_half = [
        steps_of_row_round(widths, half, 0x39, 0x93) + steps_of_row_round(widths, half, 0x93, 0x39) for half in halves
    ]
    instructions = []
    for start in range(0, 18, STEPS_PER_RUN):
        for steps in per_half:
            for step in steps[start : start + STEPS_PER_RUN]:
                instructions += step
    return instructions


def emit_rows(name, wide, narrow):
    widths = [64] * wide + [32] * narrow
    load, finish, offset = [], [], 0
    for i, width in enumerate(widths):
        for letter in "abcd":
            register = row_register(widths, i, letter)
            load.append(f"vmovdqu32 {offset}(%[sets]), {register}")
            finish.append(f"vpaddd {offset}(%[sets]), {register}, {register}")
            finish.append(f"vmovdqu32 {register}, {offset}(%[sets])")
            offset += width
    clobbered = ", ".join(f'"xmm{i}"' for i in range(4 * len(widths)))
    print(f"// {wide} sets of four blocks and {narrow} of two: state rows become keystream rows.")
    print("[[gnu::always_inline]] inline void", f"{name}(void* sets) {{")
    print("  int double_rounds = 10;")
    print("  asm volatile(")
    emit_lines(load + LOOP_START + double_round_of_rows(widths) + LOOP_END + finish)
    print('      : [double_rounds] "+r"(double_rounds)')
    print('      : [sets] "r"(sets)')
    print(f'      : "memory", "cc", {clobbered});')
    print("}\n")


# ---- AVX2

LENT = 8  # the word that lends its register to rotations


def rotate_avx2(words, distance):
    """Rotates four words; by 16 and 8 bytes move, otherwise two shifts meet in the lent register."""
    if distance in (16, 8):
        return [f"vpshufb %[rotate{distance}], %%ymm{w}, %%ymm{w}" for w in words]
    lines = [f"vmovdqa %%ymm{LENT}, {32 * LENT}(%[keystream])"]
    for w in words:
        lines.append(f"vpslld ${distance}, %%ymm{w}, %%ymm{LENT}")
        lines.append(f"vpsrld ${32 - distance}, %%ymm{w}, %%ymm{w}")
        lines.append(f"vpor %%ymm{LENT}, %%ymm{w}, %%ymm{w}")
    return lines + [f"vmovdqa {32 * LENT}(%[keystream]), %%ymm{LENT}"]


def round_avx2(quarters):
    """Four quarter rounds, step by step side by side."""
    lines = []
    for total, addend, target, distance in QUARTER_ROUND:
        lines += [f"vpaddd %%ymm{q[addend]}, %%ymm{q[total]}, %%ymm{q[total]}" for q in quarters]
        lines += [f"vpxor %%ymm{q[total]}, %%ymm{q[target]}, %%ymm{q[target]}" for q in quarters]
        lines += rotate_avx2([q[target] for q in quarters], distance)
    return lines


def emit_avx2(name):
    load = [f"vmovdqa {32 * w}(%[state]), %%ymm{w}" for w in range(16)]
    finish = []
    for w in range(16):
        finish.append(f"vpaddd {32 * w}(%[state]), %%ymm{w}, %%ymm{w}")
        finish.append(f"vmovdqa %%ymm{w}, {32 * w}(%[keystream])")
    clobbered = ", ".join(f'"xmm{i}"' for i in range(16))

    print("// keystream = state + 20 rounds of state, for 16 rows of 32 bytes.")
    print("[[gnu::always_inline]] inline void", f"{name}(const void* state, void* keystream) {{")
    for distance in (16, 8):
        lane = [4 * (i // 4) + (i % 4 - distance // 8) % 4 for i in range(16)]
        print(f"  alignas(32) static constexpr unsigned char kRotate{distance}[32] = {{{str(lane + lane)[1:-1]}}};")
    print("  int double_rounds = 10;")
    print("  asm volatile(")
    emit_lines(load + LOOP_START + round_avx2(COLUMNS) + round_avx2(DIAGONALS) + LOOP_END + finish)
    print('      : [double_rounds] "+r"(double_rounds)')
    print('      : [state] "r"(state), [keystream] "r"(keystream), [rotate16] "m"(kRotate16), [rotate8] "m"(kRotate8)')
    print(f'      : "memory", "cc", {clobbered});')
    print("}\n")


# ---- The headers

LOOP_START = [".p2align 6", "1:"]
LOOP_END = ["dec %[double_rounds]", "jnz 1b"]


def emit_lines(lines):
    for line in lines:
        print(f'      "{line}\\n\\t"')


def main():
    variant = sys.argv[1] if len(sys.argv) == 2 else ""
    if variant not in ("avx2", "avx512"):
        sys.exit("usage: generate_chacha_rounds.py avx2|avx512")
    print("// Generated by dataplane/crypto/generate_chacha_rounds.py; do not edit.")
    print("#pragma once\n")
    print(f"namespace wg::crypto::{variant} {{\n")
    if variant == "avx512":
        emit_avx512("rounds_of_one_group", 1)
        emit_avx512("rounds_of_two_groups", 2)
        for wide, narrow in ROW_KERNELS:
            emit_rows(f"rounds_of_rows_{wide}_{narrow}", wide, narrow)
    else:
        emit_avx2("rounds_of_one_group")
    print(f"}}  // namespace wg::crypto::{variant}")


if __name__ == "__main__":
    main()
