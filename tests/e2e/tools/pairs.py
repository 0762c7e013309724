#!/usr/bin/env python3
"""pairs.py FILE LEAST: every transport data message of a pcapng file has the inner packet it carried, and every inner
packet its message, by the packet's id. An own reader of the format, which shares nothing with the writer."""
import struct
import sys

ETHERNET, RAW_IP = 1, 101


def blocks(data):
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0 and length >= 12, f"length {length} at {at}"
        assert struct.unpack_from("<I", data, at + length - 4)[0] == length, f"block at {at}: two lengths"
        yield kind, data[at + 8 : at + length - 4]
        at += length


def options(data):
    found, at = {}, 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if code == 0:
            break
        found[code] = data[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
    return found


def packets(data):
    links = []
    for kind, body in blocks(data):
        if kind == 1:
            links.append(struct.unpack_from("<H", body)[0])
        if kind == 6:
            interface, high, low, captured, length = struct.unpack_from("<IIIII", body)
            more = options(body[20 + (captured + 3) // 4 * 4 :])
            yield links[interface], high << 32 | low, body[20 : 20 + captured], struct.unpack("<Q", more[5])[0]


def is_message(frame):
    """Transport data that is more than a keepalive, over IPv4."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return False
    udp = 14 + 4 * (frame[14] & 15)
    ports = struct.unpack_from(">HH", frame, udp)
    return 51820 in ports and frame[udp + 8] == 4 and len(frame) - udp - 8 > 32


def main():
    name, least = sys.argv[1], int(sys.argv[2])
    data = open(name, "rb").read()
    outer, inner, last = {}, {}, 0
    for link, when, packet, number in packets(data):
        assert when >= last, "time goes back"
        last = when
        if link == RAW_IP:
            inner[number] = packet
        elif is_message(packet):
            outer[number] = packet
    without = len(outer.keys() - inner.keys()), len(inner.keys() - outer.keys())
    print(f"{len(outer)} messages, {len(inner)} inner packets, without the other: {without}")
    assert without == (0, 0) and len(outer) >= least
    for number, packet in inner.items():
        size = (len(packet) + 15) // 16 * 16 + 32
        udp = 14 + 4 * (outer[number][14] & 15)
        assert struct.unpack_from(">H", outer[number], udp + 4)[0] - 8 == size, "the pair has not the same size"


main()
