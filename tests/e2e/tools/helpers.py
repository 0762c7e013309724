"""Both ends of protocols whose data connections Linux's helpers find; each takes four seconds or more.
helpers.py serve tftp|irc|sip: prints `listening`, and what address the client gave (as the server sees it).
helpers.py get tftp|irc|sip ADDRESS OWN_ADDRESS: fetches, and prints how much came."""
import re
import socket
import struct
import sys
import time

FILE = bytes(range(256)) * 800
SECONDS, PORTS = 4, {"tftp": 69, "irc": 6667, "sip": 5060}


def datagram_socket(address=("0.0.0.0", 0)):
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.bind(address)
    out.settimeout(3)
    return out


# TFTP (RFC 1350): the answer comes from another port.
def serve_tftp():
    blocks = [FILE[i:i + 512] for i in range(0, len(FILE) + 1, 512)]
    with datagram_socket(("0.0.0.0", PORTS["tftp"])) as door:
        print("listening", flush=True)
        door.settimeout(None)
        request, client = door.recvfrom(2048)
        print("from", client[0], request[:2].hex(), flush=True)
    with datagram_socket() as data:
        for number, block in enumerate(blocks, 1):
            for _ in range(5):
                data.sendto(struct.pack("!HH", 3, number) + block, client)
                try:
                    if data.recv(2048) == struct.pack("!HH", 4, number):
                        break
                except TimeoutError:
                    pass
            time.sleep(SECONDS / len(blocks))


def get_tftp(address, _own):
    received = b""
    with datagram_socket() as client:
        client.sendto(struct.pack("!H", 1) + b"file\0octet\0", (address, PORTS["tftp"]))
        number, block = 0, bytes(512)
        while len(block) == 512:
            packet, server = client.recvfrom(2048)
            if struct.unpack("!HH", packet[:4]) == (3, number + 1):
                number, block = number + 1, packet[4:]
                received += block
            client.sendto(struct.pack("!HH", 4, number), server)
    return received


# IRC: "DCC SEND" names the sender's address and port, to which the other side connects.
def serve_irc():
    with socket.create_server(("0.0.0.0", PORTS["irc"])) as server:
        print("listening", flush=True)
        control, _ = server.accept()
    with control:
        offer = re.search(rb"DCC SEND \S+ (\d+) (\d+)", control.makefile("rb").readline())
        where = (socket.inet_ntoa(struct.pack("!I", int(offer[1]))), int(offer[2]))
        print("offer", where[0], flush=True)
        with socket.create_connection(where, timeout=5) as data:
            for i in range(128):
                data.sendall(FILE[i * len(FILE) // 128:(i + 1) * len(FILE) // 128])
                time.sleep(SECONDS / 128)
        control.sendall(b"done\r\n")


def get_irc(address, own):
    with socket.create_server((own, 0)) as door, socket.create_connection((address, PORTS["irc"]), timeout=5) as control:
        door.settimeout(5)
        number = struct.unpack("!I", socket.inet_aton(own))[0]
        control.sendall(b"PRIVMSG bob :\1DCC SEND file %d %d %d\1\r\n" % (number, door.getsockname()[1], len(FILE)))
        data, _ = door.accept()
        with data:
            received = b"".join(iter(lambda: data.recv(65536), b""))
        control.makefile("rb").readline()
    return received


# SIP: the description of a session in an invitation names where its media go.
def invitation(own, media):
    body = f"v=0\r\no=a 1 1 IN IP4 {own}\r\ns=-\r\nc=IN IP4 {own}\r\nt=0 0\r\nm=audio {media} RTP/AVP 0\r\n"
    return (f"INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP {own}:5060;branch=z9hG4bK1\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:alice@{own}>;tag=1\r\nTo: <sip:bob@example.org>\r\nCall-ID: 1@{own}\r\n"
            f"CSeq: 1 INVITE\r\nContact: <sip:alice@{own}:5060>\r\nContent-Type: application/sdp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def serve_sip():
    with datagram_socket(("0.0.0.0", PORTS["sip"])) as door, datagram_socket() as media:
        print("listening", flush=True)
        door.settimeout(None)
        text = door.recv(4096).decode()
        where = (re.search(r"c=IN IP4 (\S+)", text)[1], int(re.search(r"m=audio (\d+)", text)[1]))
        print("media", where[0], flush=True)
        for i in range(0, len(FILE), 512):
            media.sendto(FILE[i:i + 512], where)
            media.recv(2048)
            time.sleep(SECONDS * 512 / len(FILE))
        media.sendto(b"", where)


def get_sip(address, own):
    received = b""
    with datagram_socket((own, 5060)) as signal, datagram_socket((own, 0)) as media:
        signal.sendto(invitation(own, media.getsockname()[1]), (address, PORTS["sip"]))
        while True:
            packet, sender = media.recvfrom(2048)
            if not packet:
                return received
            received += packet
            media.sendto(b"heard", sender)


what = sys.argv[2]
if sys.argv[1] == "serve":
    {"tftp": serve_tftp, "irc": serve_irc, "sip": serve_sip}[what]()
else:
    got = {"tftp": get_tftp, "irc": get_irc, "sip": get_sip}[what](*sys.argv[3:5])
    print(f"{len(got)} of {len(FILE)} bytes, {'the same' if got == FILE else 'not the same'}")
    sys.exit(got != FILE)
