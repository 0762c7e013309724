#include "dataplane/lpm/lpm.h"

#include "dataplane/lpm/lookup.h"
#include "dataplane/lpm/table.h"

namespace wg::lpm {
namespace {

class ImmediateReclaimer final : public Reclaimer {
 public:
  void retire(void* node, void (*free_node)(void*, std::size_t), std::size_t bytes) override {
    free_node(node, bytes);
  }
};

Uint128 bits_of(const std::uint8_t* address) noexcept {
  std::uint64_t high;
  std::uint64_t low;
  std::memcpy(&high, address, sizeof high);
  std::memcpy(&low, address + 8, sizeof low);
  return Uint128{__builtin_bswap64(high)} << 64 | __builtin_bswap64(low);
}

Uint128 bits_of(const Address6& address) noexcept {
  return bits_of(address.bytes.data());
}

Address6 address_of(Uint128 bits) noexcept {
  Address6 address;
  for (unsigned i = 0; i < 16; ++i) address.bytes[i] = static_cast<std::uint8_t>(bits >> (120 - 8 * i));
  return address;
}

}  // namespace

Reclaimer& immediate_reclaimer() noexcept {
  static ImmediateReclaimer reclaimer;
  return reclaimer;
}

Lpm4::Lpm4(Reclaimer& reclaimer) : table_(std::make_unique<Table<std::uint32_t>>(reclaimer)) {}
Lpm4::~Lpm4() = default;
Lpm4::Lpm4(Lpm4&&) noexcept = default;
Lpm4& Lpm4::operator=(Lpm4&&) noexcept = default;

bool Lpm4::insert(std::uint32_t prefix, unsigned length, Value value) {
  return table_->insert(prefix, length, value);
}
bool Lpm4::remove(std::uint32_t prefix, unsigned length) {
  return table_->remove(prefix, length);
}
std::optional<Value> Lpm4::find_exact(std::uint32_t prefix, unsigned length) const {
  return table_->find_exact(prefix, length);
}
void Lpm4::for_each(const Callback& callback) const {
  for (const auto& prefix : table_->prefixes()) callback(prefix.bits, prefix.length, prefix.value);
}
std::size_t Lpm4::size() const noexcept {
  return table_->size();
}
std::size_t Lpm4::memory_bytes() const noexcept {
  return table_->memory_bytes();
}

Value Lpm4::lookup(std::uint32_t address) const noexcept {
  Value value;
  lookup_all(*table_, &address, &value, 1);
  return value;
}
void Lpm4::lookup_burst(const std::uint32_t* addresses, Value* out, std::size_t n) const noexcept {
  lookup_all(*table_, addresses, out, n);
}

Lpm6::Lpm6(Reclaimer& reclaimer) : table_(std::make_unique<Table<Uint128>>(reclaimer)) {}
Lpm6::~Lpm6() = default;
Lpm6::Lpm6(Lpm6&&) noexcept = default;
Lpm6& Lpm6::operator=(Lpm6&&) noexcept = default;

bool Lpm6::insert(const Address6& prefix, unsigned length, Value value) {
  return table_->insert(bits_of(prefix), length, value);
}
bool Lpm6::remove(const Address6& prefix, unsigned length) {
  return table_->remove(bits_of(prefix), length);
}
std::optional<Value> Lpm6::find_exact(const Address6& prefix, unsigned length) const {
  return table_->find_exact(bits_of(prefix), length);
}
void Lpm6::for_each(const Callback& callback) const {
  for (const auto& prefix : table_->prefixes())
    callback(address_of(prefix.bits), prefix.length, prefix.value);
}
std::size_t Lpm6::size() const noexcept {
  return table_->size();
}
std::size_t Lpm6::memory_bytes() const noexcept {
  return table_->memory_bytes();
}

Value Lpm6::lookup(const std::uint8_t* address) const noexcept {
  const Uint128 bits = bits_of(address);
  Value value;
  lookup_all(*table_, &bits, &value, 1);
  return value;
}
void Lpm6::lookup_burst(const std::uint8_t* const* addresses, Value* out, std::size_t n) const noexcept {
  Uint128 bits[kMaxBurst];
  for (std::size_t i = 0; i < n; ++i) bits[i] = bits_of(addresses[i]);
  lookup_all(*table_, bits, out, n);
}

}  // namespace wg::lpm
