"""Reads `linegate show drops --json`, prints the sum of the counters of the given name."""
import json, sys

def entries(value):
    if isinstance(value, list):
        for one in value:
            yield from entries(one)
    elif isinstance(value, dict):
        if "reason" in value or "name" in value:
            yield value
        else:
            for one in value.values():
                yield from entries(one)

total = 0
for document in (json.loads(line) for line in sys.stdin if line.strip()):
    for entry in entries(document):
        if sys.argv[1] in (entry.get("reason"), entry.get("name")):
            total += sum(v for k, v in entry.items() if k in ("packets", "count"))
print(total)
