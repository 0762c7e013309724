// The traffic of bench/vf/run.py: N WireGuard peers and a host, on the two ports of a gateway.
//
//   vf generate --lan DEVICE --wan DEVICE --core CPU [--peers N] [--folder DIR --gateway-lan DEVICE
//               --gateway-wan DEVICE [--workers LIST] [--memory SIZE] [--gateway-eal 'TEXT', ...]]
//   vf forward  --lan DEVICE --wan DEVICE --core CPU
//   both:       [--descriptors N] [--huge] [--memory-mb N]
//
// `generate` writes the gateway's file into DIR, and then takes commands from its input, a line each, and
// answers each by a line of JSON:
//   connect [looped=1] [seconds=20]          links, MAC addresses, a session for each peer
//   trial direction=send|receive inner=64|...|imix rate=PACKETS_A_SECOND seconds=S [packets=N] [looped=1]
//         [sealed=0] [open_every=N]           rate=0: as fast as it can
//   recover process=PID [seconds=30]         kills the gateway, and waits for what is started in its place
// It ends with its input. `forward` ends by SIGTERM.
#include <poll.h>
#include <rte_cycles.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "bench/vf/forwarder.h"
#include "bench/vf/gateway_file.h"
#include "bench/vf/generator.h"
#include "dataplane/eal.h"

namespace wg::bench {

namespace {

using Words = std::map<std::string, std::string>;
using Json = nlohmann::json;

std::atomic<bool> stopped{false};

const std::string& word(const Words& words, const std::string& name) {
  const auto found = words.find(name);
  if (found == words.end()) throw std::runtime_error("--" + name + " is missing");
  return found->second;
}

std::string word_or(const Words& words, const std::string& name, const std::string& otherwise) {
  const auto found = words.find(name);
  return found == words.end() ? otherwise : found->second;
}

double number(const Words& words, const std::string& name, double otherwise) {
  const auto found = words.find(name);
  if (found == words.end()) return otherwise;
  std::size_t used = 0;
  double value = -1;
  try {
    value = std::stod(found->second, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != found->second.size() || !(value >= 0))
    throw std::runtime_error(name + ": not a number of 0 or more: " + found->second);
  return value;
}

std::uint32_t peers_of(const Words& words) {
  const double peers = number(words, "peers", 1);
  if (peers < 1 || peers > kMostPeers)
    throw std::runtime_error("--peers: 1 to " + std::to_string(kMostPeers) + " are allowed");
  return static_cast<std::uint32_t>(peers);
}

void pin(unsigned cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0)
    throw std::runtime_error("CPU " + std::to_string(cpu) + " is not available to this process");
}

bool is_pci(const std::string& device) {
  return !device.starts_with("net_");
}

void start_environment(const Words& words) {
  dataplane::EalOptions options;
  options.memory_mb = static_cast<std::size_t>(number(words, "memory-mb", 128));
  options.hugepages =
      words.contains("huge") ? dataplane::Hugepages::kRequire : dataplane::Hugepages::kAutomatic;
  for (const char* name : {"lan", "wan"}) {
    const std::string& device = word(words, name);
    if (is_pci(device)) options.pci_allow.push_back(device.substr(0, device.find(',')));
  }
  for (const std::string& warning : dataplane::start_eal(options).warnings)
    std::fprintf(stderr, "vf: %s\n", warning.c_str());
}

// ---------------------------------------------------------------- commands

double microseconds(std::uint64_t clocks) {
  return static_cast<double>(clocks) * 1e6 / static_cast<double>(rte_get_tsc_hz());
}

Json json_of(const Histogram& latency) {
  return {{"packets", latency.count()},
          {"least_us", microseconds(latency.smallest())},
          {"p50_us", microseconds(latency.at(0.5))},
          {"p90_us", microseconds(latency.at(0.9))},
          {"p99_us", microseconds(latency.at(0.99))},
          {"p999_us", microseconds(latency.at(0.999))},
          {"most_us", microseconds(latency.largest())}};
}

Json json_of(const Result& r) {
  return {{"seconds", r.seconds},
          {"sent", r.sent},
          {"refused", r.refused},
          {"skipped", r.skipped},
          {"received", r.received},
          {"in_time", r.in_time},
          {"lost", r.lost},
          {"late", r.late},
          {"twice", r.twice},
          {"bad", r.bad},
          {"opened", r.opened},
          {"keepalives", r.keepalives},
          {"others", r.others},
          {"stalls", r.stalls},
          {"stalled_us", microseconds(r.stalled)},
          {"longest_stall_us", microseconds(r.longest_stall)},
          {"latency", json_of(r.latency)}};
}

Order order_of(const Words& words) {
  Order order;
  const std::string direction = word_or(words, "direction", "receive");
  if (direction != "send" && direction != "receive")
    throw std::runtime_error("direction: send or receive is allowed, not " + direction);
  order.direction = direction == "send" ? Direction::kSend : Direction::kReceive;
  order.looped = number(words, "looped", 0) != 0;
  order.sealed = number(words, "sealed", 1) != 0 || !order.looped;
  order.sizes = sizes_of(word_or(words, "inner", "64"));
  order.rate = number(words, "rate", 0);
  order.seconds = number(words, "seconds", 1);
  order.packets = static_cast<std::uint64_t>(number(words, "packets", 0));
  order.open_every = std::max(1u, static_cast<std::uint32_t>(number(words, "open_every", 8)));
  return order;
}

Json connect(Generator& generator, const Words& words) {
  const auto found = generator.connect(number(words, "looped", 0) != 0, number(words, "seconds", 20));
  return {{"link", found.link},
          {"gateway", found.gateway},
          {"sessions", found.sessions},
          {"seconds", found.seconds}};
}

Json recover(Generator& generator, const Words& words) {
  const auto found =
      generator.recover(static_cast<int>(number(words, "process", 0)), number(words, "seconds", 30));
  return {{"link", found.link},
          {"gateway", found.gateway},
          {"sessions", found.sessions},
          {"by_gateway", found.by_gateway}};
}

Json answer(Generator& generator, const std::string& line) {
  std::istringstream in(line);
  std::string command;
  in >> command;
  Words words;
  for (std::string pair; in >> pair;) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos) throw std::runtime_error("not NAME=VALUE: " + pair);
    words[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  if (command == "connect") return connect(generator, words);
  if (command == "recover") return recover(generator, words);
  if (command == "trial") return json_of(generator.run(order_of(words)));
  throw std::runtime_error("unknown command: " + command);
}

void say(const Json& json) {
  std::cout << json.dump() << std::endl;
}

// Until the input ends. Between commands it answers ARP and handshakes.
void take_commands(Generator& generator) {
  std::string line;
  while (true) {
    pollfd input{0, POLLIN, 0};
    if (std::cin.rdbuf()->in_avail() <= 0 && poll(&input, 1, 1) == 0) {
      generator.idle();
      continue;
    }
    if (!std::getline(std::cin, line)) return;
    try {
      say(answer(generator, line));
    } catch (const std::exception& error) {
      say({{"error", error.what()}});
    }
  }
}

// ---------------------------------------------------------------- the two programs

constexpr unsigned kBuffers = 16'383, kBufferBytes = 2048;

void generate(const Words& words) {
  start_environment(words);
  rte_mempool* pool = dataplane::create_packet_pool("generator", kBuffers, kBufferBytes);
  const auto descriptors = static_cast<std::uint16_t>(number(words, "descriptors", 1024));
  const std::uint32_t peers = peers_of(words);
  Wire lan("lan", word(words, "lan"), descriptors, pool, {kLanGateway, kLanHost, 1});
  Wire wan("wan", word(words, "wan"), descriptors, pool,
           {kWanGateway, kWanPeers, (peers - 1) / kPortsOfAddress + 1});
  // Its engines go with the process: to wipe each takes long with very many.
  Generator& generator = *new Generator(lan, wan, peers, pool);
  if (words.contains("folder")) {
    write_gateway_file(
        {word(words, "folder"), word(words, "gateway-lan"), word(words, "gateway-wan"),
         word_or(words, "workers", "1"), word_or(words, "memory", "256M"), word_or(words, "gateway-eal", "")},
        generator.peers());
  }
  // Later than the threads of DPDK, which stay on all CPUs.
  pin(static_cast<unsigned>(number(words, "core", 0)));
  say({{"ready", true},
       {"peers", peers},
       {"tsc_hz", rte_get_tsc_hz()},
       {"aead", crypto::aead_engine().name},
       {"lan_driver", lan.port().facts().driver},
       {"wan_driver", wan.port().facts().driver}});
  take_commands(generator);
}

void forward(const Words& words) {
  start_environment(words);
  rte_mempool* pool = dataplane::create_packet_pool("forwarder", kBuffers, kBufferBytes);
  const auto descriptors = static_cast<std::uint16_t>(number(words, "descriptors", 1024));
  // It has the gateway's addresses; the generator is at the other ends.
  Wire lan("lan", word(words, "lan"), descriptors, pool, {kLanHost, kLanGateway, 1});
  Wire wan("wan", word(words, "wan"), descriptors, pool, {kWanPeers, kWanGateway, 1});
  pin(static_cast<unsigned>(number(words, "core", 0)));
  say({{"ready", true}});
  forward(lan, wan, stopped);
}

void print_usage() {
  std::puts(
      "vf: the traffic of bench/vf/run.py, which is what to start; docs/benchmarking.md has the use\n"
      "  vf generate --lan DEVICE --wan DEVICE --core CPU [--peers N] [--folder DIR --gateway-lan DEVICE\n"
      "              --gateway-wan DEVICE [--workers LIST] [--memory SIZE] [--gateway-eal TEXT]]\n"
      "  vf forward  --lan DEVICE --wan DEVICE --core CPU\n"
      "  both:       [--descriptors N] [--huge 1] [--memory-mb N]\n"
      "  DEVICE: a PCI address bound to vfio-pci, or a virtual device of DPDK (net_memif0,role=server,...)");
}

int run(int count, char** arguments) {
  const std::string program = count > 1 ? arguments[1] : "";
  if (program != "generate" && program != "forward") {
    print_usage();
    return program == "--help" ? 0 : 2;
  }
  Words words;
  for (int i = 2; i < count; i += 2) {
    if (std::strncmp(arguments[i], "--", 2) != 0 || i + 1 == count)
      throw std::runtime_error(std::string("not --NAME VALUE: ") + arguments[i]);
    words[arguments[i] + 2] = arguments[i + 1];
  }
  std::signal(SIGTERM, [](int) { stopped = true; });
  program == "generate" ? generate(words) : forward(words);
  return 0;
}

}  // namespace

}  // namespace wg::bench

int main(int count, char** arguments) {
  try {
    return wg::bench::run(count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "vf: %s\n", error.what());
    return 1;
  }
}
