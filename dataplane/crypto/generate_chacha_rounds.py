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

AVX2: 16 registers, 8 lanes, one group. A rotation needs a temporary, so two of the words 8..11 are always out in
memory (in the keystream's place), and a round is two halves of two quarter rounds:

    ymm0 .. ymm7     state words 0..7        ymm12, ymm13   words 8, 9 or 10, 11
    ymm8 .. ymm11    state words 12..15      ymm14, ymm15   temporaries

    columns    0, 1 with words 8, 9     | swap |  2, 3 with words 10, 11
    diagonals  0, 1 with words 10, 11   | swap |  2, 3 with words 8, 9      and the next columns find 8, 9 in place

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


def round_of_rows(widths, turn_b, turn_d):
    """A round of every set, all sets step by step side by side; then rows b, c, d turned."""
    sets = range(len(widths))
    instructions = []
    for total, addend, target, distance in ROW_QUARTER_ROUND:
        for i in sets:
            a, b = (row_register(widths, i, name) for name in (total, addend))
            instructions.append(f"vpaddd {b}, {a}, {a}")
        for i in sets:
            a, d = (row_register(widths, i, name) for name in (total, target))
            instructions += [f"vpxord {a}, {d}, {d}", f"vprold ${distance}, {d}, {d}"]
    for i in sets:
        for name, turn in (("b", turn_b), ("c", 0x4E), ("d", turn_d)):
            register = row_register(widths, i, name)
            instructions.append(f"vpshufd ${turn}, {register}, {register}")
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
    rounds = round_of_rows(widths, 0x39, 0x93) + round_of_rows(widths, 0x93, 0x39)
    clobbered = ", ".join(f'"xmm{i}"' for i in range(4 * len(widths)))
    print(f"// {wide} sets of four blocks and {narrow} of two: state rows become keystream rows.")
    print("[[gnu::always_inline]] inline void", f"{name}(void* sets) {{")
    print("  int double_rounds = 10;")
    print("  asm volatile(")
    emit_lines(load + LOOP_START + rounds + LOOP_END + finish)
    print('      : [double_rounds] "+r"(double_rounds)')
    print('      : [sets] "r"(sets)')
    print(f'      : "memory", "cc", {clobbered});')
    print("}\n")


# ---- AVX2

TEMPORARY = 14


def avx2_register(word):
    if word < 8:
        return f"%%ymm{word}"
    if word < 12:
        return f"%%ymm{12 + word % 2}"
    return f"%%ymm{word - 4}"


def rotate_avx2(word, index, distance):
    """The steps that rotate a word; by 16 and 8 bytes move, otherwise two shifts meet."""
    register, temporary = avx2_register(word), f"%%ymm{TEMPORARY + index}"
    if distance in (16, 8):
        return [f"vpshufb %[rotate{distance}], {register}, {register}"]
    return [
        f"vpslld ${distance}, {register}, {temporary}",
        f"vpsrld ${32 - distance}, {register}, {register}",
        f"vpor {temporary}, {register}, {register}",
    ]


def half_round_avx2(quarters):
    """Two quarter rounds, step by step side by side."""
    chains = []
    for index, q in enumerate(quarters):
        chain = []
        for total, addend, target, distance in QUARTER_ROUND:
            total, addend, target = (avx2_register(q[i]) for i in (total, addend, target))
            chain.append(f"vpaddd {addend}, {total}, {total}")
            chain.append(f"vpxor {total}, {target}, {target}")
            chain += rotate_avx2(q[QUARTER_ROUND_TARGET[distance]], index, distance)
        chains.append(chain)
    return [instruction for step in zip(*chains) for instruction in step]


QUARTER_ROUND_TARGET = {distance: target for _, _, target, distance in QUARTER_ROUND}


def swap_avx2(out, back):
    return [f"vmovdqa {avx2_register(w)}, {32 * w}(%[keystream])" for w in out] + [
        f"vmovdqa {32 * w}(%[keystream]), {avx2_register(w)}" for w in back
    ]


def emit_avx2(name):
    resident = [w for w in range(16) if w not in (10, 11)]
    load = [f"vmovdqa {32 * w}(%[state]), {avx2_register(w)}" for w in resident]
    # Words 10 and 11 start in memory, copied through a temporary.
    for w in (10, 11):
        load += [f"vmovdqa {32 * w}(%[state]), %%ymm14", f"vmovdqa %%ymm14, {32 * w}(%[keystream])"]
    rounds = (
        half_round_avx2(COLUMNS[:2])
        + swap_avx2((8, 9), (10, 11))
        + half_round_avx2(COLUMNS[2:])
        + half_round_avx2(DIAGONALS[:2])
        + swap_avx2((10, 11), (8, 9))
        + half_round_avx2(DIAGONALS[2:])
    )
    finish = []
    for w in resident:
        finish.append(f"vpaddd {32 * w}(%[state]), {avx2_register(w)}, {avx2_register(w)}")
        finish.append(f"vmovdqa {avx2_register(w)}, {32 * w}(%[keystream])")
    for w in (10, 11):
        finish.append(f"vmovdqa {32 * w}(%[keystream]), %%ymm14")
        finish.append(f"vpaddd {32 * w}(%[state]), %%ymm14, %%ymm14")
        finish.append(f"vmovdqa %%ymm14, {32 * w}(%[keystream])")
    clobbered = ", ".join(f'"xmm{i}"' for i in range(16))

    print("// keystream = state + 20 rounds of state, for 16 rows of 32 bytes.")
    print("[[gnu::always_inline]] inline void", f"{name}(const void* state, void* keystream) {{")
    for distance in (16, 8):
        lane = [4 * (i // 4) + (i % 4 - distance // 8) % 4 for i in range(16)]
        print(f"  alignas(32) static constexpr unsigned char kRotate{distance}[32] = {{{str(lane + lane)[1:-1]}}};")
    print("  int double_rounds = 10;")
    print("  asm volatile(")
    emit_lines(load + LOOP_START + rounds + LOOP_END + finish)
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
