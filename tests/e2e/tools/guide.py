#!/usr/bin/env python3
"""The blocks of a page of docs/guides, in order: `guide.py PAGE DIRECTORY` writes each as DIRECTORY/NN.PLACE and prints
the names. A block of kind `sh PLACE` is a script that the machine PLACE runs, one of kind `KIND /PATH` a file of the
gateway."""
import pathlib
import re
import sys

page, directory = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
directory.mkdir(parents=True, exist_ok=True)
for number, (kind, where, text) in enumerate(re.findall(r"^```(\w+) (\S+)\n(.*?)^```$", page.read_text(), re.M | re.S)):
    place = where
    if where.startswith("/"):
        place, text = "gateway", f"install -m 0600 /dev/stdin {where} <<'THE_END'\n{text}THE_END\n"
    elif kind != "sh":
        sys.exit(f"{page}: a block of kind {kind} names {where}, which is no file")
    name = f"{number:02}.{place}"
    (directory / name).write_text(text)
    print(name)
