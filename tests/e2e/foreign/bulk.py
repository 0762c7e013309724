#!/usr/bin/env python3
"""bulk.py serve ADDRESS PORT | bulk.py ADDRESS PORT MEGABYTES [SECONDS]: what the client sends comes back; both ways it must
be the same bytes. The client prints MB/s of both ways together; with SECONDS it takes at least as long."""
import hashlib, os, socket, sys, threading, time

CHUNK = 1 << 20
if sys.argv[1] == "serve":
    with socket.create_server((sys.argv[2], int(sys.argv[3]))) as server:
        print("up", flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                while data := connection.recv(CHUNK): connection.sendall(data)
block = os.urandom(CHUNK)
count = int(sys.argv[3])
pause = float(sys.argv[4]) / count if len(sys.argv) > 4 else 0
began = time.monotonic()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30) as connection:
    def send():
        for _ in range(count):
            connection.sendall(block)
            time.sleep(pause)
        connection.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send)
    sender.start()
    got = hashlib.sha256()
    while data := connection.recv(CHUNK): got.update(data)
    sender.join()
wanted = hashlib.sha256()
for _ in range(count): wanted.update(block)
if got.digest() != wanted.digest(): sys.exit("what came back is not what was sent")
print(round(2 * count / (time.monotonic() - began)))
