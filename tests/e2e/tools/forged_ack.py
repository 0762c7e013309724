"""forged_ack.py INTERFACE TO_MAC SOURCE PORT DESTINATION PORT: a TCP segment with ACK alone, straight onto the wire."""
import socket
import struct
import sys

interface, mac, source, source_port, destination, destination_port = sys.argv[1:]


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


ends = socket.inet_aton(source) + socket.inet_aton(destination)
tcp = struct.pack("!HHIIBBHHH", int(source_port), int(destination_port), 1, 1, 0x50, 0x10, 100, 0, 0)
tcp = tcp[:16] + struct.pack("!H", checksum(ends + struct.pack("!BBH", 0, 6, len(tcp)) + tcp)) + tcp[18:]
ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 1, 0x4000, 64, 6, 0) + ends
ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind((interface, 0))
    wire.send(bytes.fromhex(mac.replace(":", "")) + wire.getsockname()[4] + b"\x08\x00" + ip + tcp)
