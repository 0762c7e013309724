"""The facts of a machine that a figure depends on, and what of them makes a figure doubtful."""
import os
import pathlib
import platform
import re
import subprocess


def read(path, otherwise=""):
    try:
        return pathlib.Path(path).read_text().strip()
    except OSError:
        return otherwise


def output(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def cpus_of(text):
    """"0,2-3" as a set of numbers."""
    out = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        out.update(range(int(first), int(last or first) + 1))
    return out


def cpu_facts():
    info = read("/proc/cpuinfo")
    def field(name):
        found = re.search(rf"^{name}\s*:\s*(.*)$", info, re.M)
        return found.group(1) if found else "unknown"
    flags = field("flags").split()
    return {"model": field("model name"), "microcode": field("microcode"), "family": field("cpu family"),
            "virtual_machine": "hypervisor" in flags, "avx512": "avx512ifma" in flags}


def facts(linegate, cpus):
    turbo = read("/sys/devices/system/cpu/cpufreq/boost") or read("/sys/devices/system/cpu/intel_pstate/no_turbo")
    first = f"/sys/devices/system/cpu/cpu{cpus[0]}"
    return {
        "cpu": cpu_facts(),
        "cpus": sorted(os.sched_getaffinity(0)),
        "isolated": sorted(cpus_of(read("/sys/devices/system/cpu/isolated"))),
        "governor": read(f"{first}/cpufreq/scaling_governor", "unknown"),
        "turbo": turbo or "unknown",
        "siblings": {cpu: sorted(cpus_of(read(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"))) for cpu in cpus},
        "nodes": {cpu: [path.name for path in pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}").glob("node*")] for cpu in cpus},
        "huge_pages_free_2m": int(read("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "0") or 0),
        "kernel": platform.release(),
        "vendor": read("/sys/class/dmi/id/sys_vendor", "unknown"),
        "dpdk": output("pkg-config", "--modversion", "libdpdk") or "unknown",
        "linegate": output(linegate, "--version") or "unknown",
        "commit": output("git", "-C", str(pathlib.Path(__file__).parent), "describe", "--always", "--dirty") or "unknown",
    }


def card_facts(devices):
    """Of ports that are PCI functions: vendor, driver, node, and the function they belong to."""
    out = {}
    for device in devices:
        name = device.split(",")[0]
        at = pathlib.Path("/sys/bus/pci/devices") / name
        if not at.exists():
            continue
        link = at / "physfn"
        out[name] = {"id": f"{read(at / 'vendor')}:{read(at / 'device')}", "driver": (at / "driver").resolve().name,
                     "node": read(at / "numa_node", "unknown"), "physical_function": link.resolve().name if link.exists() else None}
    return out


def concerns(machine, core, gateway_cores, virtual, cards):
    """Sentences. A figure under any of them is a share of a machine, or it depends on what is not known."""
    out = []
    used = [core, *gateway_cores]
    if len(set(used)) < len(used):
        out.append("The generator and a worker of the gateway share a core: no rate here is the gateway's.")
    free = [cpu for cpu in used if cpu not in machine["isolated"]]
    if free:
        names = ", ".join(map(str, free))
        out.append(f"CPUs {names} are not isolated: other programs and the kernel take part of them, and each figure is a share.")
    for cpu in used:
        for sibling in machine["siblings"].get(cpu, []):
            if sibling != cpu and sibling in used:
                out.append(f"CPUs {cpu} and {sibling} are threads of one core.")
    if machine["cpu"]["virtual_machine"]:
        out.append("This is a virtual machine: the hypervisor takes time that no counter here shows.")
    if machine["turbo"] == "unknown":
        out.append("Whether turbo is on is unknown.")
    if not machine["huge_pages_free_2m"]:
        out.append("There are no huge pages: packets are in ordinary memory, which is slower.")
    if virtual:
        out.append("The ports are virtual: copies by the two processes stand where a card would be.")
    if cards and "QEMU" in machine.get("vendor", ""):
        out.append("The cards are emulated: this run shows function only, no figure of it says anything about speed.")
    nodes = {card["node"] for card in cards.values()}
    if len(nodes) > 1:
        out.append(f"The cards are on different nodes: {', '.join(sorted(nodes))}.")
    return out
