// The N peers that the generator is: an engine of the product for each, with a private key of its own, and
// one gateway as the peer of all. One thread makes all calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/vf/frames.h"
#include "control/noise/engine.h"
#include "control/noise/primitives.h"

namespace wg::bench {

class Peers final : private noise::Host {
 public:
  // A message of a flow's peer that is to be sent to the gateway.
  using Send = std::function<void(std::uint32_t flow, noise::Bytes message)>;
  Peers(std::uint32_t count, Send send);
  ~Peers() override;

  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(engines_.size()); }
  [[nodiscard]] const noise::PublicKey& public_key(std::uint32_t flow) const { return public_keys_[flow]; }
  [[nodiscard]] const noise::Key& gateway_private_key() const { return gateway_private_.bytes; }

  // The session a flow sends with; null: none.
  [[nodiscard]] dataplane::Keypair* session(std::uint32_t flow) const;
  [[nodiscard]] bool has_session_since(std::uint32_t flow, BootTime begin) const;
  // The session and the flow of a receiver index; null: none has it.
  [[nodiscard]] dataplane::Keypair* find(std::uint32_t receiver_index) const {
    return table_.find(receiver_index);
  }
  [[nodiscard]] static std::uint32_t flow_of(const dataplane::Keypair& session) { return session.peer->slot; }

  void initiate(std::uint32_t flow);
  void repeat_lost(std::uint32_t flow);  // an initiation that was not answered for REKEY_TIMEOUT
  // A handshake message for a flow's peer. True: it gave the flow a new session to send with.
  bool take_handshake(std::uint32_t flow, noise::Bytes message);
  // The first data on a session that the gateway initiated.
  void confirm(const dataplane::Keypair& session);
  void send_keepalive(std::uint32_t flow);
  // How old the oldest session is. A flow without one counts as older than any.
  [[nodiscard]] std::chrono::nanoseconds oldest() const;

 private:
  void send_handshake(const noise::Endpoint& to, const noise::Endpoint& from, noise::Bytes message,
                      std::uint8_t tos) override;
  void send_keepalive(dataplane::Peer& peer) override;
  bool release_staged(dataplane::Peer&) override { return false; }
  void drop_staged(dataplane::Peer&) override {}
  bool has_staged(const dataplane::Peer&) override { return false; }
  void endpoint_changed(dataplane::Peer&, const noise::Endpoint&, const noise::Endpoint&) override {}
  void retire(std::function<void()> free) override { free(); }
  void event(const dataplane::Peer*, const noise::PeerEvent&) override {}

  Send send_;
  noise::SystemRandom random_;
  noise::Secret gateway_private_;
  dataplane::KeypairTable table_;
  std::vector<std::unique_ptr<dataplane::Peer>> slots_;
  std::vector<noise::PublicKey> public_keys_;
  std::vector<std::unique_ptr<noise::Engine>> engines_;
  std::uint32_t speaking_ = 0;  // the flow whose engine is called
};

}  // namespace wg::bench
