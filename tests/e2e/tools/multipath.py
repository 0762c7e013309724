#!/usr/bin/env python3
"""Which next hop each flow takes, and which one Linux would take.

  multipath.py send SOURCE PREFIX FLOWS       three UDP packets of each flow, from this network namespace
  multipath.py listen FILE PORT IFACE...      appends "SOURCE DESTINATION SPORT DPORT MAC" for each packet with that
                                              destination port
  multipath.py compare FILE IIF HOPS          in the gateway: asks Linux (ip route get) about each flow of FILE; HOPS is
                                              "ADDRESS=MAC,...". IIF "-": packets of the gateway itself.
"""
import collections
import ipaddress
import re
import select
import socket
import struct
import subprocess
import sys


def send(source, prefix, flows):
    network = ipaddress.ip_network(prefix)
    family = socket.AF_INET6 if network.version == 6 else socket.AF_INET
    for _ in range(3):
        for flow in range(flows):
            with socket.socket(family, socket.SOCK_DGRAM) as out:
                out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                out.bind((source, 20000 + flow))
                out.sendto(b"flow", (str(network[1 + flow // 4]), 7777))


def parse(frame):
    mac, (kind,) = frame[:6].hex(":"), struct.unpack_from("!H", frame, 12)
    if kind == 0x0800 and frame[23] == 17:
        addresses = frame[26:30], frame[30:34]
        udp = 14 + 4 * (frame[14] & 15)
    elif kind == 0x86DD and frame[20] == 17:
        addresses, udp = (frame[22:38], frame[38:54]), 54
    else:
        return None
    source, destination = (str(ipaddress.ip_address(a)) for a in addresses)
    return (source, destination, *struct.unpack_from("!HH", frame, udp), mac)


def listen(path, port, links):
    sockets = []
    for link in links:
        one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        one.bind((link, 0))
        sockets.append(one)
    with open(path, "a", buffering=1) as out:
        print("listening", flush=True)
        while True:
            for one in select.select(sockets, [], [])[0]:
                try:
                    frame, where = one.recvfrom(65535)
                except OSError:  # its link went down
                    continue
                found = parse(frame) if where[2] != socket.PACKET_OUTGOING else None
                if found and found[3] == port:
                    print(*found, file=out)


def compare(path, iif, hops):
    mac_of = dict(hop.split("=") for hop in hops.split(","))
    taken = collections.defaultdict(set)
    with open(path) as lines:
        for line in lines:
            *flow, mac = line.split()
            taken[tuple(flow)].add(mac)
    assert taken, "no packet was seen"
    questions = [f"route get {destination} from {source} {'' if iif == '-' else 'iif ' + iif} ipproto udp sport {sport} dport {dport}"
                 for source, destination, sport, dport in taken]
    answers = ""
    for version in "46":
        mine = [q for q in questions if (":" in q) == (version == "6")]
        answers += subprocess.run(["ip", "-" + version, "-o", "-batch", "-"], input="\n".join(mine), text=True, check=True,
                                  capture_output=True).stdout if mine else ""
    expected = {}
    for line in answers.splitlines():
        destination, source = re.match(r"(\S+) from (\S+)", line).groups()
        expected.setdefault((source, destination), []).append(mac_of[re.search(r"via (\S+)", line).group(1)])
    used = collections.Counter()
    for flow, macs in taken.items():
        assert len(macs) == 1, f"flow {flow} took several next hops: {macs}"
        wanted, got = expected[flow[:2]].pop(0), next(iter(macs))
        assert wanted == got, f"flow {flow} left by {got}, Linux takes {wanted}"
        used[got] += 1
    print(len(taken), "flows;", *(f"{address}={used[mac]}" for address, mac in mac_of.items()))


if sys.argv[1] == "send":
    send(sys.argv[2], sys.argv[3], int(sys.argv[4]))
elif sys.argv[1] == "listen":
    listen(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
else:
    compare(*sys.argv[2:])
