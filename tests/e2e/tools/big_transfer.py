"""big_transfer.py serve PORT: takes one connection to its end; prints how many bytes came, their checksum (CRC-32), and who
sent them.
big_transfer.py send ADDRESS PORT BYTES: sends so many, no block of which is the same as another; prints the same."""
import os
import socket
import sys
import time
import zlib

BLOCK = 1 << 20


def serve(port):
    buffer, count, checksum = bytearray(BLOCK), 0, 0
    with socket.create_server(("0.0.0.0", port)) as server:
        print("listening", flush=True)
        connection, address = server.accept()
    with connection:
        while (got := connection.recv_into(buffer)) != 0:
            checksum = zlib.crc32(memoryview(buffer)[:got], checksum)
            count += got
    print(f"{count} bytes {checksum:08x} from {address[0]}", flush=True)


def send(address, port, size):
    block, checksum, started = bytearray(os.urandom(BLOCK)), 0, time.monotonic()
    with socket.create_connection((address, port), timeout=20) as connection:
        for at in range(0, size, BLOCK):
            block[:8] = at.to_bytes(8, "big")
            piece = memoryview(block)[:min(BLOCK, size - at)]
            connection.sendall(piece)
            checksum = zlib.crc32(piece, checksum)
    print(f"{size} bytes {checksum:08x} in {time.monotonic() - started:.1f} s", flush=True)


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
else:
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
