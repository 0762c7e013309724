// Differential fuzzing of the burst AEAD: the input describes a burst, every variant this machine can run
// must agree with libsodium about each packet, sealed and opened, with one bit flipped when the input says
// so, and must not write outside the packets.
#include <sodium.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "dataplane/crypto/aead.h"
#include "tests/fuzz/input.h"

namespace {

using wg::fuzz::Input;
using wg::fuzz::require;

using wg::crypto::AeadEngine;
using wg::crypto::AeadOp;
using wg::crypto::kAeadKeySize;
using wg::crypto::kAeadTagSize;

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kMargin = 64;
constexpr std::uint8_t kCanary = 0x5a;

// Takes values off the front of the input; zeros when it is used up.
struct Packet {
  Bytes key = Bytes(kAeadKeySize);
  std::uint64_t counter = 0;
  Bytes plaintext;
  Bytes sealed;
  Bytes memory;
  std::size_t offset = 0;

  std::uint8_t* data() { return memory.data() + offset; }
};

// Mostly short packets, some of any length.
std::uint32_t take_length(Input& input) {
  const auto word = input.take<std::uint16_t>();
  const unsigned kind = word >> 13;
  if (kind < 4) return word & 0xff;
  if (kind < 7) return word & 0x7ff;
  return input.take<std::uint16_t>() % (wg::crypto::kAeadMaxPayload + 1);
}

Packet take_packet(Input& input, const std::vector<Packet>& before) {
  Packet packet;
  const std::uint32_t length = take_length(input);
  const auto seed = input.take<std::uint32_t>();
  packet.counter = input.take<std::uint64_t>();
  packet.plaintext.resize(length);
  std::uint8_t expanded_seed[randombytes_SEEDBYTES] = {};
  std::memcpy(expanded_seed, &seed, sizeof seed);
  randombytes_buf_deterministic(packet.key.data(), packet.key.size(), expanded_seed);
  if (length != 0) randombytes_buf_deterministic(packet.plaintext.data(), length, expanded_seed);
  if (seed % 4 == 1 && !before.empty()) packet.key = before[seed / 4 % before.size()].key;
  packet.memory.assign(length + kAeadTagSize + 2 * kMargin + 64, kCanary);
  packet.offset = kMargin + seed % 64;

  std::uint8_t nonce[12] = {};
  std::memcpy(nonce + 4, &packet.counter, 8);
  packet.sealed.resize(length + kAeadTagSize);
  crypto_aead_chacha20poly1305_ietf_encrypt(packet.sealed.data(), nullptr, packet.plaintext.data(), length,
                                            nullptr, 0, nullptr, nonce, packet.key.data());
  return packet;
}

void put(Packet& packet, const Bytes& bytes) {
  if (!bytes.empty()) std::memcpy(packet.data(), bytes.data(), bytes.size());
}

void require_holds(Packet& packet, const Bytes& bytes) {
  require(bytes.empty() || std::memcmp(packet.data(), bytes.data(), bytes.size()) == 0);
  for (std::size_t i = 0; i < packet.memory.size(); ++i) {
    const bool inside = i >= packet.offset && i < packet.offset + packet.sealed.size();
    require(inside || packet.memory[i] == kCanary);
  }
}

void check_engine(const AeadEngine& engine, std::vector<Packet>& packets, std::size_t bad,
                  std::uint32_t flip) {
  static wg::crypto::AeadScratchPtr scratch = wg::crypto::make_aead_scratch();
  std::vector<AeadOp> ops;
  for (Packet& packet : packets) {
    put(packet, packet.plaintext);
    ops.push_back({packet.data(), packet.key.data(), packet.counter,
                   static_cast<std::uint32_t>(packet.plaintext.size()), 0});
  }
  engine.seal(*scratch, ops);
  for (Packet& packet : packets) require_holds(packet, packet.sealed);

  if (bad < packets.size()) {
    const std::size_t bit = flip % (8 * packets[bad].sealed.size());
    packets[bad].data()[bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
  }
  const std::size_t authentic = engine.open(*scratch, ops);
  require(authentic == packets.size() - (bad < packets.size() ? 1 : 0));
  for (std::size_t i = 0; i < packets.size(); ++i) {
    require(ops[i].authentic == (i == bad ? 0u : 1u));
    if (i != bad) require_holds(packets[i], packets[i].plaintext);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::size_t count = 1 + input.take<std::uint8_t>() % 64;
  const std::size_t bad = input.take<std::uint8_t>();  // none when past the burst
  const auto flip = input.take<std::uint32_t>();
  std::vector<Packet> packets;
  for (std::size_t i = 0; i < count; ++i) packets.push_back(take_packet(input, packets));
  for (const AeadEngine* engine : wg::crypto::aead_engines()) check_engine(*engine, packets, bad, flip);
  return 0;
}
