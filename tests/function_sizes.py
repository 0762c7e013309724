"""Sizes of functions and classes of the product, by universal-ctags: warns of what is over the house's measures.

Functions: median <= 8 lines, 90th percentile <= 22, none over 60, nesting <= 4; classes: <= 45 methods, <= 20 fields. A table or
an unrolled kernel may be longer: `size: table` or `size: kernel` in the comment before it says so. A struct with more than ten
functions is a class here; plain structs and visitors (nothing but overloads of one function) have no limit.
Prints warnings and the figures; fails only when nothing could be measured."""
import collections, json, re, subprocess, sys
from pathlib import Path

LINES, NESTING, METHODS, FIELDS, MEDIAN, P90, PLAIN = 60, 4, 45, 20, 8, 22, 10
root = Path(__file__).resolve().parent.parent
paths = subprocess.run(["git", "ls-files", "dataplane/*.cpp", "dataplane/*.h", "control/*.cpp", "control/*.h", "config/*.cpp",
                        "config/*.h"], cwd=root, capture_output=True, text=True, check=True).stdout.split()
tags = subprocess.run(["ctags", "--output-format=json", "--fields=+neKZ", "--kinds-C++=fpmcs", "--language-force=C++", "-f", "-",
                       "-L", "-"], cwd=root, input="\n".join(path for path in paths if (root / path).exists()),
                      capture_output=True, text=True, check=True).stdout
sources = {}

def lines_of(path):
    if path not in sources: sources[path] = (root / path).read_text().split("\n")
    return sources[path]

def nesting(body):
    """Blocks within the function's own; the braces of initialisers, lambdas within calls and namespaces are no blocks."""
    depth, deepest, stack = 0, 0, []
    for line in body:
        line = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])\'|//.*', "", line)
        for at, character in enumerate(line):
            if character == "{":
                block = bool(re.search(r"(\)|else|do|try)\s*$", line[:at]))
                stack.append(block)
                depth += block
                deepest = max(deepest, depth)
            elif character == "}" and stack:
                depth -= stack.pop()
    return max(0, deepest - 1)

functions, methods, fields, classes, warnings = [], collections.Counter(), collections.Counter(), {}, []
names = collections.defaultdict(set)  # of the functions of a class
for text in tags.splitlines():
    tag = json.loads(text)
    path, first, kind = tag["path"], tag["line"], tag["kind"]
    scope = tag.get("scope", "")
    of_class = tag.get("scopeKind") in ("class", "struct")
    if kind in ("prototype", "function") and of_class:
        methods[path, scope] += 1
        names[path, scope].add(tag["name"])
    if kind == "member" and of_class: fields[path, scope] += 1
    if kind in ("class", "struct"): classes[path, f"{scope}::{tag['name']}" if scope else tag["name"]] = first, kind
    if kind != "function" or "end" not in tag: continue
    size = tag["end"] - first + 1
    functions.append(size)
    before = "\n".join(lines_of(path)[max(0, first - 4):first])
    if re.search(r"size: (table|kernel)", before): continue
    if size > LINES: warnings.append(f"{path}:{first}: {tag['name']} has {size} lines, {LINES} are allowed")
    depth = nesting(lines_of(path)[first - 1:tag["end"]])
    if depth > NESTING: warnings.append(f"{path}:{first}: {tag['name']} nests {depth} blocks, {NESTING} are allowed")
classes = {key: first for key, (first, kind) in classes.items()
           if kind == "class" or (methods[key] > PLAIN and len(names[key]) > 1)}
for (path, name), first in classes.items():
    if methods[path, name] > METHODS:
        warnings.append(f"{path}:{first}: class {name} has {methods[path, name]} methods, {METHODS} are allowed")
    if fields[path, name] > FIELDS:
        warnings.append(f"{path}:{first}: class {name} has {fields[path, name]} fields, {FIELDS} are allowed")
if not functions: sys.exit("function_sizes: no function found")
functions.sort()
median, p90 = functions[len(functions) // 2], functions[len(functions) * 9 // 10]
if median > MEDIAN: warnings.append(f"the median function has {median} lines, {MEDIAN} are allowed")
if p90 > P90: warnings.append(f"the 90th percentile of functions has {p90} lines, {P90} are allowed")
for warning in warnings: print("warning:", warning)
print(f"{len(functions)} functions: median {median}, 90th percentile {p90}, longest {functions[-1]} lines; "
      f"{len(classes)} classes; {len(warnings)} warnings")
