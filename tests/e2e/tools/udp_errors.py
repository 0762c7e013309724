"""udp_errors.py ADDRESS PORT: a stream of datagrams to an echo, which tells the first answer and every ICMP error.

A word on the standard input makes it send something else beside: `big` (does not fit into the tunnel, may not be cut),
`ttl` (ends at the first router), `large` (3000 bytes, which the sender cuts into fragments). Ends at end of file.
"""
import errno
import select
import socket
import struct
import sys

IP_MTU_DISCOVER, IP_RECVERR, IP_MTU, DO, DONT = 10, 11, 14, 2, 0
LARGE = bytes(range(250)) * 12

client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.connect((sys.argv[1], int(sys.argv[2])))
client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, DONT)


def tell(*words):
    print(*words, flush=True)


def report_error():
    """What an ICMP error says: which, from whom, and about a datagram to where as we have sent it."""
    _, ancillary, _, about = client.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
    for _, kind, data in ancillary:
        if kind == IP_RECVERR:
            number, origin = struct.unpack_from("=IB", data)
            offender = socket.inet_ntoa(data[20:24]) if origin == 2 else "ourselves"
            name = errno.errorcode.get(number, number)
            mtu = f" mtu {client.getsockopt(socket.IPPROTO_IP, IP_MTU)}" if name == "EMSGSIZE" else ""
            tell(f"{name} from {offender} about {about[0]}:{about[1]}{mtu}")


def send(data, ttl=64):
    client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    try:
        client.send(data)
    except OSError:
        pass  # an error of before: the queue says which


poll = select.poll()
poll.register(client, select.POLLIN | select.POLLERR)
poll.register(sys.stdin, select.POLLIN)
said = False
while True:
    send(b"small")
    for descriptor, events in poll.poll(20):
        if descriptor == sys.stdin.fileno():
            word = sys.stdin.readline().strip()
            if word == "":
                sys.exit()
            elif word == "big":
                client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, DO)  # stays: else the error is not told
                send(bytes(1440))
            elif word == "ttl":
                send(b"small", ttl=1)
            elif word == "large":
                client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, DONT)
                send(LARGE)
        elif events & select.POLLERR:
            report_error()
        else:
            try:
                answer = client.recv(65536)
            except OSError:
                continue
            if answer == LARGE:
                tell("large came back")
            elif not said:
                tell("answered")
                said = True
