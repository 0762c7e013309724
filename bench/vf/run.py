#!/usr/bin/env python3
"""Measures a gateway between two ports as RFC 2544 does. The generator is the N WireGuard peers and the host.

  bench/vf/run.py [--quick | --ci] [--out DIR]           on memif pairs of this machine
  bench/vf/run.py --ports LAN WAN GATEWAY_LAN GATEWAY_WAN   on VFs (PCI addresses bound to vfio-pci), or any
                                                         devices of DPDK: generator's two, then the gateway's
  --inner 64,512,1420,imix   --peers 1,1000   --direction receive,send   --cores 1

Prints a line for each figure, and writes DIR/results.json (results.schema.json says what is in it), DIR/report.html and, where rsvg-convert
is installed, its plots as DIR/*.png. docs/benchmarking.md explains them. Needs root. The exit code is 1 when nothing was forwarded, or it is not known what limits a rate."""
import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import machine
import report
from processes import Bench, Failed, Ports
from search import Goal, Precision, Search, Trial

NDR, PDR = Goal("ndr", 0.0), Goal("pdr", 0.005)
SIZES = {"imix": (64 * 7 + 570 * 4 + 1420) / 12}
LARGEST_REPORT = 500_000
FORMAT = 2  # of results.json; results.schema.json
OVERLOAD = 1.05  # times the peak goodput: what is offered above is overload
MOST_SKIPPED = 0.001  # share of a trial that the generator may leave out
# A trial that lost packets while the worker waited for its core says nothing of the gateway, and one that the generator
# did not offer as a whole nothing at all: it is repeated, so often at most.
MOST_WAITED = 0.001  # share of a trial
TRIES = 8
HIGHEST_PRIORITY = -20
# Packets that may be on the way when a trial ends: more are a queue that grows, which a longer trial would lose.
MOST_BEHIND, MOST_BEHIND_SECONDS = 64, 100e-6
ENOUGH, SOME = 1.5, 1.1  # times the result that the generator must reach to be no bound; to be close to one


class Plan:
    """How long what takes."""

    def __init__(self, seconds, trials, width, ndr, pdr, ceiling, loads, bursts, latencies=1):
        self.ndr = Precision(width, seconds, trials, ndr)
        self.pdr = Precision(width, seconds, trials, pdr)
        self.ceiling = Precision(max(width, 0.02), min(seconds, 1.0), trials, ceiling)
        self.seconds, self.loads, self.bursts, self.latencies = seconds, loads, bursts, latencies

    def with_trials_of(self, seconds):
        return Plan(seconds, self.ndr.trials, self.ndr.width, self.ndr.budget, self.pdr.budget, self.ceiling.budget, self.loads, self.bursts,
                    self.latencies)


FULL = Plan(60, 3, 0.005, float("inf"), float("inf"), 120, [n / 10 for n in range(1, 11)] + [1.2, 1.5, 2.0], 50, 20)
QUICK = Plan(0.1, 3, 0.02, 20, 10, 6, [0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.0], 5, 3)
CI = Plan(0.015, 3, 0.05, 2.5, 1.5, 1.5, [0.5, 1.0, 1.5, 2.0], 0)


def mean_size(inner):
    return SIZES.get(inner) or float(inner)


def gbps(mpps, inner):
    return mpps * mean_size(inner) * 8 / 1000


def bits_on_wire(inner):
    """Of a sealed packet over IPv4, with Ethernet's header, check, preamble and gap: a mean for imix."""
    sizes = [64] * 7 + [570] * 4 + [1420] if inner == "imix" else [int(inner)]
    def frame(size):
        padded = min((size + 15) // 16 * 16, max(size, 1420))
        return 14 + 20 + 8 + 16 + padded + 16 + 4 + 20
    return statistics.mean(map(frame, sizes)) * 8


def share(part, whole):
    return part / whole if whole else 0.0


class Load:
    """Trials of one direction and size; `between` the ports is the gateway or, looped, the forwarder."""

    def __init__(self, generator, direction, inner, between, looped=False, sealed=True):
        self.generator, self.direction, self.inner, self.between = generator, direction, inner, between
        self.words = {"looped": 1, "sealed": int(sealed)} if looped else {}
        self.waited = self.seconds = self.stalled = 0.0
        self.trials = self.repeated = 0

    def once(self, rate, seconds, packets=0):
        waited = self.between.worker_wait()
        answer = self.generator.ask("trial", wait=seconds + 60, direction=self.direction, inner=self.inner, rate=f"{rate:.1f}",
                                    seconds=seconds, packets=packets, **self.words)
        waited = max(0.0, self.between.worker_wait() - waited)
        self.waited += waited
        self.seconds += answer["seconds"]
        self.stalled += answer["stalled_us"] / 1e6
        self.trials += 1
        answer["offered"] = share(answer["sent"], answer["seconds"])
        answer["goodput"] = share(answer["in_time"], answer["seconds"])
        answer["loss"] = share(answer["lost"], answer["lost"] + answer["received"])
        behind = answer["received"] - answer["in_time"] - MOST_BEHIND - answer["offered"] * MOST_BEHIND_SECONDS
        answer["fails"] = max(answer["loss"], share(max(0, behind), answer["sent"]))
        answer["complete"] = answer["skipped"] <= MOST_SKIPPED * max(rate * seconds, 1)
        answer["disturbed"] = not answer["complete"] or (answer["fails"] > 0 and waited > MOST_WAITED * seconds)
        return answer

    def at(self, rate, seconds):
        best = None
        for _ in range(TRIES):
            answer = self.once(rate, seconds)
            if best is None or (answer["complete"], -answer["fails"]) > (best["complete"], -best["fails"]):
                best = answer
            if not answer["disturbed"]:
                return answer
            self.repeated += 1
        return best

    def measure(self, rate, seconds):
        answer = self.at(rate, seconds)
        return Trial(rate, seconds, answer["fails"], answer["complete"], answer["goodput"])

    def disturbance(self):
        """The share that others took of the two cores during these trials."""
        return {"waited_percent": 100 * share(self.waited, self.seconds),
                "generator_stalled_percent": 100 * share(self.stalled, self.seconds), "trials": self.trials,
                "repeated": self.repeated}


def latency_of(answer):
    return {name: round(value, 2) if name.endswith("_us") else value for name, value in answer["latency"].items()}


def terms_of_rfc8219(repetitions):
    """Section 7: of each repetition the median, the 99.9th percentile and how far that is above the least; of all their medians."""
    def median(value):
        return round(statistics.median(map(value, repetitions)), 2)
    return {"repetitions": len(repetitions), "typical_us": median(lambda one: one["p50_us"]), "worst_case_us": median(lambda one: one["p999_us"]),
            "pdv_us": median(lambda one: one["p999_us"] - one["least_us"])}


def drops_of(gateway):
    """Count by reason, of the gateway as a whole."""
    found = {}
    def walk(value):
        if isinstance(value, list):
            for one in value:
                walk(one)
        elif isinstance(value, dict):
            reason = value.get("reason") or value.get("name")
            count = value.get("packets", value.get("count", value.get("total")))
            if isinstance(reason, str) and isinstance(count, (int, float)):
                found[reason] = found.get(reason, 0) + count
            else:
                for one in value.values():
                    walk(one)
    walk(gateway.show("drops") or [])
    return found


class Cell:
    """All figures of one size, direction and number of peers."""

    def __init__(self, inner, direction, peers, cores):
        self.where = {"inner": inner, "direction": direction, "peers": peers, "cores": cores}
        self.figures, self.rates = {}, {}

    @property
    def inner(self):
        return self.where["inner"]

    def put(self, test, **values):
        self.figures[test] = values

    # ---- through the gateway

    def measure(self, generator, gateway, plan):
        load = Load(generator, self.where["direction"], self.inner, gateway)
        flood = [load.once(0, min(max(plan.seconds, 0.05), 0.5)) for _ in range(5)]
        peak = max(answer["goodput"] for answer in flood)
        highest = max(answer["offered"] for answer in flood)
        self.throughput(load, plan, peak, highest)
        base = self.figures["ndr"]["rate"] or self.figures["pdr"]["rate"] or peak / 2
        self.latency(load, plan, base)
        self.sweep(load, plan, peak, gateway)
        if plan.bursts:
            self.back_to_back(load, plan)
        self.put("load", offered_most_mpps=highest / 1e6, **load.disturbance())

    def throughput(self, load, plan, peak, highest):
        search = Search(load.measure, plan.pdr, max(highest, 2000.0))
        for goal, precision in ((PDR, plan.pdr), (NDR, plan.ndr)):
            search.precision = precision
            search.find(goal, peak)
        # Each search made trials that tell of the other goal too.
        for goal, precision in ((PDR, plan.pdr), (NDR, plan.ndr)):
            found = search.result(goal)
            self.put(goal.name, rate=found.rate, mpps=found.rate / 1e6, gbps=gbps(found.rate / 1e6, self.inner),
                     wire_gbps=found.rate * bits_on_wire(self.inner) / 1e9, above_mpps=found.above and found.above / 1e6,
                     width_percent=100 * found.width, precise=found.precise, limit=found.limit,
                     trials=found.trials, trial_seconds=precision.seconds, trials_decide=precision.trials)

    def latency(self, load, plan, base):
        rows = []
        for part in (0.1, 0.5, 0.9):
            self.rates[part] = base * part
            answers = sorted((load.at(base * part, plan.seconds) for _ in range(plan.latencies)), key=lambda one: one["latency"]["p50_us"])
            answer = answers[len(answers) // 2]
            rows.append({"of_ndr": part, "offered_mpps": answer["offered"] / 1e6, "loss": answer["loss"], **latency_of(answer),
                         **terms_of_rfc8219([one["latency"] for one in answers])})
        self.put("latency", rows=rows)

    def sweep(self, load, plan, peak, gateway):
        """Loads are parts of the goodput under a flood. Overload is what was offered above it."""
        rows, lost_where = [], {}
        for part in plan.loads:
            before = drops_of(gateway)
            answer = load.at(peak * part, plan.seconds)
            if part > 1:
                for reason, count in drops_of(gateway).items():
                    lost_where[reason] = lost_where.get(reason, 0) + count - before.get(reason, 0)
                lost_where["wire_full"] = lost_where.get("wire_full", 0) + answer["refused"]
            rows.append({"of_peak": part, "intended_mpps": peak * part / 1e6, "offered_mpps": answer["offered"] / 1e6,
                         "goodput_mpps": answer["goodput"] / 1e6, "loss": answer["loss"], "complete": answer["complete"],
                         "late": answer["late"], "twice": answer["twice"], "bad": answer["bad"]})
        self.put("loss", rows=rows)
        most = max([row["goodput_mpps"] for row in rows] + [peak / 1e6])
        over = [row for row in rows if row["offered_mpps"] > most * OVERLOAD]
        worst = min(over, key=lambda row: row["goodput_mpps"], default=None)
        self.put("overload", peak_mpps=most, goodput_mpps=worst and worst["goodput_mpps"],
                 offered_mpps=max(row["offered_mpps"] for row in rows), ratio=worst and share(worst["goodput_mpps"], most),
                 lost_where={reason: count for reason, count in lost_where.items() if count > 0})

    def back_to_back(self, load, plan):
        """The longest burst at the generator's full speed without loss. It tells of a buffer: which one is in `overload`."""
        lengths = []
        for _ in range(plan.bursts):
            kept, lost = 0, 1 << 20
            length = 64
            while lost - kept > max(32, kept // 20) and length < 1 << 20:
                if load.once(0, 5, packets=length)["lost"] == 0:
                    kept = length
                else:
                    lost = length
                length = kept * 2 if lost == 1 << 20 else (kept + lost) // 2
                if length < 32:
                    break
            lengths.append(kept)
        self.put("back_to_back", packets=statistics.median(lengths), least=min(lengths), most=max(lengths), repetitions=len(lengths))

    # ---- through the forwarder in the gateway's place

    def compare(self, generator, forwarder, plan):
        plain = Load(generator, self.where["direction"], self.inner, forwarder, looped=True, sealed=False)
        sealed = Load(generator, self.where["direction"], self.inner, forwarder, looped=True)
        seconds = min(max(plan.seconds, 0.05), 0.5)
        able, peak = (max(load.once(0, seconds)["goodput"] for _ in range(5)) for load in (sealed, plain))
        found = Search(plain.measure, plan.ceiling, max(peak * 1.2, 2000.0)).find(PDR, peak)
        rate = found.rate or peak  # on a busy machine no rate may pass
        self.put("ceiling", mpps=rate / 1e6, gbps=gbps(rate / 1e6, self.inner), generator_mpps=able / 1e6, precise=found.precise,
                 width_percent=100 * found.width, loss_percent=100 * PDR.loss, **plain.disturbance())
        for row in self.figures["latency"]["rows"]:
            answer = plain.at(self.rates[row["of_ndr"]], min(plan.seconds, 1.0))
            row["ports_p50_us"], row["ports_p99_us"] = round(answer["latency"]["p50_us"], 2), round(answer["latency"]["p99_us"], 2)

    def judge(self):
        """What a rate is bound by."""
        able = self.figures.get("ceiling", {}).get("generator_mpps")
        for test in ("ndr", "pdr"):
            figure = self.figures[test]
            reference = figure["mpps"] or self.figures["overload"]["peak_mpps"]
            margin = share(able or 0, reference)
            figure["generator_margin"] = margin
            if not able or not reference:
                figure["bound"] = "unknown"
            elif figure["limit"] != "loss" or margin < SOME:
                figure["bound"] = "generator"
            else:
                figure["bound"] = "gateway" if margin >= ENOUGH else "close"

    def lines(self):
        where = " ".join(f"{name}={value}" for name, value in self.where.items())
        f = self.figures
        ceiling = f["ceiling"]["mpps"]
        middle = f["latency"]["rows"][1]
        waited = f["load"]["waited_percent"]
        for test in ("ndr", "pdr"):
            yield (f"vf test={test} {where} mpps={f[test]['mpps']:.4f} gbps={f[test]['gbps']:.3f} p99_us={middle['p99_us']:.1f} "
                   f"ceiling_mpps={ceiling:.4f} width_percent={f[test]['width_percent']:.1f} bound={f[test]['bound']} limit={f[test]['limit']} "
                   f"generator_margin={f[test]['generator_margin']:.2f} gateway_waited_percent={waited:.1f}")
        for row in f["latency"]["rows"]:
            yield (f"vf test=latency {where} load_percent={row['of_ndr'] * 100:.0f} mpps={row['offered_mpps']:.4f} p50_us={row['p50_us']:.1f} "
                   f"p99_us={row['p99_us']:.1f} worst_case_us={row['worst_case_us']:.1f} pdv_us={row['pdv_us']:.1f} max_us={row['most_us']:.1f} ports_p50_us={row['ports_p50_us']:.1f} loss={row['loss']:.5f}")
        for row in f["loss"]["rows"]:
            yield (f"vf test=loss {where} of_peak_percent={row['of_peak'] * 100:.0f} offered_mpps={row['offered_mpps']:.4f} "
                   f"goodput_mpps={row['goodput_mpps']:.4f} loss={row['loss']:.5f}")
        over = f["overload"]
        if over["ratio"] is None:
            yield f"vf test=overload {where} offered_mpps={over['offered_mpps']:.4f} peak_mpps={over['peak_mpps']:.4f} bound=generator"
        else:
            yield (f"vf test=overload {where} offered_mpps={over['offered_mpps']:.4f} goodput_mpps={over['goodput_mpps']:.4f} "
                   f"peak_mpps={over['peak_mpps']:.4f} ratio={over['ratio']:.3f}")
        if "back_to_back" in f:
            burst = f["back_to_back"]
            yield f"vf test=back_to_back {where} packets={burst['packets']:.0f} least={burst['least']} most={burst['most']}"


class Run:
    def __init__(self, options, bench, plan):
        self.options, self.bench, self.plan = options, bench, plan
        self.begin = time.monotonic()
        self.cells, self.handshakes, self.recoveries = [], [], []

    def say(self, text):
        print(f"# {time.monotonic() - self.begin:5.1f} s {text}", file=sys.stderr, flush=True)

    def all(self):
        for peers in self.options.peers:
            cells = [Cell(inner, direction, peers, len(self.bench.gateway_cores))
                     for direction in self.options.direction for inner in self.options.inner]
            self.through_gateway(peers, cells)
            self.through_forwarder(peers, cells)
            for cell in cells:
                cell.judge()
                for line in cell.lines():
                    print(line, flush=True)
            self.cells += cells

    def through_gateway(self, peers, cells):
        generator = self.bench.generator(peers, for_gateway=True)
        gateway = None
        try:
            gateway = self.bench.gateway()
            self.say(f"the gateway runs, peers={peers}")
            connected = generator.ask("connect", wait=200 + peers / 50, seconds=60 + peers / 200)
            if connected["sessions"] != peers:
                raise Failed(f"{connected['sessions']} of {peers} peers have a session: {connected}")
            self.handshakes.append({"peers": peers, "seconds": connected["seconds"], "per_second": share(peers, connected["seconds"])})
            self.say(f"{peers} sessions")
            for direction in self.options.direction:
                self.warm_up(Load(generator, direction, self.options.inner[0], gateway))
            for cell in cells:
                self.say(f"gateway: {cell.where}")
                cell.measure(generator, gateway, self.plan)
            gateway = self.recover(generator, gateway, peers)
        finally:
            generator.stop()
            if gateway:
                gateway.stop()

    def recover(self, generator, gateway, peers):
        """Kills the gateway and starts it again; returns the new one."""
        self.say("recovery")
        generator.tell("recover", process=gateway.pid, seconds=30 + peers / 200)
        gateway.process.wait(20)
        gateway = self.bench.gateway()
        answer = generator.line(200 + peers / 50)
        self.recoveries.append({"peers": peers, **answer})
        print(f"vf test=recovery peers={peers} link_s={answer['link']:.3f} gateway_s={answer['gateway']:.3f} sessions_s={answer['sessions']:.3f} "
              f"begun_by={'gateway' if answer['by_gateway'] else 'peers'}", flush=True)
        return gateway

    def warm_up(self, load):
        """Linux resolves the generator's addresses with the first packets."""
        for _ in range(100):
            answer = load.once(2000, 0.05)
            if answer["received"] and not answer["lost"]:
                return
        raise Failed(f"no packet was forwarded, direction={load.direction}: {answer}")

    def through_forwarder(self, peers, cells):
        generator = self.bench.generator(peers, for_gateway=False)
        forwarder = None
        try:
            forwarder = self.bench.forwarder()
            connected = generator.ask("connect", wait=90, seconds=30, looped=1)
            if not connected["gateway"]:
                raise Failed(f"the forwarder is not reached: {connected}")
            for cell in cells:
                self.say(f"forwarder: {cell.where}")
                cell.compare(generator, forwarder, self.plan)
        finally:
            generator.stop()
            if forwarder:
                forwarder.stop()


def problems_of(results, page):
    """What makes a run worth nothing."""
    out = []
    if not results["cells"]:
        out.append("nothing was measured")
    for cell in results["cells"]:
        where = " ".join(f"{name}={value}" for name, value in cell["where"].items())
        if not cell["figures"]["overload"]["peak_mpps"]:
            out.append(f"{where}: no packet was forwarded")
        if any(row["bad"] for row in cell["figures"]["loss"]["rows"]):
            out.append(f"{where}: packets arrived that were not sent so")
        for test in ("pdr",):
            if cell["figures"][test]["bound"] == "unknown":
                out.append(f"{where}: it is not known what limits {test}")
    if not page.exists() or not page.stat().st_size:
        out.append(f"{page} is missing")
    elif page.stat().st_size > LARGEST_REPORT:
        out.append(f"{page} has {page.stat().st_size} bytes, {LARGEST_REPORT} are allowed")
    return out


def list_of(kind):
    return lambda text: [kind(word) for word in text.split(",")]


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="short trials: about a minute for a size and direction")
    length.add_argument("--ci", action="store_true", help="one size, half a minute: does the bench work?")
    parser.add_argument("--out", default="vf-results", help="folder of results.json and report.html")
    parser.add_argument("--ports", nargs=4, metavar=("LAN", "WAN", "GATEWAY_LAN", "GATEWAY_WAN"))
    parser.add_argument("--inner", type=list_of(str), help="bytes of the inner IP packet, 64 to 1420, or imix")
    parser.add_argument("--peers", type=list_of(int), default=[1])
    parser.add_argument("--direction", type=list_of(str), default=["receive", "send"], help="out of the tunnel, into it")
    parser.add_argument("--trial-seconds", type=float, help="length of a trial: 60; with --quick 0.1, or 0.015 where the cores are not isolated")
    parser.add_argument("--core", type=int, help="CPU of the generator")
    parser.add_argument("--gateway-cores", type=list_of(int), help="CPUs of the gateway's workers")
    parser.add_argument("--slots", type=int, default=1024, help="of a memif ring, a power of two; descriptors of a card")
    parser.add_argument("--memory", default="256M", help="dpdk.memory of the gateway")
    parser.add_argument("--huge", action="store_true", help="the generator does not start without huge pages")
    build = HERE.parents[1] / "build" / "release"
    parser.add_argument("--program", default=str(build / "bench" / "vf"))
    parser.add_argument("--linegate", default=str(build / "linegate"))
    options = parser.parse_args(words)
    cpus = sorted(os.sched_getaffinity(0))
    options.gateway_cores = options.gateway_cores or [cpus[-1]]
    options.core = cpus[0] if options.core is None else options.core
    options.inner = options.inner or (["512"] if options.ci else ["64", "512", "1420", "imix"])
    if not set(options.direction) <= {"send", "receive"}:
        parser.error("--direction: send and receive are allowed")
    if options.slots & (options.slots - 1) or not 64 <= options.slots <= 16384:
        parser.error("--slots: a power of two from 64 to 16384 is allowed")
    if any(not 1 <= peers <= 1_000_000 for peers in options.peers):
        parser.error("--peers: 1 to 1000000 are allowed")
    return options


def main(words):
    options = options_of(words)
    if os.geteuid() != 0:
        print("vf: skipped, ports and network namespaces need root", file=sys.stderr)
        return 2
    plan = CI if options.ci else QUICK if options.quick else FULL
    isolated = machine.cpus_of(machine.read("/sys/devices/system/cpu/isolated"))
    shared = not {options.core, *options.gateway_cores} <= isolated
    if options.trial_seconds or (options.quick and shared):
        plan = plan.with_trials_of(options.trial_seconds or CI.seconds)
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    begin = time.time()
    os.setpriority(os.PRIO_PROCESS, 0, HIGHEST_PRIORITY)
    with tempfile.TemporaryDirectory(prefix="linegate-vf.") as folder:
        ports = Ports(folder, options.ports, options.slots)
        bench = Bench(options.program, options.linegate, folder, ports, options.core, options.gateway_cores, options.slots,
                      options.memory, options.huge)
        run = Run(options, bench, plan)
        try:
            run.all()
        except Failed as failed:
            print(f"vf: {failed}", file=sys.stderr)
            return 1
    facts = machine.facts(options.linegate, [options.core, *options.gateway_cores])
    cards = machine.card_facts(options.ports or [])
    results = {
        "format": FORMAT, "command": " ".join(["bench/vf/run.py", *words]), "date": time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(begin)),
        "seconds": time.time() - begin, "mode": "ci" if options.ci else "quick" if options.quick else "full",
        "ports": ports.kind, "slots": options.slots, "generator_core": options.core, "gateway_cores": options.gateway_cores,
        "machine": facts, "cards": cards, "handshakes": run.handshakes, "recoveries": run.recoveries,
        "concerns": machine.concerns(facts, options.core, options.gateway_cores, not cards, cards),
        "cells": [{"where": cell.where, "figures": cell.figures} for cell in run.cells],
    }
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    page = out / "report.html"
    page.write_text(report.page(results))
    if not report.write_png(results["cells"], out):
        print("# no PNG files: rsvg-convert is not installed (Debian's librsvg2-bin)")
    for concern in results["concerns"]:
        print(f"# {concern}")
    problems = problems_of(results, page)
    for problem in problems:
        print(f"vf: {problem}", file=sys.stderr)
    print(f"# {time.time() - begin:.0f} s; {page}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
