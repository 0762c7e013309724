"""Random packets from hosts and peers to what a network's lines have touched."""
import ipaddress
import struct

import packets
from gateway import PEERS, WIRES, host_mac
from networks import family_of



def range4(prefix, numbers):
    return [f"{prefix}.{n}" for n in numbers]


# Many hosts: Linux answers each source once a second only, after five answers (route/error_cost).
EVEN, MANY = range(2, 40, 2), range(2, 200)
HOSTS4 = {"wan": range4("10.20.0", EVEN), "lan": range4("192.168.1", EVEN), "dmz": range4("192.168.2", EVEN),
          "ext": range4("192.168.3", EVEN), "a": ["10.10.0.2"] + range4("172.16.1", MANY) + range4("172.16.9", MANY),
          "b": ["10.10.0.3"] + range4("172.17.1", MANY),
          "c": ["10.11.0.2", "8.8.8.8"] + range4("198.51.100", MANY) + range4("100.64.1", MANY)}
HOSTS6 = {"wan": ["fd20::2"], "lan": ["fd01::2", "fd01::4"], "dmz": ["fd02::2"], "ext": ["fd03::2"],
          "a": ["fd00::2", "fd10:1::2"], "b": ["fd00::3", "fd11::2"], "c": ["fd09::2", "2001:db8:2::2"]}
ODD4 = ["0.0.0.0", "127.0.0.1", "224.0.0.5", "239.1.1.1", "240.0.0.1", "255.255.255.255", "169.254.1.2", "192.168.1.255",
        "192.168.1.0", "192.168.1.1", "10.20.0.1", "10.10.0.1", "10.10.0.255", "192.168.2.1", "203.0.113.77"]
# Sources that Linux may refuse by the type of their route are a rule of README.md.
ODD_SOURCES4 = [a for a in ODD4 if a == "255.255.255.255" or not (a.endswith(".255") or a.startswith("203.0.113."))]
ODD6 = ["::", "::1", "ff02::5", "ff05::1", "fe80::2", "fe80::1", "::ffff:1.2.3.4", "fd01::1", "fd00::1", "fec0::1", "fd01::"]
FIRST_PORT, SECOND_PORT = 1000, 2000


class Probes:
    def __init__(self, random, generator):
        self.random, self.generator = random, generator
        self.number = 0
        self.joined = set()  # numbers of packets that may reach Linux joined to one

    def chance(self, share):
        return self.random.random() < share

    def pick(self, *values):
        return self.random.choice(values)

    def some(self, count):
        """(where, bytes) each. Some come as runs of one flow, which workers join for Linux."""
        out = []
        while len(out) < count:
            out += self.flow() if self.chance(0.1) else [self.one()]
        return out

    # ---- addresses

    def source(self, where, family):
        own = (HOSTS4 if family == 4 else HOSTS6)[where]
        if self.chance(0.85):
            return self.random.choice(own)
        if self.chance(0.4):
            return self.random.choice(ODD_SOURCES4 if family == 4 else ODD6)
        everywhere = (HOSTS4 if family == 4 else HOSTS6)
        return self.random.choice(everywhere[self.random.choice(list(everywhere))])

    def destination(self, family):
        roll = self.random.random()
        hosts = HOSTS4 if family == 4 else HOSTS6
        touched = [p for p in self.generator.touched[-8:] if family_of(p) == family]
        if touched and roll < 0.5:
            network = ipaddress.ip_network(self.random.choice(touched))
            offsets = [o for o in (0, 1, 2, 5, 6, 129, 258, 262) if o < network.num_addresses]
            address = str(network[self.random.choice(offsets)])
            if not address.startswith("0."):
                return address
        if roll < 0.9:
            return self.random.choice(hosts[self.random.choice(list(hosts))])
        if roll < 0.95 and self.generator.dead:
            return self.pick("203.0.113.9", "192.168.1.9") if family == 4 else self.pick("2001:db8:1::11", "fd01::11")
        if roll < 0.95:
            return self.pick("203.0.113.6", "172.16.1.6", "198.51.100.8", "8.8.4.4") if family == 4 else (
                self.pick("2001:db8:1::6", "fd10:1::6", "2001:db8:9::1"))
        return self.random.choice(ODD4 if family == 4 else ODD6)

    # ---- packets

    def payload(self, size):
        self.number += 1
        mark = packets.MAGIC + struct.pack(">I", self.number)
        return mark + bytes((self.number + i) & 0xFF for i in range(max(0, size - len(mark))))

    def segment(self, family, source, destination, size, kind=None):
        """The protocol and the payload of an IP packet of `size` bytes."""
        kind = kind or self.pick("udp", "udp", "udp", "tcp", "echo", "error", "other")
        head = 20 if family == 4 else 40
        payload = self.payload(size - head - (20 if kind == "tcp" else 8))
        sport, dport = FIRST_PORT + self.random.randrange(4), SECOND_PORT + self.random.randrange(2)
        if kind == "udp":
            return packets.UDP, packets.udp(source, destination, sport, dport, payload)
        if kind == "tcp":
            return packets.TCP, packets.tcp(source, destination, sport, dport, payload, self.pick(0x10, 0x02, 0x18))
        if kind == "other":
            return self.pick(47, 50, 132), payload
        if family == 4:
            what = (8, 0) if kind == "echo" else self.pick((3, 1), (11, 0), (3, 3))
            body = payload if kind == "echo" else packets.ipv4(destination, source, packets.UDP, bytes(8) + payload)
            return packets.ICMP4, packets.icmp4(*what, 0, body)
        what = (128, 0) if kind == "echo" else self.pick((1, 0), (3, 0))
        body = payload if kind == "echo" else packets.ipv6(destination, source, packets.UDP, bytes(8) + payload)
        return packets.ICMP6, packets.icmp6(source, destination, *what, 0, body)

    def size(self):
        return self.pick(60, 60, 84, 100, 576, 1000, 1280, 1281, 1300, 1301, 1400, 1401, 1420, 1421, 1472, 1500)

    def packet(self, where, family):
        source, destination = self.source(where, family), self.destination(family)
        protocol, payload = self.segment(family, source, destination, self.size())
        ttl = self.pick(64, 64, 64, 64, 64, 64, 64, 2, 1, 0, 255)
        tos = self.pick(0, 0, 0, 0, 0x10, 0x08, 0x04, 0xB8)
        if family == 6:
            packet = packets.ipv6(source, destination, protocol, payload, ttl, tos, self.pick(0, 0x12345))
            if self.chance(0.03):  # destination options with padding
                packet = packets.ipv6(source, destination, 60, bytes([protocol, 0, 1, 4, 0, 0, 0, 0]) + payload, ttl, tos)
            return packet
        flags = self.pick(0x4000, 0x4000, 0)
        options = b""
        if self.chance(0.03):
            options = self.pick(b"\1\1\1\0", b"\x94\4\0\0", bytes([7, 7, 4, 0, 0, 0, 0, 0]))
        if self.chance(0.03):
            flags = self.pick(0x2000, 0x0002)
        packet = packets.ipv4(source, destination, protocol, payload, ttl, tos, self.random.randrange(65536), flags, options)
        if self.chance(0.02):
            packet = packet[:10] + b"\x12\x34" + packet[12:]
        return packet

    def frame(self, wire, packet):
        to = bytes.fromhex(self.generator.port_mac[wire].replace(":", ""))
        if self.chance(0.05):
            to = self.random.choice([b"\xff" * 6, bytes([1, 0, 0x5E, 0, 0, 5]), bytes([2, 0, 0, 0, 0, 0x99]),
                                     bytes([2, 0, 0, 0, 0, 0x77]), bytes([2, 0, 0, 0, 0, 0x55])])
        kind = packets.ETH_IPV4 if packet[0] >> 4 == 4 else packets.ETH_IPV6
        tag = b""
        if self.chance(0.03):
            tag = b"\x81\0" + struct.pack(">H", self.pick(0, 0x6000, 5))
        source = host_mac(wire, "0.0.0.2")
        frame = to + source + tag + struct.pack(">H", kind) + packet
        return frame + bytes(max(0, 60 - len(frame)))

    def one(self):
        where = self.random.choice(WIRES[1:] + WIRES[1:] + ("wan",) + tuple(PEERS) * 2)
        packet = self.packet(where, self.pick(4, 4, 6))
        return where, self.frame(where, packet) if where in WIRES else packet

    def flow(self):
        """Packets of one flow and one size behind each other."""
        where = self.random.choice(WIRES[1:] + tuple(PEERS))
        family, kind = self.pick(4, 4, 6), self.pick("udp", "tcp")
        source, destination = self.random.choice((HOSTS4 if family == 4 else HOSTS6)[where]), self.destination(family)
        size, ident = self.pick(100, 600, 1280, 1420), self.random.randrange(60000)
        out = []
        for i in range(self.pick(2, 3, 5)):
            payload = self.payload(size - (20 if family == 4 else 40) - (20 if kind == "tcp" else 8))
            self.joined.add(self.number)
            if kind == "udp":
                segment = packets.udp(source, destination, 1000, 2000, payload)
            else:
                segment = packets.tcp(source, destination, 1000, 2000, payload, sequence=1 + i * len(payload))
            if family == 4:
                packet = packets.ipv4(source, destination, packets.UDP if kind == "udp" else packets.TCP, segment,
                                      ident=ident + i, flags=0x4000)
            else:
                packet = packets.ipv6(source, destination, packets.UDP if kind == "udp" else packets.TCP, segment)
            out.append((where, self.frame(where, packet) if where in WIRES else packet))
        return out
