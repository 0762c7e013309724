#include "control/card_probe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "control/gateway/dataplane_options.h"
#include "dataplane/eal.h"
#include "dataplane/io/port.h"
#include "dataplane/pci_driver.h"

namespace wg::control {

namespace {

// Enough for the descriptors of a port; the gateway beside it may hold the rest.
constexpr std::size_t kMemoryMb = 96;
constexpr unsigned kBuffers = 8191;
constexpr auto kLinkTimeout = std::chrono::seconds(4);

// vfio opens the group of a device for one process at a time.
bool is_in_use(const std::string& pci) {
  std::error_code none;
  const auto group = std::filesystem::read_symlink("/sys/bus/pci/devices/" + pci + "/iommu_group", none);
  if (none) return false;
  const int fd = open(("/dev/vfio/" + group.filename().string()).c_str(), O_RDWR | O_CLOEXEC);
  if (fd >= 0) close(fd);
  return fd < 0 && errno == EBUSY;
}

std::string why_not_to_open(const std::string& pci) {
  if (is_in_use(pci))
    return "a program uses " + pci + ", perhaps the gateway: while it runs, `linegate show` has its warnings";
  try {
    dataplane::check_bound(pci);
  } catch (const std::runtime_error& refused) {
    return refused.what();
  }
  return {};
}

void await_link(dataplane::Port& port) {
  const auto end = std::chrono::steady_clock::now() + kLinkTimeout;
  while (!port.link_up() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    static_cast<void>(port.look());
  }
}

std::string description(const dataplane::Port& port) {
  const dataplane::PortFacts& facts = port.facts();
  const bool sums = facts.tx_ipv4_checksum && facts.tx_udp_checksum;
  std::string text = facts.driver + ", MAC address " + dataplane::to_string(facts.mac) + ", " +
                     std::to_string(facts.rx_queues) + " receive and " + std::to_string(facts.tx_queues) +
                     " transmit queue(s), checksums by " + (sums ? "the device" : "the workers");
  if (port.speed_mbps() != 0) text += ", link of " + std::to_string(port.speed_mbps()) + " Mbit/s";
  return text;
}

// As the gateway asks: the card's own address or the configured one, neighbours by IPv6, its VLAN.
dataplane::WantedFrames wanted_of(const config::Port& value, const dataplane::Port& port) {
  dataplane::WantedFrames wanted;
  wanted.mac = value.mac ? value.mac->bytes : port.facts().mac;
  wanted.groups = {{0x33, 0x33, 0, 0, 0, 1}};
  if (value.vlan) wanted.vlans.insert(*value.vlan);
  return wanted;
}

void open_card(const config::Port& value, std::uint16_t workers, rte_mempool* pool, ProbedCard& card) {
  dataplane::PortOptions options;
  options.name = card.port;
  options.device = value.device.text;
  options.workers = workers;
  options.queues = static_cast<std::uint16_t>(value.queues.value_or(0));
  options.mtu = value.mtu;
  dataplane::Port port(options, pool);
  port.listen(wanted_of(value, port));
  await_link(port);
  card.found = description(port);
  card.concerns = port.concerns();
  const unsigned queues = value.queues.value_or(workers);
  if (port.facts().rx_queues < std::min<unsigned>(queues, workers))
    card.concerns.push_back("the device has " + std::to_string(port.facts().rx_queues) + " queue(s) for " +
                            std::to_string(workers) + " workers: the first workers receive all frames");
  if (!port.link_up()) card.concerns.emplace_back("no link");
}

}  // namespace

std::vector<ProbedCard> probe_cards(const config::Gateway& value) {
  dataplane::DataplaneOptions wanted = dataplane_options(value);
  wanted.eal.memory_mb = kMemoryMb;
  wanted.eal.pci_allow.clear();
  if (wanted.eal.hugepages == dataplane::Hugepages::kRequire)
    wanted.eal.hugepages = dataplane::Hugepages::kAutomatic;
  std::vector<ProbedCard> cards;
  for (const auto& [name, port] : value.ports) {
    if (port.device.kind != config::DeviceKind::kPci) continue;
    cards.push_back({.port = name, .error = why_not_to_open(port.device.text), .found = {}, .concerns = {}});
    if (cards.back().error.empty()) wanted.eal.pci_allow.push_back(port.device.text);
  }
  if (wanted.eal.pci_allow.empty()) return cards;
  dataplane::start_eal(wanted.eal);
  rte_mempool* pool = dataplane::create_packet_pool("packets", kBuffers, wanted.packet_bytes);
  for (ProbedCard& card : cards) {
    if (!card.error.empty()) continue;
    try {
      open_card(value.ports.at(card.port), static_cast<std::uint16_t>(wanted.eal.worker_cores.size()), pool,
                card);
    } catch (const std::runtime_error& refused) {
      card.error = refused.what();
    }
  }
  return cards;
}

}  // namespace wg::control
