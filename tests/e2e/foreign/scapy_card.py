#!/usr/bin/env python3
"""scapy is the inner side of an interface: liblinegate by ctypes.

    scapy_card.py INTERFACE IPV4 IPV6     prints "up"; ends when the ring ends, or at a packet that is not sound

It answers pings of both families, echoes UDP port 7, and refuses other UDP and TCP ports."""
import ctypes, select, socket, sys

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6

EMPTY = -14
lg = ctypes.CDLL("liblinegate.so.1")
lg.lg_ring_receive.restype = lg.lg_ring_alloc_send.restype = ctypes.c_void_p
lg.lg_error_name.restype = ctypes.c_char_p


class AllowedIp(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("address", ctypes.c_uint8 * 16), ("family", ctypes.c_uint8),
                ("cidr", ctypes.c_uint8), ("reserved0", ctypes.c_uint16), ("reserved1", ctypes.c_uint32)]


def check(error, what):
    if error == 0: return
    text = ctypes.c_char_p()
    lg.lg_last_error(ctypes.byref(text))
    sys.exit(f"{what}: {lg.lg_error_name(error).decode()}: {text.value.decode()}")


def whole(family, text):
    packed = socket.inet_pton(family, text)
    address = AllowedIp(size=ctypes.sizeof(AllowedIp), family=4 if family == socket.AF_INET else 6, cidr=8 * len(packed))
    address.address[:len(packed)] = packed
    return address


class Ring:
    def __init__(self, name, addresses):
        self.adapter, self.ring = ctypes.c_void_p(), ctypes.c_void_p()
        self.bytes, self.error = ctypes.c_uint32(), ctypes.c_int32()
        own = (AllowedIp * len(addresses))(*addresses)
        check(lg.lg_adapter_open(name.encode(), ctypes.byref(self.adapter)), "open")
        check(lg.lg_ring_open(self.adapter, 0, 0, own, len(own), ctypes.byref(self.ring)), "ring")

    def receive(self):
        """The next packet; it waits for one."""
        while True:
            packet = lg.lg_ring_receive(self.ring, ctypes.byref(self.bytes), ctypes.byref(self.error))
            if packet is not None: break
            if self.error.value != EMPTY: sys.exit("the ring has ended: " + lg.lg_error_name(self.error).decode())
            select.select([lg.lg_ring_wait_fd(self.ring)], [], [])
        copy = ctypes.string_at(packet, self.bytes.value)
        check(lg.lg_ring_release(self.ring, ctypes.c_void_p(packet)), "release")
        return copy

    def send(self, packet):
        place = lg.lg_ring_alloc_send(self.ring, len(packet), None)
        if place is None: return
        ctypes.memmove(place, packet, len(packet))
        check(lg.lg_ring_send(self.ring, ctypes.c_void_p(place)), "send")


def parse(raw):
    return IP(raw) if raw[0] >> 4 == 4 else IPv6(raw)


def is_sound(raw):
    """scapy, given the fields without their checksums and lengths, makes the same packet."""
    packet, layer = parse(raw), parse(raw)
    while layer:
        for name, field in (("chksum", "chksum"), ("cksum", "cksum"), ("len", "len"), ("plen", "plen")):
            if name in layer.fields: packet[type(layer)].delfieldval(field)
        layer = layer.payload
    return bytes(packet) == raw


def answer_to(packet):
    six = packet.version == 6
    back = (IPv6 if six else IP)(src=packet.dst, dst=packet.src)
    if six:
        if ICMPv6EchoRequest not in packet: return None
        asked = packet[ICMPv6EchoRequest]
        return back / ICMPv6EchoReply(id=asked.id, seq=asked.seq, data=asked.data)
    if ICMP in packet and packet[ICMP].type == 8:
        return back / ICMP(type=0, id=packet[ICMP].id, seq=packet[ICMP].seq) / packet[ICMP].payload
    if UDP in packet and packet[UDP].dport == 7: return back / UDP(sport=7, dport=packet[UDP].sport) / packet[UDP].payload
    if UDP in packet: return back / ICMP(type="dest-unreach", code="port-unreachable") / bytes(packet)[:28]
    if TCP in packet and packet[TCP].flags.S:
        return back / TCP(sport=packet[TCP].dport, dport=packet[TCP].sport, flags="RA", ack=(packet[TCP].seq + 1) % 2**32)
    return None


name, ipv4, ipv6 = sys.argv[1:]
ring = Ring(name, [whole(socket.AF_INET, ipv4), whole(socket.AF_INET6, ipv6)])
print("up", flush=True)
while True:
    raw = ring.receive()
    if not is_sound(raw): sys.exit("a packet whose lengths or checksums are wrong: " + raw.hex())
    answer = answer_to(parse(raw))
    if answer is not None: ring.send(bytes(answer))
