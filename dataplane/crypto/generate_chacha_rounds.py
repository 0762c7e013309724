#!/usr/bin/env python3
"""Writes the ChaCha20 rounds of the AVX-512 variant as inline assembly, in a C++ header.

Compilers spill when all vector registers are live, and a spill costs more than the round it is in, so the rounds
are generated (those of AVX2 by generate_shadow_avx2.py). One register holds one state word of every lane of a group
(chacha20_avx512.h): 32 registers, 16 lanes of 32 bits each, two groups at once and no register for anything else.

    zmm0  .. zmm15   state words 0..15 of the first group
    zmm16 .. zmm31   state words 0..15 of the second group

A quarter round (RFC 8439 section 2.1) is a chain of 12 instructions, each waiting for the one before. The four
quarter rounds of a round are independent and go in two pairs, each pair step by step side by side; the pairs of both
groups are woven together in runs of STEPS_PER_RUN steps. That gives eight chains to a processor that needs eight:
four vector instructions per cycle at a latency of two (Zen 5), or two per cycle at one to two (Zen 4).

Between the instructions of the rounds others run that need no vector register: see "In the shadow of the rounds".

Small bursts take another layout (chacha20_rows_avx512.h): a register holds one row of the 4 x 4 state of two blocks
(ymm) or four (zmm), and four registers are a set. The diagonals come into columns by turning rows b, c and d within
the register. Up to 16 blocks are 1 to 8 ymm sets; beyond, some of eight sets are zmm.

    registers 4i .. 4i+3      rows a, b, c, d of set i; the zmm sets first

Usage: generate_chacha_rounds.py > chacha20_rounds_avx512.h
"""

COLUMNS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
DIAGONALS = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]

# a += b; d ^= a; d <<<= 16;  c += d; b ^= c; b <<<= 12;  a += b; d ^= a; d <<<= 8;  c += d; b ^= c; b <<<= 7
# as (sum, addend, target of xor and rotation, distance), indices into the words of a quarter round.
QUARTER_ROUND = [(0, 1, 3, 16), (2, 3, 1, 12), (0, 1, 3, 8), (2, 3, 1, 7)]

# Runs of 3 and pairs of quarter rounds: measured on Zen 4, core cycles per pair of groups: 1110; all four quarter rounds
# step by step 1130 to 1190; every order the pipes' own limit of 960 allows for 1060 at best.
STEPS_PER_RUN = 3


def pair_steps(pairs, first_register):
    """The steps of a double round for two of the four quarter rounds: column pair, then diagonal pair. A step is one
    instruction for each of the two."""

    def register(word):
        return f"%%zmm{first_register + word}"

    steps = []
    for quarters in pairs:
        for total, addend, target, distance in QUARTER_ROUND:
            steps += [
                [f"vpaddd {register(q[addend])}, {register(q[total])}, {register(q[total])}" for q in quarters],
                [f"vpxord {register(q[total])}, {register(q[target])}, {register(q[target])}" for q in quarters],
                [f"vprold ${distance}, {register(q[target])}, {register(q[target])}" for q in quarters],
            ]
    return steps


# The second pair runs a step behind the first. A diagonal waits longest for word b of the next column, so the pair that
# leads stays ahead when columns 1, 2 go with diagonals 0, 1.
LEADING = ([COLUMNS[1], COLUMNS[2]], [DIAGONALS[0], DIAGONALS[1]])
LAGGING = ([COLUMNS[3], COLUMNS[0]], [DIAGONALS[2], DIAGONALS[3]])


def double_round(groups):
    """Column and diagonal round of every group, woven together in runs of a few steps."""
    streams = [pair_steps(pairs, 16 * g) for g in range(groups) for pairs in (LEADING, LAGGING)]
    instructions = []
    for start in range(0, 24, STEPS_PER_RUN):
        for steps in streams:
            for step in steps[start : start + STEPS_PER_RUN]:
                instructions += step
    return instructions


# ---- State and keystream of a pair of groups in memory

def state_offset(word, group):
    return 128 * word + 64 * group


# Words 2j and 2j + 1 of the same lane side by side make element j of a lane: 64 bits. In memory
#     j * 256 + half * 128 + group * 64 + quarter * 16 + (lane & 1) * 8,    lane = 4 * quarter + 2 * half + (lane & 1)
# which is what vpunpckldq (half 0) and vpunpckhdq (half 1) make of two rows.


def keystream_offset(group, element, half):
    return 256 * element + 128 * half + 64 * group


def load_row(word, group):
    """Words 0 .. 3 and 13 are the same in every lane and not in memory."""
    register = f"%%zmm{16 * group + word}"
    if word < 4:
        return [f"vpbroadcastd {4 * word}(%[constants]), {register}"]
    if word == 13:
        return [f"vpxord {register}, {register}, {register}"]
    return [f"vmovdqa64 {state_offset(word, group)}(%[state]), {register}"]


def add_row(word, group):
    register = f"%%zmm{16 * group + word}"
    if word < 4:
        return [f"vpaddd {4 * word}(%[constants])%{{1to16%}}, {register}, {register}"]
    if word == 13:
        return []
    return [f"vpaddd {state_offset(word, group)}(%[state]), {register}, {register}"]


def finish(groups):
    """Adds the state and stores elements. The first two rows make room for a temporary by a detour through memory."""
    spare = keystream_offset(0, 0, 1)
    lines = add_row(0, 0) + add_row(1, 0) + [
        f"vmovdqa64 %%zmm1, {spare}(%[keystream])",
        "vpunpckhdq %%zmm1, %%zmm0, %%zmm1",
        f"vpunpckldq {spare}(%[keystream]), %%zmm0, %%zmm0",
        f"vmovdqa64 %%zmm1, {spare}(%[keystream])",
        f"vmovdqa64 %%zmm0, {keystream_offset(0, 0, 0)}(%[keystream])",
    ]
    free = (0, 1)
    for group in range(groups):
        for element in range(8):
            if (group, element) == (0, 0):
                continue
            even = 16 * group + 2 * element
            odd = even + 1
            lines += add_row(2 * element, group) + add_row(2 * element + 1, group) + [
                f"vpunpckldq %%zmm{odd}, %%zmm{even}, %%zmm{free[0]}",
                f"vpunpckhdq %%zmm{odd}, %%zmm{even}, %%zmm{free[1]}",
                f"vmovdqa64 %%zmm{free[0]}, {keystream_offset(group, element, 0)}(%[keystream])",
                f"vmovdqa64 %%zmm{free[1]}, {keystream_offset(group, element, 1)}(%[keystream])",
            ]
            free = (even, odd)
    return lines


# ---- In the shadow of the rounds

# The rounds keep the vector units busy and leave most of the issue slots and all general registers idle. They do what
# comes before and after the rounds, without a transposition or a vector register:
#     the keystream of the pair before is XORed into the payloads, 8 bytes at a time;
#     the keys of the pair behind are copied into its state, 4 bytes at a time;
#     its payload is fetched into the cache, where an XOR that has to wait would hold up the rounds.
# Eight double rounds carry four lanes of both each: quarter 0 .. 3 of group 0, then of group 1, which follow each other
# in memory in steps of 16 bytes.
ROUNDS_WITH_SHADOW = 8
SHADOW_POINTERS = ("keystream_before", "lanes_before", "state_behind", "lanes_behind")


def xor_lane(lane):
    """A lane is block | index << 16 (chacha20_avx512.h); target[index] + 64 * block is where it goes."""
    lines = [
        f"movzwl {4 * lane}(%[lanes_before]), %k[word]",
        f"movzwl {4 * lane + 2}(%[lanes_before]), %k[address]",
        "shl $6, %k[word]",
        "add (%[target], %[address], 8), %[word]",
    ]
    for element in range(8):
        lines.append(f"mov {keystream_offset(0, element, lane // 2) + 8 * (lane % 2)}(%[keystream_before]), %[address]")
        lines.append(f"xor %[address], {8 * element}(%[word])")
    return lines


def copy_key(lane):
    """And fetches the lane's block of the payload. The packet is the lower five bits of the index."""
    lines = [
        f"movzwl {4 * lane}(%[lanes_behind]), %k[word]",
        f"movzwl {4 * lane + 2}(%[lanes_behind]), %k[address]",
        "shl $6, %k[word]",
        "add (%[target], %[address], 8), %[word]",
        "prefetcht0 (%[word])",
        "and $31, %k[address]",
        "mov (%[key], %[address], 8), %[address]",
    ]
    for word in range(8):
        lines.append(f"mov {4 * word}(%[address]), %k[word]")
        lines.append(f"mov %k[word], {state_offset(4 + word, 0) + 4 * lane}(%[state_behind])")
    return lines


def shadow_of_four_lanes():
    lines = []
    for lane in range(4):
        lines += xor_lane(lane) + copy_key(lane)
    return lines + [f"add $16, %[{name}]" for name in SHADOW_POINTERS]


def weave(main, shadow):
    """Spreads the instructions of `shadow` evenly among those of `main`."""
    lines, taken = [], 0
    for i, instruction in enumerate(main, start=1):
        lines.append(instruction)
        upto = i * len(shadow) // len(main)
        lines += shadow[taken:upto]
        taken = upto
    return lines


def loop(label, count, body):
    return [f"mov ${count}, %k[left]", ".p2align 6", f"{label}:"] + body + ["dec %k[left]", f"jnz {label}b"]


def emit_avx512(name, groups, with_shadow):
    rounds = double_round(groups)
    lines = [line for group in range(groups) for word in range(16) for line in load_row(word, group)]
    lines += loop(1, 10 - ROUNDS_WITH_SHADOW if with_shadow else 10, rounds)
    if with_shadow:
        lines += loop(2, ROUNDS_WITH_SHADOW, weave(rounds, shadow_of_four_lanes()))
    clobbered = ", ".join(f'"xmm{i}"' for i in range(16 * groups))

    print(f"// keystream = elements of state + 20 rounds of state, for {16 * groups} rows of 64 bytes.")
    print("[[gnu::always_inline]] inline void", f"{name}(const void* state, void* keystream", end="")
    print(", Shadow shadow) {" if with_shadow else ") {")
    print("  int left;")
    if with_shadow:
        print("  std::uint64_t address, word;")
    print("  asm volatile(")
    emit_lines(lines + finish(groups))
    print('      : [left] "=&r"(left)', end="")
    if with_shadow:
        print(', [address] "=&r"(address), [word] "=&r"(word)', end="")
        for member in SHADOW_POINTERS:
            print(f',\n        [{member}] "+r"(shadow.{member})', end="")
    print('\n      : [state] "r"(state), [keystream] "r"(keystream), [constants] "r"(kConstants)', end="")
    print(', [target] "r"(shadow.target), [key] "r"(shadow.key)' if with_shadow else "")
    print(f'      : "memory", "cc", {clobbered});')
    print("}\n")


SHADOW_STRUCT = """// What general registers do during the rounds, for the 32 lanes of two pairs.
struct Shadow {
  const void* keystream_before;       // of the pair before, goes to
  const std::uint32_t* lanes_before;  // the blocks of these lanes
  std::uint8_t* const* target;        // by index
  void* state_behind;                 // of the pair behind, gets the keys of
  const std::uint32_t* lanes_behind;  // these lanes
  const std::uint8_t* const* key;     // by packet
};
"""


# ---- Rows of two or four blocks

ROW_STEPS_PER_RUN = 6
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
    """Three sets go in two halves, one behind the other by ROW_STEPS_PER_RUN steps: their rotations, which only two of
    the processor's four units do, meet less (three narrow sets: 425 instead of 457 core cycles; no gain for more)."""
    count = len(widths)
    halves = [range(0, count, 2), range(1, count, 2)] if count == 3 else [range(count)]
    per_half = [
        steps_of_row_round(widths, half, 0x39, 0x93) + steps_of_row_round(widths, half, 0x93, 0x39) for half in halves
    ]
    instructions = []
    for start in range(0, 18, ROW_STEPS_PER_RUN):
        for steps in per_half:
            for step in steps[start : start + ROW_STEPS_PER_RUN]:
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


# ---- The header

LOOP_START = [".p2align 6", "1:"]
LOOP_END = ["dec %[double_rounds]", "jnz 1b"]


def emit_lines(lines):
    for line in lines:
        print(f'      "{line}\\n\\t"')


def main():
    print("// Generated by dataplane/crypto/generate_chacha_rounds.py; do not edit.")
    print("#pragma once\n")
    print("#include <cstdint>\n")
    print("namespace wg::crypto::avx512 {\n")
    print("constexpr std::uint32_t kConstants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};\n")
    print(SHADOW_STRUCT)
    for groups, number in ((1, "one_group"), (2, "two_groups")):
        emit_avx512(f"rounds_of_{number}", groups, False)
        emit_avx512(f"rounds_of_{number}_with_shadow", groups, True)
    for wide, narrow in ROW_KERNELS:
        emit_rows(f"rounds_of_rows_{wide}_{narrow}", wide, narrow)
    print("}  // namespace wg::crypto::avx512")


if __name__ == "__main__":
    main()
