"""Floods a WireGuard port with junk: flood.py ADDRESS PORT SECONDS [PACKETS_PER_SECOND]. Prints how many were sent.

Random bytes of random lengths; all message types with wrong lengths; well-formed sizes with garbage inside.
"""
import os, random, socket, struct, sys, time

target, seconds = (sys.argv[1], int(sys.argv[2])), float(sys.argv[3])
rate = float(sys.argv[4]) if len(sys.argv) > 4 else 5000
s = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET, socket.SOCK_DGRAM)
makers = [
    lambda: os.urandom(random.randrange(0, 1400)),
    lambda: struct.pack("<I", 1) + os.urandom(144),
    lambda: struct.pack("<I", 2) + os.urandom(88),
    lambda: struct.pack("<I", 3) + os.urandom(60),
    lambda: struct.pack("<I", 4) + os.urandom(random.choice([27, 28, 60, 124, 1300])),
    lambda: struct.pack("<I", random.randrange(5)) + os.urandom(random.randrange(0, 200)),
    lambda: b"",
]
start, sent = time.monotonic(), 0
while (now := time.monotonic()) - start < seconds:
    if sent > (now - start) * rate:
        time.sleep(0.001)
        continue
    try:
        s.sendto(random.choice(makers)(), target)
    except OSError:
        pass
    sent += 1
print(sent)
