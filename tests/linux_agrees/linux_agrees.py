#!/usr/bin/env python3
"""Does the short cut do with each packet what Linux does? README.md says how this is found out.

Run it by run.sh, which gives it namespaces of its own.
"""
import argparse
import os
import random
import subprocess
import sys
import time
from collections import Counter

import compare
import networks
import packets
import probes
import wireguard
from gateway import PEERS, TUNNELS, Gateway, Lost

STEPS, PACKETS = 30, 20
REFILL_SECONDS = 5.5  # route/error_burst
NEIGHBOUR_SECONDS = 0.6  # networks.LIMITS: until a neighbour is asked for again
LATER_SHARE = 0.01  # of all states, at most: agreed only at the second try
DIRECTORY = "/run/agree"
SHORT_CUT_SHARE = 0.10  # of all packets, at least: with less the test would compare Linux with itself
BETWEEN_SHARE = 0.004  # of them from port to port


class Disagreement(Exception):
    def __init__(self, text, seed, lines, shots, joined):
        super().__init__(text)
        self.seed, self.lines, self.shots, self.joined = seed, lines, shots, joined


class Lab:
    def __init__(self, program, directory):
        keys = {name: wireguard.new_private() for name in list(PEERS) + list(TUNNELS)}
        self.linux = Gateway("linux", "kernel", program, directory, keys)
        self.short = Gateway("short", "short_cut", program, directory, keys)
        self.plant = lambda line: line
        self.packets = self.states = self.refused = self.later = self.changes = 0

    def both(self):
        return self.linux, self.short

    def reset(self):
        for side in self.both():
            side.new_batch()
            side.command(networks.baseline())
            side.settle()
            if not side.initiators or side.oldest_session() > 90 or side.stale:
                side.handshake(PEERS)
                side.stale = False
            # The fence tells the gateway where its peers are; it follows them as it follows Linux.
            side.fence()
            side.settle()
            side.fence()
            side.take()

    def command(self, lines, between=()):
        """The lines on both sides. `between`: packets that the short cut gets right before and right after them."""
        errors = self.linux.command(lines)
        mirrored = [line for line in map(self.plant, lines) if line]
        self.short.inject_all(between)
        others = self.short.command(mirrored)
        self.short.inject_all(between)
        self.refused += len(errors)
        # Whether an entry of a neighbour is there depends on time.
        errors, others = ([e for e in some if " neigh " not in e[0]] for some in (errors, others))
        if mirrored == lines and errors != others:
            raise AssertionError(f"the two kernels disagree: {errors} and {others}")
        for side in self.both():
            side.settle()

    def change(self, line, shots, before, joined):
        """A change while packets flow: each must come out as before the change or as after it. `before`: how the packets
        came out through Linux. Returns what is wrong, or None."""
        self.command([line], shots)
        self.short.fence()
        got = compare.by_number(self.short.take(), joined)
        self.linux.inject_all(shots)
        self.linux.fence()
        after = compare.by_number(self.linux.take(), joined)
        self.packets += 3 * len(shots)
        self.changes += 1
        if any(side.is_waiting() for side in self.both()) or " neigh " in line:
            return None  # what has waited comes out as well
        for where, data in shots:
            number = packets.probe_number(data)
            old, new, now = before.get(number, Counter()), after.get(number, Counter()), got.get(number, Counter())
            if now not in (old + old, old + new, new + new):
                return (f"  while '{line}' was carried out, packet {number} from {where}:"
                        f" {packets.describe(compare.ip_of(where, data))}\n" + "".join(
                            f"    {name}: {[(w, n, packets.describe(compare.ip_of(w, d))) for (w, d), n in some.items()]}\n"
                            for name, some in (("before", old), ("after", new), ("short cut, twice", now))))
        return None

    def shoot(self, shots, joined=()):
        """The packets through both; returns what came out of each, as multisets. `joined`: numbers of packets that may
        reach Linux joined to one."""
        out = []
        for side in self.both():
            side.inject_all(shots)
        for side in self.both():
            side.fence()
        waiting = any(side.is_waiting() for side in self.both())
        for side in self.both():
            numbers = {packets.probe_number(data) for _, data in shots}
            out.append(compare.what_counts(side.take(), numbers, joined, waiting))
        return out

    def agrees_later(self, shots, joined, linux, short):
        """Once more with the packets that came out differently. Linux limits "unreachable" for each sender: it may need
        seconds before it answers all of them again. It may also be asking for a neighbour still that was asked for before.
        What agrees only then is counted, and few may."""
        different = (linux - short) + (short - linux)
        numbers = {packets.probe_number(data) for _, data in different}
        if None in numbers:
            numbers = {packets.probe_number(data) for _, data in shots}
        again = [shot for shot in shots if packets.probe_number(shot[1]) in numbers]
        errors = any(packets.is_error(compare.ip_of(*one)) for one in different)
        time.sleep(REFILL_SECONDS if errors else NEIGHBOUR_SECONDS)
        linux, short = self.shoot(again, joined)
        self.later += linux == short
        return linux == short

    def routes_of(self, linux, short, shots):
        """What Linux says about the way of each packet that came out differently, on both sides."""
        numbers = {packets.probe_number(data) for _, data in (linux - short) + (short - linux)}
        text = ""
        for where, data in shots:
            packet = compare.ip_of(where, data)
            if packets.probe_number(data) not in numbers or not packet or packet[0] >> 4 not in (4, 6):
                continue
            source, destination = packets.addresses(packet)
            for side in self.both():
                question = f"get {destination} from {source} iif {PEERS.get(where, where)}"
                answer = subprocess.run(["ip", "-n", side.inside, "route"] + question.split(), text=True, capture_output=True)
                text += f"\n    {side.name}: ip route {question}: {' '.join((answer.stdout + answer.stderr).split())}"
        return text

    def logs(self):
        """The end of what the gateways have logged."""
        return "\n".join(f"---- {side.name}\n" + "".join(open(os.path.join(side.directory, "log")).readlines()[-20:])
                         for side in self.both())

    def close(self):
        for side in self.both():
            side.close()


def report(linux, short, shots):
    """What differs, packet by packet."""
    lines = []
    by_number = {packets.probe_number(data): (where, data) for where, data in shots}
    for name, more, less in (("only through Linux", linux, short), ("only by the short cut", short, linux)):
        for (where, data), count in (more - less).items():
            number = packets.probe_number(data)
            lines.append(f"  {name}: to {where} ({count}): {packets.describe(compare.ip_of(where, data))}"
                         f"  [packet {number}] {data[:96].hex()}")
            if number in by_number:
                origin, sent = by_number[number]
                lines.append(f"    it is of: from {origin}: {packets.describe(compare.ip_of(origin, sent))}")
    return "\n".join(lines)


def episode(lab, seed):
    """One history of a network, from the baseline on. Raises Disagreement."""
    source = random.Random(seed)
    generator = networks.Generator(source)
    made = probes.Probes(source, generator)
    lab.reset()
    lines, shots, linux = [], [], None
    for _ in range(STEPS):
        step = [line for _ in range(source.choice((1, 1, 2, 3))) for line in generator.step()]
        if len(step) == 1 and shots and source.random() < 0.5:
            flowing = [shot for shot in shots if packets.probe_number(shot[1]) not in made.joined]
            wrong = lab.change(step[0], flowing, compare.numbered(linux), made.joined)
            if wrong:
                raise Disagreement(wrong, seed, lines + step, flowing, made.joined)
        else:
            lab.command(step)
        shots = made.some(PACKETS)
        lines += step
        linux, short = lab.shoot(shots, made.joined)
        lab.states += 1
        lab.packets += len(shots)
        if linux != short and not lab.agrees_later(shots, made.joined, linux, short):
            text = report(linux, short, shots) + lab.routes_of(linux, short, shots)
            raise Disagreement(text, seed, lines, shots, made.joined)


def disagrees(lab, lines, shots, joined):
    """Tries once more from the baseline: the report, or None."""
    lab.reset()
    lab.command(lines)
    linux, short = lab.shoot(shots, joined)
    return report(linux, short, shots) if linux != short else None


def smaller(items, fails):
    """Takes away what the failure does not need, in ever smaller pieces."""
    piece = max(1, len(items) // 2)
    while items:
        i, changed = 0, False
        while i < len(items):
            rest = items[:i] + items[i + piece:]
            if fails(rest):
                items, changed = rest, True
            else:
                i += piece
        if piece == 1 and not changed:
            break
        piece = max(1, piece // 2)
    return items


def minimise(lab, found):
    """The least network and the fewest packets that still disagree, in words."""
    def fails(lines, shots):
        return disagrees(lab, lines, shots, found.joined)

    lines, shots = found.lines, found.shots
    text = fails(lines, shots)
    if text is None:
        return f"  (not again from the baseline with the last packets alone: replay it with --seed)"
    named = [s for s in shots if f"[packet {packets.probe_number(s[1])}]" in text]
    shots = smaller(named if fails(lines, named) else shots, lambda few: fails(lines, few))
    lines = smaller(lines, lambda few: fails(few, shots))
    text = fails(lines, shots) or str(found)
    return "\n".join(["  network:"] + [f"    {line}" for line in lines] + [text])


PLANTS = {
    "tos": lambda line: line.replace(" tos 0x10", "").replace(" tos 0x08", "").replace(" tos 0x04", ""),
    "blackhole": lambda line: line.replace("blackhole", "unreachable"),
    "mtu": lambda line: line.replace(" mtu 1300", "").replace(" mtu lock 1300", ""),
    "rule": lambda line: "" if "rule add" in line else line,
    "forwarding": lambda line: "" if ".forwarding 0" in line else line,
    "link": lambda line: "" if line.endswith(" down") else line,
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--seed", type=int, help="only this history")
    parser.add_argument("--first", type=int, default=1, help="the first history's seed (1)")
    parser.add_argument("--histories", type=int, default=52, help=f"how many, of {STEPS} states each (52)")
    parser.add_argument("--minutes", type=float, help="new histories for so long, with seeds of their own")
    parser.add_argument("--plant", choices=list(PLANTS) + ["all"],
                        help="a fault that the short cut's side gets; it must be found")
    parser.add_argument("--keep-going", action="store_true", help="report every history that disagrees")
    return parser.parse_args()


def seeds(options):
    if options.seed is not None:
        yield options.seed
        return
    end = time.monotonic() + options.minutes * 60 if options.minutes else None
    first = random.SystemRandom().randrange(1 << 40) if end else options.first
    count = 0
    while time.monotonic() < end if end else count < options.histories:
        yield first + count
        count += 1


def agree(lab, options):
    """The test itself. Returns how many histories disagree."""
    failed = 0
    for seed in seeds(options):
        try:
            episode(lab, seed)
        except Disagreement as found:
            failed += 1
            print(f"DISAGREE seed {seed} after {len(found.lines)} changes\n{found}", flush=True)
            print(minimise(lab, found), flush=True)
            if not options.keep_going:
                break
    return failed


def verdict(lab, options, failed):
    """The last lines. Returns the exit code."""
    counters = lab.short.counters()
    between = counters["port_to_port"] / max(1, lab.packets)
    share = between + sum(counters[name] for name in ("short_cut_to_port", "short_cut_from_port", "hairpin")) / max(1, lab.packets)
    print(f"{lab.states} states, {lab.packets} packets, {lab.changes} changes while packets flow, {share:.0%} by the short cut "
          f"({between:.1%} from port to port), {lab.refused} changes refused by "
          f"Linux, {lab.later} agreed at the second try, {failed} disagreements")
    if failed or options.seed is not None:
        return 1 if failed else 0
    if share < SHORT_CUT_SHARE or between < BETWEEN_SHARE:
        print(f"at least {SHORT_CUT_SHARE:.0%} of the packets must take the short cut, {BETWEEN_SHARE:.1%} from port to port")
        return 1
    if lab.later > max(2, LATER_SHARE * lab.states):
        print(f"at most {LATER_SHARE:.0%} of the states may agree only at the second try")
        return 1
    return 0


def finds(lab, name, options):
    """Does the test find the planted fault?"""
    lab.plant, before = PLANTS[name], lab.states
    for seed in seeds(options):
        try:
            episode(lab, seed)
        except Disagreement:
            print(f"planted {name}: found after {lab.states - before} states", flush=True)
            return True
    print(f"planted {name}: NOT found in {lab.states - before} states", flush=True)
    return False


def main():
    options = arguments()
    begin = time.monotonic()
    os.makedirs(DIRECTORY)
    lab = Lab(options.program, DIRECTORY)
    try:
        if options.plant:
            code = 0
            for name in PLANTS if options.plant == "all" else [options.plant]:
                code |= not finds(lab, name, options)
        else:
            code = verdict(lab, options, agree(lab, options))
    except Lost as lost:
        print(f"{lost}\n{lab.logs()}")
        code = 1
    finally:
        lab.close()
    print(f"{time.monotonic() - begin:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
