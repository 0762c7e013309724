// The surroundings of an interface's protocol engine: datagrams to the kernel's socket or to a port,
// commands to the workers, staged packets, and its events.
//
// Only the engine calls, on the control thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "control/interface/core.h"
#include "control/interface/peer_endpoints.h"
#include "control/interface/peer_notes.h"
#include "control/interface/peer_paths.h"
#include "control/packet_ptr.h"

namespace wg::control {

class EngineHost final : public noise::Host {
 public:
  EngineHost(InterfaceCore& core, PeerPaths& paths, PeerEndpoints& endpoints, PeerNotes& notes)
      : core_(core), paths_(paths), endpoints_(endpoints), notes_(notes) {}

  // While the wall clock is behind timestamps that have been sent: by how much.
  [[nodiscard]] std::optional<std::chrono::seconds> clock_behind() const { return clock_behind_; }

  void send_handshake(const Endpoint& to, const Endpoint& from, std::span<const std::uint8_t> message,
                      std::uint8_t tos) override;
  void send_keepalive(dataplane::Peer& peer) override;
  bool release_staged(dataplane::Peer& peer) override;
  void drop_staged(dataplane::Peer& peer) override;
  [[nodiscard]] bool has_staged(const dataplane::Peer& peer) override;
  void endpoint_changed(dataplane::Peer& peer, const Endpoint& remote, const Endpoint& local) override;
  void retire(std::function<void()> free) override;
  void event(const dataplane::Peer* peer, const noise::PeerEvent& event) override;
  void refused(const noise::RefusedMessage& message) override { notes_.log(message); }

 private:
  bool answer_by_port(const Endpoint& to, const Endpoint& from, std::span<const std::uint8_t> message,
                      std::uint8_t tos);
  bool post(const dataplane::Peer& peer, dataplane::CommandType type, PacketPtr packet);

  InterfaceCore& core_;
  PeerPaths& paths_;
  PeerEndpoints& endpoints_;
  PeerNotes& notes_;
  std::optional<std::chrono::seconds> clock_behind_;
};

}  // namespace wg::control
