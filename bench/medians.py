"""Medians of what a bench prints in several rounds: lines `run key=value …`."""
import statistics


def medians(path, *identity):
    """{values of the keys `identity`: {other key: its median over the rounds}}, in the order of the lines."""
    runs = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            values = dict(pair.split("=") for pair in line.split()[1:])
            who = tuple(values.pop(key) for key in identity)
            runs.setdefault(who, []).append({key: float(value) for key, value in values.items()})
    return {who: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for who, rows in runs.items()}
