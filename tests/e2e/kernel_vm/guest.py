"""Runs a shell command in the guest: guest.py SOCKET 'command' [SECONDS]. Its output and its exit code are ours."""
import socket, sys, uuid

channel = socket.socket(socket.AF_UNIX)
channel.connect(sys.argv[1])
channel.settimeout(float(sys.argv[3]) if len(sys.argv) > 3 else 30)
mark = uuid.uuid4().hex
channel.sendall(f"{{ {sys.argv[2]}\n}}; echo {mark[:16]}''{mark[16:]}:$?:\n".encode())
heard = b""
while heard.count(b":") < 2 or mark.encode() not in heard or heard.split(mark.encode(), 1)[1].count(b":") < 2:
    piece = channel.recv(65536)
    if not piece:
        sys.exit("the guest is gone")
    heard += piece
output, code = heard.split(mark.encode(), 1)
sys.stdout.write(output.decode(errors="replace").replace("\r", ""))
sys.exit(int(code.split(b":")[1]))
