// Handshake messages and everything else that reaches the protocol engine, in any order.
//
// An input is a list of records: operation byte, length byte, bytes. The custom mutator repairs mac1, aims
// responses and cookie replies at indices that are in use and writes the configured peer's key where a
// message claims one; else nothing would get past the first check. fuzz_handshake_open is the same with a
// handshake AEAD that always opens, which shows the code behind it to the fuzzer.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "control/noise/cookie.h"
#include "control/noise/engine.h"
#include "control/noise/messages.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

using namespace wg::noise;
using wg::BootTime;
using wg::dataplane::Keypair;
using wg::dataplane::KeypairTable;
using wg::dataplane::Peer;

constexpr std::chrono::nanoseconds kSec = std::chrono::seconds(1);

void must(bool holds) {
  if (!holds) std::abort();
}

class SeededRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (auto& b : out) b = static_cast<std::uint8_t>(generator_() >> 24);
  }

 private:
  std::mt19937_64 generator_{1};
};

struct FuzzHost final : Host {
  void send_handshake(const Endpoint&, const Endpoint&, std::span<const std::uint8_t> m,
                      std::uint8_t) override {
    must(m.size() == handshake_length(message_type(m)));
    if (message_type(m) == kInitiation) {
      std::memcpy(&in_flight, m.data() + 4, 4);
    } else {
      answered += m.size();
    }
  }
  void send_keepalive(Peer& peer) override { must(peer.current.load() != nullptr); }
  bool release_staged(Peer&) override { return std::exchange(staged, false); }
  void drop_staged(Peer&) override { staged = false; }
  bool has_staged(const Peer&) override { return staged; }
  void endpoint_changed(Peer&, const Endpoint&, const Endpoint&) override {}
  void retire(std::function<void()> free) override { retired.push_back(std::move(free)); }
  void event(const Peer*, const PeerEvent&) override {}

  std::vector<std::function<void()>> retired;
  std::uint32_t in_flight = 0;  // our last sender_index, as on the wire
  std::size_t answered = 0;
  bool staged = false;
};

// The engine under test and one peer of it. The same for every input: seeded, and built from nothing.
struct EngineFixture {
  EngineFixture() : table(4, [](const std::function<void()>& free) { free(); }) {
    Key own;
    random.fill(own);
    random.fill(peer_private);
    clamp(peer_private);
    engine = std::make_unique<Engine>(host, table, random);
    engine->set_private_key(own, now);
    engine->up(now);
    peer.slot = 0;
    engine->add_peer(peer, derive_public(peer_private), now);
    engine->set_endpoint(peer, here, now);
    engine->initiate(peer, now);
  }
  ~EngineFixture() {
    engine.reset();
    for (auto& free : host.retired) free();
    must(table.size() == 0);
  }

  Now now{BootTime(1000 * kSec), wg::WallTime(1'700'000'000 * kSec)};
  Endpoint here{IpAddress::from_v4("\x0a\x00\x00\x01"), wg::dataplane::UdpPort{51820}, 0};
  SeededRandom random;
  KeypairTable table;
  FuzzHost host;
  Peer peer;
  Key peer_private{};
  std::unique_ptr<Engine> engine;
};

enum Operation : std::uint8_t { kMessage, kQueued, kTime, kInitiate, kConfirm, kChange, kOperations };

struct Record {
  Operation operation;
  std::vector<std::uint8_t> bytes;
};

std::vector<Record> parse(const std::uint8_t* data, std::size_t size) {
  std::vector<Record> records;
  while (size >= 2 && records.size() < 64) {
    const std::size_t length = std::min<std::size_t>(data[1], size - 2);
    records.push_back({static_cast<Operation>(data[0] % kOperations), {data + 2, data + 2 + length}});
    data += 2 + length;
    size -= 2 + length;
  }
  return records;
}

std::size_t write(const std::vector<Record>& records, std::uint8_t* data, std::size_t max_size) {
  std::size_t at = 0;
  for (const auto& r : records) {
    if (at + 2 + r.bytes.size() > max_size) break;
    data[at] = r.operation;
    data[at + 1] = static_cast<std::uint8_t>(r.bytes.size());
    if (!r.bytes.empty()) std::memcpy(data + at + 2, r.bytes.data(), r.bytes.size());
    at += 2 + r.bytes.size();
  }
  return at;
}

std::uint64_t number(const std::vector<std::uint8_t>& bytes) {
  std::uint64_t n = 0;
  if (!bytes.empty()) std::memcpy(&n, bytes.data(), std::min<std::size_t>(bytes.size(), 8));
  return n;
}

void receive(EngineFixture& w, const std::vector<std::uint8_t>& bytes) {
  w.host.answered = 0;
  const Outcome outcome = w.engine->on_handshake(bytes, w.here, w.here, w.now);
  must(w.host.answered <= bytes.size());
  const bool answers = outcome == Outcome::kInitiationAnswered || outcome == Outcome::kCookieReplySent ||
                       outcome == Outcome::kResponseNeedsCookie;
  must(answers || w.host.answered == 0);
}

void change(EngineFixture& w, std::uint64_t n) {
  Key key{};
  key[0] = static_cast<std::uint8_t>(n >> 8);
  switch (n % 8) {
    case 0:
      w.engine->down(w.now);
      break;
    case 1:
      w.engine->up(w.now);
      break;
    case 2:
      w.engine->set_private_key(key, w.now);
      break;
    case 3:
      w.engine->set_preshared_key(w.peer, key, w.now);
      break;
    case 4:
      w.engine->set_keepalive(w.peer, std::chrono::seconds(static_cast<std::uint16_t>(n >> 8)), w.now);
      break;
    case 5:
      w.engine->remove_peer(w.peer);
      break;
    case 6:
      w.engine->add_peer(w.peer, derive_public(w.peer_private), w.now);
      break;
    default:
      w.host.staged = true;
      w.engine->on_need_handshake(w.peer.ref(), w.now);
  }
}

void confirm(EngineFixture& w, std::uint64_t n) {
  std::uint32_t index = static_cast<std::uint32_t>(n);
  if (const Keypair* const current = w.peer.current.load(); current != nullptr && n % 2 == 0) {
    index = current->local_index;
  }
  w.engine->on_confirmed(index, w.now);
  w.engine->on_key_fresh(w.peer.ref(), w.now);
  w.engine->on_roamed(w.peer.ref(), w.here, {}, w.now);
}

void apply(EngineFixture& w, const Record& r) {
  switch (r.operation) {
    case kMessage:
      receive(w, r.bytes);
      break;
    case kQueued:
      (void)w.engine->queue_handshake(r.bytes, w.here, w.here, w.now);
      (void)w.engine->process_queued(8, w.now);
      break;
    case kTime:
      w.now.boot += std::chrono::nanoseconds(number(r.bytes) % 600'000'000'000);
      w.now.wall += std::chrono::nanoseconds(number(r.bytes) % 600'000'000'000);
      w.engine->advance(w.now);
      break;
    case kInitiate:
      w.engine->initiate(w.peer, w.now);
      break;
    case kConfirm:
      confirm(w, number(r.bytes));
      break;
    default:
      change(w, number(r.bytes));
  }
  must(w.table.size() <= 4);
  for (auto& free : std::exchange(w.host.retired, {})) free();
}

// The facts about the initial state of every input, for the mutator.
struct Target {
  Target() {
    EngineFixture w;
    public_key = w.engine->public_key();
    peer_key = derive_public(w.peer_private);
    in_flight = w.host.in_flight;
  }
  PublicKey public_key{};
  PublicKey peer_key{};
  std::uint32_t in_flight = 0;
};

void aim(std::vector<std::uint8_t>& m, const Target& target, unsigned seed) {
  if (seed % 4 != 0) m.resize(seed % 3 == 0 ? 148 : seed % 3 == 1 ? 92 : 64);
  const std::uint32_t type = m.size() == 148 ? kInitiation : m.size() == 92 ? kResponse : kCookieReply;
  if (m.size() < 4 || handshake_length(type) != m.size()) return;
  const std::uint8_t header[4] = {static_cast<std::uint8_t>(type), 0, 0, 0};
  std::memcpy(m.data(), header, 4);
  if (seed % 5 != 0) std::memcpy(m.data() + (type == kResponse ? 8 : 4), &target.in_flight, 4);
  if (type == kInitiation && seed % 7 != 0) std::memcpy(m.data() + 40, target.peer_key.data(), kKeySize);
  if (type == kCookieReply) return;
  const Mac right = mac(derive_mac1_key(target.public_key), before_mac1(m));
  std::copy(right.begin(), right.end(), m.end() - sizeof(Macs));
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
  static const Target target;
  size = LLVMFuzzerMutate(data, size, max_size);
  auto records = parse(data, size);
  for (auto& r : records) {
    if (r.operation != kMessage && r.operation != kQueued) continue;
    seed = seed * 1664525u + 1013904223u;
    if ((seed >> 8) % 8 != 0) aim(r.bytes, target, seed >> 12);
  }
  return write(records, data, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  EngineFixture world;
  for (const auto& record : parse(data, size)) apply(world, record);
  return 0;
}
