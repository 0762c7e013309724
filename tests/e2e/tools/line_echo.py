"""line_echo.py PORT: sends back whatever comes, on any number of connections; prints where they come from."""
import socket
import sys
import threading


def serve(connection):
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


with socket.create_server(("::", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("listening", flush=True)
    while True:
        accepted, address = server.accept()
        print("from", address[0].removeprefix("::ffff:"), flush=True)
        threading.Thread(target=serve, args=(accepted,), daemon=True).start()
