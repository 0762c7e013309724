#include "control/gateway/objects.h"

#include <chrono>
#include <thread>

#include "config/key.h"
#include "config/validate.h"
#include "dataplane/core/burst_size.h"

namespace wg::control {

namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 2s;

static_assert(config::kMostPorts < dataplane::kMaxPorts &&
              config::kMostInterfaces < dataplane::kMaxInterfaces);

template <typename Condition>
void wait_until(Condition holds) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!holds() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(100us);
}

}  // namespace

GatewayPort* Objects::find_port(const std::string& name) const {
  const auto at = ports_.find(name);
  return at == ports_.end() ? nullptr : at->second.get();
}

Interface* Objects::find_interface(std::string_view name) const {
  const auto at = interfaces_.find(std::string(name));
  return at == interfaces_.end() ? nullptr : at->second.get();
}

FoundPeer Objects::find_peer(std::string_view interface, std::string_view peer) const {
  const auto key = config::parse_key(peer);
  for (const auto& [name, owned] : interfaces_) {
    if (!interface.empty() && interface != name) continue;
    const PeerRecord* record = owned->book().find_name(std::string(peer));
    if (record == nullptr && key) record = owned->book().find(*key);
    if (record != nullptr) return {owned.get(), record};
  }
  return {};
}

Expected<> Objects::add_port(const std::string& name, const config::Port& value) {
  if (ports_.contains(name)) return {};
  return catch_refusal([&] {
    auto port = std::make_unique<GatewayPort>(services_, machine_, name, value);
    const dataplane::PortFacts& facts = port->port().facts();
    const char* sums = facts.tx_udp_checksum ? ", checksums by the device" : "";
    log_->write(log_event::port_added, {.port = name}, "port {}: {} ({}), {} receive queue(s){}", name,
                value.device.text, facts.driver, facts.rx_queues, sums);
    ports_[name] = std::move(port);
  });
}

// A worker that sleeps on the port's TAP keeps it in existence until it wakes, and its name taken.
void Objects::remove_port(const std::string& name) {
  const GatewayPort* port = find_port(name);
  const std::uint32_t ifindex = port == nullptr ? 0 : port->ifindex();
  ports_.erase(name);
  wait_for_quiescence();
  if (ifindex != 0) wait_until([&] { return !services_.netlink.find_link(ifindex); });
}

Expected<> Objects::restart_port(const std::string& name) {
  GatewayPort* port = find_port(name);
  if (port == nullptr) return Refusal{ENODEV, "no port " + name};
  if (port->port().is_card()) {
    port->port().pause();
    const Expected<> started = workers_have_passed()
                                   ? port->restart_device()
                                   : Expected<>(Refusal{EBUSY, "a worker still uses the device"});
    if (started) return {};
    log_->write(log_event::port_recreated, {.port = name}, "port {}: {}: recreating it", name,
                started.error().text);
  }
  const config::Port value = port->value();
  remove_port(name);
  return add_port(name, value);
}

// True: no worker uses what it found before the call.
bool Objects::workers_have_passed() {
  dataplane::Quiescence& quiescence = services_.dataplane.quiescence();
  const std::uint64_t ticket = quiescence.ticket();
  wait_until([&] { return quiescence.passed(ticket); });
  return quiescence.passed(ticket);
}

Expected<> Objects::add_interface(const std::string& name, const config::Interface& value,
                                  std::uint16_t auto_mtu) {
  if (interfaces_.contains(name)) return {};
  return catch_refusal([&] {
    machine_.note_interface(name);
    auto interface = std::make_unique<Interface>(services_, name, value, auto_mtu);
    if (!interface_by_id_.has(interface->id()))
      interface_by_id_.resize(number_of(interface->id()) + std::size_t{1});
    interface_by_id_[interface->id()] = interface.get();
    interfaces_[name] = std::move(interface);
  });
}

void Objects::remove_interface(const std::string& name) {
  const auto at = interfaces_.find(name);
  if (at == interfaces_.end()) return;
  interface_by_id_[at->second->id()] = nullptr;
  interfaces_.erase(at);
  wait_for_quiescence();
}

void Objects::clear() {
  interface_by_id_.clear();
  interfaces_.clear();
  ports_.clear();
  wait_for_quiescence();
}

void Objects::wait_for_quiescence() {
  services_.publisher.flush_settings();
  wait_until([&] { return services_.dataplane.quiescence().collect() == 0; });
}

}  // namespace wg::control
