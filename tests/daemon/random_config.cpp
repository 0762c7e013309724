#include "tests/daemon/random_config.h"

#include <algorithm>
#include <random>
#include <set>
#include <span>
#include <vector>

#include "config/settings.h"
#include "tests/daemon/live_gateway.h"
#include "tests/daemon/remotes.h"

namespace wg::test {

namespace {

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  std::string file() {
    std::string text = "dpdk: { workers: 1, memory: 64M, hugepages: off }\nports:\n";
    text += port("wan", 0, {"10.20.0.1/24", "10.20.1.1/24", "fd20::1/64"}, "10.20.0.2");
    if (chance(70)) text += port("lan", 1, {"192.168.1.1/24", "192.168.2.1/24", "fd01::1/64"}, {});
    text += "interfaces:\n";
    for (int i = 0; i < 3; ++i) {
      if (i == 0 || chance(65)) text += interface(i);
    }
    return text + "control: { socket: " + kSocket +
           ", state_directory: /run/lab/state, log: { level: error } }\n";
  }

 private:
  unsigned below(std::size_t n) { return static_cast<unsigned>(random_() % n); }
  bool chance(unsigned percent) { return below(100) < percent; }
  std::string one_of(const std::vector<std::string>& words) { return words[below(words.size())]; }
  std::string one_of(std::span<const std::string_view> words) {
    return std::string(words[below(words.size())]);
  }
  // A random part of `words`, as the inside of a YAML list.
  std::string some_of(const std::vector<std::string>& words, unsigned percent) {
    std::string list;
    for (const std::string& word : words) {
      if (chance(percent)) list += (list.empty() ? "\"" : ", \"") + word + "\"";
    }
    return list;
  }

  std::string port(const std::string& name, int device, const std::vector<std::string>& addresses,
                   const std::string& gateway) {
    // A gateway needs an address in its subnet.
    std::string list = some_of({addresses.begin() + 1, addresses.end()}, 50);
    list = "\"" + addresses[0] + "\"" + (list.empty() ? "" : ", " + list);
    std::string text = "  " + name + ": { device: \"net_null" + std::to_string(device) +
                       ",no-rx=1\", addresses: [" + list + "], mtu: " + one_of({"1500", "1500", "1400"}) +
                       settings_of_port();
    const std::string with_metric = "{ address: " + gateway + ", metric: 100 }";
    if (!gateway.empty() && chance(60)) text += ", gateway: " + (chance(50) ? gateway : with_metric);
    return text + " }\n";
  }

  std::string settings_of_port() {
    std::string text;
    for (const auto& row : config::settings_of<config::Port>()) {
      // Refused with another `forwarding` than short_cut.
      const bool contradicts = row.key == "port_to_port" && text.find("forwarding: ") != std::string::npos &&
                               text.find("forwarding: short_cut") == std::string::npos;
      if (chance(70) && !contradicts) text += ", " + std::string(row.key) + ": " + one_of(row.examples);
    }
    return text;
  }

  std::string interface(int i) {
    const std::string n = std::to_string(i);
    std::string text = "  wg" + n + ":\n";
    text += "    private_key: \"" + base64(key(100 + below(3) * 10 + static_cast<unsigned>(i))) + "\"\n";
    text += "    listen_port: " + std::to_string(51820 + i * 10 + static_cast<int>(below(2))) + "\n";
    text += "    addresses: [" +
            some_of({"10." + n + ".0.1/16", "172.16." + n + ".1/24", "fd1" + n + "::1/64"}, 50) + "]\n";
    if (chance(40)) text += "    mtu: " + one_of({"1420", "1380"}) + "\n";
    if (chance(30)) text += "    fwmark: " + one_of({"51", "52"}) + "\n";
    if (chance(30)) text += "    routes: " + one_of({"auto", "off"}) + "\n";
    if (chance(20)) text += "    table: " + one_of({"777", "778"}) + "\n";
    if (chance(20)) text += "    enabled: " + one_of({"true", "false"}) + "\n";
    for (const auto& row : config::settings_of<config::Interface>()) {
      if (chance(30)) text += "    " + std::string(row.key) + ": " + one_of(row.examples) + "\n";
    }
    return text + peers(n);
  }

  std::string peers(const std::string& n) {
    std::vector<std::string> prefixes;
    for (unsigned k = 0; k < 10; ++k) {
      prefixes.push_back("10." + n + "." + std::to_string(k) + ".0/24");
      prefixes.push_back("198.51." + std::to_string(k) + "." + n + "/32");
      prefixes.push_back("fd1" + n + ":" + std::to_string(k) + "::/48");
    }
    std::shuffle(prefixes.begin(), prefixes.end(), random_);
    std::string text;
    std::vector<unsigned> order{0, 1, 2, 3, 4, 5, 6, 7};
    std::shuffle(order.begin(), order.end(), random_);
    const unsigned name_shift = below(2);
    for (const unsigned p : order) {
      if (!chance(60)) continue;
      text += peer(p, name_shift, prefixes);
    }
    return text.empty() ? "    peers: []\n" : "    peers:\n" + text;
  }

  std::string peer(unsigned p, unsigned name_shift, std::vector<std::string>& prefixes) {
    std::string allowed;
    for (unsigned k = below(4); k > 0 && !prefixes.empty(); --k) {
      allowed += (allowed.empty() ? "\"" : ", \"") + prefixes.back() + "\"";
      prefixes.pop_back();
    }
    std::string text = "      - { public_key: \"" + idle_public_key(p) + "\", allowed_ips: [" + allowed + "]";
    if (chance(50)) text += ", name: peer" + std::to_string((p + name_shift) % 8);
    if (chance(40))
      text += ", endpoint: \"" + one_of({"10.20.0.9:1111", "203.0.113.5:2222", "[fd20::9]:3333"}) + "\"";
    if (chance(30)) text += ", persistent_keepalive: " + one_of({"25", "30"});
    if (chance(30)) text += ", preshared_key: \"" + base64(key(p * 2 + below(2))) + "\"";
    if (chance(20)) text += ", mtu: " + one_of({"1300", "1280"});
    if (chance(15)) text += ", enabled: false";
    return text + " }\n";
  }

  static noise::Key key(unsigned n) {
    noise::Key key = gateway_key();
    key[1] = static_cast<std::uint8_t>(n);
    return key;
  }

  std::mt19937_64 random_;
};

}  // namespace

std::string random_config(std::uint64_t seed) {
  return Generator(seed).file();
}

}  // namespace wg::test
