"""What is compared of all that came out of a gateway, and what is not. README.md has the same as two tables."""
import ipaddress
from collections import Counter

import networks
import packets
from gateway import ALLOWED, PEERS

OWN = {address.packed for address in networks.OWN}
LOCAL_PREFIXES = [ipaddress.ip_network(prefix) for prefix in networks.NO_SOURCES4]
ALLOWED_ON_WG0 = [ipaddress.ip_network(prefix) for peer in "ab" for prefix in ALLOWED[peer]]


def what_counts(out, numbers, joined, waiting):
    """(where, bytes) of each packet that is compared, as a multiset. `numbers`: of the packets that were sent; what has
    waited for a neighbour longer than that is left out. `joined`: of those that may reach Linux joined to one. `waiting`:
    a neighbour does not answer, so "host unreachable" may come at any time."""
    numbers = numbers | {None}
    counted = Counter((where, normal(where, data)) for where, data in out
                      if packets.probe_number(data) in numbers and not may_differ(ip_of(where, data), joined, waiting))
    for where, data in counted:
        if packets.is_reset(ip_of(where, data)):
            counted[where, data] = 1
    return counted


def by_number(out, joined):
    """The same as what_counts() for each packet's number, without errors, whose number Linux limits. Packets with DF and
    equal identifications come out of a joined packet with others (RFC 6864), and a packet is sent twice here."""
    numbers = {packets.probe_number(data) for _, data in out}
    return numbered(what_counts(out, numbers, joined, False))


def numbered(counted):
    found = {}
    for (where, data), count in counted.items():
        if not packets.is_error(ip_of(where, data)):
            found.setdefault(packets.probe_number(data), Counter())[where, without_identification(where, data)] += count
    return found


def without_identification(where, data):
    at = len(data) - len(ip_of(where, data))
    if data[at] >> 4 != 4:
        return data
    return data[:at] + packets.without_neutral_fields(data[at:])


def ip_of(where, data):
    if where in PEERS:
        return data
    return data[18:] if data[12:14] == b"\x81\0" else data[14:]


def may_differ(packet, joined, waiting):
    """Is it an answer that a rule of README.md allows to differ?"""
    if not packet or packet[0] >> 4 not in (4, 6) or not packets.is_error(packet):
        return False
    if packets.probe_number(packet) in joined:
        return True
    return is_host_unreachable(packet) and (waiting or no_peer_has(packet))


def header_length(packet):
    return 40 if packet[0] >> 4 == 6 else 4 * (packet[0] & 15)


def is_host_unreachable(packet):
    at = header_length(packet)
    return packet[at:at + 2] == (b"\1\3" if packet[0] >> 4 == 6 else b"\3\1")


def no_peer_has(packet):
    """Does the error quote a packet to a destination that no peer of wg0 has? Then WireGuard may have answered."""
    quoted = packet[header_length(packet) + 8:]
    destination = ipaddress.ip_address(bytes(quoted[24:40] if packet[0] >> 4 == 6 else quoted[16:20]))
    return not any(destination in network for network in ALLOWED_ON_WG0)


def normal(where, data):
    """With the neutral fields of what the gateway itself has made set to zero."""
    if where in PEERS:
        return neutral(data)
    return data[:14] + neutral(data[14:]) if data[12:14] in (b"\x08\0", b"\x86\xdd") else data


def neutral(packet):
    source = packets.addresses(packet)[0]
    made_here = source.packed in OWN or packets.is_answer(packet) or any(source in p for p in LOCAL_PREFIXES)
    return packets.without_neutral_fields(packet) if made_here else packet
