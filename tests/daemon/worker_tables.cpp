// What workers read: the longest-prefix matches in words, and settings.

#include <algorithm>
#include <array>
#include <future>

#include "control/gateway/gateway.h"
#include "dataplane/io/tun.h"
#include "tests/daemon/live_gateway.h"

namespace wg::test {

namespace {

using dataplane::HopKind;
using dataplane::Snapshot;
using Interfaces = std::map<std::string, std::unique_ptr<control::Interface>>;
using Lines = std::vector<std::string>;

std::string prefix4(std::uint32_t prefix, unsigned length) {
  const std::uint32_t network_order = __builtin_bswap32(prefix);
  return dataplane::to_string(dataplane::IpAddress::from_v4(&network_order)) + "/" + std::to_string(length);
}

std::string prefix6(const lpm::Address6& prefix, unsigned length) {
  return dataplane::to_string(dataplane::IpAddress::from_v6(prefix.bytes.data())) + "/" +
         std::to_string(length);
}

bool comes_by_itself(const lpm::Address6& prefix) {
  return prefix.bytes[0] == 0xff || (prefix.bytes[0] == 0xfe && (prefix.bytes[1] & 0xc0) == 0x80);
}

std::string name_of_interface(const Interfaces& interfaces, dataplane::InterfaceId id) {
  for (const auto& [name, interface] : interfaces)
    if (interface->id() == id) return name;
  return "nothing";
}

std::string name_of_hop(const Snapshot& snapshot, const Interfaces& interfaces, lpm::Value value) {
  const dataplane::NextHop& hop = snapshot.next_hops.at(value);
  const std::string mtu = hop.kind == HopKind::kKernel ? "" : " mtu " + std::to_string(hop.mtu);
  switch (hop.kind) {
    case HopKind::kKernel:
      return "to the kernel";
    case HopKind::kDrop:
      return "dropped";
    case HopKind::kInterface:
      return "to " + name_of_interface(interfaces, hop.interface_id) + mtu;
    case HopKind::kPort:
      break;
  }
  const dataplane::TapDevice* tap = snapshot.ports.at(hop.port).tap;
  return "to port " + (tap == nullptr ? "without a netdev" : tap->name()) + " by " +
         control::to_string(dataplane::MacAddress{hop.header[0], hop.header[1], hop.header[2], hop.header[3],
                                                  hop.header[4], hop.header[5]}) +
         mtu;
}

Lines tables_of(const Snapshot& snapshot, const Interfaces& interfaces) {
  Lines lines;
  for (const auto& [name, interface] : interfaces) {
    const dataplane::InterfaceView& view = snapshot.interfaces.at(interface->id());
    const auto owner = [&interface = interface, &name = name](const std::string& prefix, lpm::Value slot) {
      const control::PeerRecord* peer = interface->book().find_slot(slot);
      return "allowed " + name + " " + prefix + " of " +
             (peer == nullptr ? "nobody" : config::to_string(peer->public_key));
    };
    view.allowed4->for_each([&](std::uint32_t prefix, unsigned length, lpm::Value slot) {
      lines.push_back(owner(prefix4(prefix, length), slot));
    });
    view.allowed6->for_each([&](const lpm::Address6& prefix, unsigned length, lpm::Value slot) {
      lines.push_back(owner(prefix6(prefix, length), slot));
    });
  }
  snapshot.routes4->for_each([&](std::uint32_t prefix, unsigned length, lpm::Value value) {
    lines.push_back("route " + prefix4(prefix, length) + " " + name_of_hop(snapshot, interfaces, value));
  });
  snapshot.routes6->for_each([&](const lpm::Address6& prefix, unsigned length, lpm::Value value) {
    // An interface's own IPv6 addresses: whether their routes survive its going down is Linux's affair.
    const bool own = snapshot.next_hops.at(value).kind == HopKind::kKernel;
    if (!own && !comes_by_itself(prefix))
      lines.push_back("route " + prefix6(prefix, length) + " " + name_of_hop(snapshot, interfaces, value));
  });
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace

std::vector<std::string> LiveGateway::worker_tables() {
  std::promise<Lines> promise;
  gateway_->inspect([&promise](const Snapshot& snapshot, const Interfaces& interfaces) {
    promise.set_value(tables_of(snapshot, interfaces));
  });
  return promise.get_future().get();
}

std::map<std::string, std::size_t> LiveGateway::paths_by_mac() {
  std::promise<std::map<std::string, std::size_t>> promise;
  gateway_->inspect([&promise](const Snapshot&, const Interfaces& interfaces) {
    std::map<std::string, std::size_t> counts;
    for (const auto& [name, interface] : interfaces) {
      for (const auto& [key, record] : interface->book().records()) {
        const dataplane::Path* path = record->slot->path.load();
        if (path == nullptr) continue;
        dataplane::MacAddress mac;
        std::copy_n(path->header.begin(), mac.size(), mac.begin());
        ++counts[path->header_length == 0 ? "the kernel" : control::to_string(mac)];
      }
    }
    promise.set_value(std::move(counts));
  });
  return promise.get_future().get();
}

void LiveGateway::tell_link(const std::string& interface, bool up, std::uint16_t mtu) {
  std::promise<void> done;
  gateway_->inspect([&](const Snapshot&, const Interfaces& interfaces) {
    control::Link link;
    link.name = interface;
    link.ifindex = interfaces.at(interface)->ifindex();
    link.up = up;
    link.mtu = mtu;
    interfaces.at(interface)->on_link(link);
    done.set_value();
  });
  done.get_future().get();
}

LiveGateway::Settings LiveGateway::settings(const std::string& interface, const std::string& port) {
  std::promise<Settings> promise;
  gateway_->inspect([&](const Snapshot& snapshot, const Interfaces& interfaces) {
    Settings found;
    const control::Interface& known = *interfaces.at(interface);
    found.interface = snapshot.interfaces.at(known.id());
    for (const dataplane::PortView& view : snapshot.ports)
      if (view.tap != nullptr && view.tap->name() == port) found.port = view;
    found.log_level = known.log()->level();
    promise.set_value(found);
  });
  return promise.get_future().get();
}

}  // namespace wg::test
