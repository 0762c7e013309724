"""flows.py SOCKET KEY: a member of the answer to show.flows."""
import json
import socket
import sys

with socket.socket(socket.AF_UNIX) as control:
    control.connect(sys.argv[1])
    control.sendall(b'{"id":1,"method":"show.flows","params":{"limit":1}}\n')
    answer = b""
    while not answer.endswith(b"\n"):
        answer += control.recv(65536)
print(json.loads(answer)["result"][sys.argv[2]])
