"""ftp.py serve: an FTP server of one file, at port 21, which connects back to its client (PORT); as slow as SECONDS says.
ftp.py get ADDRESS: fetches it that way, and prints how many bytes came."""
import ftplib
import socket
import sys
import time

FILE = bytes(range(256)) * 4096
PIECES, SECONDS = 128, 4


def send_file(address):
    with socket.create_connection(address, timeout=5) as data:
        for i in range(PIECES):
            data.sendall(FILE[i * len(FILE) // PIECES:(i + 1) * len(FILE) // PIECES])
            time.sleep(SECONDS / PIECES)


def serve_client(control):
    lines = control.makefile("r", newline="\r\n")

    def say(text):
        control.sendall(text.encode() + b"\r\n")

    say("220 ready")
    where = None
    for line in lines:
        verb, _, argument = line.strip().partition(" ")
        if verb == "PORT":
            numbers = argument.split(",")
            where = (".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5]))
            print("PORT", where[0], flush=True)
            say("200 noted")
        elif verb == "RETR":
            say("150 here it comes")
            send_file(where)
            say("226 done")
        elif verb == "QUIT":
            return say("221 bye")
        else:
            say({"USER": "331 password?", "PASS": "230 welcome", "TYPE": "200 binary"}.get(verb, "502 no"))


def serve():
    with socket.create_server(("0.0.0.0", 21)) as server:
        print("listening", flush=True)
        while True:
            control, _ = server.accept()
            with control:
                serve_client(control)


def get(address):
    received = []
    with ftplib.FTP(address, "any", "any", timeout=10) as session:
        session.set_pasv(False)
        session.retrbinary("RETR file", received.append)
    same = b"".join(received) == FILE
    print(f"{sum(map(len, received))} bytes, {'the same' if same else 'not the same'}")
    sys.exit(not same)


if sys.argv[1] == "serve":
    serve()
get(sys.argv[2])
