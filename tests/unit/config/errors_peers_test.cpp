// Complaints about peers. Each case: a text and all it is answered with.
#include "tests/unit/config/support.h"

namespace wg::config::errors_peers_test {
namespace {

const std::vector<ErrorCase> kCases = {
    {"a peer without a key",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { name: alice }\n",
     "gw.yaml:5:9: interfaces.wg0.peers[0]: the required key 'public_key' is missing\n"},
    {"a peer with an empty name",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { name: \"\", public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI= }\n",
     "gw.yaml:5:17: interfaces.wg0.peers[0].name: is empty; allowed: 1 to 64 printable characters\n"},
    {"peers as a map",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      alice: { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI= }\n",
     "gw.yaml:5:7: interfaces.wg0.peers: is a map; allowed: a list of peers\n"},
    {"a peer that is a scalar",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - alice\n",
     "gw.yaml:5:9: interfaces.wg0.peers[0]: is a single value; allowed: a map with at least public_key\n"},
    {"a public key too short",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg }\n",
     "gw.yaml:5:23: interfaces.wg0.peers[0].public_key: is not a key (42 characters); allowed: 32 bytes as "
     "44 characters of base64 or 64 hexadecimal digits\n"},
    {"a public key with a bad last digit",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgB=\n",
     "gw.yaml:5:21: interfaces.wg0.peers[0].public_key: is not a key (44 characters); allowed: 32 bytes as "
     "44 characters of base64 or 64 hexadecimal digits\n"},
    {"the zero key",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - public_key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
     "gw.yaml:5:21: interfaces.wg0.peers[0].public_key: is the all-zero key, which no peer can have; "
     "allowed: 32 "
     "bytes as 44 characters of base64 or 64 hexadecimal digits\n"},
    {"a peer with our own key",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - public_key: pOCSkrZRwni5dyxWn1+puxPZBrRqtoyd+dwrRAn4ogk=\n",
     "gw.yaml:5:21: interfaces.wg0.peers[0].public_key: is this interface's own key; allowed: the key of "
     "another peer\n"},
    {"a key of two peers",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { name: alice, public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI= }\n"
     "      - { name: bob, public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI= }\n",
     "gw.yaml:6:34: interfaces.wg0.peers[1].public_key: is also the key of interfaces.wg0.peers[0] "
     "(gw.yaml:5:36); allowed: one peer per key\n"},
    {"a name of two peers",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { name: alice, public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI= }\n"
     "      - { name: alice, public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM= }\n",
     "gw.yaml:6:17: interfaces.wg0.peers[1].name: 'alice' is also the name of interfaces.wg0.peers[0] "
     "(gw.yaml:5:17); allowed: one peer per name\n"},
    {"a preshared key that is none",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, preshared_key: swordfish }\n",
     "gw.yaml:5:84: interfaces.wg0.peers[0].preshared_key: is not a key (9 characters); allowed: 32 bytes as "
     "44 characters of base64 (linegate genkey) or 64 hexadecimal digits\n"},
    {"a preshared key and its file",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, preshared_key: "
     "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=, preshared_key_file: psk }\n",
     "gw.yaml:5:150: interfaces.wg0.peers[0].preshared_key_file: is given beside preshared_key; allowed: one "
     "of the two\n"},
    {"a preshared key file and the key",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, preshared_key_file: psk, "
     "preshared_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM= }\n",
     "gw.yaml:5:109: interfaces.wg0.peers[0].preshared_key: is given beside preshared_key_file; allowed: one "
     "of the two\n"},
    {"a private key file and the key",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key_file: wg0.key\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n",
     "gw.yaml:4:18: interfaces.wg0.private_key: is given beside private_key_file; allowed: one of the two\n"},
    {"an endpoint without a port",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, endpoint: vpn.example.net }\n",
     "gw.yaml:5:79: interfaces.wg0.peers[0].endpoint: 'vpn.example.net' has no port; allowed: name:port, "
     "192.0.2.1:51820 or [2001:db8::1]:51820\n"},
    {"an endpoint with port zero",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, endpoint: \"vpn.example.net:0\" "
     "}\n",
     "gw.yaml:5:79: interfaces.wg0.peers[0].endpoint: 'vpn.example.net:0' has a port outside 1 to 65535; "
     "allowed: name:port, 192.0.2.1:51820 or [2001:db8::1]:51820\n"},
    {"an IPv6 endpoint without brackets",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, endpoint: \"2001:db8::1:51820\" "
     "}\n",
     "gw.yaml:5:79: interfaces.wg0.peers[0].endpoint: '2001:db8::1:51820' is an IPv6 address without "
     "brackets; allowed: name:port, 192.0.2.1:51820 or [2001:db8::1]:51820\n"},
    {"an endpoint with a bad name",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, endpoint: \"-vpn-:51820\" }\n",
     "gw.yaml:5:79: interfaces.wg0.peers[0].endpoint: '-vpn-:51820' names neither an IPv4 address nor a "
     "valid host name; allowed: name:port, 192.0.2.1:51820 or [2001:db8::1]:51820\n"},
    {"an endpoint with a slip in IPv4",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, endpoint: \"192.0.2.256:51820\" "
     "}\n",
     "gw.yaml:5:79: interfaces.wg0.peers[0].endpoint: '192.0.2.256:51820' names neither an IPv4 address nor "
     "a valid host name; allowed: name:port, 192.0.2.1:51820 or [2001:db8::1]:51820\n"},
    {"an endpoint with a name in brackets",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, endpoint: \"[vpn]:51820\" }\n",
     "gw.yaml:5:79: interfaces.wg0.peers[0].endpoint: '[vpn]:51820' has no IPv6 address between its "
     "brackets; allowed: name:port, 192.0.2.1:51820 or [2001:db8::1]:51820\n"},
    {"a multicast endpoint",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, endpoint: \"224.0.0.1:51820\" }\n",
     "gw.yaml:5:79: interfaces.wg0.peers[0].endpoint: '224.0.0.1:51820' is not the address of one host; "
     "allowed: name:port, 192.0.2.1:51820 or [2001:db8::1]:51820\n"},
    {"an empty endpoint",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, endpoint: \"\" }\n",
     "gw.yaml:5:79: interfaces.wg0.peers[0].endpoint: '' is empty; allowed: name:port, 192.0.2.1:51820 or "
     "[2001:db8::1]:51820\n"},
    {"allowed IPs as a scalar",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, allowed_ips: 10.0.0.2/32 }\n",
     "gw.yaml:5:82: interfaces.wg0.peers[0].allowed_ips: is a single value; allowed: a list of prefixes such "
     "as [10.0.0.2/32, \"fd00::2/128\"]\n"},
    {"a prefix without a length",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, allowed_ips: [10.0.0.2] }\n",
     "gw.yaml:5:83: interfaces.wg0.peers[0].allowed_ips[0]: '10.0.0.2' has no prefix length; allowed: "
     "address/length such as 10.0.0.2/32 or fd00::/64\n"},
    {"a prefix too long",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, allowed_ips: [10.0.0.2/33] }\n",
     "gw.yaml:5:83: interfaces.wg0.peers[0].allowed_ips[0]: '10.0.0.2/33' is not a prefix; allowed: "
     "address/length such as 10.0.0.2/32 or fd00::/64\n"},
    {"a prefix with host bits",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, allowed_ips: [10.0.0.2/24] }\n",
     "gw.yaml:5:83: interfaces.wg0.peers[0].allowed_ips[0]: '10.0.0.2/24' has bits beyond its length; "
     "allowed: 10.0.0.0/24\n"},
    {"a prefix twice in one peer",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, allowed_ips: [10.0.0.0/24, "
     "10.0.0.0/24] }\n",
     "gw.yaml:5:96: interfaces.wg0.peers[0].allowed_ips[1]: 10.0.0.0/24 is given twice; allowed: once\n"},
    {"a prefix twice behind one that is refused",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, allowed_ips: [10.0.0.0/33, "
     "10.0.0.0/24, 10.0.0.0/24] }\n",
     "gw.yaml:5:83: interfaces.wg0.peers[0].allowed_ips[0]: '10.0.0.0/33' is not a prefix; allowed: "
     "address/length such as 10.0.0.2/32 or fd00::/64\n"
     "gw.yaml:5:109: interfaces.wg0.peers[0].allowed_ips[2]: 10.0.0.0/24 is given twice; allowed: once\n"},
    {"a prefix of two peers",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - name: alice\n"
     "        public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
     "        allowed_ips: [10.0.0.2/32]\n"
     "      - public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n"
     "        allowed_ips:\n"
     "          - 10.0.0.3/32\n"
     "          - 10.0.0.2/32\n",
     "gw.yaml:11:13: interfaces.wg0.peers[1].allowed_ips[1]: 10.0.0.2/32 already belongs to peer 'alice' "
     "(gw.yaml:7:23); allowed: one peer per prefix\n"},
    {"a keepalive in minutes",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, persistent_keepalive: 5m }\n",
     "gw.yaml:5:91: interfaces.wg0.peers[0].persistent_keepalive: '5m' is not a number of seconds; allowed: "
     "off, or 1 to 65535 seconds such as 25 or 25s\n"},
    {"a keepalive out of range",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, persistent_keepalive: 65536 }\n",
     "gw.yaml:5:91: interfaces.wg0.peers[0].persistent_keepalive: '65536' is out of range; allowed: off, or "
     "1 to 65535 seconds such as 25 or 25s\n"},
    {"a peer's MTU out of range",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, mtu: 100 }\n",
     "gw.yaml:5:74: interfaces.wg0.peers[0].mtu: '100' is out of range; allowed: auto, or 576 to 9520 "
     "bytes\n"},
    {"a peer's key misspelt",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, endpont: \"192.0.2.1:1\" }\n",
     "gw.yaml:5:69: interfaces.wg0.peers[0].endpont: unknown key; did you mean 'endpoint'?\n"},
    {"a peer's key in wg's spelling",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, AllowedIPs: [] }\n",
     "gw.yaml:5:69: interfaces.wg0.peers[0].AllowedIPs: unknown key; did you mean 'allowed_ips'?\n"},
    {"a merge key",
     "interfaces:\n"
     "  wg0:\n"
     "    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
     "    peers:\n"
     "      - { <<: { mtu: 1400 }, public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI= }\n",
     "gw.yaml:5:11: interfaces.wg0.peers[0].<<: unknown key; allowed: name, public_key, preshared_key, "
     "preshared_key_file, endpoint, allowed_ips, persistent_keepalive, mtu, enabled\n"},
};

class PeersErrors : public testing::TestWithParam<ErrorCase> {};

TEST_P(PeersErrors, AreReportedExactly) {
  expect_errors(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Config, PeersErrors, testing::ValuesIn(kCases), name_of_case);

}  // namespace
}  // namespace wg::config::errors_peers_test
