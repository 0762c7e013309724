"""IP packets: building them, finding a probe's number in them, and what is left out of a comparison."""
import ipaddress
import struct

ETH_IPV4, ETH_IPV6, ETH_ARP, ETH_FENCE = 0x0800, 0x86DD, 0x0806, 0x88B5
ICMP4, TCP, UDP, FRAGMENT, ICMP6, FENCE_PROTOCOL = 1, 6, 17, 44, 58, 253
EXTENSIONS = (0, 43, 60)  # hop-by-hop options, routing, destination options
MAGIC = b"\xa7LGA"
ND_TYPES = {130, 131, 132, 133, 134, 135, 136, 137, 143}


def packed(address):
    return ipaddress.ip_address(address).packed


def fold(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data):
    return 0xFFFF - fold(data)


def ipv4(source, destination, protocol, payload, ttl=64, tos=0, ident=0, flags=0, options=b""):
    """`flags`: the whole 16 bits with the fragment offset."""
    length = 20 + len(options)
    head = struct.pack(">BBHHHBBH", 0x40 | length // 4, tos, length + len(payload), ident, flags, ttl, protocol, 0)
    head += packed(source) + packed(destination) + options
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def ipv6(source, destination, protocol, payload, ttl=64, tos=0, label=0):
    return struct.pack(">IHBB", 6 << 28 | tos << 20 | label, len(payload), protocol, ttl) + packed(source) + packed(
        destination) + payload


def pseudo(source, destination, protocol, length):
    return packed(source) + packed(destination) + struct.pack(">II", length, protocol)


def with_checksum(segment, at, source, destination, protocol):
    value = checksum(pseudo(source, destination, protocol, len(segment)) + segment)
    return segment[:at] + struct.pack(">H", value or 0xFFFF) + segment[at + 2:]


def udp(source, destination, sport, dport, payload):
    segment = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    return with_checksum(segment, 6, source, destination, UDP)


def tcp(source, destination, sport, dport, payload, flags=0x10, sequence=1):
    segment = struct.pack(">HHIIBBHHH", sport, dport, sequence, 1, 5 << 4, flags, 1024, 0, 0) + payload
    return with_checksum(segment, 16, source, destination, TCP)


def icmp4(kind, code, rest, payload):
    message = struct.pack(">BBHI", kind, code, 0, rest) + payload
    return message[:2] + struct.pack(">H", checksum(message)) + message[4:]


def icmp6(source, destination, kind, code, rest, payload):
    message = struct.pack(">BBHI", kind, code, 0, rest) + payload
    return with_checksum(message, 2, source, destination, ICMP6)


def ethernet(destination, source, kind, payload):
    return destination + source + struct.pack(">H", kind) + payload


def probe_number(data):
    """The number of the probe that a packet is, answers or quotes; None when there is none in it."""
    at = data.find(MAGIC)
    return struct.unpack_from(">I", data, at + 4)[0] if at >= 0 and len(data) >= at + 8 else None


def is_neighbour_noise(packet):
    """Neighbour discovery, redirects and group membership: kernels decide by time when to send them."""
    if packet[0] >> 4 == 4:
        return packet[9] == 2 or (packet[9] == ICMP4 and packet[4 * (packet[0] & 15)] == 5)
    at, protocol = 40, packet[6]
    if protocol == 0 and len(packet) > 48:
        at, protocol = 40 + 8 * (packet[41] + 1), packet[40]
    return protocol == ICMP6 and len(packet) > at and packet[at] in ND_TYPES


def is_answer(packet):
    """An ICMP error or an echo reply?"""
    if packet[0] >> 4 == 4:
        kind = packet[4 * (packet[0] & 15)] if packet[9] == ICMP4 else None
        return kind in (0, 3, 5, 11, 12)
    return packet[6] == ICMP6 and (packet[40] < 128 or packet[40] == 129)


def without_neutral_fields(packet):
    """What README.md lists as neutral, set to zero: only for packets that the gateway itself has made."""
    if packet[0] >> 4 == 4:
        return packet[:4] + b"\0\0" + packet[6:10] + b"\0\0" + packet[12:]
    packet = bytes([packet[0], packet[1] & 0xF0, 0, 0]) + packet[4:]
    protocol, at = packet[6], 40
    while protocol in EXTENSIONS and len(packet) > at + 1:
        protocol, at = packet[at], at + 8 * (packet[at + 1] + 1)
    return packet[:at + 4] + bytes(4) + packet[at + 8:] if protocol == FRAGMENT else packet


def is_reset(packet):
    """A TCP segment with RST? One answers all packets that Linux got joined to one."""
    if not packet or packet[0] >> 4 not in (4, 6):
        return False
    protocol, at = (packet[9], 4 * (packet[0] & 15)) if packet[0] >> 4 == 4 else (packet[6], 40)
    return protocol == TCP and len(packet) > at + 13 and packet[at + 13] & 4 != 0


def is_error(packet):
    """An ICMP error?"""
    if packet[0] >> 4 == 4:
        return is_answer(packet) and packet[4 * (packet[0] & 15)] != 0
    return packet[0] >> 4 == 6 and is_answer(packet) and packet[40] != 129


def addresses(packet):
    """Source and destination."""
    where = ((12, 16), (16, 20)) if packet[0] >> 4 == 4 else ((8, 24), (24, 40))
    return [ipaddress.ip_address(bytes(packet[begin:end])) for begin, end in where]


def describe(packet):
    """One line for people."""
    try:
        source, destination = addresses(packet)
        if packet[0] >> 4 == 4:
            protocol, ttl, tos, rest = packet[9], packet[8], packet[1], packet[4 * (packet[0] & 15):]
        else:
            protocol, ttl, rest = packet[6], packet[7], packet[40:]
            tos = (packet[0] & 15) << 4 | packet[1] >> 4
        text = f"{source} > {destination} protocol {protocol} ttl {ttl} tos {tos:#x} length {len(packet)}"
        if protocol in (ICMP4, ICMP6) and len(rest) >= 8:
            text += f" icmp {rest[0]}/{rest[1]} rest {rest[4:8].hex()}"
        return text
    except (IndexError, ValueError):
        return packet.hex()
