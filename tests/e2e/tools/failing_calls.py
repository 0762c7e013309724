#!/usr/bin/env python3
"""Lets calls of the gateway fail, one after the other, and looks at what becomes of it.

  failing_calls.py start LIBRARY LINEGATE DIRECTORY NETNS CONFIG
      One start per failing call. It either runs, or ends with an error that says why. Nothing is left behind.
  failing_calls.py running LIBRARY LINEGATE DIRECTORY NETNS CONFIG OTHER_CONFIG PING...
      One gateway under traffic, and failing calls during reload, wg set, save, show and handshakes. It goes on running,
      and afterwards everything works again. PING is a command that must succeed then.

FAILING_EACH: how many calls of each class fail (default 10, 0: every one).
"""
import json
import mmap
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

# The classes of fail_calls.cc, in its order.
CLASSES = ["memory", "socket", "netlink", "file", "event", "tun", "packet", "thread", "dpdk"]
NONE = len(CLASSES)
SIZE = 256
EACH = int(os.environ.get("FAILING_EACH", "10"))


class State:
    """The memory that the library reads: what fails, and what was called."""

    def __init__(self, path):
        path.write_bytes(b"\0" * SIZE)
        self.file = open(path, "r+b")
        self.memory = mmap.mmap(self.file.fileno(), SIZE)
        self.path = path
        self.disarm()

    def arm(self, kind, first, span=1):
        self.memory[12 : 16 + 4 * NONE] = b"\0" * (4 + 4 * NONE)
        self.memory[16 + 4 * NONE : SIZE] = b"\0" * (SIZE - 16 - 4 * NONE)
        self.memory[4:12] = struct.pack("<II", first, span)
        self.memory[0:4] = struct.pack("<I", kind)

    def disarm(self):
        self.memory[0:4] = struct.pack("<I", NONE)

    def failed(self):
        return struct.unpack_from("<I", self.memory, 12)[0]

    def counts(self):
        return struct.unpack_from("<%dI" % NONE, self.memory, 16)

    def what(self):
        return self.memory[16 + 4 * NONE : 80 + 4 * NONE].split(b"\0")[0].decode()


def picks(count):
    """Which calls fail: all, or EACH of them, spread evenly."""
    if EACH == 0 or count <= EACH:
        return list(range(1, count + 1))
    return sorted({1 + i * (count - 1) // (EACH - 1) for i in range(EACH)})


class Gateway:
    def __init__(self, library, program, directory, netns, config, state):
        self.log = directory / "failing.log"
        self.netns = netns
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", netns, "env", "LD_PRELOAD=" + library, "FAIL_STATE=%s" % state.path,
                 program, "run", "-c", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def text(self):
        return self.log.read_text(errors="replace")

    def wait_until(self, condition, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.02)
        return False

    def over(self):
        return self.process.poll() is not None

    def stop(self):
        """The exit code; None: it had to be killed."""
        self.process.terminate()
        if not self.wait_until(self.over, 15):
            self.process.kill()
            self.process.wait()
            return None
        return self.process.returncode

    def left_behind(self):
        listed = subprocess.run(["ip", "-n", self.netns, "-j", "link"], capture_output=True, text=True, check=True)
        return sorted({link["ifname"] for link in json.loads(listed.stdout)})


def secrets(directory):
    """The keys of the laboratory in both spellings."""
    import base64

    found = []
    for path in list(directory.glob("*.key")) + [directory / "psk"]:
        text = path.read_text().strip()
        found += [text, base64.b64decode(text).hex()]
    return found


def judge_start(gateway, links, hidden):
    """What is wrong with this start, or None; and how it ended."""
    if not gateway.wait_until(lambda: gateway.over() or " running: " in gateway.text(), 20):
        gateway.process.kill()
        gateway.process.wait()
        return "neither runs nor ends after 20 s", "hangs"
    ran = not gateway.over()
    code = gateway.stop() if ran else gateway.process.returncode
    text = gateway.text()
    ended = "runs" if ran else "ends with %s" % code
    if code is None:
        return "does not stop", ended
    if "PANIC in " in text:  # DPDK ends the process by itself, and says so
        return None, ended
    if code < 0 or code >= 128:
        return "killed by a signal: %s" % code, ended
    if ran and code != 0:
        return "runs, and stops with %s" % code, ended
    if not ran and code == 0:
        return "ends at once as if all were well", ended
    # A line of the log below a warning is not a reason; what is printed before the log is one.
    reasons = [line for line in text.splitlines() if " info " not in line and " warning " not in line]
    if not ran and not reasons:
        return "does not say why it does not start", ended
    if any(secret in text for secret in hidden):
        return "prints a secret", ended
    left = [name for name in gateway.left_behind() if name not in links]
    if left:
        return "leaves %s behind" % " ".join(left), ended
    return None, ended


def start(library, program, directory, netns, config):
    directory = pathlib.Path(directory)
    state = State(directory / "failing.state")
    hidden = secrets(directory)
    first = Gateway(library, program, directory, netns, config, state)
    links = ["lo", "wire0", "wire1"]
    wrong, _ = judge_start(first, links, hidden)
    if wrong:
        sys.exit("without a failing call: %s\n%s" % (wrong, first.text()))
    counts = state.counts()
    faults, runs, ends, untouched = 0, 0, 0, 0
    for kind, name in enumerate(CLASSES):
        for number in picks(counts[kind]):
            state.arm(kind, number)
            gateway = Gateway(library, program, directory, netns, config, state)
            wrong, ended = judge_start(gateway, links, hidden)
            if state.failed() == 0:
                untouched += 1
            elif ended == "runs":
                runs += 1
            else:
                ends += 1
            if wrong:
                faults += 1
                print("WRONG: call %d of class %s (%s) fails: %s" % (number, name, state.what(), wrong))
                print("".join("    %s\n" % line for line in gateway.text().splitlines()[-8:]), end="")
    print("failing_calls phase=start calls=%s ran=%d ended_with_an_error=%d not_reached=%d wrong=%d" %
          (",".join("%s:%d" % pair for pair in zip(CLASSES, counts)), runs, ends, untouched, faults))
    return faults


class Chores:
    """What an operator does; each may fail, none may end the gateway."""

    def __init__(self, program, directory, netns, config, other):
        self.program, self.directory, self.netns = program, directory, netns
        self.config, self.other, self.turn = config, other, 0
        self.texts = [pathlib.Path(config).read_text(), pathlib.Path(other).read_text()]

    def run(self, *words, seconds=20):
        try:
            return subprocess.run(["ip", "netns", "exec", self.netns, *words], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def linegate(self, *words):
        return self.run(self.program, "--socket", str(self.directory / "control.sock"), *words)

    def reload(self):
        self.turn = 1 - self.turn
        pathlib.Path(self.config).write_text(self.texts[self.turn])
        return self.linegate("reload")

    def back(self):
        self.turn = 0
        pathlib.Path(self.config).write_text(self.texts[0])
        return self.linegate("reload")

    def wg_set(self):
        key = self.run("wg", "genkey").stdout
        public = subprocess.run(["wg", "pubkey"], input=key, capture_output=True, text=True, check=True).stdout.strip()
        return self.run("wg", "set", "wg0", "peer", public, "allowed-ips", "10.99.0.7/32", "endpoint", "10.20.0.2:9")

    def show(self):
        self.linegate("show", "peers")
        self.linegate("explain", "peer", "remote")
        return self.linegate("show", "drops", "--json")

    def save(self):
        return self.linegate("save")

    def bounce(self):
        """The session's keys are wiped, so that a handshake follows."""
        self.linegate("interface", "down", "wg0")
        return self.linegate("interface", "up", "wg0")


def running(library, program, directory, netns, config, other, *ping):
    directory = pathlib.Path(directory)
    state = State(directory / "failing.state")
    hidden = secrets(directory)
    chores = Chores(program, directory, netns, config, other)
    wrong, tried = 0, 0

    def fresh():
        pathlib.Path(config).write_text(chores.texts[0])
        state.disarm()
        gateway = Gateway(library, program, directory, netns, config, state)
        if not gateway.wait_until(lambda: " running: " in gateway.text() or gateway.over(), 20) or gateway.over():
            sys.exit("the gateway does not start: " + gateway.text())
        return gateway

    def complain(what, name, number, chore, gateway):
        nonlocal wrong
        wrong += 1
        print("WRONG: %s, while call %d of class %s (%s) failed during %s" % (what, number, name, state.what(), chore))
        print("".join("    %s\n" % line for line in gateway.text().splitlines()[-8:]), end="")

    def works():
        end = time.monotonic() + 40  # the peer notices after 15 s that its session is gone, and tries every 5 s
        while time.monotonic() < end:
            if subprocess.run(ping, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0:
                return True
        return False

    gateway = fresh()
    if not works():
        sys.exit("without a failing call there is no tunnel")
    for chore in (chores.reload, chores.wg_set, chores.show, chores.save, chores.bounce):
        state.arm(NONE, 0)
        chore()
        chores.back()
        counts = state.counts()
        for kind, name in enumerate(CLASSES):
            for number in picks(min(counts[kind], 4 * EACH if EACH else counts[kind])):
                state.arm(kind, number)
                answer = chore()
                time.sleep(0.02)
                failed, what = state.failed(), chore.__name__
                state.disarm()
                tried += failed
                if gateway.over():
                    complain("it ended (%s)" % gateway.process.returncode, name, number, what, gateway)
                    gateway = fresh()
                    continue
                if answer is None:
                    complain("no answer within 20 s", name, number, what, gateway)
                back = chores.back()
                if back is None or back.returncode != 0:
                    complain("no reload afterwards: %s" % (back and back.stderr.strip()), name, number, what, gateway)
                    gateway.process.kill()
                    gateway.process.wait()
                    gateway = fresh()
    if not works():
        complain("no tunnel at the end", "any", 0, "all of it", gateway)
    if any(secret in gateway.text() for secret in hidden):
        complain("prints a secret", "any", 0, "all of it", gateway)
    code = gateway.stop()
    if code != 0:
        complain("stops with %s" % code, "any", 0, "stop", gateway)
    print("failing_calls phase=running failed=%d wrong=%d" % (tried, wrong))
    return wrong


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sys.exit(1 if {"start": start, "running": running}[sys.argv[1]](*sys.argv[2:]) else 0)
