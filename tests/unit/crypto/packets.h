// Packets for the AEAD tests: payloads with canaries around them, the libsodium oracle, and memory that
// faults right outside the bytes the contract allows a variant to read.
#pragma once

#include <gtest/gtest.h>
#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "dataplane/crypto/aead.h"

namespace wg::crypto {

using Bytes = std::vector<std::uint8_t>;

inline void PrintTo(const AeadEngine* engine, std::ostream* out) {
  *out << engine->name;
}

inline std::string name_of(const ::testing::TestParamInfo<const AeadEngine*>& parameter) {
  return parameter.param->name;
}

inline Bytes from_hex(const std::string& hex) {
  Bytes bytes(hex.size() / 2 + 1);  // one more, because sodium needs a buffer even for empty input
  std::size_t size = 0;
  if (sodium_hex2bin(bytes.data(), bytes.size(), hex.data(), hex.size(), " \n", &size, nullptr) != 0) {
    throw std::invalid_argument("not hex: " + hex);
  }
  bytes.resize(size);
  return bytes;
}

inline Bytes random_bytes(std::mt19937_64& random, std::size_t size) {
  Bytes bytes(size + 8);
  for (std::size_t i = 0; i < size; i += 8) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, 8);
  }
  bytes.resize(size);
  return bytes;
}

// The oracle: ciphertext || tag.
inline Bytes oracle_seal(const std::uint8_t* key, std::uint64_t counter, const Bytes& plaintext) {
  std::uint8_t nonce[12] = {};
  std::memcpy(nonce + 4, &counter, 8);
  Bytes sealed(plaintext.size() + kAeadTagSize);
  crypto_aead_chacha20poly1305_ietf_encrypt(sealed.data(), nullptr, plaintext.data(), plaintext.size(),
                                            nullptr, 0, nullptr, nonce, key);
  return sealed;
}

// A packet between canaries; `expected` is what the oracle makes of it.
struct Packet {
  static constexpr std::size_t kCanary = 64;
  static constexpr std::uint8_t kCanaryByte = 0xa5;

  Packet(std::mt19937_64& random, std::size_t length, std::size_t alignment, std::uint64_t packet_counter)
      : key(random_bytes(random, kAeadKeySize)),
        counter(packet_counter),
        plaintext(random_bytes(random, length)),
        memory(length + kAeadTagSize + 2 * kCanary + 128, kCanaryByte) {
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data()) + kCanary;
    offset = kCanary + (64 + alignment - address % 64) % 64;
    std::memcpy(data(), plaintext.data(), length);
  }

  std::uint8_t* data() { return memory.data() + offset; }
  AeadOp op() { return {data(), key.data(), counter, static_cast<std::uint32_t>(plaintext.size()), 7}; }
  Bytes sealed() const { return oracle_seal(key.data(), counter, plaintext); }

  // The bytes of the packet, `size` of them, equal `expected` and nothing around them changed.
  ::testing::AssertionResult holds(const Bytes& expected) {
    if (std::memcmp(data(), expected.data(), expected.size()) != 0) {
      return ::testing::AssertionFailure() << "payload or tag differs, length " << plaintext.size();
    }
    for (std::size_t i = 0; i < memory.size(); ++i) {
      const bool inside = i >= offset && i < offset + plaintext.size() + kAeadTagSize;
      if (!inside && memory[i] != kCanaryByte) {
        return ::testing::AssertionFailure()
               << "wrote at " << static_cast<long>(i) - static_cast<long>(offset) << " of a packet of "
               << plaintext.size();
      }
    }
    return ::testing::AssertionSuccess();
  }

  Bytes key;
  std::uint64_t counter;
  Bytes plaintext;
  Bytes memory;
  std::size_t offset = 0;
};

inline std::vector<AeadOp> ops_of(std::vector<Packet>& packets) {
  std::vector<AeadOp> ops;
  for (Packet& packet : packets) ops.push_back(packet.op());
  return ops;
}

// Memory whose neighbours on both sides fault.
class GuardedPages {
 public:
  explicit GuardedPages(std::size_t size) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    size_ = (size + page - 1) / page * page;
    total_ = size_ + 2 * page;
    void* pages = mmap(nullptr, total_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) throw std::bad_alloc();
    pages_ = static_cast<std::uint8_t*>(pages);
    mprotect(pages_, page, PROT_NONE);
    mprotect(pages_ + page + size_, page, PROT_NONE);
    begin_ = pages_ + page;
  }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;
  ~GuardedPages() { munmap(pages_, total_); }

  std::uint8_t* begin() { return begin_; }
  std::uint8_t* end() { return begin_ + size_; }

 private:
  std::uint8_t* pages_ = nullptr;
  std::uint8_t* begin_ = nullptr;
  std::size_t size_ = 0, total_ = 0;
};

}  // namespace wg::crypto
