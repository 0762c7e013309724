// Longest-prefix match: one structure for cryptokey routing (allowed IPs -> peer slot) and for the mirror of
// the kernel's routing table (-> next-hop index). Design and figures:
// docs/decisions/0003-longest-prefix-match.md.
//
// Threads: one writer (the control thread) and any number of readers (workers), without a lock. Every lookup
// is atomic: it returns the state of the table at one moment between call and return. A prefix that is
// replaced, or whose longer or shorter relatives are added or removed, therefore always has an owner.
// lookup_burst() gives that guarantee for each key separately.
//
// Memory: the writer passes replaced nodes to the Reclaimer, because readers may use them until they pass a
// quiescent state. The table itself must outlive its readers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "dataplane/base/expected.h"

namespace wg::lpm {

using Value = std::uint32_t;  // peer slot or next-hop index
inline constexpr Value kNoMatch = 0xffffffff;
inline constexpr Value kMaxValue = 0x7ffffffe;  // the largest value insert() takes
inline constexpr std::size_t kMaxBurst = 256;

// The result of insert(): the prefix is new, or had a value already.
enum class Inserted : std::uint8_t { kAdded, kReplaced };

// 16 bytes in network order.
struct Address6 {
  std::array<std::uint8_t, 16> bytes{};
  friend bool operator==(const Address6&, const Address6&) = default;
};

// Takes over memory that readers may still read. The writer calls it after the replacement is visible; it
// must not throw. The reclaimer passes each node to free_node(node, bytes) exactly once, when every reader
// has been quiescent since the call. It must outlive the tables that use it; freeing needs no table.
class Reclaimer {
 public:
  virtual ~Reclaimer() = default;
  virtual void retire(void* node, void (*free_node)(void*, std::size_t), std::size_t bytes) = 0;
};

// Frees immediately, for tables without concurrent readers.
Reclaimer& immediate_reclaimer() noexcept;

// The instruction set of lookups: "portable", "avx2" or "avx512". It is the best one of this machine unless a
// test or bench selects another; select returns false when the variant is unknown or cannot run here.
const char* lookup_variant() noexcept;
bool select_lookup(std::string_view name) noexcept;

template <typename Bits>
class Table;

// IPv4. Addresses are in host order (10.0.0.1 is 0x0a000001).
class Lpm4 {
 public:
  using Callback = std::function<void(std::uint32_t prefix, unsigned length, Value value)>;

  explicit Lpm4(Reclaimer& reclaimer = immediate_reclaimer());
  ~Lpm4();
  Lpm4(Lpm4&&) noexcept;
  Lpm4& operator=(Lpm4&&) noexcept;

  // ---- writer. Strong guarantee: after std::bad_alloc the table is as before.
  // Masks host bits. Replaces the value of an existing prefix. Refused with EINVAL when length > 32 or
  // value > kMaxValue.
  Expected<Inserted> insert(std::uint32_t prefix, unsigned length, Value value);
  // Returns false when the prefix is missing. Covered addresses fall back to the next shorter prefix.
  bool remove(std::uint32_t prefix, unsigned length);
  [[nodiscard]] std::optional<Value> find_exact(std::uint32_t prefix, unsigned length) const;
  // Visits each prefix once in unspecified order. The callback must not change this table.
  void for_each(const Callback& callback) const;
  // The same in steps: visits a part of the table, about a thousand prefixes or all that share the first bits
  // of their addresses. Part 0 is the first; returns the next one, nullopt after the last. The table may
  // change between two parts: prefixes that stay are visited once at least.
  [[nodiscard]] std::optional<std::size_t> for_part(std::size_t part, const Callback& callback) const;
  [[nodiscard]] std::size_t size() const noexcept;
  // All memory of the table, without retired nodes.
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

  // ---- readers
  [[nodiscard]] Value lookup(std::uint32_t address) const noexcept;
  // out[i] = lookup(addresses[i]); n <= kMaxBurst.
  void lookup_burst(const std::uint32_t* addresses, Value* out, std::size_t n) const noexcept;

 private:
  std::unique_ptr<Table<std::uint32_t>> table_;
};

__extension__ using Uint128 = unsigned __int128;

// IPv6. Readers pass pointers to 16 bytes in network order, at any alignment (the header in the packet).
class Lpm6 {
 public:
  using Callback = std::function<void(const Address6& prefix, unsigned length, Value value)>;

  explicit Lpm6(Reclaimer& reclaimer = immediate_reclaimer());
  ~Lpm6();
  Lpm6(Lpm6&&) noexcept;
  Lpm6& operator=(Lpm6&&) noexcept;

  // ---- writer: as Lpm4, length <= 128
  Expected<Inserted> insert(const Address6& prefix, unsigned length, Value value);
  bool remove(const Address6& prefix, unsigned length);
  [[nodiscard]] std::optional<Value> find_exact(const Address6& prefix, unsigned length) const;
  void for_each(const Callback& callback) const;
  [[nodiscard]] std::optional<std::size_t> for_part(std::size_t part, const Callback& callback) const;
  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

  // ---- readers
  [[nodiscard]] Value lookup(const std::uint8_t* address) const noexcept;
  [[nodiscard]] Value lookup(const Address6& address) const noexcept { return lookup(address.bytes.data()); }
  void lookup_burst(const std::uint8_t* const* addresses, Value* out, std::size_t n) const noexcept;

 private:
  std::unique_ptr<Table<Uint128>> table_;
};

}  // namespace wg::lpm
