#!/usr/bin/env python3
"""hostile_ring.py attack: a routed program at app0 (10.99.0.7, which says that every address is its own) sends one packet
of each kind that goes nowhere; prints what came back to it, by kind: "nothing", or type and code of ICMP.
hostile_ring.py passes: those that must pass: an echo request in fragments, one to itself.
hostile_ring.py loop: it and a second program at app1 send back to each other whatever they get; prints how often.
hostile_ring.py random SECONDS: whole packets with random fields, as many as fit.
hostile_ring.py sniff DEVICE: prints the kinds that arrive there, until it is terminated."""
import ctypes, random, select, signal, socket, struct, sys, time

lg = ctypes.CDLL("liblinegate.so.1") if sys.argv[1] != "sniff" else None
ROUTED, BUSY = 2, -8  # LG_RING_ROUTED, LG_BUSY
MARK = b"kind:"
HOST, LAN_HOST, PEER = "10.99.0.7", "192.168.1.2", "10.10.0.2"


class Prefix(ctypes.Structure):  # lg_allowed_ip
    _fields_ = [("size", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("address", ctypes.c_uint8 * 16),
                ("family", ctypes.c_uint8), ("cidr", ctypes.c_uint8), ("reserved0", ctypes.c_uint16),
                ("reserved1", ctypes.c_uint32)]


class Ring:
    def __init__(self, name):
        lg.lg_ring_receive.restype = lg.lg_ring_alloc_send.restype = ctypes.c_void_p
        adapter, self.ring = ctypes.c_void_p(), ctypes.c_void_p()
        everything = (Prefix * 2)(Prefix(size=ctypes.sizeof(Prefix), family=4), Prefix(size=ctypes.sizeof(Prefix), family=6))
        error = lg.lg_adapter_open(name.encode(), ctypes.byref(adapter))
        for _ in range(20):  # the program before may just have gone
            if error == 0: error = lg.lg_ring_open(adapter, 0, ROUTED, everything, 2, ctypes.byref(self.ring))
            if error != BUSY: break
            error = 0
            time.sleep(0.1)
        if error != 0: sys.exit(f"{name}: error {error}")

    def send(self, packet):
        place = lg.lg_ring_alloc_send(self.ring, len(packet), None)
        if not place: return False
        ctypes.memmove(place, packet, len(packet))
        return lg.lg_ring_send(self.ring, ctypes.c_void_p(place)) == 0

    def receive(self, seconds):
        """A packet, or None when none comes for that long."""
        end, size = time.monotonic() + seconds, ctypes.c_uint32()
        while True:
            got = lg.lg_ring_receive(self.ring, ctypes.byref(size), None)
            if got:
                data = ctypes.string_at(got, size.value)
                lg.lg_ring_release(self.ring, ctypes.c_void_p(got))
                return data
            if time.monotonic() >= end: return None
            select.select([lg.lg_ring_wait_fd(self.ring)], [], [], 0.05)


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def ip4(source, destination, payload, ttl=64, fragment=0, protocol=17, options=b"", number=77):
    header = struct.pack(">BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), number, fragment, ttl,
                         protocol, 0, socket.inet_aton(source), socket.inet_aton(destination)) + options
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + payload


def ip6(source, destination, payload, ttl=64, protocol=17):
    pack = lambda text: socket.inet_pton(socket.AF_INET6, text)
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, ttl) + pack(source) + pack(destination) + payload


def datagram(kind, size=0):
    data = MARK + kind.encode() + b";" + bytes(size)
    data += bytes(len(data) % 2)
    return struct.pack(">HHHH", 4000, 4001, 8 + len(data), 0) + data


def kinds():
    """Name, packet; the begin of the name says which counter has it."""
    for source in ("10.99.0.1", "192.168.1.1", "10.20.0.1", "127.0.0.1", "224.0.0.1", "255.255.255.255"):
        yield f"martian-from-{source}", ip4(source, LAN_HOST, datagram(f"martian-from-{source}"))
    for source in ("fd00::1", "::1", "ff02::1", "::ffff:192.0.2.1"):
        yield f"martian-from-{source}", ip6(source, "fd01::2", datagram(f"martian-from-{source}"))
    for source in ("0.0.0.0",):  # 0.1.2.3 Linux forwards
        yield f"linux-from-{source}", ip4(source, LAN_HOST, datagram(f"linux-from-{source}"))
    for source in ("::", "fe80::7"):
        yield f"linux-from-{source}", ip6(source, "fd01::2", datagram(f"linux-from-{source}"))
    for destination in ("224.0.0.1", "239.1.2.3", "255.255.255.255", "192.168.1.255", "192.168.1.0", "127.0.0.1", "0.0.0.0",
                        "240.0.0.1", "10.99.0.255"):
        yield f"linux-to-{destination}", ip4(HOST, destination, datagram(f"linux-to-{destination}"))
    for destination in ("ff02::1", "ff0e::1", "::1", "::", "fe80::1"):
        yield f"linux-to-{destination}", ip6("fd99::7", destination, datagram(f"linux-to-{destination}"))
    yield "ttl-1", ip4(HOST, LAN_HOST, datagram("ttl-1"), ttl=1)
    yield "ttl-0", ip4(HOST, LAN_HOST, datagram("ttl-0"), ttl=0)
    yield "ttl-1-peer", ip4(HOST, PEER, datagram("ttl-1-peer"), ttl=1)
    yield "large-port", ip4(HOST, LAN_HOST, datagram("large-port", 1700), fragment=0x4000)
    yield "large-peer", ip4(HOST, PEER, datagram("large-peer", 1700), fragment=0x4000)
    # Through a router of the program's choice.
    route = b"\x83\x07\x04" + socket.inet_aton(PEER) + b"\x00"
    yield "linux-source-route", ip4(HOST, LAN_HOST, datagram("linux-source-route"), options=route)
    good = ip4(HOST, LAN_HOST, datagram("bad"))
    yield "bad-checksum", good[:10] + bytes([good[10] ^ 1]) + good[11:]
    yield "bad-version", b"\x55" + good[1:]
    yield "bad-header", b"\x44" + good[1:]
    yield "bad-header-outside", b"\x4f" + good[1:28]
    yield "bad-length", good + b"x"
    yield "bad-length-6", ip6("fd99::7", "fd01::2", datagram("bad")) + b"x"


def kind_of(data):
    at = data.find(MARK)
    return data[at + len(MARK):data.find(b";", at)].decode() if at >= 0 else ""


def said(answer):
    """What came back, in words: an error by type, code and source, or the packet itself."""
    if answer[0] >> 4 == 6:
        return f"{answer[40]}/{answer[41]} from {socket.inet_ntop(socket.AF_INET6, answer[8:24])}" if answer[6] == 58 else "itself"
    return f"{answer[20]}/{answer[21]} from {socket.inet_ntoa(answer[12:16])}" if answer[9] == 1 else "itself"


def attack():
    """Linux answers late when it asks for a neighbour first, so an answer counts for the kind that it quotes."""
    ring, answers = Ring("app0"), {}
    def listen(seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            answer = ring.receive(left)
            if answer and kind_of(answer): answers.setdefault(kind_of(answer), said(answer))
    for name, packet in kinds():
        if not ring.send(packet): sys.exit(f"no room for {name}")
        listen(0.25)
    listen(4)
    for name, _ in kinds(): print(name, answers.get(name, "nothing"))


def passes():
    ring = Ring("app0")
    echo = struct.pack(">BBHHH", 8, 0, 0, 5, 1) + bytes(range(64))
    echo = echo[:2] + struct.pack(">H", checksum(echo)) + echo[4:]
    ring.send(ip4(HOST, LAN_HOST, echo[:32], protocol=1, fragment=0x2000))
    ring.send(ip4(HOST, LAN_HOST, echo[32:], protocol=1, fragment=4))
    answer = ring.receive(2)
    while answer and not (answer[9] == 1 and answer[20] == 0): answer = ring.receive(1)
    print("fragments", "answered" if answer and answer[28:] == echo[8:] else "lost")
    ring.send(ip4(HOST, HOST, datagram("self")))
    answer = ring.receive(2)
    while answer and kind_of(answer) != "self": answer = ring.receive(1)
    print("self", f"ttl {answer[8]}" if answer else "lost")


def turned(packet, to):
    return packet[:10] + bytes(2) + packet[12:16] + socket.inet_aton(to) + packet[20:]


def loop():
    """As a router that does not lower the TTL: each sends what it gets to the other, errors too."""
    rings = [Ring("app0"), Ring("app1")]
    to = ["10.98.0.7", HOST]
    rings[0].send(ip4(HOST, to[0], datagram("loop"), ttl=255))
    ways, idle = 0, 0
    while idle < 10 and ways < 2000:
        idle += 1
        for i in (0, 1):
            packet = rings[i].receive(0.1)
            if packet is None or packet[0] != 0x45: continue
            packet = turned(packet, to[i])
            rings[i].send(packet[:10] + struct.pack(">H", checksum(packet[:20])) + packet[12:])
            ways, idle = ways + 1, 0
    print(ways)


def random_packet(chance):
    targets = (LAN_HOST, PEER, HOST, "10.98.0.7", "192.168.1.1", "192.168.1.77", "8.8.8.8", "224.0.0.5", "10.99.0.1")
    source = chance.choice((HOST, "10.99.0.8", socket.inet_ntoa(chance.randbytes(4))))
    payload = chance.randbytes(chance.choice((0, 1, 7, 8, 20, 60, 400, 1380, 1480, 1900)))
    if chance.random() < 0.2:
        six = lambda: chance.choice(("fd99::7", "fd01::2", "fd00::1", "fd00::2", "ff02::1", "fe80::1", "::"))
        return ip6(six(), six(), payload, chance.randrange(256), chance.choice((0, 6, 17, 43, 44, 58, 59, 60, 255)))
    options = chance.randbytes(4 * chance.choice((0, 0, 0, 1, 3, 10)))
    return ip4(source, chance.choice(targets), payload, chance.choice((0, 1, 2, 64, 255)),
               chance.choice((0, 0, 0x4000, 0x2000, 0x8000, chance.randrange(65536))), chance.choice((1, 4, 6, 17, 41, 47, 255)),
               options, chance.randrange(65536))


def at_random(seconds):
    ring, chance, sent, end = Ring("app0"), random.Random(7), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        sent += ring.send(random_packet(chance))
        if sent % 16 == 0:
            while ring.receive(0): pass
    print(sent)


def sniff(device):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    wire.bind((device, 0))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("up", flush=True)
    while True:
        data, about = wire.recvfrom(65536)
        # Not what this side sends, nor what an error quotes.
        if about[2] == socket.PACKET_OUTGOING or MARK not in data or data[9:10] == b"\x01": continue
        print(kind_of(data), flush=True)


{"attack": attack, "passes": passes, "loop": loop, "random": lambda: at_random(float(sys.argv[2])),
 "sniff": lambda: sniff(sys.argv[2])}[sys.argv[1]]()
