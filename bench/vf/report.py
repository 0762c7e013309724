"""A run as one page of HTML: tables, plots as SVG within it, no script, nothing loaded from elsewhere."""
import html
import json
import re
import shutil
import subprocess

STYLE = """
body { font: 15px/1.45 sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #1a1a1a; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #bbb }
table { border-collapse: collapse; margin: .8em 0; font-size: .92em }
td, th { border: 1px solid #ccc; padding: .2em .55em; text-align: right } th { background: #f2f2f2 }
td:first-child, th:first-child { text-align: left }
.red { color: #b00020; font-weight: 600 } .plots { display: flex; flex-wrap: wrap; gap: 1em }
svg text { font: 11px sans-serif; fill: #333 } pre { background: #f6f6f6; padding: .6em; white-space: pre-wrap }
figure { margin: 0; break-inside: avoid } figcaption { font-size: .9em }
@media print { body { max-width: none; margin: 0; font-size: 11px } h2 { break-after: avoid } tr { break-inside: avoid } }
"""
COLOURS = ("#0b5fa5", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#475569")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 440, 260, 56, 40, 12, 12


def text(value):
    return html.escape(str(value))


def number(value, digits=3):
    return "–" if value is None else f"{value:.{digits}f}"


def table(head, rows):
    cells = "".join(f"<th>{text(word)}</th>" for word in head)
    body = "".join("<tr>" + "".join(word if word.startswith("<td") else f"<td>{text(word)}</td>" for word in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"


def nice_step(span):
    step = 10.0 ** (len(str(int(max(span, 1e-9) * 1e9))) - 10)
    return next((step * k for k in (0.2, 0.5, 1, 2, 5, 10) if span / (step * k) <= 6), step * 20)


class Plot:
    """Lines over two linear axes from 0."""

    def __init__(self, title, across, up, curves):
        self.title, self.across, self.up = title, across, up
        self.curves = {name: points for name, points in curves.items() if points}
        points = [point for curve in self.curves.values() for point in curve]
        self.most_x = max([x for x, _ in points] + [1e-9]) * 1.03
        self.most_y = max([y for _, y in points] + [1e-9]) * 1.08

    def x(self, value):
        return LEFT + value / self.most_x * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.most_y * (HEIGHT - BOTTOM - TOP)

    def axes(self):
        for most, place, line in ((self.most_x, self.x, self.tick_x), (self.most_y, self.y, self.tick_y)):
            step = nice_step(most)
            for i in range(int(most / step) + 1):
                yield line(place(i * step), f"{i * step:g}"[:7])
        yield f'<text x="{(WIDTH + LEFT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{text(self.across)}</text>'
        yield f'<text x="12" y="{HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 12 {HEIGHT / 2})">{text(self.up)}</text>'

    def tick_x(self, at, label):
        return (f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#e4e4e4"/>'
                f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{label}</text>')

    def tick_y(self, at, label):
        return (f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#e4e4e4"/>'
                f'<text x="{LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')

    def lines(self):
        for i, (name, points) in enumerate(self.curves.items()):
            colour = COLOURS[i % len(COLOURS)]
            path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
            yield from (f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="2.4" fill="{colour}"/>' for x, y in points)
            yield f'<rect x="{LEFT + 8}" y="{TOP + 4 + 15 * i}" width="10" height="3" fill="{colour}"/>'
            yield f'<text x="{LEFT + 22}" y="{TOP + 10 + 15 * i}">{text(name)}</text>'

    def svg(self, style=""):
        inside = style + "".join(self.axes()) + "".join(self.lines())
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
                f'aria-label="{text(self.title)}">{inside}</svg>')

    def figure(self):
        return f"<figure><figcaption>{text(self.title)}</figcaption>{self.svg()}</figure>"

    def file_name(self):
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") + ".png"


def bound_cell(figure):
    words = {"gateway": "gateway", "close": "gateway, the generator is close", "generator": "GENERATOR-BOUND", "unknown": "UNKNOWN"}
    red = ' class="red"' if figure["bound"] in ("generator", "unknown") else ""
    return f"<td{red}>{words[figure['bound']]}</td>"


def throughput(cells):
    head = ("inner", "direction", "peers", "cores", "NDR Mpps", "± %", "NDR Gbit/s", "on the wire", "PDR Mpps", "PDR Gbit/s", "ports alone Mpps",
            "generator ×", "bound by")
    rows = []
    for cell in cells:
        where, f = cell["where"], cell["figures"]
        ndr, pdr = f["ndr"], f["pdr"]
        better = pdr if not ndr["mpps"] else ndr
        rows.append((str(where["inner"]), where["direction"], str(where["peers"]), str(where["cores"]), number(ndr["mpps"], 4),
                     number(ndr["width_percent"], 1), number(ndr["gbps"]), number(ndr["wire_gbps"]), number(pdr["mpps"], 4), number(pdr["gbps"]),
                     number(f["ceiling"]["mpps"], 4), number(better["generator_margin"], 2), bound_cell(better)))
    return table(head, rows)


def imprecise(cells):
    for cell in cells:
        for test in ("ndr", "pdr"):
            figure = cell["figures"][test]
            if not figure["precise"]:
                where = " ".join(f"{name}={value}" for name, value in cell["where"].items())
                yield (f'<p class="red">{test} of {text(where)}: the time ended with an interval of {figure["width_percent"]:.1f} % '
                       f'between what was carried and what was not.</p>')


def latencies(cells):
    head = ("inner", "direction", "peers", "load % of NDR", "Mpps", "p50 µs", "p90", "p99", "p99.9", "max", "typical", "worst case", "PDV",
            "ports alone p50", "p99", "packets", "loss %")
    rows = []
    for cell in cells:
        where = cell["where"]
        for row in cell["figures"]["latency"]["rows"]:
            rows.append((str(where["inner"]), where["direction"], str(where["peers"]), f"{row['of_ndr'] * 100:.0f}", number(row["offered_mpps"], 4),
                         *(number(row[name], 1) for name in ("p50_us", "p90_us", "p99_us", "p999_us", "most_us", "typical_us", "worst_case_us", "pdv_us",
                                                        "ports_p50_us", "ports_p99_us")),
                         str(row["packets"]), number(row["loss"] * 100, 3)))
    return table(head, rows)


def overloads(cells):
    head = ("inner", "direction", "peers", "offered Mpps", "goodput Mpps", "peak Mpps", "goodput / peak", "where packets were lost")
    rows = []
    for cell in cells:
        where, over = cell["where"], cell["figures"]["overload"]
        lost = ", ".join(f"{reason} {count:.0f}" for reason, count in sorted(over["lost_where"].items(), key=lambda item: -item[1])) or "–"
        rows.append((str(where["inner"]), where["direction"], str(where["peers"]), number(over["offered_mpps"], 4), number(over["goodput_mpps"], 4),
                     number(over["peak_mpps"], 4), number(over["ratio"]) if over["ratio"] else '<td class="red">not offered</td>', lost))
    return table(head, rows)


def bursts(cells):
    rows = [(str(cell["where"]["inner"]), cell["where"]["direction"], str(cell["where"]["peers"]), f"{burst['packets']:.0f}", str(burst["least"]),
             str(burst["most"]), str(burst["repetitions"])) for cell in cells if (burst := cell["figures"].get("back_to_back"))]
    if not rows:
        return "<p>Not measured in this mode.</p>"
    return table(("inner", "direction", "peers", "median packets", "least", "most", "repetitions"), rows)


def recoveries(rows):
    """0 stands for what did not happen in time."""
    def seconds(value):
        return number(value) if value else '<td class="red">not in time</td>'
    return table(("peers", "link, s", "ARP, s", "all sessions, s", "begun by"),
                 [(str(row["peers"]), seconds(row["link"]), seconds(row["gateway"]), seconds(row["sessions"]),
                   "the gateway" if row["by_gateway"] else "the peers") for row in rows])


def disturbances(cells):
    head = ("inner", "direction", "peers", "trials", "repeated", "worker waited for its core %", "generator off its core %")
    rows = []
    for cell in cells:
        where, load = cell["where"], cell["figures"]["load"]
        rows.append((str(where["inner"]), where["direction"], str(where["peers"]), str(load["trials"]), str(load["repeated"]), number(load["waited_percent"], 2),
                     number(load["generator_stalled_percent"], 2)))
    return table(head, rows)


def plots(cells):
    groups = {}
    for cell in cells:
        groups.setdefault((cell["where"]["direction"], cell["where"]["peers"]), []).append(cell)
    for (direction, peers), group in groups.items():
        def curves(test, across, up):
            return {str(cell["where"]["inner"]): [(across(row), up(row)) for row in cell["figures"][test]["rows"]] for cell in group}
        title = f"{direction}, {peers} peers"
        offered = lambda row: row["offered_mpps"]
        yield Plot(f"Loss, {title}", "offered Mpps", "loss %", curves("loss", offered, lambda row: row["loss"] * 100))
        yield Plot(f"Goodput, {title}", "offered Mpps", "goodput Mpps", curves("loss", offered, lambda row: row["goodput_mpps"]))
        yield Plot(f"Latency p99, {title}", "load, % of NDR", "µs", curves("latency", lambda row: row["of_ndr"] * 100, lambda row: row["p99_us"]))
        yield Plot(f"Latency p50, {title}", "load, % of NDR", "µs", curves("latency", lambda row: row["of_ndr"] * 100, lambda row: row["p50_us"]))


def write_png(cells, folder):
    """Each plot as a file, at twice the size of the page's. False: there is no program for it."""
    program = shutil.which("rsvg-convert")
    if program is None:
        return False
    for plot in plots(cells):
        svg = plot.svg("<style>text { font: 11px sans-serif; fill: #333 }</style>")
        subprocess.run([program, "--zoom", "2", "--background-color", "white", "--output", str(folder / plot.file_name())], input=svg.encode(), check=True)
    return True


def method(results):
    first = results["cells"][0]["figures"]["ndr"] if results["cells"] else {"trial_seconds": 0, "trials_decide": 0}
    repetitions = results["cells"][0]["figures"]["latency"]["rows"][0]["repetitions"] if results["cells"] else 0
    return (f"<p>Throughput: RFC 2544 section 26.1, NDR without any loss, PDR with at most 0.5 %. Trials of {first['trial_seconds']:g} s; most of "
            f"{first['trials_decide']} decide about a rate. ± % is the interval between the highest rate that was carried and the lowest that was "
            "not. Sizes are inner IP packets, imix is 64, 570 and 1420 bytes as 7:4:1; Gbit/s counts inner bytes, “on the wire” the sealed frame with "
            "preamble and gap. <b>receive</b> is out of the tunnel, <b>send</b> into it. The generator is the peers: real handshakes, every packet "
            "sealed by it with a counter of its own; out of the tunnel each packet is read, into it each is counted by receiver index and counter and "
            "one in eight is opened. “Ports alone” is a forwarder in the gateway's place on the same ports and core, with packets of the same length, "
            "at most 0.5 % lost. “generator ×” is how often the result the generator can seal, send and take back, through that forwarder; below 1.5 "
            "it is close to being the bound. Latency is from the begin of a burst's building to the receive call, so ports and generator are in it; "
            "the ports' part stands beside it. Typical, worst case and PDV are those of RFC 8219 section 7, of every packet: the median, the 99.9th "
            f"percentile and its distance from the least, each the median of {repetitions} repetitions; a stream lasts as long as a trial.</p>")


def page(results):
    cells, machine = results["cells"], results["machine"]
    red = "".join(f'<li class="red">{text(concern)}</li>' for concern in results["concerns"])
    shakes = table(("peers", "seconds", "handshakes per second"),
                   [(str(row["peers"]), number(row["seconds"]), number(row["per_second"], 0)) for row in results["handshakes"]])
    setup = {"command": results["command"], "date": results["date"], "mode": results["mode"], "ports": results["ports"], "ring slots": results["slots"],
             "generator's CPU": results["generator_core"], "gateway's CPUs": results["gateway_cores"], "CPU": machine["cpu"]["model"],
             "kernel": machine["kernel"], "DPDK": machine["dpdk"], "Linegate": f"{machine['linegate']} ({machine['commit']})"}
    parts = [
        f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Linegate bench</title><style>{STYLE}</style></head><body>",
        "<h1>Linegate between two ports</h1>", table(("setup", ""), [(name, str(value)) for name, value in setup.items()]),
        f"<h2>What to bear in mind</h2><ul>{red or '<li>Nothing.</li>'}</ul>", "<h2>Throughput</h2>", throughput(cells), *imprecise(cells),
        method(results), "<h2>Latency</h2>", latencies(cells), "<h2>Overload</h2>", overloads(cells), "<h2>Back to back</h2>", bursts(cells),
        f'<h2>Plots</h2><div class="plots">{"".join(plot.figure() for plot in plots(cells))}</div>', "<h2>Handshakes before the traffic</h2>", shakes,
        "<h2>After the gateway was killed and started again</h2>", recoveries(results["recoveries"]),
        "<h2>What others took of the cores</h2>", disturbances(cells),
        f"<h2>Machine</h2><pre>{text(json.dumps({'machine': machine, 'cards': results['cards']}, indent=1))}</pre></body></html>",
    ]
    return "\n".join(parts) + "\n"
