// Explains a packet that does not exist, by what would decide about it: the snapshot that the workers see, by
// the worker's own decision, the tables of peers, and the mirror of Linux. Nothing is sent and nothing
// changes.
//
// Control thread only.
#pragma once

#include <optional>
#include <string>

#include "control/api/packet_facts.h"
#include "control/gateway/objects.h"
#include "control/noise/types.h"
#include "control/publish/short_cut_rules.h"
#include "control/services.h"
#include "dataplane/core/bursts.h"
#include "dataplane/snapshot.h"

namespace wg::control {

// The longest allowed IP of the peer that contains the address; nullopt: none.
[[nodiscard]] std::optional<config::Prefix> allowed_prefix_of(const PeerRecord& record,
                                                              const config::Address& address);
// Its name, otherwise its key.
[[nodiscard]] std::string label_of(const PeerRecord& record);

class PacketReader {
 public:
  // `route`: where Linux routes the destination, and who has it in its allowed IPs. `at`: now.
  PacketReader(const Services& services, const Objects& objects, const PacketQuery& packet, RouteFacts route,
               const Resolved& resolved, const noise::Now& at);

  // Refused: there is no such port, interface or peer.
  [[nodiscard]] Expected<PacketFacts> read();

 private:
  struct Ingress {
    dataplane::PacketOrigin origin;
    const Link* link = nullptr;  // in Linux; null: there is none
  };

  void read_port(const GatewayPort& port);
  Expected<> read_interface(const Interface& interface);
  void read_listener();
  void read_route(const Ingress& ingress);
  void read_linux();
  [[nodiscard]] const Link* link_of_vlan(const GatewayPort& port, std::uint16_t vlan) const;
  [[nodiscard]] std::string why_vlan_is_refused(const dataplane::PortView& view, const GatewayPort& port,
                                                std::uint16_t vlan) const;
  [[nodiscard]] std::string why_not_forwarded(bool by_file, const Link* link) const;
  [[nodiscard]] std::string why_linux(const dataplane::NextHop* hop,
                                      const dataplane::PacketOrigin& origin) const;
  [[nodiscard]] std::string why_between_ports(dataplane::PortIndex from, dataplane::PortIndex to) const;
  [[nodiscard]] std::string why_no_hop() const;
  [[nodiscard]] std::string why_socket(const PeerRecord& record, const Resolved& way) const;
  [[nodiscard]] PacketSending sending_of(const Interface& interface) const;
  void read_path(const Interface& interface, const PeerRecord& record, const dataplane::Path& path,
                 PacketSending& out) const;
  [[nodiscard]] std::string name_of_port(dataplane::PortIndex index) const;
  [[nodiscard]] const dataplane::NextHop* next_hop() const;  // null: Linux decides

  const Services& services_;
  const Objects& objects_;
  const dataplane::Snapshot& view_;
  const ShortCutRules rules_;
  const Resolved resolved_;
  const noise::Now at_;
  const bool v6_;
  const IpAddress source_, destination_;
  PacketFacts facts_;
};

}  // namespace wg::control
