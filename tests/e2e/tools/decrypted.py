#!/usr/bin/env python3
"""decrypted.py FILE LEAST: tshark, by the keys that the file holds, decrypts every transport data message of it to the
very packet that the file has in clear under the same id."""
import subprocess
import sys

NOTHING = ("", "", "", "")


def rows(name, what, *fields):
    command = ["tshark", "-r", name, "-Y", what, "-T", "fields", "-E", "separator=|", "-E", "occurrence=l"]
    for field in fields:
        command += ["-e", field]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split("|") for line in text.splitlines()]


def main():
    name, least = sys.argv[1], int(sys.argv[2])
    # The last occurrence of a field is that of the innermost packet.
    inside = ("ip.src", "ip.dst", "icmp.seq", "icmp.type")
    session = [row[0] for row in rows(name, "wg.type == 2", "wg.receiver")]
    assert session, "no response in the file"
    sealed = {row[0]: tuple(row[2:]) for row in rows(name, "wg.type == 4 && icmp", "frame.packet_id", "wg.type", *inside)}
    every = [row[0] for row in rows(name, "wg.type == 4 && udp.length > 48", "frame.packet_id")]
    clear = {row[0]: tuple(row[1:]) for row in rows(name, "!wg && icmp && raw", "frame.packet_id", *inside)}
    assert NOTHING not in sealed.values()
    first = int(rows(name, "wg.type == 2", "frame.number")[0][0])
    late = {row[0] for row in rows(name, f"wg.type == 4 && udp.length > 48 && frame.number > {first}", "frame.packet_id")}
    print(f"{len(every)} messages, {len(sealed)} decrypted, {len(clear)} in clear")
    assert len(sealed) >= least, "too few are decrypted"
    unread = late - sealed.keys()
    # Messages of the session before may still be under way when the new one begins.
    assert len(unread) <= 2, f"not decrypted: {len(unread)}"
    for number, packet in sealed.items():
        assert clear.get(number) == packet, f"{number}: {packet} is not {clear.get(number)}"


main()
