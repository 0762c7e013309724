"""A UDP port forwarder that forgets, like a NAT: nat.py LISTEN_ADDRESS LISTEN_PORT TARGET_ADDRESS TARGET_PORT IDLE_SECONDS.

Datagrams to the listen port go to the target from a port of their sender's own. After IDLE_SECONDS without one from
inside the mapping is gone: what comes back later is refused, and the sender's next datagram gets a new port.
"""
import select, socket, sys, time

listen, target, idle = (sys.argv[1], int(sys.argv[2])), (sys.argv[3], int(sys.argv[4])), float(sys.argv[5])
inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
inside.bind(listen)
mappings = {}  # sender -> [socket, time of the last datagram from inside]
while True:
    ready, _, _ = select.select([inside] + [m[0] for m in mappings.values()], [], [], 0.2)
    now = time.monotonic()
    for sender, (outside, last) in list(mappings.items()):
        if now - last > idle:
            outside.close()
            del mappings[sender]
    for one in ready:
        if one is inside:
            data, sender = inside.recvfrom(65536)
            if sender not in mappings:
                mappings[sender] = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM), now]
            mappings[sender][1] = now
            mappings[sender][0].sendto(data, target)
            continue
        for sender, (outside, _) in mappings.items():
            if outside is one:
                data, source = outside.recvfrom(65536)
                if source == target:
                    inside.sendto(data, sender)
