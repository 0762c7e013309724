"""The processes of a run: the generator, the gateway under test, and the forwarder in its place."""
import json
import os
import pathlib
import select
import signal
import subprocess
import time

# Each program has a private /run/wireguard and network namespace; links and routes of the machine stay as they are.
APART = ("unshare", "--net", "--mount", "--propagation", "private", "sh", "-c",
         "mkdir -p /run/wireguard && mount -t tmpfs vf /run/wireguard && ip link set lo up && exec \"$@\"", "sh")


class Failed(Exception):
    """Something that a run needs does not work; the text says what."""


class Program:
    def __init__(self, name, words, folder, **more):
        self.name, self.log = name, pathlib.Path(folder) / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(words, stderr=log, **more)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def last_words(self):
        return self.log.read_text(errors="replace").strip()[-600:]

    def stop(self, with_signal=signal.SIGTERM, seconds=10):
        if not self.running():
            return
        self.process.send_signal(with_signal)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Speaker(Program):
    """A program that answers in lines of JSON."""

    def __init__(self, name, words, folder):
        super().__init__(name, words, folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.rest = b""

    def line(self, seconds):
        end = time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failed(f"{self.name} does not answer within {seconds:.0f} s: {self.last_words()}")
            read = os.read(self.process.stdout.fileno(), 65536)
            if not read:
                raise Failed(f"{self.name} ended: {self.last_words()}")
            self.rest += read
        line, self.rest = self.rest.split(b"\n", 1)
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(f"{self.name}: {answer['error']}")
        return answer

    def tell(self, command, **words):
        text = " ".join([command, *(f"{name}={value}" for name, value in words.items())])
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, command, wait=60, **words):
        self.tell(command, **words)
        return self.line(wait)

    def stop(self, *words, **more):
        if self.running() and self.process.stdin:
            self.process.stdin.close()
        super().stop(*words, **more)


class Forwarder(Speaker):
    def worker_wait(self):
        """Seconds that it was ready to run and another program had its core."""
        return int(pathlib.Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9


class Ports:
    """The four devices: generator and gateway, LAN and WAN. Without names they are memif pairs in the folder."""

    def __init__(self, folder, devices=None, slots=1024):
        self.virtual, self.folder = devices is None, pathlib.Path(folder)
        if devices is None:
            def memif(number, name, role):
                rings = f"rsize={slots.bit_length() - 1},bsize=2048"
                return f"net_memif{number},role={role},id=0,socket={folder}/{name}.sock,socket-abstract=no,{rings}"
            devices = [memif(0, "lan", "server"), memif(1, "wan", "server"), memif(0, "lan", "client"), memif(1, "wan", "client")]
        self.lan, self.wan, self.gateway_lan, self.gateway_wan = devices
        self.kind = "memif" if self.virtual else " ".join(sorted({device.split(",")[0] for device in devices}))


    def clear(self):
        """Sockets of a program that was killed."""
        for socket in self.folder.glob("*.sock"):
            if self.virtual and socket.name != "control.sock":
                socket.unlink()


class Bench:
    """What a run is made with."""

    def __init__(self, program, linegate, folder, ports, cores, gateway_cores, descriptors=1024, memory="256M", huge=False):
        self.program, self.linegate, self.folder, self.ports = program, linegate, folder, ports
        self.core, self.gateway_cores, self.descriptors, self.memory, self.huge = cores, gateway_cores, descriptors, memory, huge

    def words(self, kind, lan, wan, core):
        words = [self.program, kind, "--lan", lan, "--wan", wan, "--core", str(core), "--descriptors", str(self.descriptors)]
        return words + (["--huge", "1"] if self.huge else [])

    def generator(self, peers, for_gateway):
        self.ports.clear()
        words = self.words("generate", self.ports.lan, self.ports.wan, self.core) + ["--peers", str(peers)]
        if for_gateway:
            words += ["--folder", self.folder, "--gateway-lan", self.ports.gateway_lan, "--gateway-wan", self.ports.gateway_wan,
                      "--workers", f"[{', '.join(map(str, self.gateway_cores))}]", "--memory", self.memory]
        generator = Speaker("generator", words, self.folder)
        generator.facts = generator.line(120)
        return generator

    def forwarder(self):
        words = self.words("forward", self.ports.gateway_lan, self.ports.gateway_wan, self.gateway_cores[0])
        forwarder = Forwarder("forwarder", words, self.folder)
        forwarder.line(60)
        return forwarder

    def gateway(self):
        return Gateway(self)


class Gateway(Program):
    def __init__(self, bench):
        self.linegate, self.socket = bench.linegate, f"{bench.folder}/control.sock"
        super().__init__("gateway", [*APART, bench.linegate, "run", "-c", f"{bench.folder}/gateway.yaml"], bench.folder,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while self.show("interfaces") is None:
            if not self.running() or time.monotonic() > end:
                raise Failed(f"the gateway does not start: {self.last_words()}")
            time.sleep(0.05)

    def show(self, what):
        done = subprocess.run([self.linegate, "--socket", self.socket, "show", what, "--json"], capture_output=True, text=True)
        try:
            return json.loads(done.stdout) if done.returncode == 0 else None
        except json.JSONDecodeError:
            return None

    def worker_wait(self):
        """Seconds that worker threads were ready to run and another had their core, since they began."""
        total = 0
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            if "worker" in (task / "comm").read_text():
                total += int((task / "schedstat").read_text().split()[1])
        return total / 1e9
