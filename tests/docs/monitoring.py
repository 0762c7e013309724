#!/usr/bin/env python3
"""Holds docs/grafana to the exporter: `tests/docs/monitoring.py [METRICS]` prints what does not hold.

- each query of the dashboard and each alerting rule names only metrics of docs/metrics.md, and only labels
  that the page gives them
- with METRICS, the page of a running exporter: only metrics and labels that it has, and docs/metrics.md and
  the exporter have the same metrics
- `--queries FILE` also writes the dashboard's queries as recording rules, for `promtool check rules`
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "docs/grafana"
# What the server that scrapes adds to every series.
OF_PROMETHEUS = {"instance", "job"}
# Series that exist only where something has happened, or for peers.
NOT_ALWAYS = re.compile(r"linegate_(peer|worker_latency|control_round_seconds)")
problems = []


def documented():
    """{metric: labels} of docs/metrics.md"""
    found, labels = {}, None
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        if line.startswith("Labels: "):
            labels = {word.strip(" .") for word in line[8:].split(".")[0].split(",")}
        if line.startswith("## ") and not line.startswith("## Counters"):
            labels = None
        row = re.match(r"\| `(linegate_\w+)` \| (\w+) \| ([^|]*)\|", line)
        if row:
            own = {word.strip() for word in row[3].split(",") if word.strip()}
            found[row[1]] = labels if labels is not None else own
    return found


def scraped(path):
    """{metric: labels} of a page of the exporter"""
    found = {}
    for line in pathlib.Path(path).read_text().splitlines():
        kind = re.match(r"# TYPE (linegate_\w+) ", line)
        if kind:
            found.setdefault(kind[1], set())
        sample = re.match(r"(linegate_\w+)(?:\{(.*)\})? ", line)
        if sample:
            found.setdefault(sample[1], set()).update(re.findall(r'(\w+)="', sample[2] or ""))
    return found


def queries():
    """(where, expression, legend)"""
    board = json.loads((GRAFANA / "linegate.json").read_text())
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"linegate.json: {panel['title']}", target["expr"], target["legendFormat"]
    for variable in board["templating"]["list"]:
        inner = re.match(r"label_values\((.*), (\w+)\)", variable.get("definition", ""))
        if inner:
            yield f"linegate.json: {variable['name']}", inner[1], "{{%s}}" % inner[2]
    text = re.sub(r">-\n\s+(.*)\n\s+(/.*)", r"\1 \2", (GRAFANA / "alerts.yml").read_text())
    rules = re.findall(r"alert: (\w+)(?:\n\s+#.*)?\n\s+expr: (.*)\n((?:.*\n)*?)(?=\s+- alert|\Z)", text)
    if len(rules) != text.count("- alert:"):
        problems.append(f"alerts.yml: {len(rules)} of {text.count('- alert:')} rules are understood")
    for name, expression, rest in rules:
        yield f"alerts.yml: {name}", expression, "".join("{{%s}}" % label for label in re.findall(r"\$labels\.(\w+)", rest))


def check(where, expression, legend, known, whose):
    names = re.findall(r"\blinegate_\w+", expression)
    if not names and "up{" not in expression:
        problems.append(f"{where}: names no metric")
    for name, selector in re.findall(r"\b(linegate_\w+)(?:\{([^}]*)\})?", expression):
        if name not in known:
            problems.append(f"{where}: {whose} has no {name}")
            continue
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector):
            if label not in known[name] | OF_PROMETHEUS:
                problems.append(f"{where}: {name} has no label {label}")
    labels = set().union(*(known.get(name, set()) for name in names)) | OF_PROMETHEUS
    for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", legend):
        if label not in labels:
            problems.append(f"{where}: the legend names {label}, which no metric of the query has")


def write_queries(path):
    rules = []
    for number, (where, expression, _) in enumerate(queries()):
        expression = expression.replace("[$__rate_interval]", "[5m]").replace("$instance", "gateway:9586")
        rules.append({"record": f"query:{number}", "expr": expression})
    pathlib.Path(path).write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))


def main(arguments):
    if arguments[:1] == ["--queries"]:
        write_queries(arguments[1])
        arguments = arguments[2:]
    known = documented()
    for where, expression, legend in queries():
        check(where, expression, legend, known, "docs/metrics.md")
    if arguments:
        live = scraped(arguments[0])
        for where, expression, legend in queries():
            if not NOT_ALWAYS.search(expression):
                check(where, expression, legend, live, "the exporter")
        problems.extend(f"docs/metrics.md has no {name}" for name in sorted(live.keys() - known.keys()))
        problems.extend(f"the exporter has no {name}" for name in sorted(known.keys() - live.keys())
                        if not NOT_ALWAYS.search(name))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


sys.exit(main(sys.argv[1:]))
