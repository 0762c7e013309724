// Complaints about `ports`. Each case: a text and all it is answered with.
#include "tests/unit/config/support.h"

namespace wg::config::errors_ports_test {
namespace {

const std::vector<ErrorCase> kCases = {
    {"a port without a device", "ports: { wan0: {} }\n",
     "gw.yaml:1:16: ports.wan0: the required key 'device' is missing\n"},
    {"a port name too long", "ports: { a_name_of_16_byte: { device: tap } }\n",
     "gw.yaml:1:10: ports.a_name_of_16_byte: is not a name Linux accepts; allowed: 1 to 15 of letters, "
     "digits and _ = + . -\n"},
    {"a port name with a slash", "ports: { wan/0: { device: tap } }\n",
     "gw.yaml:1:10: ports.wan/0: is not a name Linux accepts; allowed: 1 to 15 of letters, digits and _ = + "
     ". -\n"},
    {"a port name of wg's own", "ports: { all: { device: tap } }\n",
     "gw.yaml:1:15: ports.all: is a name with a meaning of its own to wg(8) or Linux; allowed: any other\n"},
    {"a port given twice",
     "ports:\n"
     "  wan0: { device: tap }\n"
     "  wan0: { device: tap }\n",
     "gw.yaml:3:3: ports.wan0: is given twice, first on line 2; allowed: once\n"},
    {"a device unknown", "ports: { wan0: { device: eth0 } }\n",
     "gw.yaml:1:26: ports.wan0.device: 'eth0' is not a device; allowed: a PCI address such as 0000:03:00.0, "
     "a Linux interface such as linux:eth1, a DPDK virtual device such as net_memif0, or tap\n"},
    {"a PCI function beyond 7", "ports: { wan0: { device: \"0000:03:00.8\" } }\n",
     "gw.yaml:1:26: ports.wan0.device: '0000:03:00.8' is not a device; allowed: a PCI address such as "
     "0000:03:00.0, a Linux interface such as linux:eth1, a DPDK virtual device such as net_memif0, or "
     "tap\n"},
    {"Linux interfaces that cannot be",
     "ports:\n"
     "  a: { device: \"linux:\" }\n"
     "  b: { device: \"linux:a_name_of_16_byte\" }\n"
     "  c: { device: \"linux:et/h\" }\n"
     "  d: { device: \"linux:eth0:1\" }\n"
     "  e: { device: \"linux:et h\" }\n"
     "  f: { device: \"linux:..\" }\n",
     "gw.yaml:2:16: ports.a.device: 'linux:' does not name a network interface; allowed: linux: and a name "
     "of "
     "1 to 15 characters without / : and spaces\n"
     "gw.yaml:3:16: ports.b.device: 'linux:a_name_of_16_byte' does not name a network interface; allowed: "
     "linux: and a name of 1 to 15 characters without / : and spaces\n"
     "gw.yaml:4:16: ports.c.device: 'linux:et/h' does not name a network interface; allowed: linux: and a "
     "name of 1 to 15 characters without / : and spaces\n"
     "gw.yaml:5:16: ports.d.device: 'linux:eth0:1' does not name a network interface; allowed: linux: and a "
     "name of 1 to 15 characters without / : and spaces\n"
     "gw.yaml:6:16: ports.e.device: 'linux:et h' does not name a network interface; allowed: linux: and a "
     "name of 1 to 15 characters without / : and spaces\n"
     "gw.yaml:7:16: ports.f.device: 'linux:..' does not name a network interface; allowed: linux: and a name "
     "of 1 to 15 characters without / : and spaces\n"},
    {"a Linux interface used twice",
     "ports:\n"
     "  wan0: { device: \"linux:eth0\" }\n"
     "  lan0: { device: \"linux:eth0\" }\n",
     "gw.yaml:3:19: ports.lan0.device: 'linux:eth0' is already the device of another port (gw.yaml:2:19); "
     "allowed: one port per device\n"},
    {"a port on itself", "ports: { wan0: { device: \"linux:wan0\" } }\n",
     "gw.yaml:1:26: ports.wan0.device: 'linux:wan0' is an interface that this gateway makes itself "
     "(gw.yaml:1:16); allowed: one that is there without it\n"},
    {"a port on another one's trunk and wire",
     "ports:\n"
     "  wan0: { device: tap, vlan: 5 }\n"
     "  a: { device: \"linux:wan0.trunk\" }\n"
     "  b: { device: \"linux:wan0.wire\" }\n",
     "gw.yaml:3:16: ports.a.device: 'linux:wan0.trunk' is an interface that this gateway makes itself "
     "(gw.yaml:2:9); allowed: one that is there without it\n"
     "gw.yaml:4:16: ports.b.device: 'linux:wan0.wire' is an interface that this gateway makes itself "
     "(gw.yaml:2:9); allowed: one that is there without it\n"},
    {"a device used twice",
     "ports:\n"
     "  wan0: { device: \"net_af_packet0,iface=eth0\" }\n"
     "  lan0: { device: \"net_af_packet0,iface=eth1\" }\n",
     "gw.yaml:3:19: ports.lan0.device: 'net_af_packet0' is already the device of another port "
     "(gw.yaml:2:19); allowed: one port per device\n"},
    {"a PCI device twice, once without its domain",
     "ports:\n"
     "  a: { device: \"0000:03:00.0\" }\n"
     "  b: { device: \"03:00.0\" }\n",
     "gw.yaml:3:16: ports.b.device: '0000:03:00.0' is already the device of another port (gw.yaml:2:16); "
     "allowed: one port per device\n"},
    {"an address without a length", "ports: { wan0: { device: tap, addresses: [192.0.2.1] } }\n",
     "gw.yaml:1:43: ports.wan0.addresses[0]: '192.0.2.1' has no prefix length; allowed: address/length such "
     "as 192.0.2.1/24 or 2001:db8::1/64\n"},
    {"an address that is none", "ports: { wan0: { device: tap, addresses: [192.0.2.300/24] } }\n",
     "gw.yaml:1:43: ports.wan0.addresses[0]: '192.0.2.300/24' is not an address; allowed: address/length "
     "such as 192.0.2.1/24 or 2001:db8::1/64\n"},
    {"a multicast address", "ports: { wan0: { device: tap, addresses: [224.0.0.1/24] } }\n",
     "gw.yaml:1:43: ports.wan0.addresses[0]: '224.0.0.1/24' is not the address of a host; allowed: a unicast "
     "address\n"},
    {"a loopback address", "ports: { wan0: { device: tap, addresses: [192.0.2.1/24, \"::1/128\"] } }\n",
     "gw.yaml:1:57: ports.wan0.addresses[1]: '::1/128' is not the address of a host; allowed: a unicast "
     "address\n"},
    {"a loopback address of IPv4", "ports: { wan0: { device: tap, addresses: [127.0.0.5/8] } }\n",
     "gw.yaml:1:43: ports.wan0.addresses[0]: '127.0.0.5/8' is not the address of a host; allowed: a unicast "
     "address\n"},
    {"an address keeps its number behind one that is none",
     "ports:\n"
     "  a: { device: tap, addresses: [192.0.2.1/24] }\n"
     "  b: { device: tap, addresses: [bad/24, 192.0.2.1/24] }\n",
     "gw.yaml:3:33: ports.b.addresses[0]: 'bad/24' is not an address; allowed: address/length "
     "such as 192.0.2.1/24 or 2001:db8::1/64\n"
     "gw.yaml:3:41: ports.b.addresses[1]: 192.0.2.1 is also an address at ports.a.addresses[0] "
     "(gw.yaml:2:33); allowed: once\n"},
    {"an address twice in one port",
     "ports: { wan0: { device: tap, addresses: [192.0.2.1/24, 192.0.2.1/24] } }\n",
     "gw.yaml:1:57: ports.wan0.addresses[1]: '192.0.2.1/24' is given twice; allowed: once\n"},
    {"an address at two ports",
     "ports:\n"
     "  wan0: { device: tap, addresses: [192.0.2.1/24] }\n"
     "  lan0: { device: tap, addresses: [192.0.2.1/16] }\n",
     "gw.yaml:3:36: ports.lan0.addresses[0]: 192.0.2.1 is also an address at ports.wan0.addresses[0] "
     "(gw.yaml:2:36); allowed: once\n"},
    {"addresses as a scalar", "ports: { wan0: { device: tap, addresses: 192.0.2.1/24 } }\n",
     "gw.yaml:1:42: ports.wan0.addresses: is a single value; allowed: a list of address/length such as "
     "[192.0.2.1/24, \"2001:db8::1/64\"]\n"},
    {"two gateways of one family", "ports: { wan0: { device: tap, gateway: [192.0.2.1, 192.0.2.2] } }\n",
     "gw.yaml:1:52: ports.wan0.gateway[1]: '192.0.2.2' is a second gateway of its family; allowed: an IPv4 "
     "or IPv6 address, { address: ADDRESS, metric: NUMBER }, or a list of one of each\n"},
    {"a gateway without an address", "ports: { wan0: { device: tap, gateway: { metric: 5 } } }\n",
     "gw.yaml:1:40: ports.wan0.gateway: the required key 'address' is missing\n"},
    {"a metric out of range",
     "ports: { wan0: { device: tap, gateway: { address: 192.0.2.1, metric: 2000000000 } } }\n",
     "gw.yaml:1:70: ports.wan0.gateway.metric: '2000000000' is out of range; allowed: 0 (the kernel's own) "
     "to "
     "1999999999\n"},
    {"a gateway that is our own address",
     "ports:\n"
     "  wan0: { device: tap, addresses: [192.0.2.1/24], gateway: 192.0.2.1 }\n"
     "  lan0: { device: tap, addresses: [10.0.0.1/24], gateway: 10.0.0.9 }\n",
     "gw.yaml:2:60: ports.wan0.gateway: 192.0.2.1 is our own address at ports.wan0.addresses[0] "
     "(gw.yaml:2:36); allowed: the address of the next router\n"},
    {"a gateway that is none", "ports: { wan0: { device: tap, gateway: router } }\n",
     "gw.yaml:1:40: ports.wan0.gateway: 'router' is not the address of a gateway; allowed: an IPv4 or IPv6 "
     "address, { address: ADDRESS, metric: NUMBER }, or a list of one of each\n"},
    {"queues out of range", "ports: { wan0: { device: tap, queues: 0 } }\n",
     "gw.yaml:1:39: ports.wan0.queues: '0' is out of range; allowed: auto or 1 to 128\n"},
    {"an MTU too small", "ports: { wan0: { device: tap, mtu: 68 } }\n",
     "gw.yaml:1:36: ports.wan0.mtu: '68' is out of range; allowed: 576 to 9600\n"},
    {"a VLAN out of range", "ports: { wan0: { device: tap, vlan: 4095 } }\n",
     "gw.yaml:1:37: ports.wan0.vlan: '4095' is out of range; allowed: 1 to 4094\n"},
    {"a multicast MAC", "ports: { wan0: { device: tap, mac: \"01:00:5e:00:00:01\" } }\n",
     "gw.yaml:1:36: ports.wan0.mac: '01:00:5e:00:00:01' is not a unicast MAC address; allowed: a unicast MAC "
     "address such as 02:00:00:00:00:01\n"},
    {"a MAC of five bytes", "ports: { wan0: { device: tap, mac: \"02:00:00:00:00\" } }\n",
     "gw.yaml:1:36: ports.wan0.mac: '02:00:00:00:00' is not a unicast MAC address; allowed: a unicast MAC "
     "address such as 02:00:00:00:00:01\n"},
    {"forwarding unknown", "ports: { wan0: { device: tap, forwarding: fast } }\n",
     "gw.yaml:1:43: ports.wan0.forwarding: 'fast' is not known here; allowed: short_cut, kernel, flows\n"},
    {"port_to_port without the short cut",
     "ports: { wan0: { device: tap, forwarding: kernel, port_to_port: true } }\n",
     "gw.yaml:1:65: ports.wan0.port_to_port: is true, but forwarding is 'kernel' (gw.yaml:1:43); allowed: "
     "false, or forwarding: short_cut\n"},
    {"port_to_port beside flows",
     "ports:\n"
     "  wan0: { device: tap, port_to_port: true }\n"
     "  lan0:\n"
     "    device: tap\n"
     "    port_to_port: true\n"
     "    forwarding: flows\n",
     "gw.yaml:5:19: ports.lan0.port_to_port: is true, but forwarding is 'flows' (gw.yaml:6:17); allowed: "
     "false, or forwarding: short_cut\n"},
    {"port_to_port unknown", "ports: { wan0: { device: tap, port_to_port: maybe } }\n",
     "gw.yaml:1:45: ports.wan0.port_to_port: 'maybe' is not known here; allowed: true, false\n"},
    {"a key misspelt", "ports: { wan0: { device: tap, adresses: [] } }\n",
     "gw.yaml:1:31: ports.wan0.adresses: unknown key; did you mean 'addresses'?\n"},
    {"a key given twice", "ports: { wan0: { device: tap, mtu: 1500, mtu: 1400 } }\n",
     "gw.yaml:1:42: ports.wan0.mtu: is given twice, first on line 1; allowed: once\n"},
};

class PortsErrors : public testing::TestWithParam<ErrorCase> {};

TEST_P(PortsErrors, AreReportedExactly) {
  expect_errors(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Config, PortsErrors, testing::ValuesIn(kCases), name_of_case);

std::string lines(std::size_t count, const std::string& name, const std::string& value) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += "  " + name + std::to_string(i) + ": " + value + "\n";
  return text;
}

TEST(Counts, OfPortsAndInterfacesAreWhatWorkersHaveRoomFor) {
  const std::string tap = "{ device: tap }", wg = "{ private_key: " + to_string(public_key(1)) + " }";
  const std::string most = "ports:\n" + lines(48, "p", tap) + "interfaces:\n" + lines(240, "wg", wg);
  EXPECT_TRUE(parse_text(most, "gw.yaml", {}));
  expect_errors({"ports", "ports:\n" + lines(50, "p", tap),
                 "gw.yaml:50:8: ports.p48: is number 49 of 50; allowed: at most 48\n"});
  expect_errors({"interfaces", "interfaces:\n" + lines(241, "wg", wg),
                 "gw.yaml:242:10: interfaces.wg240: is number 241 of 241; allowed: at most 240\n"});
}

}  // namespace
}  // namespace wg::config::errors_ports_test
