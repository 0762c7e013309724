// Runs one piece of the packet path once or twice. tests/arm64/instructions.py counts its instructions.
//   instructions PIECE VARIANT SIZE ROUNDS
// PIECE is seal, open or checksum of a burst of 32 packets of SIZE bytes, or lpm4 or lpm6: a burst of 32
// lookups in a table of SIZE prefixes.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dataplane/crypto/aead.h"
#include "dataplane/lpm/lpm.h"
#include "dataplane/packet/checksum_burst.h"

namespace {

constexpr std::size_t kBurst = 32, kMostRounds = 2;
using Round = std::function<void()>;

struct Packets {
  Packets(Packets&&) = default;
  explicit Packets(std::size_t size) : stride((size + 128 + 63) / 64 * 64), memory(stride * kBurst + 128) {
    for (std::size_t i = 0; i < kBurst; ++i)
      ops.push_back({memory.data() + 64 + i * stride, key.data(), i, static_cast<std::uint32_t>(size), 0});
  }
  std::size_t stride;
  std::vector<std::uint8_t> memory;
  std::vector<std::uint8_t> key = std::vector<std::uint8_t>(wg::crypto::kAeadKeySize, 7);
  std::vector<wg::crypto::AeadOp> ops;
};

// Null: no such variant.
Round aead_round(const std::string& piece, const std::string& variant, std::size_t size) {
  const wg::crypto::AeadEngine* engine = wg::crypto::aead_engine_named(variant.c_str());
  if (engine == nullptr) return nullptr;
  std::shared_ptr<wg::crypto::AeadScratch> scratch = wg::crypto::make_aead_scratch();
  // Made alike however many rounds there are, and each is opened once.
  auto packets = std::make_shared<std::vector<Packets>>();
  for (std::size_t i = 0; i < kMostRounds; ++i) {
    engine->seal(*scratch, packets->emplace_back(size).ops);
  }
  if (piece == "seal") return [=] { engine->seal(*scratch, packets->front().ops); };
  return [=, next = std::size_t{0}]() mutable {
    if (engine->open(*scratch, packets->at(next++).ops) != kBurst) std::abort();
  };
}

Round checksum_round(const std::string& variant, std::size_t size) {
  for (const wg::dataplane::ChecksumVariant& known : wg::dataplane::checksum_variants()) {
    if (known.name != variant) continue;
    auto packets = std::make_shared<Packets>(size);
    return [=, burst = known.burst] {
      std::vector<wg::dataplane::ChecksumPiece> pieces;
      for (const auto& op : packets->ops) pieces.push_back({op.data, op.length, 0});
      std::uint16_t folded[kBurst];
      burst(pieces.data(), folded, kBurst);
    };
  }
  return nullptr;
}

Round lpm4_round(std::size_t prefixes) {
  std::mt19937 random(1);
  auto table = std::make_shared<wg::lpm::Lpm4>();
  for (std::size_t i = 0; i < prefixes; ++i) {
    const unsigned length = 16 + static_cast<unsigned>(random() % 17);
    const auto bits = static_cast<std::uint32_t>(random() & (~std::uint64_t{0} << (32 - length)));
    if (!table->insert(bits, length, static_cast<wg::lpm::Value>(i))) std::abort();
  }
  std::vector<std::uint32_t> keys(kBurst);
  for (auto& key : keys) key = static_cast<std::uint32_t>(random());
  return [=] {
    wg::lpm::Value out[kBurst];
    table->lookup_burst(keys.data(), out, kBurst);
  };
}

Round lpm6_round(std::size_t prefixes) {
  std::mt19937 random(1);
  auto table = std::make_shared<wg::lpm::Lpm6>();
  std::vector<wg::lpm::Address6> known;
  for (std::size_t i = 0; i < prefixes; ++i) {
    wg::lpm::Address6 prefix{};
    prefix.bytes[0] = 0x20;
    for (unsigned at = 1; at < 6; ++at) prefix.bytes[at] = static_cast<std::uint8_t>(random());
    if (!table->insert(prefix, 48, static_cast<wg::lpm::Value>(i))) std::abort();
    known.push_back(prefix);
  }
  return [=] {
    const std::uint8_t* keys[kBurst];
    for (std::size_t i = 0; i < kBurst; ++i) keys[i] = known[i * 7 % known.size()].bytes.data();
    wg::lpm::Value out[kBurst];
    table->lookup_burst(keys, out, kBurst);
  };
}

Round round_of(const std::string& piece, const std::string& variant, std::size_t size) {
  if (piece == "seal" || piece == "open") return aead_round(piece, variant, size);
  if (piece == "checksum") return checksum_round(variant, size);
  if (!wg::lpm::select_lookup(variant)) return nullptr;
  if (piece == "lpm4") return lpm4_round(size);
  return piece == "lpm6" ? lpm6_round(size) : nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: instructions PIECE VARIANT SIZE ROUNDS\n");
    return 2;
  }
  const Round round = round_of(argv[1], argv[2], std::strtoul(argv[3], nullptr, 10));
  if (round == nullptr) {
    std::fprintf(stderr, "instructions: no variant %s of %s here\n", argv[2], argv[1]);
    return 2;
  }
  for (unsigned long i = std::strtoul(argv[4], nullptr, 10); i != 0; --i) round();
  return 0;
}
