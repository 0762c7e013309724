// Complaints about `interfaces`. Each case: a text and all it is answered with.
#include "tests/unit/config/support.h"

namespace wg::config::errors_interfaces_test {
namespace {

const std::vector<ErrorCase> kCases = {
    {"an interface without a key",
     "interfaces:\n"
     "  wg0:\n"
     "    listen_port: 1\n",
     "gw.yaml:3:5: interfaces.wg0: the required key 'private_key_file' (or 'private_key') is missing\n"},
    {"an interface that is null",
     "interfaces:\n"
     "  wg0:\n",
     "gw.yaml:2:3: interfaces.wg0: has no value; allowed: a map with at least private_key_file\n"},
    {"a private key that is none", "interfaces: { wg0: { private_key: secret } }\n",
     "gw.yaml:1:35: interfaces.wg0.private_key: is not a key (6 characters); allowed: 32 bytes as 44 "
     "characters of base64 (linegate genkey) or 64 hexadecimal digits\n"},
    {"a private key and its file",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    private_key_file: wg0.key\n",
     "gw.yaml:4:23: interfaces.wg0.private_key_file: is given beside private_key; allowed: one of the two\n"},
    {"a listen port out of range",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    listen_port: 65536\n",
     "gw.yaml:4:18: interfaces.wg0.listen_port: '65536' is out of range; allowed: 0 (any free port) to "
     "65535\n"},
    {"a listen port without a value",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    listen_port:\n",
     "gw.yaml:4:5: interfaces.wg0.listen_port: has no value; allowed: 0 (any free port) to 65535\n"},
    {"a listen port in words",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    listen_port: [51820]\n",
     "gw.yaml:4:18: interfaces.wg0.listen_port: is a list; allowed: 0 (any free port) to 65535\n"},
    {"a listen port of two interfaces",
     "interfaces:\n"
     "  wg0: { private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=, listen_port: 51820 }\n"
     "  wg1: { private_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, listen_port: 51820 }\n",
     "gw.yaml:3:82: interfaces.wg1.listen_port: 51820 is already the listen port of wg0 (gw.yaml:2:82); "
     "allowed: one interface per port\n"},
    {"a mark that is none",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    fwmark: 0xfffffffff\n",
     "gw.yaml:4:13: interfaces.wg0.fwmark: '0xfffffffff' is not a firewall mark; allowed: off, or a 32-bit "
     "number such as 51820 or 0xca6c\n"},
    {"an MTU in words",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    mtu: big\n",
     "gw.yaml:4:10: interfaces.wg0.mtu: 'big' is not a whole number; allowed: auto, or 576 to 9520 bytes\n"},
    {"an MTU too small for IPv6",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    addresses: [\"fd00::1/64\"]\n"
     "    mtu: 1279\n",
     "gw.yaml:5:10: interfaces.wg0.mtu: 1279 is too small for the IPv6 address of this interface; allowed: "
     "auto, or at least 1280\n"},
    {"routes unknown",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    routes: on\n",
     "gw.yaml:4:13: interfaces.wg0.routes: 'on' is not known here; allowed: auto, off\n"},
    {"table zero",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    table: 0\n",
     "gw.yaml:4:12: interfaces.wg0.table: '0' is out of range; allowed: main, or the number of a routing "
     "table (1 to 4294967295)\n"},
    {"enabled in YAML 1.1",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    enabled: yes\n",
     "gw.yaml:4:14: interfaces.wg0.enabled: 'yes' is not known here; allowed: true, false\n"},
    {"dscp unknown",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    dscp: ef\n",
     "gw.yaml:4:11: interfaces.wg0.dscp: 'ef' is not known here; allowed: zero, copy\n"},
    {"a checksum switch that is no switch",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    udp_checksum4: none\n",
     "gw.yaml:4:20: interfaces.wg0.udp_checksum4: 'none' is not known here; allowed: true, false\n"},
    {"a clamp too small",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    mss_clamp: 100\n",
     "gw.yaml:4:16: interfaces.wg0.mss_clamp: '100' is out of range; allowed: off, auto, or 536 to 9000 "
     "bytes\n"},
    {"a log level unknown",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    log_level: verbose\n",
     "gw.yaml:4:16: interfaces.wg0.log_level: 'verbose' is not known here; allowed: off, error, warn, info, "
     "debug, trace\n"},
    {"an id that is no UUID",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    id: 6f0a4b5e-0a1c-4f7e-9a53\n",
     "gw.yaml:4:9: interfaces.wg0.id: '6f0a4b5e-0a1c-4f7e-9a53' is not a UUID; allowed: a UUID, such as "
     "6f0a4b5e-0a1c-4f7e-9a53-3f0c1b7d2e11\n"},
    {"an interface named like a port",
     "ports: { wg0: { device: tap } }\n"
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n",
     "gw.yaml:4:5: interfaces.wg0: is also the name of a port (gw.yaml:1:15); allowed: different names, both "
     "become Linux interfaces\n"},
    {"an interface's address at a port",
     "ports: { lan0: { device: tap, addresses: [10.0.0.1/24] } }\n"
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    addresses: [10.0.0.1/16]\n",
     "gw.yaml:5:17: interfaces.wg0.addresses[0]: 10.0.0.1 is also an address at ports.lan0.addresses[0] "
     "(gw.yaml:1:43); allowed: once\n"},
};

class InterfacesErrors : public testing::TestWithParam<ErrorCase> {};

TEST_P(InterfacesErrors, AreReportedExactly) {
  expect_errors(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Config, InterfacesErrors, testing::ValuesIn(kCases), name_of_case);

}  // namespace
}  // namespace wg::config::errors_interfaces_test
