#!/usr/bin/env python3
"""What a command prints on a terminal, as a picture: `terminal.py FILE.svg COLUMNS COMMAND...`

`terminal.py --widest COLUMNS COMMAND...` prints the widest line instead, and fails when it has more cells than that.
The command runs on a terminal of that width, so that it has colours and fits its tables to it.
"""
import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata

CELL, LINE, EDGE = 8.4, 18, 16
INK = {"": "#d8dee9", "31": "#f28b82", "32": "#81c995", "33": "#fdd663"}
SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def printed(columns, command):
    """The text, and the exit code."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment["TERM"] = "xterm"
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the last writer has closed its end
            break
        if not part:
            break
        text += part
    return text.decode(errors="replace").replace("\r", ""), process.wait()


def cells(text):
    """How many cells a text takes: wide characters two, marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def runs(line):
    """(text, colour, bold) of a line with colours"""
    colour, bold, at = "", False, 0
    for found in SEQUENCE.finditer(line):
        if found.start() > at:
            yield line[at : found.start()], colour, bold
        at = found.end()
        if found[2] != "m":
            continue
        for word in found[1].split(";"):
            if word in ("", "0"):
                colour, bold = "", False
            elif word == "1":
                bold = True
            elif word in INK:
                colour = word
    if at < len(line):
        yield line[at:], colour, bold


def drawn(text, columns, prompt):
    lines = [f"$ {prompt}"] + text.rstrip("\n").split("\n")
    width, height = columns * CELL + 2 * EDGE, len(lines) * LINE + 2 * EDGE
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
        ' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">',
        f'<rect width="{width:g}" height="{height:g}" rx="6" fill="#20262e"/>',
    ]
    for number, line in enumerate(lines):
        column = 0
        for part, colour, bold in runs(line):
            span = cells(part)
            if part.strip():
                weight = ' font-weight="bold"' if bold else ""
                out.append(
                    f'<text x="{EDGE + column * CELL:g}" y="{EDGE + (number + 0.8) * LINE:g}" fill="{INK[colour]}"'
                    f' textLength="{span * CELL:g}" xml:space="preserve"{weight}>{html.escape(part)}</text>'
                )
            column += span
    return "\n".join(out) + "\n</svg>\n"


def main():
    target, columns, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    text, code = printed(columns, command)
    if target == "--widest":
        lines = [SEQUENCE.sub("", line) for line in text.split("\n")]
        widest = max(lines, key=cells)
        print(f"{cells(widest)} cells: {widest}")
        assert text.strip(), "it prints nothing"
        assert code in (0, 4), f"exit code {code}: {text}"
        assert cells(widest) <= columns, "too wide"
        return
    assert code == 0, f"{command}: exit code {code}: {text}"
    words = [os.path.basename(command[0])] + command[1:]
    if "--socket" in words:
        at = words.index("--socket")
        del words[at : at + 2]
    with open(target, "w", encoding="utf-8") as file:
        file.write(drawn(text, columns, " ".join(words)))


main()
