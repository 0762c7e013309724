"""Random states of the network, as lines that `Gateway.command` carries out, and random packets for them.

A line is one step: "4 …" and "6 …" are of `ip` for that family, "sysctl KEY VALUE" is below /proc/sys/net.
"""
import ipaddress

from gateway import PORT_MAC, PORTS, TUNNELS, host_mac

ADDRESSES = {
    "wan": ["10.20.0.1/24", "fd20::1/64", "fe80::1/64"],
    "lan": ["192.168.1.1/24", "fd01::1/64", "fe80::1/64"],
    "dmz": ["192.168.2.1/24", "fd02::1/64", "fe80::1/64"],
    "ext": ["192.168.3.1/24", "fd03::1/64", "fe80::1/64"],
    "wg0": ["10.10.0.1/24", "fd00::1/64"],
    "wg1": ["10.11.0.1/24", "fd09::1/64"],
}
LINKS = tuple(ADDRESSES)
# Peers' endpoints are never asked for: the way of sealed packets stays as it is.
ENDPOINTS = ("10.20.0.11", "10.20.0.12", "10.20.0.13")
PREFIXES4 = ["172.16.0.0/16", "172.16.1.0/24", "172.16.1.6/32", "172.17.0.0/16", "172.17.1.0/24", "203.0.113.0/24",
             "203.0.113.0/25", "203.0.113.6/32", "198.51.100.0/24", "192.168.1.6/32", "192.168.2.0/25", "0.0.0.0/0",
             "10.10.0.2/32", "10.11.0.0/25", "100.64.0.0/10"]
PREFIXES6 = ["fd10::/32", "fd10:1::/48", "fd10:1::6/128", "fd11::/32", "2001:db8:1::/48", "2001:db8:1::6/128",
             "fd01::6/128", "fd02::/80", "::/0", "fd00::2/128", "2000::/3"]
NO_SOURCES4 = [p for p in PREFIXES4 if p.startswith("203.0.113.")]  # no packet of the test comes from there
TABLES = (100, 101)
RULE_PRIORITIES = range(100, 130)
NEXTHOP_IDS = range(1, 13)
EXTRA_ADDRESSES = ["192.168.1.7/24", "192.168.2.200/32", "10.10.0.9/32", "203.0.113.77/32", "172.16.1.77/24",
                   "fd01::77/64", "2001:db8:1::77/128", "fd10::77/128", "10.99.0.1/24"]
OWN = {ipaddress.ip_interface(a).ip for list_ in ADDRESSES.values() for a in list_} | {
    ipaddress.ip_interface(a).ip for a in EXTRA_ADDRESSES} | {ipaddress.ip_address(a) for a in (
        "192.0.0.8", "0.0.0.0", "127.0.0.1", "::1", "::")}
OTHER_MAC = "02:00:00:00:00:99"

# What the machine's own limits would make of a flood of probes is not asked.
LIMITS = {"ipv4.icmp_ratelimit": 0, "ipv4.icmp_msgs_per_sec": 1000000, "ipv4.icmp_msgs_burst": 1000000,
          "ipv6.icmp.ratelimit": 0}
LIMITS |= {f"ipv{family}.neigh.{link}.retrans_time_ms": 100 for family in (4, 6) for link in ("wan", "lan", "dmz", "ext")}
SWITCHES = {f"ipv4.conf.{link}.{name}": value for link in LINKS for name, value in (
    ("forwarding", 1), ("rp_filter", 0), ("accept_local", 0), ("route_localnet", 0), ("send_redirects", 0),
    ("bc_forwarding", 0), ("proxy_arp", 0))}
SWITCHES |= {f"ipv6.conf.{link}.{name}": value for link in LINKS for name, value in (
    ("disable_ipv6", 0), ("hop_limit", 64), ("keep_addr_on_down", 1))}
SWITCHES |= {"ipv4.conf.all.rp_filter": 0, "ipv4.conf.all.send_redirects": 0, "ipv4.conf.all.bc_forwarding": 0,
             "ipv4.conf.all.accept_local": 0, "ipv4.conf.all.route_localnet": 0, "ipv4.ip_default_ttl": 64,
             "ipv4.icmp_errors_use_inbound_ifaddr": 0, "ipv4.fib_multipath_hash_policy": 0,
             "ipv6.conf.all.forwarding": 1, "ipv4.ip_forward_use_pmtu": 0,
             "ipv4.conf.all.ignore_routes_with_linkdown": 0}
SWITCHES |= {f"ipv4.conf.{t}.accept_local": 1 for t in TUNNELS}  # as Linegate sets it


def family_of(text):
    return 6 if ":" in text else 4


def baseline():
    """From any state to the first one."""
    lines = []
    for link in LINKS:
        lines += [f"4 addr flush dev {link}", f"6 addr flush dev {link}"]
    for extra in EXTRA_ADDRESSES:
        lines.append(f"{family_of(extra)} addr del {extra if ':' in extra else extra.split('/')[0] + '/32'} dev lo")
    for family in (4, 6):
        lines += [f"{family} rule del pref {p}" for p in RULE_PRIORITIES]
        lines += [f"{family} route flush table {t}" for t in ("main",) + TABLES]
    lines += [f"4 route del {kind} {p} table local" for kind in ("local", "broadcast") for p in PREFIXES4]
    lines += [f"4 nexthop del id {i}" for i in NEXTHOP_IDS]
    lines.append("4 link del br0")
    for link in LINKS:
        if link in PORT_MAC:
            lines += [f"4 neigh flush dev {link} nud all", f"6 neigh flush dev {link} nud all",
                      f"4 link set {link} address {PORT_MAC[link].hex(':')}"]
        lines.append(f"4 link set {link} mtu {1420 if link in TUNNELS else 1500} up")
    lines += [f"sysctl {key} {value}" for key, value in (LIMITS | SWITCHES).items()]
    for link, addresses in ADDRESSES.items():
        lines += [f"{family_of(a)} addr add {a} dev {link}" + (" nodad" if ":" in a else "") for a in addresses]
    lines += [f"4 neigh replace {a} lladdr {host_mac('wan', a).hex(':')} dev wan nud permanent" for a in ENDPOINTS]
    lines += ["4 route add 172.16.0.0/16 dev wg0", "4 route add 172.17.0.0/16 dev wg0", "6 route add fd10::/16 dev wg0",
              "6 route add fd11::/16 dev wg0", "4 route add 203.0.113.0/24 via 192.168.1.2 dev lan",
              "4 route add 198.51.100.0/24 dev wg1", "6 route add 2001:db8:1::/48 via fd01::2 dev lan",
              "6 route add 2001:db8:2::/48 dev wg1"]
    return lines


GATEWAYS4 = {"wan": ["10.20.0.2"], "lan": ["192.168.1.2", "192.168.1.4"], "dmz": ["192.168.2.2"],
             "ext": ["192.168.3.2"]}
GATEWAYS6 = {"wan": ["fd20::2", "fe80::20:2"], "lan": ["fd01::2", "fd01::4", "fe80::2"], "dmz": ["fd02::2", "fe80::2"],
             "ext": ["fd03::2"]}


class Generator:
    """All from one random.Random, so that a seed is one history."""

    def __init__(self, random):
        self.random = random
        self.touched = []  # prefixes that lines have named, so that packets go there
        self.bridged = False
        self.port_mac = {link: mac.hex(":") for link, mac in PORT_MAC.items()}
        # With a rule Linux routes everything of that family, so most histories have none.
        rules = self.chance(0.25)
        self.dead = self.chance(0.2)  # are there gateways and destinations that do not answer?
        self.kinds = [
            (30, self.route), (8, self.route_away), (rules * 8, self.rule), (rules * 5, self.rule_away),
            (6, self.nexthop), (6, self.route_by_nexthop), (3, self.nexthop_away), (8, self.neighbour), (4, self.link_state),
            (5, self.address), (10, self.switch), (5, self.mtu), (2, self.mac), (2, self.bridge)]

    def pick(self, *values):
        return self.random.choice(values)

    def chance(self, share):
        return self.random.random() < share

    def step(self):
        """The lines of one change."""
        weights = [w for w, _ in self.kinds]
        kind = self.random.choices([k for _, k in self.kinds], weights)[0]
        return kind()

    # ---- changes

    def prefix(self, family):
        prefix = self.random.choice(PREFIXES4 if family == 4 else PREFIXES6)
        self.touched.append(prefix)
        return prefix

    def hop(self, family, out=None):
        """Where a route leads: "via A dev D", "dev D" (on-link), now and then with onlink."""
        link = out or self.random.choice(LINKS)
        if link in TUNNELS or self.chance(0.2):
            if link in TUNNELS and self.chance(0.1):
                return f"via 10.10.0.{self.pick(2, 3, 6)} dev {link}" if family == 4 else f"dev {link}"
            return f"dev {link}"
        if family == 4 and self.chance(0.1):
            return f"via inet6 {self.random.choice(GATEWAYS6[link])} dev {link}"
        via = self.random.choice((GATEWAYS4 if family == 4 else GATEWAYS6)[link])
        if link == "lan" and family == 4 and self.dead and self.chance(0.3):
            via = "192.168.1.9"
        if self.chance(0.1):
            return f"via {self.pick('100.64.0.6', '169.254.0.2') if family == 4 else 'fe80::77:6'} dev {link} onlink"
        return f"via {via} dev {link}"

    def attributes(self, family):
        text = ""
        if self.chance(0.12) and family == 4:
            text += f" tos {self.pick('0x10', '0x08', '0x04')}"
        if self.chance(0.25):
            text += f" metric {self.pick(5, 10, 100, 1024)}"
        if self.chance(0.12):
            text += f" mtu {self.pick('lock 1300', '1300', '1280', '9000')}"
        if self.chance(0.06):
            text += f" advmss {self.pick(1200, 536)}"
        if self.chance(0.04):
            text += " hoplimit 5"
        if self.chance(0.04) and family == 4:
            text += " realm 7"
        if self.chance(0.05) and family == 6:
            text += f" pref {self.pick('low', 'medium', 'high')}"
        if self.chance(0.06) and family == 4:
            text += " src 192.168.1.1"
        if self.chance(0.04):
            text += f" proto {self.pick('bird', 'static', 'ra')}"
        return text

    def route(self):
        family = self.pick(4, 4, 6)
        verb = self.pick("add", "replace", "replace", "append", "prepend")
        prefix = self.prefix(family)
        table = f" table {self.random.choice(TABLES)}" if self.chance(0.2) else ""
        if family == 6 and self.chance(0.08):
            prefix += f" from {self.pick('fd10::/16', 'fd01::/64')}"
        if self.chance(0.25):
            kind = self.pick("blackhole", "unreachable", "prohibit", "throw")
            return [f"{family} route {verb} {kind} {prefix}{table}{self.attributes(family)}"]
        if self.chance(0.05) and family == 4:
            prefix = self.random.choice(NO_SOURCES4)
            self.touched.append(prefix)
            return [f"4 route {verb} {self.pick('local', 'broadcast')} {prefix}{table} dev {self.pick('lo', 'lan', 'wg0')}"]
        if self.chance(0.04):
            encap = "encap seg6 mode encap segs fd02::6" if family == 6 else "encap ip id 5 dst 192.168.2.6"
            return [f"{family} route {verb} {prefix}{table} {encap} {self.hop(family, 'lan')}"]
        if self.chance(0.15):
            hops = " ".join(f"nexthop {self.hop(family)} weight {self.pick(1, 1, 3)}" for _ in range(self.pick(2, 2, 3)))
            return [f"{family} route {verb} {prefix}{table}{self.attributes(family)} {hops}"]
        return [f"{family} route {verb} {prefix}{table} {self.hop(family)}{self.attributes(family)}"]

    def route_away(self):
        family = self.pick(4, 6)
        prefix = self.random.choice([p for p in self.touched if family_of(p) == family] or PREFIXES4[:1])
        table = f" table {self.random.choice(TABLES)}" if self.chance(0.2) else ""
        return [f"{family_of(prefix)} route del {prefix}{table}"]

    def rule(self):
        family = self.pick(4, 4, 6)
        parts = [f"pref {self.random.choice(RULE_PRIORITIES)}"]
        selectors = {
            "from": lambda: f"from {self.pick('192.168.1.0/24', '172.16.0.0/16', '203.0.113.6') if family == 4 else self.pick('fd01::/64', 'fd10::/16')}",
            "to": lambda: f"to {self.prefix(family)}",
            "iif": lambda: f"iif {self.random.choice(('lan', 'wg0', 'wg1', 'dmz'))}",
            "oif": lambda: "oif lan",
            "tos": lambda: f"tos {self.pick('0x10', '0x08')}",
            "sport": lambda: f"ipproto udp sport {self.pick('1000', '1000-1003')}",
            "dport": lambda: f"ipproto {self.pick('udp', 'tcp')} dport 2000",
            "mark": lambda: "fwmark 0x5",
        }
        # No rule selects sealed packets: they keep their way.
        names = self.random.sample(list(selectors), self.pick(1, 1, 2))
        if family == 4 and not set(names) & {"from", "iif", "oif", "mark", "tos"}:
            names.append("iif")
        if family == 4 and self.chance(0.05):
            parts.append("not to 10.20.0.0/24")
        else:
            parts += [selectors[n]() for n in dict.fromkeys(names)]
        parts.append(self.pick("table 100", "table 101", "table 100", "blackhole", "prohibit", "unreachable",
                               "table main suppress_prefixlength 0", "goto 32766"))
        return [f"{family} rule add {' '.join(parts)}"]

    def rule_away(self):
        return [f"{self.pick(4, 6)} rule del pref {self.random.choice(RULE_PRIORITIES)}"]

    def nexthop(self):
        which = self.random.choice(NEXTHOP_IDS)
        family = self.pick(4, 4, 6)
        if self.chance(0.1):
            return [f"{family} nexthop replace id {which} blackhole"]
        if which > 8:
            members = "/".join(str(m) for m in self.random.sample(range(1, 9), self.pick(1, 2, 2)))
            return [f"4 nexthop replace id {which} group {members}"]
        return [f"{family} nexthop replace id {which} {self.hop(family)}"]

    def route_by_nexthop(self):
        family = self.pick(4, 4, 6)
        return [f"{family} route replace {self.prefix(family)} nhid {self.random.choice(NEXTHOP_IDS)}"]

    def nexthop_away(self):
        return [f"4 nexthop del id {self.random.choice(NEXTHOP_IDS)}"]

    def neighbour(self):
        link = self.pick("lan", "lan", "dmz", "wan", "ext")
        family = self.pick(4, 6)
        address = self.random.choice((GATEWAYS4 if family == 4 else GATEWAYS6)[link] + (
            ["192.168.1.6"] if link == "lan" and family == 4 else []))
        if self.chance(0.25):
            return [f"{family} neigh del {address} dev {link}"]
        mac = self.pick(host_mac(link, address).hex(":"), "06:11:22:33:44:55")
        state = self.pick("permanent", "permanent", "reachable", "stale", "noarp")
        return [f"{family} neigh replace {address} lladdr {mac} dev {link} nud {state}"]

    def link_state(self):
        link = self.pick("lan", "dmz")
        return [f"4 link set {link} {self.pick('down', 'up', 'up')}"]

    def address(self):
        link = self.pick("lan", "dmz", "wg0", "wg1", "lo")
        address = self.random.choice(EXTRA_ADDRESSES + ([] if link == "lo" else [a for a in ADDRESSES[link] if a[:4] != "fe80"]))
        if link == "lo" and ":" not in address:
            address = address.split("/")[0] + "/32"  # a whole network of lo is a rule of README.md
        nodad = " nodad" if ":" in address else ""
        if self.chance(0.5):
            return [f"{family_of(address)} addr del {address} dev {link}"]
        return [f"{family_of(address)} addr add {address} dev {link}{nodad}"]

    def switch(self):
        key = self.random.choice(list(SWITCHES))
        if key.endswith("disable_ipv6") or key.endswith("keep_addr_on_down"):
            key = self.pick("ipv4.conf.all.rp_filter", "ipv4.conf.lan.forwarding", "ipv4.conf.wg0.forwarding", "ipv6.conf.all.forwarding",
                            "ipv4.conf.wg1.rp_filter", "ipv4.conf.all.rp_filter", "ipv4.conf.lan.rp_filter")
        if key.endswith("hop_limit") or key.endswith("default_ttl"):
            return [f"sysctl {key} {self.pick(64, 33)}"]
        if key.endswith("rp_filter"):
            return [f"sysctl {key} {self.pick(0, 0, 0, 1, 2)}"]
        if key.endswith("forwarding") and "bc_" not in key:
            return [f"sysctl {key} {self.pick(1, 1, 0)}"]
        if key.endswith("hash_policy"):
            return [f"sysctl {key} {self.pick(0, 1)}"]
        return [f"sysctl {key} {self.pick(0, 1)}"]

    def mtu(self):
        link = self.pick("lan", "dmz", "wg0", "wg1", "ext")
        whole = 1420 if link in TUNNELS else 1500
        return [f"4 link set {link} mtu {self.pick(whole, 1300, 1280, 1400)}"]

    def mac(self):
        link = self.pick("lan", "dmz")
        self.port_mac[link] = self.pick(OTHER_MAC, PORT_MAC[link].hex(":"))
        return [f"4 link set {link} address {self.port_mac[link]}"]

    def bridge(self):
        if self.chance(0.5):
            return ["4 link set dmz nomaster"]
        lines = [] if self.bridged else ["4 link add br0 address 02:00:00:00:00:77 type bridge", "4 link set br0 up",
                                         "4 addr add 192.168.77.1/24 dev br0"]
        self.bridged = True
        # Behind a bridge no neighbour answers any more; those that are known stay known, on one side maybe.
        return lines + ["4 link set dmz master br0"] + [f"{family} neigh flush dev dmz nud all" for family in (4, 6)]
