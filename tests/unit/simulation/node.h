// One gateway of the simulation: a real engine, real keypairs and replay windows, and a worker reduced to the
// protocol's order of checks. What it must never do is asserted where it would do it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/noise/engine.h"
#include "dataplane/crypto/aead.h"

namespace wg::noise::sim {

using dataplane::Keypair;
using dataplane::Peer;
using Buffer = std::vector<std::uint8_t>;

inline constexpr std::chrono::nanoseconds kMs = std::chrono::milliseconds(1);
inline constexpr std::chrono::nanoseconds kSec = std::chrono::seconds(1);

// An invariant of docs/protocol.md did not hold. The text names it.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};
inline void must(bool holds, const char* invariant) {
  if (!holds) throw Violation(invariant);
}

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : generator_(seed) {}
  void fill(std::span<std::uint8_t> out) override {
    for (auto& b : out) b = static_cast<std::uint8_t>(generator_() >> 24);
  }
  std::uint64_t below(std::uint64_t n) { return generator_() % n; }
  std::chrono::nanoseconds below(std::chrono::nanoseconds n) {
    return std::chrono::nanoseconds(below(static_cast<std::uint64_t>(n.count())));
  }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 generator_;
};

// The inner packet, which represents an IP packet whose source address belongs to node `source`.
struct Inner {
  std::uint64_t id = 0;
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
};

struct Datagram {
  Endpoint from;
  Endpoint to;
  Buffer bytes;
};

// Shared by the nodes: the clock, the wire, and the record of events.
class Wire {
 public:
  virtual ~Wire() = default;
  virtual void transmit(Datagram datagram) = 0;
  virtual void delivered(const Inner& inner, std::uint32_t at_node) = 0;
  // (key, counter) was sealed / accepted inward.
  virtual void sealed(const Keypair& keypair, std::uint64_t counter) = 0;
  virtual void opened(const Keypair& keypair, std::uint64_t counter) = 0;
  BootTime boot = kNever;
};

class Node final : public Host {
 public:
  static constexpr std::size_t kMaxStaged = 128;

  // A configured peer: the other node's number is the slot.
  struct Link {
    Peer peer;
    PublicKey key{};
    PresharedKey psk{};
    std::chrono::seconds keepalive{0};
    bool configured = false;
    Endpoint path;
    Endpoint path_local;
    std::deque<Inner> staged;
    BootTime last_initiation = kNever;  // kNever: none, or one is allowed at once
    BootTime last_derived = kNever;
    std::map<std::uint32_t, BootTime> indices;  // sessions seen: local index -> birthdate
  };

  Node(Wire& wire, std::uint32_t id, std::uint64_t seed, std::uint32_t nodes);
  ~Node() override;

  [[nodiscard]] Now now() const;
  void start(const std::vector<std::uint8_t>* timestamps);  // a new process
  void stop();
  void configure(std::uint32_t other, const PublicKey& key, const PresharedKey& psk, const Endpoint& at);
  void unconfigure(std::uint32_t other);

  void send(const Inner& inner);
  void receive(const Datagram& datagram);
  void step();  // mailboxes, handshake queue, timers, quiescence
  void check();

  // Host
  void send_handshake(const Endpoint& to, const Endpoint& from, std::span<const std::uint8_t> message,
                      std::uint8_t tos) override;
  void send_keepalive(Peer& peer) override;
  bool release_staged(Peer& peer) override;
  void drop_staged(Peer& peer) override;
  bool has_staged(const Peer& peer) override { return !links[peer.slot]->staged.empty(); }
  void endpoint_changed(Peer& peer, const Endpoint& remote, const Endpoint& local) override;
  void retire(std::function<void()> free) override;
  void event(const Peer* peer, const PeerEvent& event) override;

  std::uint32_t id;
  SeededRandom random;
  Endpoint at;
  std::chrono::nanoseconds wall_offset{0};
  Key private_key{};
  std::vector<std::unique_ptr<Link>> links;  // by node number; own: unused
  std::unique_ptr<dataplane::KeypairTable> table;
  std::unique_ptr<Engine> engine;

 private:
  struct Posted {
    enum Kind { kNeedHandshake, kKeyFresh, kConfirmed, kRoamed } kind;
    PeerRef peer;
    std::uint32_t index = 0;
    Endpoint remote;
    Endpoint local;
  };

  // I8: everything that came in since the engine started, and what became of it.
  struct Ledger {
    std::uint64_t handshakes = 0;                                                     // given to the engine
    std::uint64_t staged = 0, sealed = 0, dropped_oldest = 0, dropped_by_engine = 0;  // inner packets
  };
  void check_ledger() const;
  // I10: what one message, event or deadline makes the engine do is bounded and concerns one peer.
  template <typename Work>
  void bounded(Work work);
  void note_call(const Peer* peer);

  [[nodiscard]] bool usable(const Keypair* keypair) const;
  void request(Peer& peer, std::uint32_t bit, Posted::Kind kind);
  void seal_and_send(Link& link, Keypair& keypair, std::span<const std::uint8_t> inner);
  void receive_data(const Datagram& datagram);
  void receive_handshake(const Datagram& datagram);
  void drain();
  void take(const Posted& posted);

  Wire& wire_;
  crypto::AeadScratchPtr scratch_;
  std::vector<Posted> posted_;
  std::vector<std::function<void()>> retired_;
  std::size_t handshake_bytes_sent_ = 0;
  Ledger ledger_;
  unsigned calls_ = 0;               // of Host within bounded()
  const Peer* concerned_ = nullptr;  // the peer they concern
  bool counting_ = false;
};

}  // namespace wg::noise::sim
