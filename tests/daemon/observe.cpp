#include "tests/daemon/observe.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/daemon/sandbox.h"

namespace wg::test {

namespace {

using control::Json;

const std::set<std::string> kVolatile{"rx_bytes",      "tx_bytes",           "rx_packets",  "tx_packets",
                                      "handshakes",    "last_handshake",     "session_age", "last_received",
                                      "lost_estimate", "reordered_estimate", "drops",       "staged_packets",
                                      "rx_missed",     "rx_errors",          "tx_errors",   "queues",
                                      "ifindex",       "under_load",         "active",      "peers_active",
                                      "mac",           "rx_queues",          "tx_queues",   "link_up",
                                      "speed_mbps"};

void flatten(const Json& value, const std::string& at, std::vector<std::string>& out) {
  if (value.is_object()) {
    for (const auto& [name, member] : value.items()) {
      if (!kVolatile.contains(name)) flatten(member, at + "." + name, out);
    }
  } else {
    out.push_back(at + " = " + value.dump());
  }
}

void add_list(const Json& list, const std::string& what, std::vector<std::string>& out) {
  for (const Json& item : list) {
    const std::string key = item.contains("public_key") && what == "peer"
                                ? item["public_key"].get<std::string>()
                                : item["name"].get<std::string>();
    const std::string interface = item.value("interface", std::string());
    flatten(item, what + " " + interface + " " + key, out);
  }
}

void add_lines(const std::string& what, const std::string& text, std::vector<std::string>& out) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) out.push_back(what + ": " + line);
}

// A removed interface's netdev goes when the worker has let go of it, which takes as long as the machine
// keeps the worker off its core.
void wait_for_removals(LiveGateway& gateway) {
  for (int i = 0; i < 500; ++i) {
    std::set<std::string> known{"lo", kForeignNetdev};
    for (const std::string what : {"interfaces", "ports"}) {
      const Json answer = gateway.call("show." + what);
      for (const Json& item : answer[what]) known.insert(item["name"].get<std::string>());
    }
    std::istringstream names(shell("ip -o link | sed 's/^[0-9]*: //; s/[:@].*//'"));
    bool gone = true;
    for (std::string name; names >> name;) gone &= known.contains(name);
    if (gone) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// The kernel announces routes and addresses with a delay, so wait until they are stable.
std::vector<std::string> settled_tables(LiveGateway& gateway) {
  std::vector<std::string> tables = gateway.worker_tables();
  for (int still = 0, i = 0; still < 4 && i < 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
    std::vector<std::string> again = gateway.worker_tables();
    still = again == tables ? still + 1 : 0;
    tables = std::move(again);
  }
  return tables;
}

}  // namespace

std::string observe(LiveGateway& gateway) {
  wait_for_removals(gateway);
  std::vector<std::string> facts;
  const Json interfaces = gateway.call("show.interfaces")["interfaces"];
  add_list(interfaces, "interface", facts);
  add_list(gateway.call("show.ports")["ports"], "port", facts);
  add_list(gateway.call("show.peers")["peers"], "peer", facts);
  for (const Json& interface : interfaces) {
    const auto name = interface["name"].get<std::string>();
    add_lines("export " + name, gateway.call("interface.export", {{"name", name}})["text"].get<std::string>(),
              facts);
    // Leaves out handshakes and bytes, because keepalives make the gateway send to endpoints.
    add_lines("wg " + name, shell("wg show " + name + " dump | cut -f1-4,8"), facts);
    add_lines("sysctl " + name,
              shell("cd /proc/sys/net/ipv4/conf/" + name + " && cat forwarding rp_filter accept_local"),
              facts);
  }
  for (std::string& line : settled_tables(gateway)) facts.push_back("workers: " + std::move(line));
  add_lines("address", shell("ip -o addr | sed 's/^[0-9]*: //; s/valid_lft.*//'"), facts);
  add_lines("link", shell("ip -o link | sed 's/^[0-9]*: //; s/qdisc.*//; s/@.*:/:/'"), facts);
  for (const char* family : {"-4", "-6"})
    add_lines(std::string("route ") + family,
              shell(std::string("ip ") + family + " route show table all proto 87"), facts);
  std::sort(facts.begin(), facts.end());
  std::string text;
  for (const std::string& fact : facts) text += fact + "\n";
  return text;
}

std::string difference(const std::string& a, const std::string& b) {
  std::istringstream lines_a(a), lines_b(b);
  std::multiset<std::string> only_a, only_b;
  for (std::string line; std::getline(lines_a, line);) only_a.insert(line);
  for (std::string line; std::getline(lines_b, line);) {
    if (const auto at = only_a.find(line); at != only_a.end()) {
      only_a.erase(at);
    } else {
      only_b.insert(line);
    }
  }
  std::string text;
  for (const std::string& line : only_a) text += "- " + line + "\n";
  for (const std::string& line : only_b) text += "+ " + line + "\n";
  return text.substr(0, 3000);
}

}  // namespace wg::test
