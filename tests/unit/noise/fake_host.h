// Two engines face to face with a hand-cranked clock: what the protocol tests are written with.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "control/noise/cookie.h"
#include "control/noise/engine.h"
#include "control/noise/messages.h"
#include "control/noise/tai64n.h"

namespace wg::noise::test {

using namespace std::chrono_literals;
using dataplane::Keypair;
using dataplane::Peer;
using Buffer = std::vector<std::uint8_t>;

inline constexpr std::chrono::nanoseconds kMs = std::chrono::milliseconds(1);
inline constexpr std::chrono::nanoseconds kSec = std::chrono::seconds(1);

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : generator_(seed) {}
  void fill(std::span<std::uint8_t> out) override {
    for (auto& b : out) b = static_cast<std::uint8_t>(generator_());
  }

 private:
  std::mt19937_64 generator_;
};

inline Endpoint endpoint(std::uint8_t host, std::uint16_t port) {
  const std::uint8_t address[] = {192, 0, 2, host};
  return {IpAddress::from_v4(address), dataplane::UdpPort{port}, 0};
}
inline Endpoint endpoint6(std::uint8_t net, std::uint8_t host, std::uint16_t port) {
  std::uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, net};
  address[15] = host;
  return {IpAddress::from_v6(address), dataplane::UdpPort{port}, 0};
}

struct SentMessage {
  Endpoint to;
  Endpoint from;
  Buffer bytes;
  std::uint8_t tos = 0;

  [[nodiscard]] std::uint32_t type() const { return message_type(bytes); }
};

struct FakeHost final : Host {
  void send_handshake(const Endpoint& to, const Endpoint& from, std::span<const std::uint8_t> message,
                      std::uint8_t tos) override {
    sent.push_back({to, from, {message.begin(), message.end()}, tos});
  }
  void send_keepalive(Peer& peer) override {
    ++keepalives;
    peer.note_sent(now->boot, false);
  }
  bool release_staged(Peer& peer) override {
    ++releases;
    const bool any = staged[&peer] > 0;
    if (any) peer.note_sent(now->boot, true);
    staged[&peer] = 0;
    return any;
  }
  void drop_staged(Peer& peer) override {
    ++drops;
    staged[&peer] = 0;
  }
  bool has_staged(const Peer& peer) override { return staged[&peer] > 0; }
  void endpoint_changed(Peer&, const Endpoint& r, const Endpoint& l) override {
    ++endpoint_changes;
    remote = r;
    local = l;
  }
  void retire(std::function<void()> free) override { retired.push_back(std::move(free)); }
  void event(const Peer*, const PeerEvent& event) override { events.push_back(event); }
  void refused(const RefusedMessage& message) override { refusals.push_back(message); }

  void collect() {
    for (auto& free : retired) free();
    retired.clear();
  }
  [[nodiscard]] int seen(PeerEventKind kind) const {
    int n = 0;
    for (const auto& e : events) n += e.kind == kind ? 1 : 0;
    return n;
  }

  const Now* now = nullptr;
  std::vector<SentMessage> sent;
  std::vector<std::function<void()>> retired;
  std::vector<PeerEvent> events;
  std::vector<RefusedMessage> refusals;
  std::map<const Peer*, int> staged;
  Endpoint remote;
  Endpoint local;
  int keepalives = 0;
  int releases = 0;
  int drops = 0;
  int endpoint_changes = 0;
};

// One engine with its host, its table and room for peers.
struct Side {
  Side(const Now& clock, std::uint64_t seed, EngineOptions options = {})
      : random(seed),
        table(16, [](const std::function<void()>& free) { free(); }),
        engine(host, table, random, options) {
    host.now = &clock;
    random.fill(key);
  }
  // The host must still run what the engine's destructor retires.
  ~Side() = default;

  Peer& new_slot() {
    slots.push_back(std::make_unique<Peer>());
    slots.back()->slot = static_cast<std::uint32_t>(slots.size() - 1);
    return *slots.back();
  }

  SeededRandom random;
  Key key{};
  dataplane::KeypairTable table;
  FakeHost host;
  std::vector<std::unique_ptr<Peer>> slots;
  Engine engine;
};

class TwoEngines {
 public:
  explicit TwoEngines(EngineOptions options = {})
      : now{BootTime(1000 * kSec), WallTime(1'700'000'000 * kSec)},
        a(now, 1, options),
        b(now, 2, options),
        a_at(endpoint(1, 51820)),
        b_at(endpoint(2, 51821)) {
    a.engine.set_private_key(a.key, now);
    b.engine.set_private_key(b.key, now);
    a.engine.up(now);
    b.engine.up(now);
    at_a = &a.new_slot();
    at_b = &b.new_slot();
    a.engine.add_peer(*at_a, b.engine.public_key(), now);
    b.engine.add_peer(*at_b, a.engine.public_key(), now);
    a.engine.set_endpoint(*at_a, b_at, now);
  }
  ~TwoEngines() {
    a.host.collect();
    b.host.collect();
  }

  void pass(std::chrono::nanoseconds duration) {
    now.boot += duration;
    now.wall += duration;
  }
  // Moves time in steps of `step`, running timers as the daemon would.
  void run(std::chrono::nanoseconds duration, std::chrono::nanoseconds step = 100 * kMs) {
    for (const BootTime end = now.boot + duration; now.boot < end;) {
      pass(std::min(step, end - now.boot));
      a.engine.advance(now);
      b.engine.advance(now);
    }
  }
  Outcome to_b(const Buffer& m) { return b.engine.on_handshake(m, a_at, b_at, now); }
  Outcome to_a(const Buffer& m) { return a.engine.on_handshake(m, b_at, a_at, now); }
  Outcome deliver_last_to_b() { return to_b(a.host.sent.back().bytes); }
  Outcome deliver_last_to_a() { return to_a(b.host.sent.back().bytes); }

  // a initiates, b responds, a's confirmation reaches b.
  void handshake() {
    a.engine.initiate(*at_a, now);
    deliver_last_to_b();
    deliver_last_to_a();
    confirm_b();
  }
  // The first data of a's current session arrives at b.
  void confirm_b() {
    const Keypair* const sending = at_a->current.load();
    Keypair* const receiving = sending == nullptr ? nullptr : b.table.find(sending->remote_index);
    if (receiving == nullptr) return;
    receiving->confirmed.store(true);
    at_b->note_received(now.boot, false);
    b.engine.on_confirmed(receiving->local_index, now);
  }
  PeerSession status_a() { return a.engine.peer_status(*at_a, now); }
  PeerSession status_b() { return b.engine.peer_status(*at_b, now); }

  Now now;
  Side a;
  Side b;
  Endpoint a_at;
  Endpoint b_at;
  Peer* at_a = nullptr;  // b, as a knows it
  Peer* at_b = nullptr;  // a, as b knows it
};

// Makes mac1 right again after a message was changed, as an attacker who knows the public key can.
inline void repair_mac1(Buffer& message, const PublicKey& receiver) {
  const Mac right = mac(derive_mac1_key(receiver), before_mac1(message));
  std::copy(right.begin(), right.end(), message.end() - sizeof(Macs));
}

inline Buffer unhex(const std::string& text) {
  Buffer out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return out;
}
template <std::size_t n = 32>
std::array<std::uint8_t, n> unhex_array(const std::string& text) {
  const Buffer bytes = unhex(text);
  std::array<std::uint8_t, n> out{};
  std::copy_n(bytes.begin(), std::min(n, bytes.size()), out.begin());
  return out;
}
template <typename Range>
std::string hex(const Range& bytes) {
  std::string out;
  for (const std::uint8_t b : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

}  // namespace wg::noise::test
