"""One gateway in a network namespace, the wires around it and the peers behind it. The test is every host and every
peer: frames come and go by packet sockets at the far ends of the wires.

    far namespace                     gateway's namespace
    wan lan dmz  ====veth====  w_wan w_lan w_dmz = wires of the ports wan lan dmz     wg0 (peers a, b), wg1 (peer c)
    ext          ====veth====  ext, an ordinary interface of Linux

Whether a packet has left the gateway is never guessed from time: see `Gateway.fence`.
"""
import ctypes
import errno
import os
import select
import signal
import socket
import json
import struct
import subprocess
import time

import packets
import wireguard

PORTS = ("wan", "lan", "dmz")
BETWEEN = ("wan", "lan")  # with `port_to_port`, where forwarding is short_cut; packets of dmz to these are Linux's
WIRES = PORTS + ("ext",)
TUNNELS = ("wg0", "wg1")
PEERS = {"a": "wg0", "b": "wg0", "c": "wg1"}
PEER_ADDRESS = {"a": "10.10.0.2", "b": "10.10.0.3", "c": "10.11.0.2"}
ALLOWED = {
    "a": ["10.10.0.2/32", "172.16.0.0/16", "fd00::2/128", "fd10::/16"],
    "b": ["10.10.0.3/32", "172.17.0.0/16", "fd00::3/128", "fd11::/16"],
    "c": ["0.0.0.0/0", "::/0"],
}
LISTEN = {"wg0": 51820, "wg1": 51830}
GATEWAY_WAN = "10.20.0.1"
OUTER = {"a": "10.20.0.11", "b": "10.20.0.12", "c": "10.20.0.13"}
PORT_MAC = {name: bytes([2, 0, 0, 0, 0, 0x10 + i]) for i, name in enumerate(WIRES)}
DEAD_ENDS = (9, 0x11)  # last bytes of addresses that no host of the test has
FENCE_SECONDS = 30
WAITING_SECONDS = 1  # networks.LIMITS: longer than Linux waits for a neighbour

SOL_PACKET, PACKET_IGNORE_OUTGOING, SO_ATTACH_FILTER, SO_RCVBUFFORCE = 263, 23, 26, 33
ETH_P_ALL = 3
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


class Lost(Exception):
    """A fence did not come back: the gateway is gone, or frames were lost."""


def host_mac(wire, address):
    """The MAC address of a host on a wire, derived from its address, so that both sides have the same."""
    raw = packets.packed(address)
    return bytes([6, WIRES.index(wire), len(raw)]) + raw[-3:]


def enter(namespace):
    """This thread, from now on."""
    fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(fd)


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def only(load_offset, value):
    """A classic BPF program: frames whose 16 bits at the offset have this value."""
    program = [(0x28, 0, 0, load_offset), (0x15, 0, 1, value), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code)
    return struct.pack("HL", len(program), ctypes.addressof(buffer)), buffer


def packet_socket(interface, filter_=None):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    if filter_ is not None:
        program, keep = only(*filter_)
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        del keep
    sock.bind((interface, ETH_P_ALL))
    sock.setblocking(False)
    return sock


class Batch:
    """`ip -batch`, fed line by line: one process for each family, because "default" means what the process is for."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.process = {}

    def start(self, family):
        self.process[family] = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, "ip", f"-{family}", "-force", "-batch", "-"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return self.process[family]

    def run(self, family, line):
        """Carries the line out. Returns the error, or None. An unknown word, at which `ip` reports an error as well, tells
        that it has been carried out."""
        process = self.process.get(family) or self.start(family)
        process.stdin.write(f"{line}\nfence\n".encode())
        process.stdin.flush()
        text = ""
        while True:
            answer = process.stderr.readline().decode()
            if not answer:
                self.process.pop(family).wait()
                return f"ip has ended: {text.strip()}"
            if answer.startswith('Object "fence"'):
                process.stderr.readline()
                return text.strip().split("\n")[0] or None
            text += answer

    def close(self):
        for process in self.process.values():
            process.stdin.close()
            process.wait()


class Gateway:
    """`forwarding`: kernel or short_cut. `keys`: of the gateway's interfaces and the peers, the same for both."""

    def __init__(self, name, forwarding, program, directory, keys):
        self.name, self.forwarding, self.program, self.keys = name, forwarding, program, keys
        self.directory = os.path.join(directory, name)
        os.makedirs(self.directory)
        self.inside, self.far = f"{name}-gw", f"{name}-far"
        self.out = []  # (where, bytes) since the last take()
        self.resolving = False
        self.unanswered = -1e9  # when a neighbour was asked for that does not exist
        self.fences_in, self.fences_out = set(), set()
        self.fence_number = 0
        self.down, self.bridged = set(), set()  # links
        self.stale = False
        self.fragments = {}  # by identification: offset and bytes of the pieces of a datagram for a peer
        self.initiators = {}
        self.process = self.batch = None
        self.make_wires()
        self.start()
        self.open_sockets()

    # ---- the world around

    def make_wires(self):
        for namespace in (self.inside, self.far):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        enter(self.far)
        for key, value in {"ipv6.conf.default.disable_ipv6": 1, "ipv6.conf.all.disable_ipv6": 1}.items():
            self.write_sysctl(key, value)
        enter(self.inside)
        for key, value in {"ipv6.conf.all.accept_dad": 0, "ipv6.conf.default.accept_dad": 0,
                           "ipv6.conf.default.router_solicitations": 0, "ipv6.conf.all.router_solicitations": 0}.items():
            self.write_sysctl(key, value)
        for wire in WIRES:
            inside = wire if wire == "ext" else f"w_{wire}"
            mac = PORT_MAC[wire].hex(":")
            run("ip", "link", "add", inside, "netns", self.inside, "address", mac, "type", "veth", "peer", "name", wire,
                "netns", self.far)
            run("ip", "-n", self.far, "link", "set", wire, "arp", "off", "up")
            run("ip", "-n", self.inside, "link", "set", inside, "up")
            for namespace, end in ((self.inside, inside), (self.far, wire)):
                run("ip", "netns", "exec", namespace, "ethtool", "-K", end, "tx", "off", "tso", "off", "gso", "off",
                    "gro", "off")

    def configuration(self):
        lines = ["dpdk: { workers: 1, memory: 128M, hugepages: \"off\" }", "ports:"]
        for port in PORTS:
            between = str(self.forwarding == "short_cut" and port in BETWEEN).lower()
            lines.append(f"  {port}: {{ device: \"linux:w_{port}\", mac: \"{PORT_MAC[port].hex(':')}\", "
                         f"forwarding: {self.forwarding}, port_to_port: {between} }}")
        lines.append("interfaces:")
        for tunnel in TUNNELS:
            lines += [f"  {tunnel}:", f"    private_key_file: {tunnel}.key", f"    listen_port: {LISTEN[tunnel]}",
                      "    mtu: 1420", "    routes: \"off\"", "    mss_clamp: \"off\"",
                      f"    forwarding: {self.forwarding}", "    peers:"]
            for peer, its in PEERS.items():
                if its == tunnel:
                    public = wireguard.public_bytes(self.keys[peer]).hex()
                    lines.append(f"      - {{ name: {peer}, public_key: \"{public}\", allowed_ips: "
                                 f"[{', '.join(json.dumps(p) for p in ALLOWED[peer])}] }}")
        lines.append(f"control: {{ socket: {self.directory}/control.sock, state_directory: {self.directory}/state, "
                     "log: { level: info } }")
        return "\n".join(lines) + "\n"

    def start(self):
        for tunnel in TUNNELS:
            path = os.path.join(self.directory, f"{tunnel}.key")
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(wireguard.private_bytes(self.keys[tunnel]).hex() + "\n")
        path = os.path.join(self.directory, "gateway.yaml")
        with open(path, "w") as file:
            file.write(self.configuration())
        # Interfaces of one name in two namespaces need two directories of sockets.
        script = "mount -t tmpfs tmpfs /run/wireguard && exec \"$@\""
        log = open(os.path.join(self.directory, "log"), "w")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.inside, "bash", "-c", script, "bash", self.program, "run", "-c", path],
            stdout=log, stderr=log)
        end = time.monotonic() + 30
        while True:
            try:
                self.control = socket.socket(socket.AF_UNIX)
                self.control.connect(f"{self.directory}/control.sock")
                break
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise Lost(f"the gateway does not start, see {self.directory}/log")
                time.sleep(0.05)
        self.ask("show.gateway")

    def ask(self, method):
        """One request of the control socket; returns its result."""
        self.control.sendall(json.dumps({"id": 1, "method": method, "params": {}}).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            part = self.control.recv(1 << 16)
            if not part:
                raise Lost(f"the gateway is gone, see {self.directory}/log")
            answer += part
        return json.loads(answer)["result"]

    def open_sockets(self):
        enter(self.far)
        self.wire_socket = {wire: packet_socket(wire) for wire in WIRES}
        enter(self.inside)
        # Fences are what is read inside; all else belongs to Linux.
        self.inner_socket = {name: packet_socket(name, (12, packets.ETH_FENCE)) for name in WIRES}
        # Of an IPv4 packet the bytes 8 and 9: TTL 1 and the fence's protocol.
        self.inner_socket |= {name: packet_socket(name, (8, 1 << 8 | packets.FENCE_PROTOCOL)) for name in TUNNELS}
        self.poll = select.epoll()
        self.by_fd = {}
        for name, sock in self.wire_socket.items():
            self.by_fd[sock.fileno()] = (sock, name, self.on_wire)
        for name, sock in self.inner_socket.items():
            self.by_fd[sock.fileno()] = (sock, name, self.on_inside)
        for fd in self.by_fd:
            self.poll.register(fd, select.EPOLLIN)

    def write_sysctl(self, key, value):
        """In the namespace that this thread is in. Returns an error's text, or None."""
        try:
            with open("/proc/sys/net/" + key.replace(".", "/"), "w") as file:
                file.write(str(value))
        except OSError as error:
            return errno.errorcode[error.errno]
        return None

    # ---- commands

    def new_batch(self):
        if self.batch is not None:
            self.batch.close()
        self.batch = Batch(self.inside)
        self.bridged.clear()  # networks.baseline() removes the bridge

    def command(self, lines):
        """Lines of `ip` ("4 route add …", "6 …") or "sysctl key value" in their order. Returns the errors."""
        errors = []
        for line in lines:
            kind, rest = line.split(" ", 1)
            if kind == "sysctl":
                enter(self.inside)
                error = self.write_sysctl(*rest.split(" "))
            else:
                error = self.batch.run(int(kind), rest)
            if error:
                errors.append((line, error))
        for line in lines:
            word = line.split()
            if word[1:3] == ["link", "set"]:
                if "down" in word:
                    self.down.add(word[3])
                elif "up" in word:
                    self.down.discard(word[3])
                elif "master" in word:
                    self.bridged.add(word[3])
                elif "nomaster" in word:
                    self.bridged.discard(word[3])
                    self.unanswered = time.monotonic()
        return errors

    def settle(self):
        """Until the gateway has read all that Linux has told it, and its workers have the answer: each request is
        answered in a round of the control thread, which reads netlink as well. Next hops are published once a
        millisecond at most."""
        begin = time.monotonic()
        self.ask("show.gateway")
        while time.monotonic() < begin + 0.002:
            self.ask("show.gateway")
        self.ask("show.gateway")

    # ---- frames

    def pump(self, until, seconds):
        end = time.monotonic() + seconds
        while not until():
            left = end - time.monotonic()
            if left <= 0:
                return False
            for fd, _ in self.poll.poll(left):
                sock, name, take = self.by_fd[fd]
                for _ in range(256):
                    try:
                        frame = sock.recv(65536)
                    except BlockingIOError:
                        break
                    except OSError as error:
                        if error.errno == errno.ENETDOWN:
                            continue
                        raise
                    take(name, frame)
        return True

    def on_inside(self, name, frame):
        at = 14 if name in WIRES else 20
        self.fences_in.add((name, bytes(frame[at:at + 9])))

    def on_wire(self, wire, frame):
        kind = frame[12] << 8 | frame[13]
        if kind == packets.ETH_FENCE:
            self.fences_out.add((wire, bytes(frame[14:23])))
        elif kind == packets.ETH_ARP:
            self.on_arp(wire, frame)
        elif kind == packets.ETH_IPV6 and frame[20] == packets.ICMP6 and frame[54] == 135:
            self.on_solicitation(wire, frame)
        elif kind in (packets.ETH_IPV4, packets.ETH_IPV6) and packets.is_neighbour_noise(frame[14:]):
            return
        elif wire != "wan" or not self.on_datagram(frame):
            self.out.append((wire, frame))

    def on_arp(self, wire, frame):
        if frame[20:22] != b"\0\1" or frame[28:32] == frame[38:42] or frame[28:32] == b"\0\0\0\0":
            return  # no request, or an announcement
        self.resolving = True
        target = socket.inet_ntoa(frame[38:42])
        if not is_alive(target):
            self.unanswered = time.monotonic()
            return
        mac = host_mac(wire, target)
        answer = frame[14:20] + b"\0\2" + mac + frame[38:42] + frame[22:28] + frame[28:32]
        self.send(wire, packets.ethernet(frame[6:12], mac, packets.ETH_ARP, answer))

    def on_solicitation(self, wire, frame):
        source, target = frame[22:38], frame[62:78]
        if not any(source):
            return  # duplicate address detection
        self.resolving = True
        name, asker = socket.inet_ntop(socket.AF_INET6, target), socket.inet_ntop(socket.AF_INET6, source)
        if not is_alive(name):
            self.unanswered = time.monotonic()
            return
        mac = host_mac(wire, name)
        body = packets.icmp6(name, asker, 136, 0, 0x60000000, target + b"\2\1" + mac)
        packet = packets.ipv6(name, asker, packets.ICMP6, body, ttl=255)
        self.send(wire, packets.ethernet(frame[6:12], mac, packets.ETH_IPV6, packet))

    def on_datagram(self, frame):
        """Is it one for a peer? Then its inner packet is taken."""
        if frame[12:15] != b"\x08\0\x45" or frame[23] != packets.UDP or frame[26:30] != packets.packed(GATEWAY_WAN):
            return False
        destination = socket.inet_ntoa(frame[30:34])
        peer = next((p for p, outer in OUTER.items() if outer == destination), None)
        if peer is None:
            return False
        datagram = self.reassembled(frame)
        if datagram is None:
            return True
        length = struct.unpack_from(">H", datagram, 4)[0]
        message = datagram[8:length]
        initiator = self.initiators[peer]
        if not initiator.concerns(message):
            return True
        if message[0] == wireguard.RESPONSE and initiator.state is not None:
            initiator.consume_response(message)
        elif message[0] == wireguard.DATA and initiator.session is not None:
            self.on_inner(peer, initiator.session.open(message))
        return True

    def reassembled(self, frame):
        """The whole IP payload, or None as long as a piece is missing. A route may say a larger MTU than its link has."""
        length, ident, where = struct.unpack_from(">HHH", frame, 16)
        payload = frame[34:14 + length]
        if where & 0x3FFF == 0:
            return payload
        pieces = self.fragments.setdefault(ident, {})
        pieces[where & 0x1FFF] = (payload, where & 0x2000)
        whole = b""
        while True:
            piece = pieces.get(len(whole) // 8)
            if piece is None:
                return None
            whole += piece[0]
            if not piece[1]:
                del self.fragments[ident]
                return whole

    def on_inner(self, peer, inner):
        if not inner:
            return  # a keepalive
        length = struct.unpack_from(">H", inner, 2)[0] if inner[0] >> 4 == 4 else 40 + struct.unpack_from(">H", inner, 4)[0]
        if any(inner[length:]):
            raise AssertionError(f"padding that is not zero: {inner.hex()}")
        inner = inner[:length]
        if inner[0] >> 4 == 4 and inner[9] == packets.FENCE_PROTOCOL:
            self.fences_out.add((peer, bytes(inner[20:29])))
        elif not packets.is_neighbour_noise(inner):
            self.out.append((peer, inner))

    def send(self, wire, frame):
        try:
            self.wire_socket[wire].send(frame)
        except OSError as error:
            # ENOBUFS: larger than the other end of a veth takes.
            if error.errno not in (errno.ENETDOWN, errno.EMSGSIZE, errno.ENOBUFS):
                raise

    def send_from_peer(self, peer, inner):
        self.send_outer(peer, self.initiators[peer].session.seal(inner))

    def send_outer(self, peer, message):
        datagram = packets.udp(OUTER[peer], GATEWAY_WAN, 51820, LISTEN[PEERS[peer]], message)
        packet = packets.ipv4(OUTER[peer], GATEWAY_WAN, packets.UDP, datagram)
        self.send("wan", packets.ethernet(PORT_MAC["wan"], host_mac("wan", OUTER[peer]), packets.ETH_IPV4, packet))

    def inject(self, where, data):
        """A frame on a wire, or an inner packet from a peer."""
        if where in WIRES:
            self.send(where, data)
        elif self.initiators[where].session is not None:
            self.send_from_peer(where, data)

    def inject_all(self, shots):
        for where, data in shots:
            self.inject(where, data)

    def handshake(self, peers):
        """New sessions of these peers."""
        for peer in peers:
            if peer not in self.initiators:
                self.initiators[peer] = wireguard.Initiator(
                    ord(peer), self.keys[peer], wireguard.public_bytes(self.keys[PEERS[peer]]))
            for attempt in range(5):
                self.send_outer(peer, self.initiators[peer].initiation())
                if self.pump(lambda: self.initiators[peer].session is not None, 0.5 + attempt):
                    break
            else:
                raise Lost(f"no handshake with {peer}")

    def oldest_session(self):
        return max((time.monotonic() - i.session.born for i in self.initiators.values() if i.session), default=0)

    def is_waiting(self):
        """Does Linux wait for a neighbour that does not answer, or whose answer the bridge gets?"""
        return bool(self.bridged) or self.unanswered > time.monotonic() - WAITING_SECONDS

    # ---- fences

    def fence(self):
        """Returns when all that was sent before has left the gateway, or never will. A fence of each wire and each peer
        follows what was sent there, as far as Linux: workers keep the order of a queue, and so does the kernel. Then one
        from Linux through each of its interfaces follows what Linux has sent. Again while neighbours are asked for, and
        at least once more behind the control thread, which sends what is too large for the workers."""
        for attempt in range(40):
            self.resolving = False
            self.fence_in()
            self.fence_out()
            if attempt > 0 and not self.resolving:
                return
            self.ask("show.gateway")
            self.ask("show.gateway")

    def fence_in(self):
        self.fence_number += 1
        wanted = set()
        for wire in WIRES:
            if wire in self.down:
                continue
            token = struct.pack(">QB", self.fence_number, 0)
            self.send(wire, packets.ethernet(b"\xff" * 6, host_mac(wire, "0.0.0.1"), packets.ETH_FENCE, token + bytes(40)))
            wanted.add((wire, token))
        for peer, tunnel in PEERS.items():
            if tunnel in self.down:
                continue
            token = struct.pack(">QB", self.fence_number, ord(peer))
            self.send_from_peer(peer, packets.ipv4(PEER_ADDRESS[peer], "224.0.0.99", packets.FENCE_PROTOCOL, token, ttl=1))
            wanted.add((tunnel, token))
        self.wait_for(lambda: wanted <= self.fences_in, wanted, lambda: self.fences_in, "into Linux")
        self.fences_in.clear()

    def fence_out(self):
        wanted = set()
        token = struct.pack(">QB", self.fence_number, 1)
        ways = [(wire, wire, packets.ethernet(b"\xff" * 6, PORT_MAC["lan"], packets.ETH_FENCE, token + bytes(40))) for wire in WIRES]
        ways += [(peer, tunnel, packets.ipv4("10.10.0.1", PEER_ADDRESS[peer], packets.FENCE_PROTOCOL, token, ttl=1))
                 for peer, tunnel in PEERS.items()]
        for name, through, frame in ways:
            if through in self.down:
                continue
            try:
                self.inner_socket[through].send(frame)
            except OSError as error:
                if error.errno not in (errno.ENETDOWN, errno.ENXIO):
                    raise
            wanted.add((name, token))
        self.wait_for(lambda: wanted <= self.fences_out, wanted, lambda: self.fences_out, "out of Linux")
        self.fences_out.clear()

    def wait_for(self, until, wanted, seen, what):
        if not self.pump(until, FENCE_SECONDS):
            raise Lost(f"{self.name}: fences {what} did not come: {sorted(n for n, _ in wanted - seen())}")

    def take(self):
        out, self.out = self.out, []
        return out

    def counters(self):
        return self.ask("show.workers")["workers"][0]

    def close(self):
        if self.batch is not None:
            self.batch.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()


def is_alive(address):
    """Does a host of the test have this address?"""
    return packets.packed(address)[-1] not in DEAD_ENDS
