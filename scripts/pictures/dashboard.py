#!/usr/bin/env python3
"""Runs the queries of docs/grafana/linegate.json against a Prometheus server, and draws what they answer:
`dashboard.py URL INSTANCE SECONDS [FILE.svg]`

Fails when the server refuses a query, or when one that does not ask for `> 0` answers nothing.
"""
import html
import json
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNIT_X, UNIT_Y, GAP = 50, 30, 6
INKS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#b877d9", "#f2495c", "#8ab8ff", "#96d98d", "#ffee52", "#ca95e5")
# Only where `forwarding: flows` is used, and where there have been packets to time.
MAY_BE_EMPTY = ("linegate_flows_", "linegate_worker_latency_seconds", "linegate_worker_stage_cycles")


def asked(url, query, start, end):
    """[(labels, [(time, value)])]"""
    words = urllib.parse.urlencode({"query": query, "start": start, "end": end, "step": 1})
    with urllib.request.urlopen(f"{url}/api/v1/query_range?{words}", timeout=10) as answer:
        found = json.load(answer)
    assert found["status"] == "success", found
    return [(one["metric"], [(float(t), float(v)) for t, v in one["values"]]) for one in found["data"]["result"]]


def legend(form, labels):
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: labels.get(found[1], ""), form)


def figure(value, unit):
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "dateTimeFromNow":
        return f"{max(0, time.time() - value / 1000):.0f} s ago"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}{mark(unit)}".rstrip()
    for size, letter in ((1, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")):
        if unit == "s" and abs(value) >= size:
            return f"{value / size:.3g} {letter}s"
    return f"{value:.3g} {mark(unit)}".rstrip()


def mark(unit):
    return {"bps": "bit/s", "pps": "p/s", "ops": "/s", "s": "s"}.get(unit, "")


def word(x, y, text, size=12, ink="#ccccdc", anchor="start"):
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{ink}" text-anchor="{anchor}">{html.escape(text)}</text>'


def curves(series, box, unit, start, end):
    x, y, w, h = box
    values = [v for _, points in series for _, v in points] or [0.0]
    low, high = min(0.0, *values), max(0.0, *values)
    if high == low:
        high = low + 1
    across = lambda t: x + 70 + (w - 80) * (t - start) / (end - start)
    down = lambda v: y + 30 + (h - 56) * (high - v) / (high - low)
    for value in (low, (low + high) / 2, high):
        yield f'<path d="M{x + 70:g} {down(value):g}H{x + w - 10:g}" stroke="#3a3f47"/>'
        yield word(x + 64, down(value) + 4, figure(value, unit), 11, "#9a9fa8", "end")
    at = x + 70
    for number, (name, points) in enumerate(series):
        ink = INKS[number % len(INKS)]
        path = "L".join(f"{across(t):.1f} {down(v):.1f}" for t, v in points)
        yield f'<path d="M{path}" fill="none" stroke="{ink}" stroke-width="1.5"/>'
        if at + 7 * len(name) < x + w:
            yield word(at, y + h - 8, name, 11, ink)
            at += 7 * len(name) + 14


def drawn(panel, answers, start, end):
    place, unit = panel["gridPos"], panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "short")
    box = (place["x"] * UNIT_X + GAP, place["y"] * UNIT_Y + GAP, place["w"] * UNIT_X - GAP, place["h"] * UNIT_Y - GAP)
    x, y, w, h = box
    if panel["type"] == "row":
        yield word(x + 4, y + 18, panel["title"], 15)
        return
    yield f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="3" fill="#181b1f" stroke="#2c3235"/>'
    yield word(x + 10, y + 18, panel["title"], 13)
    series = [(legend(target["legendFormat"], labels), points) for target, found in answers for labels, points in found]
    if panel["type"] == "timeseries":
        if not series:
            yield word(x + w / 2, y + h / 2, "nothing, as it should be", 13, "#6e7680", "middle")
        else:
            yield from curves(series, box, unit, start, end)
        return
    by_name = panel.get("options", {}).get("textMode") == "name"
    text = series[0][0] if by_name else figure(series[0][1][-1][1], unit)
    yield word(x + w / 2, y + h / 2 + 22, text, 16 if by_name else 32, INKS[0], "middle")


def main():
    url, instance, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    board = json.loads((ROOT / "docs/grafana/linegate.json").read_text())
    end = time.time() - 2
    start = end - seconds
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * UNIT_X + GAP} {rows * UNIT_Y + GAP}"'
        ' font-family="DejaVu Sans, Helvetica, Arial, sans-serif">',
        '<rect width="100%" height="100%" fill="#111217"/>',
    ]
    asked_for, empty = 0, []
    for panel in board["panels"]:
        answers = []
        for target in panel.get("targets", []):
            query = target["expr"].replace("$instance", instance).replace("$__rate_interval", "10s")
            answers.append((target, asked(url, query, start, end)))
            asked_for += 1
            if not answers[-1][1] and "> 0" not in query and not any(name in query for name in MAY_BE_EMPTY):
                empty.append(f"{panel['title']}: {query}")
        out += drawn(panel, answers, start, end) if not empty else []
    assert not empty, "no answer: " + "; ".join(empty)
    print(f"{asked_for} queries answered")
    if len(sys.argv) > 4:
        pathlib.Path(sys.argv[4]).write_text("\n".join(out) + "\n</svg>\n", encoding="utf-8")


main()
