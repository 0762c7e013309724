#!/usr/bin/env python3
"""A program is a network card: card.c by ctypes. It answers pings through a tunnel.

    card.py INTERFACE ADDRESS     an interface of the gateway that exists, and the program's IPv4 address
"""
import ctypes
import select
import socket
import sys

EMPTY, IPV4 = -14, 4
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


def turn_around(ip):
    """The echo reply to an echo request; None: it is none."""
    header = 4 * (ip[0] & 15)
    if ip[0] >> 4 != 4 or ip[9] != 1 or len(ip) < header + 8 or ip[header] != 8: return None
    answer = bytearray(ip[:12] + ip[16:20] + ip[12:16] + ip[20:])
    total = int.from_bytes(ip[header + 2:header + 4], "big") + 0x0800
    answer[header] = 0
    answer[header + 2:header + 4] = ((total & 0xffff) + (total >> 16)).to_bytes(2, "big")
    return bytes(answer)


adapter, ring, size, error = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint32(), ctypes.c_int32()
own = AllowedIp(size=ctypes.sizeof(AllowedIp), family=IPV4, cidr=32)
own.address[:4] = socket.inet_aton(sys.argv[2])
check(lg.lg_adapter_open(sys.argv[1].encode(), ctypes.byref(adapter)), "open")
check(lg.lg_ring_open(adapter, 0, 0, ctypes.byref(own), 1, ctypes.byref(ring)), "ring")
print("up", flush=True)
while True:
    packet = lg.lg_ring_receive(ring, ctypes.byref(size), ctypes.byref(error))
    if packet is None and error.value == EMPTY:
        select.select([lg.lg_ring_wait_fd(ring)], [], [])
        continue
    if packet is None: sys.exit("the ring has ended: " + lg.lg_error_name(error).decode())
    answer = turn_around(ctypes.string_at(packet, size.value))
    check(lg.lg_ring_release(ring, ctypes.c_void_p(packet)), "release")
    place = answer and lg.lg_ring_alloc_send(ring, len(answer), None)
    if place:
        ctypes.memmove(place, answer, len(answer))
        check(lg.lg_ring_send(ring, ctypes.c_void_p(place)), "send")
