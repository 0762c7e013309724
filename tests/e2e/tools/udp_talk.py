"""udp_talk.py ADDRESS PORT SECONDS: a datagram every 10 ms; fails when more than one in a hundred does not come back."""
import socket
import sys
import time

sent = back = 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.connect((sys.argv[1], int(sys.argv[2])))
    client.settimeout(0.5)
    end = time.monotonic() + float(sys.argv[3])
    while time.monotonic() < end:
        sent += 1
        try:
            client.send(b"datagram %d" % sent)
            back += client.recv(65536) == b"datagram %d" % sent
        except OSError:
            pass
        time.sleep(0.01)
print(f"{back} of {sent} datagrams came back")
sys.exit(back * 100 < sent * 99)
