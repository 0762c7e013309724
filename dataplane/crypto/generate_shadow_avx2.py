#!/usr/bin/env python3
"""Writes the AVX2 kernels of the burst AEAD as assembly, in a C++ header (shadow_avx2.h says what they do).

    group_alone         20 rounds of ChaCha20 in eight lanes, transposition, XOR of each lane's block to its target
    group_with_shadow   the same; meanwhile two chains of Poly1305 go on
    keystream_group     as group_alone, but the blocks are stored where the targets are
    drain_chains        the chains alone

The rounds fill the vector units, and all sixteen vector registers. Most of the issue slots and all general registers are
idle: there Poly1305 runs, two chains of two packets side by side, because the blocks of one packet wait for each other.
Vector instructions change no flags, so that scalar instructions with carries may stand between them.

    ymm0 .. ymm15             state words 0..15
    rdi                       the Kernel
    rax rbx, r8 r9, r10 r11   three pairs: h0 and h1 of each chain, and one pair for the next product
    r12, r13                  h2 of the chains
    r14, r15                  pointer to the next block of the chains
    rdx, rbp, rsi             parts of a product
    rcx                       counts double rounds; address of a target

A rotation by 12 or 7 takes two shifts and a temporary, and there is no 17th register: one of words 8..11, the one that is
needed last, lends its register and is kept in memory. The next addition to it takes it from there.

Usage: generate_shadow_avx2.py > shadow_kernels_avx2.h
"""

COLUMNS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
DIAGONALS = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]

# a += b; d ^= a; d <<<= 16;  c += d; b ^= c; b <<<= 12;  a += b; d ^= a; d <<<= 8;  c += d; b ^= c; b <<<= 7
# as (sum, addend, target of xor and rotation, distance), indices into the words of a quarter round.
QUARTER_ROUND = [(0, 1, 3, 16), (2, 3, 1, 12), (0, 1, 3, 8), (2, 3, 1, 7)]

# Two pairs of quarter rounds, the second a step behind the first. Of 900 orders none is faster on Zen 3.
LEADING = ([COLUMNS[0], COLUMNS[1]], [DIAGONALS[3], DIAGONALS[0]])
LAGGING = ([COLUMNS[2], COLUMNS[3]], [DIAGONALS[1], DIAGONALS[2]])

# Blocks of each chain beside two double rounds, and beside the transposition. A multiple of three brings the registers of
# the chains back to where they were. With four the rounds wait for the chains when another thread uses the core.
BLOCKS_PER_TWO_DOUBLE_ROUNDS = 3
BLOCKS_BESIDE_TRANSPOSITION = 1

# Offsets of struct Kernel, Chain and Message (shadow_avx2.h), which asserts them.
KERNEL = {"state": 0, "saved": 512, "chain": 1024, "next": 1280, "ready": 1288, "drain_until": 1296, "target": 1344,
          "message": 1408, "idle": 5504}
CHAIN = {"r0": 0, "r1": 8, "r1_times_5_4": 16, "end": 24, "h0": 32, "h1": 40, "h2": 48, "block": 56, "message": 64}
MESSAGE = {"r0": 0, "r1": 8, "r1_times_5_4": 16, "whole": 24, "whole_end": 32, "rest": 40, "h0": 48, "h1": 56, "h2": 64}
CHAIN_SIZE = 128
MESSAGE_SIZE = 128  # the rest of a message ends where the message ends

CHAINS = (KERNEL["chain"], KERNEL["chain"] + CHAIN_SIZE)


# ---- The rounds

def steps_of(pairs):
    """A double round of two of the four quarter rounds. A step is a list of operations (name, word, ...)."""
    steps = []
    for quarters in pairs:
        for total, addend, target, distance in QUARTER_ROUND:
            steps.append([("add", q[total], q[addend]) for q in quarters])
            steps.append([("xor", q[target], q[total]) for q in quarters])
            if distance in (16, 8):
                steps.append([("bytes", q[target], distance) for q in quarters])
            else:
                steps += [[("shift", q[target], distance), ("join", q[target], distance)] for q in quarters]
    return steps


def operations_of_double_round():
    leading, lagging = steps_of(LEADING), steps_of(LAGGING)
    operations = leading[0][:]
    for i in range(1, len(leading)):
        operations += leading[i] + lagging[i - 1]
    return operations + lagging[-1]


def word_needed_last(operations, at):
    """Which of words 8..11 is next used by an addition to it, and later than the others."""
    ahead = operations[at:] + operations
    best = (0, 0)
    for word in (8, 9, 10, 11):
        for distance, operation in enumerate(ahead):
            if operation[0] in ("add", "xor") and word in operation[1:3]:
                if operation[:2] == ("add", word):
                    best = max(best, (distance, word))
                break
    return best[1]


def double_round():
    operations, lines, lent = operations_of_double_round(), [], None
    for i, (name, word, operand) in enumerate(operations):
        y = f"%ymm{word}"
        if name == "shift":
            if lent is None:
                lent = word_needed_last(operations, i)
                lines.append(f"vmovdqa %ymm{lent}, {KERNEL['saved'] + 32 * lent}(%rdi)")
            lines += [f"vpslld ${operand}, {y}, %ymm{lent}", f"vpsrld ${32 - operand}, {y}, {y}"]
        elif name == "join":
            lines.append(f"vpor %ymm{lent}, {y}, {y}")
        elif name == "bytes":
            lines.append(f"vpshufb .Llinegate_rotate{operand}(%rip), {y}, {y}")
        elif name == "add" and word == lent:
            lines.append(f"vpaddd {KERNEL['saved'] + 32 * lent}(%rdi), %ymm{operand}, {y}")
            lent = None
        else:
            assert lent not in (word, operand)
            lines.append(f"{'vpaddd' if name == 'add' else 'vpxor'} %ymm{operand}, {y}, {y}")
    if lent is not None:
        lines.append(f"vmovdqa {KERNEL['saved'] + 32 * lent}(%rdi), %ymm{lent}")
    return lines


def load_state():
    return [f"vmovdqa {KERNEL['state'] + 32 * word}(%rdi), %ymm{word}" for word in range(16)]


def transpose_eight_rows():
    """Rows of words in ymm0..7 become halves of the blocks of eight lanes in ymm8..15."""
    lines = []
    for i in (0, 4):
        for k in (i, i + 2):
            lines += [f"vpunpckldq %ymm{k + 1}, %ymm{k}, %ymm{8 + k}", f"vpunpckhdq %ymm{k + 1}, %ymm{k}, %ymm{9 + k}"]
    for i in (0, 4):
        for k in (0, 1):
            even, odd = f"%ymm{8 + i + k}", f"%ymm{10 + i + k}"
            lines += [f"vpunpcklqdq {odd}, {even}, %ymm{i + 2 * k}", f"vpunpckhqdq {odd}, {even}, %ymm{i + 2 * k + 1}"]
    for i in range(4):
        lines += [f"vperm2i128 $0x20, %ymm{4 + i}, %ymm{i}, %ymm{8 + i}",
                  f"vperm2i128 $0x31, %ymm{4 + i}, %ymm{i}, %ymm{12 + i}"]
    return lines


def finish_blocks(xor=True):
    """keystream = rounds + state, to blocks, XORed to the targets or stored there. Words 8..15 wait in memory."""
    state, saved, lines = KERNEL["state"], KERNEL["saved"], []
    for word in range(8, 16):
        lines += [f"vpaddd {state + 32 * word}(%rdi), %ymm{word}, %ymm{word}",
                  f"vmovdqa %ymm{word}, {saved + 32 * word}(%rdi)"]
    lines += [f"vpaddd {state + 32 * word}(%rdi), %ymm{word}, %ymm{word}" for word in range(8)]
    for half in (0, 1):
        if half == 1:
            lines += [f"vmovdqa {saved + 32 * (8 + word)}(%rdi), %ymm{word}" for word in range(8)]
        lines += transpose_eight_rows()
        for lane in range(8):
            lines.append(f"mov {KERNEL['target'] + 8 * lane}(%rdi), %rcx")
            if xor:
                lines.append(f"vpxor {32 * half}(%rcx), %ymm{8 + lane}, %ymm{8 + lane}")
            lines.append(f"vmovdqu %ymm{8 + lane}, {32 * half}(%rcx)")
    return lines


# ---- Poly1305

PAIRS = [("%rax", "%rbx"), ("%r8", "%r9"), ("%r10", "%r11")]
H2 = dict(zip(CHAINS, ("%r12", "%r13")))
BLOCK = dict(zip(CHAINS, ("%r14", "%r15")))
SAVED_REGISTERS = ("rbx", "rbp", "r12", "r13", "r14", "r15")


class Chains:
    """Which pair of registers holds h0, h1 of which chain, and the places where a chain's blocks may end."""

    places = []  # of all kernels: (label, chain, h0, h1)

    def __init__(self):
        self.pair = {CHAINS[0]: 0, CHAINS[1]: 1}
        self.free = 2

    def absorb(self, chain):
        """One block: h = (h + block) r, as in poly1305_scalar.h: what passes 2^128 comes back as 5/4 r1."""
        h0, h1 = PAIRS[self.pair[chain]]
        a, e = PAIRS[self.free]
        h2, block = H2[chain], BLOCK[chain]
        b, f = "%rbp", "%rsi"
        r0, r1, s1 = (f"{chain + CHAIN[name]}(%rdi)" for name in ("r0", "r1", "r1_times_5_4"))
        label = len(Chains.places)
        Chains.places.append((label, chain, h0, h1))
        self.pair[chain], self.free = self.free, self.pair[chain]
        return [
            f"cmp {chain + CHAIN['end']}(%rdi), {block}",
            f"je .Llinegate_end{label}\n.Llinegate_go_on{label}:",  # one piece: nothing is woven in between
            f"add ({block}), {h0}",
            f"adc 8({block}), {h1}",
            f"adc $1, {h2}",
            f"add $16, {block}",
            f"mov {h0}, %rdx",
            f"mulx {r0}, {a}, {b}",  # b:a = h0 r0
            f"mulx {r1}, {e}, {f}",  # f:e = h0 r1
            f"mov {h1}, %rdx",
            f"mulx {s1}, {h0}, {h1}",  # b:a += h1 5/4 r1
            f"add {h0}, {a}",
            f"adc {h1}, {b}",
            f"mulx {r0}, {h0}, {h1}",  # f:e += h1 r0
            f"mov {h2}, %rdx",
            f"imul {s1}, {h2}",  # f:e += h2 5/4 r1
            f"imul {r0}, %rdx",  # f += h2 r0
            f"add {h0}, {e}",
            f"adc {h1}, {f}",
            f"add {h2}, {e}",
            f"adc %rdx, {f}",
            f"add {b}, {e}",
            f"adc $0, {f}",  # the product is f:e:a; f is wrapped above its two low bits
            f"mov {f}, {h2}",
            f"shr $2, {f}",
            f"and $3, {h2}",
            f"lea ({f}, {f}, 4), {f}",
            f"add {f}, {a}",
            f"adc $0, {e}",
            f"adc $0, {h2}",
        ]

    def blocks(self, count):
        return [line for _ in range(count) for chain in CHAINS for line in self.absorb(chain)]

    def move(self, template):
        lines = []
        for chain in CHAINS:
            h0, h1 = PAIRS[self.pair[chain]]
            lines += moves(template, chain, h0, h1)
        return lines

    def at_start(self):
        return self.pair == {CHAINS[0]: 0, CHAINS[1]: 1}


LOAD, STORE = "mov {memory}, {register}", "mov {register}, {memory}"


def moves(template, chain, h0, h1):
    fields = (("h0", h0), ("h1", h1), ("h2", H2[chain]), ("block", BLOCK[chain]))
    return [template.format(memory=f"{chain + CHAIN[name]}(%rdi)", register=r) for name, r in fields]


def end_places():
    """A chain has come to the end of its blocks: out of the way of the others."""
    lines = []
    for label, chain, h0, h1 in Chains.places:
        lines += [f".Llinegate_end{label}:"] + moves(STORE, chain, h0, h1)
        lines += [f"lea {chain}(%rdi), %rsi", "call .Llinegate_next_blocks"]
        lines += moves(LOAD, chain, h0, h1) + [f"jmp .Llinegate_go_on{label}"]
    return lines


def next_blocks():
    """Chain %rsi has come to the end of its blocks. Uses %rbp and %rdx."""
    message_end = f"lea {MESSAGE_SIZE}(%rbp), %rdx"
    go_to_rest = [message_end, f"mov %rdx, {CHAIN['end']}(%rsi)",
                  f"mov {MESSAGE['rest']}(%rbp), %rdx", f"mov %rdx, {CHAIN['block']}(%rsi)", "ret"]

    def copy(source, target):
        return [f"mov {source}, %rdx", f"mov %rdx, {target}"]

    lines = [".Llinegate_next_blocks:", f"mov {CHAIN['message']}(%rsi), %rbp", message_end,
             f"cmp %rdx, {CHAIN['block']}(%rsi)", "je 1f"]
    lines += go_to_rest  # the whole blocks are done
    lines.append("1:")  # the message is done: keep its sum, take the next, or the idle one
    for name in ("h0", "h1", "h2"):
        lines += copy(f"{CHAIN[name]}(%rsi)", f"{MESSAGE[name]}(%rbp)")
    lines += [f"lea {KERNEL['idle']}(%rdi), %rbp", f"mov {KERNEL['next']}(%rdi), %rdx",
              f"cmp {KERNEL['ready']}(%rdi), %rdx", "je 2f",
              "mov %rdx, %rbp", message_end, f"mov %rdx, {KERNEL['next']}(%rdi)",
              "2:", f"mov %rbp, {CHAIN['message']}(%rsi)"]
    lines += [f"movq $0, {CHAIN[name]}(%rsi)" for name in ("h0", "h1", "h2")]
    for source, target in (("r0", "r0"), ("r1", "r1"), ("r1_times_5_4", "r1_times_5_4"), ("whole_end", "end"),
                           ("whole", "block")):
        lines += copy(f"{MESSAGE[source]}(%rbp)", f"{CHAIN[target]}(%rsi)")
    lines += [f"cmp {CHAIN['end']}(%rsi), %rdx", "je 3f", "ret", "3:"]
    return lines + go_to_rest  # there are no whole blocks


# ---- The kernels

def weave(main, shadow):
    """Spreads the instructions of `shadow` evenly among those of `main`."""
    lines, taken = [], 0
    for i, instruction in enumerate(main, start=1):
        lines.append(instruction)
        upto = i * len(shadow) // len(main)
        lines += shadow[taken:upto]
        taken = upto
    return lines


def save_registers():
    lines = []
    for register in SAVED_REGISTERS:
        lines += [f"push %{register}", ".cfi_adjust_cfa_offset 8", f".cfi_rel_offset %{register}, 0"]
    return lines


def restore_registers():
    lines = []
    for register in reversed(SAVED_REGISTERS):
        lines += [f"pop %{register}", ".cfi_adjust_cfa_offset -8", f".cfi_restore %{register}"]
    return lines


def group_alone(xor=True):
    return (load_state() + ["mov $5, %ecx", ".p2align 6", "1:"] + double_round() + double_round()
            + ["dec %ecx", "jnz 1b"] + finish_blocks(xor) + ["ret"])


def group_with_shadow():
    chains = Chains()
    lines = save_registers() + load_state() + chains.move(LOAD) + ["mov $5, %ecx", ".p2align 6", "1:"]
    lines += weave(double_round() + double_round(), chains.blocks(BLOCKS_PER_TWO_DOUBLE_ROUNDS))
    assert chains.at_start()
    lines += ["dec %ecx", "jnz 1b"]
    lines += weave(finish_blocks(), chains.blocks(BLOCKS_BESIDE_TRANSPOSITION))
    return lines + chains.move(STORE) + restore_registers() + ["ret"]


def drain_chains():
    chains = Chains()
    lines = save_registers() + chains.move(LOAD) + [".p2align 6", "1:"] + chains.blocks(3)
    assert chains.at_start()
    lines.append(f"mov {KERNEL['drain_until']}(%rdi), %rdx")
    for chain in CHAINS:  # messages are taken in order: one behind it means that it is done
        lines += [f"cmp %rdx, {chain + CHAIN['message']}(%rdi)", "jbe 1b"]
    return lines + chains.move(STORE) + restore_registers() + ["ret"]


def print_offsets(name, offsets):
    print(f"struct {name} {{")
    for field, offset in offsets.items():
        print(f"  static constexpr unsigned k_{field} = {offset};")
    print("};\n")


def print_function(name, lines):
    print(f".type linegate_avx2_{name}, @function\n.p2align 6\nlinegate_avx2_{name}:\n.cfi_startproc")
    print("\n".join(lines))
    print(f".cfi_endproc\n.size linegate_avx2_{name}, . - linegate_avx2_{name}")


def print_rotation(distance):
    lane = [4 * (i // 4) + (i % 4 - distance // 8) % 4 for i in range(16)]
    print(f".Llinegate_rotate{distance}: .byte {str(lane + lane)[1:-1]}")


def main():
    print("// Generated by dataplane/crypto/generate_shadow_avx2.py; do not edit.")
    print("#pragma once\n")
    print("namespace wg::crypto::avx2 {\n")
    print_offsets("KernelOffsets", KERNEL)
    print_offsets("ChainOffsets", CHAIN)
    print_offsets("MessageOffsets", MESSAGE)
    print("struct Kernel;")
    kernels = {"group_alone": group_alone(), "keystream_group": group_alone(xor=False),
               "group_with_shadow": group_with_shadow(), "drain_chains": drain_chains()}
    for name in kernels:
        print(f'void {name}(Kernel& kernel) noexcept asm("linegate_avx2_{name}");')
    print('\nasm(R"(')
    print(".pushsection .rodata\n.p2align 5")
    print_rotation(16)
    print_rotation(8)
    print(".popsection\n.pushsection .text")
    for name, lines in kernels.items():
        # The ends of a chain's blocks belong to the unwinding of no function: nothing called from there throws.
        print_function(name, lines)
    print("\n".join(end_places() + next_blocks()))
    print(".popsection")
    print(')");\n')
    print("}  // namespace wg::crypto::avx2")


if __name__ == "__main__":
    main()
