#!/usr/bin/env python3
"""write_slowly.py FILE: writes the lines of standard input to FILE in place, 50 ms apart, and prints the longest
pause between two of them in ms: on a busy machine it may be longer than meant."""
import sys
import time

lines = sys.stdin.readlines()
longest, last = 0.0, time.monotonic()
open(sys.argv[1], "w", encoding="utf-8").close()
for line in lines:
    with open(sys.argv[1], "a", encoding="utf-8") as out:
        out.write(line)
    now = time.monotonic()
    longest, last = max(longest, now - last), now
    time.sleep(0.05)
print(round(1000 * longest))
