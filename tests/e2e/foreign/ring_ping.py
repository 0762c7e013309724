#!/usr/bin/env python3
"""ring_ping.py INTERFACE SOURCE DESTINATION [COUNT [TTL]]: pings through a ring, as a routed program with the address
SOURCE; prints how many answers came, and the source of each other ICMP message. SPOOF: the source of its packets."""
import ctypes, os, select, socket, struct, sys, time

ROUTED, BUSY = 2, -8  # LG_RING_ROUTED, LG_BUSY


class Prefix(ctypes.Structure):  # lg_allowed_ip
    _fields_ = [("size", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("address", ctypes.c_uint8 * 16),
                ("family", ctypes.c_uint8), ("cidr", ctypes.c_uint8), ("reserved0", ctypes.c_uint16),
                ("reserved1", ctypes.c_uint32)]


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo(source, destination, number, ttl):
    icmp = struct.pack(">BBHHH", 8, 0, 0, 77, number) + b"linegate" * 4
    icmp = icmp[:2] + struct.pack(">H", checksum(icmp)) + icmp[4:]
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), number, 0, ttl, 1, 0, source, destination)
    return ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + icmp


def main():
    name, source, destination = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    ttl = int(sys.argv[5]) if len(sys.argv) > 5 else 64
    lg = ctypes.CDLL("liblinegate.so.1")
    lg.lg_ring_receive.restype = lg.lg_ring_alloc_send.restype = ctypes.c_void_p
    adapter, ring, size = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint32()
    own = Prefix(size=ctypes.sizeof(Prefix), family=4, cidr=32)
    own.address[0:4] = socket.inet_aton(source)
    error = lg.lg_adapter_open(name.encode(), ctypes.byref(adapter))
    for _ in range(20):  # the gateway may not have seen yet that the program before has gone
        if error == 0: error = lg.lg_ring_open(adapter, 0, ROUTED, ctypes.byref(own), 1, ctypes.byref(ring))
        if error != BUSY: break
        error = 0
        time.sleep(0.1)
    if error != 0:
        text = ctypes.c_char_p()
        lg.lg_last_error(ctypes.byref(text))
        sys.exit(text.value.decode())
    answers, others = set(), []
    for number in range(count):
        packet = echo(socket.inet_aton(os.environ.get("SPOOF", source)), socket.inet_aton(destination), number, ttl)
        place = lg.lg_ring_alloc_send(ring, len(packet), None)
        ctypes.memmove(place, packet, len(packet))
        lg.lg_ring_send(ring, ctypes.c_void_p(place))
        end = time.monotonic() + 1.5
        while number not in answers and time.monotonic() < end:
            got = lg.lg_ring_receive(ring, ctypes.byref(size), None)
            if not got:
                select.select([lg.lg_ring_wait_fd(ring)], [], [], 0.2)
                continue
            data = ctypes.string_at(got, size.value)
            lg.lg_ring_release(ring, ctypes.c_void_p(got))
            if data[9] == 1 and data[20] == 0 and data[12:16] == socket.inet_aton(destination):
                answers.add(struct.unpack(">H", data[26:28])[0])
            elif data[9] == 1 and data[20] != 0:
                others.append(f"{data[20]} from {socket.inet_ntoa(data[12:16])}")
                break
    print(len(answers), *others)


main()
