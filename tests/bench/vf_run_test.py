#!/usr/bin/env python3
"""The driver of bench/vf without its processes: what makes a run fail, what a figure is bound by, the page."""
import copy
import json
import pathlib
import re
import shutil
import sys
import tempfile
import unittest
import xml.dom.minidom

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "vf"))
import machine
import report
import run
from search import Precision

try:
    import jsonschema
except ImportError:
    jsonschema = None

SCHEMA = json.loads((ROOT / "bench" / "vf" / "results.schema.json").read_text())

CAPACITY, ABLE = 1e6, 2.5e6  # packets a second of the gateway; of the generator


class Generator:
    """In place of the program: a gateway of CAPACITY behind a generator of ABLE."""

    def __init__(self, capacity=CAPACITY, able=ABLE, bad=0):
        self.capacity, self.able, self.bad, self.commands = capacity, able, bad, []

    def ask(self, command, wait, **words):
        self.commands.append(words)
        rate, seconds, packets = float(words["rate"]), float(words["seconds"]), int(words["packets"])
        offered = min(rate or self.able, self.able)
        if packets:
            seconds = packets / offered
        sent = round(offered * seconds)
        carried = min(sent, round((self.able if words.get("looped") else self.capacity) * seconds) + (512 if packets else 0))
        latency = {name: 10.0 for name in ("least_us", "p50_us", "p90_us", "p99_us", "p999_us", "most_us")}
        return {"seconds": seconds, "sent": sent, "refused": sent - carried, "skipped": max(0, round(rate * seconds) - sent), "received": carried,
                "in_time": carried, "lost": sent - carried, "late": 0, "twice": 0, "bad": self.bad, "stalled_us": 0, "latency": {"packets": 100, **latency}}


class Gateway:
    def __init__(self):
        self.lost = 0

    def worker_wait(self):
        return 0.0

    def show(self, what):
        self.lost += 7
        return {"drops": [{"name": "tx_full", "count": self.lost}, {"name": "bad_tag", "count": 0}]}


def cell_of(generator, inner="512"):
    plan = run.Plan(1.0, 3, 0.01, float("inf"), float("inf"), float("inf"), [0.5, 1.0, 1.5, 2.0], 3)
    cell = run.Cell(inner, "receive", 10, 1)
    cell.measure(generator, Gateway(), plan)
    cell.compare(generator, Gateway(), plan)
    cell.judge()
    return cell


def results_of(*cells):
    cpu = {"model": "A <CPU>", "virtual_machine": True}
    return {"command": "run.py", "date": "today", "seconds": 1.0, "mode": "quick", "ports": "memif", "slots": 1024, "generator_core": 0, "gateway_cores": [1],
            "machine": {"cpu": cpu, "kernel": "k", "dpdk": "d", "linegate": "l", "commit": "c"}, "cards": {}, "concerns": ["A <concern>."],
            "handshakes": [{"peers": 10, "seconds": 0.01, "per_second": 1000}], "recoveries": [{"peers": 10, "link": 0.2, "gateway": 0.3, "sessions": 0, "by_gateway": False}],
            "cells": [{"where": cell.where, "figures": cell.figures} for cell in cells]}


class ACell(unittest.TestCase):
    def test_finds_the_gateway(self):
        figures = cell_of(Generator()).figures
        self.assertAlmostEqual(figures["ndr"]["mpps"], 1.0, delta=0.012)
        self.assertAlmostEqual(figures["pdr"]["mpps"], 1.005, delta=0.017)
        self.assertAlmostEqual(figures["ndr"]["gbps"], figures["ndr"]["mpps"] * 512 * 8 / 1000)
        self.assertEqual(figures["ndr"]["bound"], "gateway")
        self.assertAlmostEqual(figures["ceiling"]["mpps"], 2.5, delta=0.1)
        self.assertAlmostEqual(figures["overload"]["ratio"], 1.0, delta=0.01)
        self.assertEqual(figures["overload"]["lost_where"]["tx_full"], 14)
        self.assertGreater(figures["overload"]["lost_where"]["wire_full"], 0)
        self.assertNotIn("bad_tag", figures["overload"]["lost_where"])
        # A buffer of 512 packets fills by the difference of the rates.
        self.assertAlmostEqual(figures["back_to_back"]["packets"], 512 / (1 - CAPACITY / ABLE), delta=60)

    def test_what_a_rate_is_bound_by(self):
        for able, bound in ((2.5e6, "gateway"), (1.3e6, "close"), (0.9e6, "generator")):
            self.assertEqual(cell_of(Generator(able=able)).figures["ndr"]["bound"], bound, able)

    def test_prints_a_line_for_each_figure(self):
        lines = list(cell_of(Generator()).lines())
        for line in lines:
            self.assertRegex(line, r"^vf test=\w+ inner=512 direction=receive peers=10 cores=1( \w+=[\w.]+)+$")
        for wanted in ("test=ndr .* mpps=.* gbps=.* p99_us=.* ceiling_mpps=.* bound=gateway", "test=latency .* load_percent=90", "test=overload .* ratio="):
            self.assertTrue(any(re.search(wanted, line) for line in lines), wanted)

    def test_only_the_forwarders_trials_are_looped(self):
        generator = Generator()
        cell_of(generator)
        looped = [words for words in generator.commands if words.get("looped")]
        self.assertTrue(any(words["sealed"] for words in looped) and not all(words["sealed"] for words in looped))


class ARunThatIsWorthNothing(unittest.TestCase):
    def problems(self, change=None, page="page"):
        results = copy.deepcopy(results_of(cell_of(Generator())))
        if change:
            change(results)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "report.html"
            if page is not None:
                path.write_text(page)
            return run.problems_of(results, path)

    def test_a_good_one_has_no_problem(self):
        self.assertEqual(self.problems(), [])

    def test_each_fault_is_named(self):
        def nothing(results): results["cells"].clear()
        def no_packet(results): results["cells"][0]["figures"]["overload"]["peak_mpps"] = 0.0
        def unknown(results): results["cells"][0]["figures"]["pdr"]["bound"] = "unknown"
        def wrong(results): results["cells"][0]["figures"]["loss"]["rows"][1]["bad"] = 1
        for change, words in ((nothing, "nothing was measured"), (no_packet, "no packet was forwarded"), (unknown, "not known what limits"), (wrong, "not sent so")):
            self.assertIn(words, " ".join(self.problems(change)))
        self.assertIn("missing", " ".join(self.problems(page=None)))
        self.assertIn("missing", " ".join(self.problems(page="")))
        self.assertIn("allowed", " ".join(self.problems(page="x" * 500_001)))

    def test_a_gateway_that_carries_nothing_is_unknown(self):
        figures = cell_of(Generator(capacity=0)).figures
        self.assertEqual((figures["ndr"]["rate"], figures["ndr"]["bound"]), (0.0, "unknown"))


class TheLatencyTerms(unittest.TestCase):
    def test_are_medians_of_repetitions(self):
        repetitions = [{"least_us": least, "p50_us": p50, "p999_us": p999} for least, p50, p999 in ((1, 5, 90), (2, 7, 20), (4, 6, 30))]
        self.assertEqual(run.terms_of_rfc8219(repetitions), {"repetitions": 3, "typical_us": 6, "worst_case_us": 30, "pdv_us": 26})

    def test_a_load_is_repeated_as_often_as_the_plan_says(self):
        for latencies in (1, 5):
            generator = Generator()
            plan = run.Plan(1.0, 3, 0.01, float("inf"), float("inf"), float("inf"), [], 0, latencies)
            cell = run.Cell("512", "receive", 10, 1)
            cell.latency(run.Load(generator, "receive", "512", Gateway()), plan, 1e6)
            self.assertEqual(len(generator.commands), 3 * latencies)
            self.assertEqual([row["repetitions"] for row in cell.figures["latency"]["rows"]], [latencies] * 3)


@unittest.skipIf(jsonschema is None, "python3-jsonschema is not installed")
class TheSchema(unittest.TestCase):
    def errors(self, results):
        validator = jsonschema.Draft7Validator(SCHEMA)
        return [error.message for error in validator.iter_errors(json.loads(json.dumps(results)))]

    def results(self):
        results = results_of(cell_of(Generator()), cell_of(Generator(able=0.9e6), "imix"))
        results.update(format=run.FORMAT, machine=machine.facts(sys.executable, [0]))
        return results

    def test_is_one(self):
        jsonschema.Draft7Validator.check_schema(SCHEMA)

    def test_fits_results(self):
        self.assertEqual(self.errors(self.results()), [])

    def test_refuses_what_is_missing_unknown_or_wrong(self):
        def figure(results): return results["cells"][0]["figures"]
        def missing(results): del figure(results)["ndr"]["bound"]
        def unknown(results): figure(results)["latency"]["rows"][0]["p42_us"] = 1
        def negative(results): figure(results)["loss"]["rows"][0]["loss"] = -0.1
        def wrong(results): figure(results)["ndr"]["bound"] = "luck"
        def version(results): results["format"] = 1
        for change in (missing, unknown, negative, wrong, version):
            results = self.results()
            change(results)
            self.assertEqual(len(self.errors(results)), 1, change.__name__)


class ThePage(unittest.TestCase):
    def test_is_one_file_that_is_small_and_well_formed(self):
        cells = [cell_of(Generator(), inner) for inner in ("64", "512", "1420", "imix")] * 8
        page = report.page(results_of(*cells))
        self.assertLess(len(page), run.LARGEST_REPORT)
        for refused in ("<script", "http://www.w3.org/1999", "src=", "href="):
            self.assertNotIn(refused, page)
        for svg in re.findall(r"<svg.*?</svg>", page):
            xml.dom.minidom.parseString(svg)
        self.assertIn("A &lt;concern&gt;.", page)
        self.assertNotIn("<CPU>", page)

    @unittest.skipIf(shutil.which("rsvg-convert") is None, "rsvg-convert is not installed")
    def test_its_plots_are_files_too(self):
        cells = results_of(cell_of(Generator()))["cells"]
        with tempfile.TemporaryDirectory() as folder:
            self.assertTrue(report.write_png(cells, pathlib.Path(folder)))
            files = sorted(pathlib.Path(folder).glob("*.png"))
            self.assertEqual([file.name for file in files], [f"{name}-receive-10-peers.png" for name in ("goodput", "latency-p50", "latency-p99", "loss")])
            for file in files:
                picture = file.read_bytes()
                self.assertEqual(picture[:8], b"\x89PNG\r\n\x1a\n")
                self.assertEqual(int.from_bytes(picture[16:20], "big"), 2 * report.WIDTH)

    def test_red_marks(self):
        page = report.page(results_of(cell_of(Generator(able=0.9e6))))
        self.assertIn('<td class="red">GENERATOR-BOUND</td>', page)

    def test_every_number_of_a_plot_is_within_it(self):
        plot = report.Plot("t", "x", "y", {"a": [(0.1, 5), (3, 900)], "b": [], "c": [(0, 0)]})
        for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", " ".join(plot.lines())):
            self.assertTrue(report.LEFT <= float(x) <= report.WIDTH and 0 <= float(y) <= report.HEIGHT)
        self.assertNotIn(">b<", plot.svg())


class TheOptions(unittest.TestCase):
    def test_ci_is_one_size(self):
        self.assertEqual(run.options_of(["--ci"]).inner, ["512"])
        self.assertEqual(run.options_of(["--inner", "64,imix", "--peers", "1,10"]).peers, [1, 10])

    def test_concerns(self):
        facts = {"isolated": [2, 3], "siblings": {2: [2, 3], 3: [2, 3]}, "cpu": {"virtual_machine": False}, "turbo": "0", "huge_pages_free_2m": 5}
        self.assertEqual(machine.concerns({**facts, "siblings": {}}, 2, [3], False, {}), [])
        self.assertIn("threads of one core", " ".join(machine.concerns(facts, 2, [3], False, {})))
        self.assertIn("share a core", " ".join(machine.concerns(facts, 2, [2], False, {})))
        self.assertIn("not isolated", " ".join(machine.concerns(facts, 0, [3], False, {})))
        self.assertIn("virtual", " ".join(machine.concerns(facts, 2, [3], True, {})))
        cards = {"0000:00:02.0": {"node": "0"}}
        self.assertIn("emulated", " ".join(machine.concerns({**facts, "vendor": "QEMU"}, 2, [3], False, cards)))
        self.assertEqual(machine.cpus_of("0,2-4"), {0, 2, 3, 4})


if __name__ == "__main__":
    unittest.main()
