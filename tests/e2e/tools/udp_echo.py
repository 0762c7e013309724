"""udp_echo.py PORT: sends every datagram back."""
import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", int(sys.argv[1])))
    print("listening", flush=True)
    while True:
        data, address = server.recvfrom(65536)
        server.sendto(data, address)
