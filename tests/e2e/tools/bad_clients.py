"""Clients that hang, lie, send half a request, a byte now and then, or 100 MB; others must be served meanwhile.

bad_clients.py CONTROL_SOCKET READ_SOCKET WG_SOCKET PID: exits with a sentence when the gateway minds.
"""
import json
import socket
import subprocess
import sys
import threading
import time

control, read, wg, pid = sys.argv[1:]


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    return s


def resident_mb():
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    raise SystemExit("the gateway is gone")


def ask(path, request):
    with connect(path) as s:
        s.sendall(request)
        return s.makefile("rb").readline()


def served(what):
    begin = time.monotonic()
    answer = json.loads(ask(read, b'{"id":1,"method":"show.gateway"}\n'))
    assert answer["result"]["interfaces"] == ["wg0"], f"{what}: {answer}"
    took = time.monotonic() - begin
    assert took < 5, f"{what}: others waited {took:.1f} s"


def fwmark():
    return subprocess.run(["wg", "show", "wg0", "fwmark"], check=True, capture_output=True).stdout.strip()


def send_much(path, head, block):
    """100 MB, or as much as is taken. Returns how many."""
    sent = 0
    with connect(path) as s:
        try:
            s.sendall(head)
            while sent < 100_000_000:
                s.sendall(block)
                sent += len(block)
        except (BrokenPipeError, ConnectionResetError):
            pass
    return sent


before = resident_mb()

# 100 MB that are one request without an end.
peer = b"public_key=" + b"1" * 64 + b"\n"
for what, path, head, block in (
    ("one line to control.sock", control, b'{"id":"', b"x" * 1_000_000),
    ("one line to read.sock", read, b'{"id":"', b"x" * 1_000_000),
    ("blank lines", control, b"", b"\n" * 1_000_000),
    ("one line to wg", wg, b"set=1\n", b"x" * 1_000_000),
    ("a set to wg", wg, b"set=1\n" + peer, b"allowed_ip=10.0.0.0/8\n" * 45_000),
):
    sent = send_much(path, head, block)
    served(what)
    print(f"{what}: {sent // 1_000_000} MB taken")

# Many at once, each in the middle of something.
crowd = []
for path, half in ((control, b'{"id":1,'), (read, b'{"id":1,'), (wg, b"set=1\nfwmark=99\n")):
    for _ in range(40):
        try:
            s = connect(path)
            s.sendall(half)
            crowd.append(s)
        except OSError:
            pass
for s in crowd:
    s.close()
time.sleep(0.3)
served("after a crowd")
assert fwmark() == b"off", f"half a set was applied: fwmark {fwmark()}"

# A byte now and then, while others are served.
stop = threading.Event()


def trickle(path, text):
    try:
        with connect(path) as s:
            for byte in text * 1000:
                if stop.wait(0.2):
                    return
                s.sendall(bytes([byte]))
    except OSError:
        pass


threads = [threading.Thread(target=trickle, args=(path, b"fwmark=99 ")) for path in (control, read, wg) for _ in range(3)]
for t in threads:
    t.start()
for _ in range(10):
    served("beside clients that trickle")
    time.sleep(0.1)
stop.set()
for t in threads:
    t.join()

# Lies.
for request in (b"\x00\xff\xfe\n", b"[" * 100_000 + b"\n", b'{"id":1,"method":"show.peers","params":{"limit":"all"}}\n',
                b'{"id":1,"method":"interface.down","params":{"name":["wg0"]}}\n'):
    answer = json.loads(ask(control, request))
    assert "error" in answer, f"{request[:40]}: {answer}"
served("after lies")

# Gone before the answer.
for _ in range(50):
    with connect(control) as s:
        s.sendall(b'{"id":1,"method":"show.peers"}\n{"id":2,"method":"diff"}\n')
    with connect(wg) as s:
        s.sendall(b"get=1\n\n" * 20)
served("after deserters")
grown = resident_mb() - before
assert grown < 64, f"the gateway grew by {grown} MB"
assert fwmark() == b"off"
print(f"grown by {grown} MB")
