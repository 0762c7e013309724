#!/usr/bin/env python3
"""Holds comments, texts and pages to docs/style.md, as far as a program can: prints what does not hold.

- a comment of the product does not begin with a word that leaves its subject out ("Of what runs.")
- neither comments nor texts of the product, nor pages, contain the words that docs/style.md refuses,
  nor do comments of tests, benches and scripts

Decisions and the changelog keep their words: they are not rewritten."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
STYLE = "docs/style.md"
FRAGMENT = re.compile(r"(Of|By|Not|Else|Who|Whose|Whoever|What)\b")
COMMENT = re.compile(r"\s*//+ ?(.*)")
SCRIPT_COMMENT = re.compile(r"(?:\s*|.*\s)#(?!!) ?(.*)")
TRAILING = re.compile(r'^(?:[^"/]|"(?:\\.|[^"\\])*"|/(?!/))*//(.*)')
TEXT = re.compile(r'"((?:\\.|[^"\\])*)"')


def tracked(*patterns):
    listed = subprocess.run(("git", "ls-files", "-co", "--exclude-standard", *patterns), cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def refused_words():
    """The words in backticks of the paragraph "Refused by tests/language.py"."""
    paragraph = re.search(r"Refused by `tests/language.py`(.*?)\n\n", (ROOT / STYLE).read_text(), re.S)
    words = re.findall(r"`([\w ]+)`", paragraph.group(1)) if paragraph else []
    if not words:
        sys.exit(f"{STYLE} names no refused words")
    return re.compile(r"\b(" + "|".join(re.escape(word) for word in words) + r")\b", re.I)


def problems_of_source(name, refused):
    before = ""
    for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
        whole = COMMENT.match(line)
        if whole and not COMMENT.match(before) and FRAGMENT.match(whole.group(1)):
            yield number, f"a comment begins with '{FRAGMENT.match(whole.group(1)).group(1)}': {whole.group(1)}"
        trailing = TRAILING.match(line)
        texts = [] if line.startswith("#include") or whole else TEXT.findall(line)
        for text in [*texts, trailing.group(1) if trailing else ""]:
            if found := refused.search(text):
                yield number, f"'{found.group(1)}': {text.strip()}"
        before = line


def problems_of_test(name, refused):
    """Texts of tests may use such words as names of users and peers."""
    script = not name.endswith((".h", ".cpp"))
    for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
        comment = SCRIPT_COMMENT.match(line) if script else COMMENT.match(line) or TRAILING.match(line)
        if comment and '"' not in comment.group(1) and (found := refused.search(comment.group(1))):
            yield number, f"'{found.group(1)}': {comment.group(1)}"


def problems_of_page(name, refused):
    for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
        if found := refused.search(line):
            yield number, f"'{found.group(1)}': {line.strip()}"


def main():
    refused = refused_words()
    failed = False
    sources = tracked("config/*.h", "config/*.cpp", "control/*.h", "control/*.cpp", "dataplane/*.h", "dataplane/*.cpp")
    pages = [name for name in tracked("*.md") if not name.startswith(("docs/decisions/", "CHANGELOG", STYLE))]
    tests = tracked("tests/*.h", "tests/*.cpp", "tests/*.sh", "bench/*.h", "bench/*.cpp", "scripts/*.sh")
    for names, check in ((sources, problems_of_source), (tests, problems_of_test), (pages, problems_of_page)):
        for name in names:
            for number, text in check(name, refused):
                print(f"{name}:{number}: {text}")
                failed = True
    if not failed:
        print(f"{len(sources)} sources, {len(tests)} tests and {len(pages)} pages keep to {STYLE}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
