#!/usr/bin/env python3
"""Holds the documents to themselves and to the tree: `tests/docs/check.py` prints what does not hold.

- a line of prose or code has at most 100 columns; rows of tables and blocks of kind `text` (what a
  program prints) may be longer (a row to 200), but not in the README, which has at most 120 lines
- every link between documents leads to a file and a heading
- every path, and every `file: name` of code, that a document cites exists
- every test that protocol.md, security.md and status.md name exists
- every decision has a status, a date, and the three headings
- every drop reason has its entry in operations.md, and no other has
- figures are in figures.md alone, in tables that can be read; pages for users show no C++ enumerator

With the program as an argument it also compares cli.md with `--help` of every command.
"""
import functools
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = 100
ROW_COLUMNS = 200
README_LINES = 120
USER_PAGES = "README docs/operations docs/configuration docs/cli docs/control-socket docs/metrics docs/security docs/figures docs/status"
# A rate or a cost that was measured: it belongs into figures.md. Decisions keep those they were made by.
FIGURE = re.compile(r"\d[\d ,.]* ?(?:Mpps|[GM]bit/s|ns per packet|clocks? per packet|clocks a packet)")
problems = []


def report(path, line, text):
    problems.append(f"{path}:{line}: {text}")


@functools.cache
def tracked():
    listed = subprocess.run(("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"), capture_output=True, text=True)
    return frozenset(name for name in listed.stdout.splitlines() if (ROOT / name).exists())


@functools.cache
def text_of(name):
    return (ROOT / name).read_text()


def pages():
    return sorted(name for name in tracked() if name.endswith(".md"))


def lines(name):
    """(number, line, in code): code is "" outside blocks, else the block's kind, "code" when it has none"""
    code = ""
    for number, line in enumerate(text_of(name).splitlines(), 1):
        if line.lstrip().startswith("```"):
            kind = line.strip("` ") or "code"
            yield number, line, kind
            code = "" if code else kind
        else:
            yield number, line, code


# ---- shape


def check_columns(name):
    for number, line, code in lines(name):
        row = line.lstrip().startswith("|")
        if len(line) > (ROW_COLUMNS if row else COLUMNS) and code != "text":
            report(name, number, f"{len(line)} columns")


def check_readme():
    count = len(text_of("README.md").splitlines())
    for number, line, _ in lines("README.md"):
        if len(line) > COLUMNS:
            report("README.md", number, f"{len(line)} columns, tables and code included")
    if count > README_LINES:
        report("README.md", count, f"more than {README_LINES} lines")


def check_decision(name):
    for wanted in (r"^- Status: ", r"^- Date: \d{4}-\d\d-\d\d$", "^## Context$", "^## Decision$", "^## Consequences$"):
        if not re.search(wanted, text_of(name), re.M):
            report(name, 0, f"no line {wanted}")


# ---- links


def anchor(heading):
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


@functools.cache
def anchors(name):
    return {anchor(line.lstrip("#")) for _, line, code in lines(name) if line.startswith("#") and not code}


def check_links(name):
    for number, line, code in lines(name):
        if code:
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if target.startswith(("http:", "https:")):
                continue
            path, _, heading = target.partition("#")
            found = (ROOT / name).parent.joinpath(path).resolve() if path else ROOT / name
            if not found.exists():
                report(name, number, f"no file {target}")
            elif heading and heading not in anchors(str(found.relative_to(ROOT))):
                report(name, number, f"no heading {target}")


# ---- code that is cited

TOP = ("bench/", "config/", "control/", "dataplane/", "docs/", "scripts/", "tests/", "cmake/")
FILE = re.compile(r"[\w./*-]+\.(?:cpp|h|sh|py|md|cmake|yaml|service|txt|json)")


def files_named(path):
    """Tracked files whose path ends with the given one, at a folder's border; `*` stands for a part of a name."""
    pattern = re.compile(r"(?:.*/)?" + re.escape(path).replace(r"\*", "[^/]*"))
    return [name for name in tracked() if pattern.fullmatch(name)]


def exists(path):
    path = path.rstrip("/")
    if any(name.startswith(path + "/") for name in tracked()):
        return True
    return bool(files_named(path))


def check_citation(name, number, span):
    file, _, names = span.partition(": ")
    if FILE.fullmatch(file) and not file.startswith(("/", ".")) and ("/" in file or names):
        found = files_named(file)
        if not found and not generated(file):
            report(name, number, f"no file {file}")
        for word in re.split(r"[,/] ?", names):
            check_word(name, number, file, found, word)
    elif span.startswith(TOP) and re.fullmatch(r"[\w./*-]+", span):
        if not exists(span) and not exists(span + ".cpp") and not exists(span + ".sh"):
            report(name, number, f"no path {span}")


def check_word(name, number, file, found, word):
    if not re.fullmatch(r"[\w:*]+", word) or not found:
        return
    last = word.split("::")[-1].replace("*", "")
    if not any(last in text_of(path) for path in found):
        report(name, number, f"{file} has no {word}")


def generated(file):
    """A file of a build, of a user, or one that a recipe adds (NAME in its name)."""
    return file.startswith(("build/", "peers.d/")) or "NAME" in file or "NN_name" in file


def check_citations(name):
    for number, line, code in lines(name):
        if not code:
            for span in re.findall(r"`([^`]+)`", line):
                check_citation(name, number, span)


# ---- tests that are named


@functools.cache
def code_and_tests():
    ends = (".cpp", ".h", ".sh", ".py", ".cmake", ".txt")
    return "\n".join(text_of(name) for name in sorted(tracked()) if name.endswith(ends))


@functools.cache
def joined_strings():
    """Adjacent literals of the tests, joined: a scenario's name may be broken over two lines."""
    return re.sub(r'"\s*\n\s*"', "", "\n".join(text_of(n) for n in sorted(tracked()) if n.startswith("tests/unit/")))


def paragraphs(name):
    """(first line's number, text) of paragraphs and list items, their lines joined; no code."""
    first, text = 0, ""
    for number, line, code in [*lines(name), (0, "", "")]:
        begins = re.match(r"\s*(- |\d+\. |\||#|Code: |Test: |$)", line) or code
        if begins and text:
            yield first, text
            text = ""
        if not code and line.strip():
            first, text = (number, line.strip()) if not text else (first, f"{text} {line.strip()}")


def check_tests(name):
    for number, text in paragraphs(name):
        for test in re.findall(r"`([A-Z][a-z0-9]+[A-Z0-9][A-Za-z0-9]*)…?`", text):
            if test not in code_and_tests():
                report(name, number, f"no test or type {test}")
        for scenario in re.findall(r"`(\d\d_\w+)`", text):
            if f"tests/e2e/{scenario}.sh" not in tracked():
                report(name, number, f"no scenario {scenario}")
        if text.startswith("Code: "):
            for word in re.findall(r"`([\w:]+)`", text):
                if not re.search(rf"\b{word.split('::')[-1]}\b", code_and_tests()):
                    report(name, number, f"no code is called {word}")
        if "path: " in text:
            for quoted in re.findall(r'"([^"]+?) ?…?"', text.split("path: ", 1)[1]):
                if quoted not in joined_strings():
                    report(name, number, f"no scenario of the packet path is called '{quoted}'")


# ---- drops, figures, enumerators


def check_drops():
    page = "docs/operations.md"
    section = text_of(page).split("\n## Drops\n")[1].split("\n## ")[0]
    documented = set(re.findall(r"^(?:\| |- )`(\w+)`", section, re.M))
    wanted = set(re.findall(r"^  X\((\w+),", text_of("dataplane/drop_reason.h"), re.M))
    missing = wanted - documented
    if missing:
        report(page, 0, f"drop reasons without an entry: {' '.join(sorted(missing))}")
    for name in documented - wanted:
        if not re.search(rf'"{name}"|X\({name},|\b{name}\b', code_and_tests()):
            report(page, 0, f"no such drop reason: {name}")


def check_figures():
    page = "docs/figures.md"
    for name in ("aead", "dataplane", "lpm", "handshake"):
        match = re.search(rf"<!-- begin {name} -->\n(.*?)<!-- end {name} -->", text_of(page), re.S)
        if not match:
            report(page, 0, f"no markers for {name}")
        elif not re.search(r"- processor: .+\n- vector .+\n- commit \w+.*\n- `build/release/bench/", match.group(1)):
            report(page, 0, f"{name}: no processor, commit and command")
        else:
            check_table(page, name, match.group(1))
    for name in pages():
        if name != page and not name.startswith(("docs/decisions/", "CHANGELOG")):
            for number, line, code in lines(name):
                if FIGURE.search(line):
                    report(name, number, f"a measured figure outside {page}: {FIGURE.search(line).group(0)}")


def check_table(page, name, text):
    widths = {len(row.split("|")) for row in text.splitlines() if row.startswith("|---")}
    rows = [row for row in text.splitlines() if row.startswith("|") and not row.startswith("|---")]
    if len(rows) < 2 or any(len(row.split("|")) not in widths for row in rows):
        report(page, 0, f"{name}: its table cannot be read")
    if not any(re.search(r"\| \d", row) for row in rows):
        report(page, 0, f"{name}: its table has no figures")


def check_enumerators():
    for page in USER_PAGES.split():
        for number, line, _ in lines(page + ".md"):
            for name in re.findall(r"\bk[A-Z][A-Za-z0-9]+\b", line):
                report(page + ".md", number, f"{name} is a name of the code")


# ---- the command line


def help_of(program, words):
    result = subprocess.run((program, *words, "--help"), capture_output=True, text=True, check=True)
    return result.stdout


def commands(program, words=()):
    """(words, options) of every command that does something, by --help."""
    text = help_of(program, words)
    blocks = re.findall(r"^[A-Z][\w ,]*ommands:\n((?:  .*\n)+)", text, re.M)
    if not blocks or re.search(r"^Usage: .*\[SUBCOMMAND\]", text, re.M):
        yield " ".join(words), set(re.findall(r"^  (?:-\w,)?(--[\w-]+)", text, re.M)) - {"--help"}
    for word in re.findall(r"^  (\w[\w-]*)", "".join(blocks), re.M):
        yield from commands(program, (*words, word))


def documented_commands():
    """The same by cli.md: a heading `### word word`, the options in its text."""
    found = {}
    command = None
    for _, line, code in lines("docs/cli.md"):
        heading = re.match(r"### (.*)", line)
        if heading:
            command = [part.strip() for part in heading.group(1).replace("`", "").split(",")]
            for each in command:
                found[each] = set()
        elif line.startswith("#"):
            command = None
        elif command:
            for option in set(re.findall(r"--[a-z][\w-]*", line)) - {"--help"}:
                for each in command:
                    found[each].add(option)
    return found


def check_cli(program):
    page = "docs/cli.md"
    documented = documented_commands()
    real = dict(commands(program))
    for missing in sorted(real.keys() - documented.keys()):
        report(page, 0, f"command not documented: {missing}")
    for unknown in sorted(documented.keys() - real.keys()):
        report(page, 0, f"no such command: {unknown}")
    for command in sorted(real.keys() & documented.keys()):
        for option in sorted(real[command] - documented[command]):
            report(page, 0, f"{command}: option not documented: {option}")
        for option in sorted(documented[command] - real[command]):
            report(page, 0, f"{command}: no such option: {option}")


def main():
    if len(sys.argv) > 1:
        check_cli(sys.argv[1])
    else:
        for name in pages():
            check_columns(name)
            check_links(name)
            check_citations(name)
            if re.match(r"docs/decisions/\d", name):
                check_decision(name)
        for name in ("docs/protocol.md", "docs/security.md", "docs/status.md"):
            check_tests(name)
        check_readme()
        check_drops()
        check_figures()
        check_enumerators()
    print("\n".join(problems) or "the documents hold")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
