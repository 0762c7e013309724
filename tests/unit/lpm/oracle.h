// The dumb oracle: a list of prefixes, scanned from end to end, and the two families behind one face.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "dataplane/lpm/lpm.h"

namespace wg::lpm::test {

struct Family4 {
  using Table = Lpm4;
  using Address = std::uint32_t;
  static constexpr unsigned kWidth = 32;

  static bool bit(Address address, unsigned i) { return (address >> (31 - i) & 1) != 0; }
  static void set_bit(Address& address, unsigned i, bool on) {
    address = (address & ~(1U << (31 - i))) | (on ? 1U << (31 - i) : 0U);
  }
  static void lookup_burst(const Table& table, const std::vector<Address>& keys, Value* out) {
    table.lookup_burst(keys.data(), out, keys.size());
  }
};

struct Family6 {
  using Table = Lpm6;
  using Address = Address6;
  static constexpr unsigned kWidth = 128;

  static bool bit(const Address& address, unsigned i) {
    return (address.bytes[i / 8] >> (7 - i % 8) & 1) != 0;
  }
  static void set_bit(Address& address, unsigned i, bool on) {
    const auto mask = static_cast<std::uint8_t>(0x80 >> i % 8);
    std::uint8_t& byte = address.bytes[i / 8];
    byte = static_cast<std::uint8_t>((byte & ~mask) | (on ? mask : 0));
  }
  static void lookup_burst(const Table& table, const std::vector<Address>& keys, Value* out) {
    std::vector<const std::uint8_t*> pointers;
    for (const Address& key : keys) pointers.push_back(key.bytes.data());
    table.lookup_burst(pointers.data(), out, pointers.size());
  }
};

template <typename Family>
struct Entry {
  typename Family::Address bits;
  unsigned length;
  Value value;
};

template <typename Family>
typename Family::Address masked(typename Family::Address address, unsigned length) {
  for (unsigned i = length; i < Family::kWidth; ++i) Family::set_bit(address, i, false);
  return address;
}

// insert() that is not refused; returns whether the prefix is new, as the oracle does.
template <typename Table, typename Address>
bool insert(Table& table, const Address& prefix, unsigned length, Value value) {
  return value_or_throw(table.insert(prefix, length, value)) == Inserted::kAdded;
}

template <typename Family>
class Oracle {
 public:
  using Address = typename Family::Address;

  bool insert(const Address& prefix, unsigned length, Value value) {
    if (Entry<Family>* entry = find(prefix, length)) {
      entry->value = value;
      return false;
    }
    entries_.push_back({masked<Family>(prefix, length), length, value});
    return true;
  }

  bool remove(const Address& prefix, unsigned length) {
    Entry<Family>* entry = find(prefix, length);
    if (entry == nullptr) return false;
    *entry = entries_.back();
    entries_.pop_back();
    return true;
  }

  Entry<Family>* find(const Address& prefix, unsigned length) {
    const Address bits = masked<Family>(prefix, length);
    for (auto& entry : entries_) {
      if (entry.length == length && entry.bits == bits) return &entry;
    }
    return nullptr;
  }

  [[nodiscard]] Value lookup(const Address& address) const {
    const Entry<Family>* best = nullptr;
    for (const auto& entry : entries_) {
      if ((best == nullptr || entry.length > best->length) && covers(entry, address)) best = &entry;
    }
    return best == nullptr ? kNoMatch : best->value;
  }

  [[nodiscard]] const std::vector<Entry<Family>>& entries() const { return entries_; }

 private:
  static bool covers(const Entry<Family>& entry, const Address& address) {
    for (unsigned i = 0; i < entry.length; ++i) {
      if (Family::bit(entry.bits, i) != Family::bit(address, i)) return false;
    }
    return true;
  }

  std::vector<Entry<Family>> entries_;
};

using Random = std::mt19937_64;

template <typename Family>
typename Family::Address random_address(Random& random) {
  typename Family::Address address{};
  for (unsigned i = 0; i < Family::kWidth; ++i) Family::set_bit(address, i, (random() & 1) != 0);
  return address;
}

// An address that shares a random number of bits with `near`.
template <typename Family>
typename Family::Address neighbour(Random& random, const typename Family::Address& near) {
  auto address = random_address<Family>(random);
  const auto shared = static_cast<unsigned>(random() % (Family::kWidth + 1));
  for (unsigned i = 0; i < shared; ++i) Family::set_bit(address, i, Family::bit(near, i));
  return address;
}

}  // namespace wg::lpm::test
