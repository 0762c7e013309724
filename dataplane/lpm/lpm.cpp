#include "dataplane/lpm/lpm.h"

#include <array>

#include "dataplane/base/processor.h"
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

Uint128 bits_of(const Address6& address) noexcept {
  return lpm::bits_of(address.bytes.data());
}

Address6 address_of(Uint128 bits) noexcept {
  Address6 address;
  for (unsigned i = 0; i < 16; ++i) address.bytes[i] = static_cast<std::uint8_t>(bits >> (120 - 8 * i));
  return address;
}

struct Candidate {
  const Lookup* lookup;
  bool runs;
};

// Those that this build has, the best one last.
const auto& candidates() noexcept {
  static const std::array all = {
    Candidate{&kLookupPortable, true},
#if defined(__x86_64__)
    Candidate{&kLookupAvx2, processor::has_avx2_bmi2()},
    Candidate{&kLookupAvx512, processor::has_avx512_bw_vl_dq()},
#else
    Candidate{&kLookupNeon, true},
#endif
  };
  return all;
}

// nullptr: unknown, or cannot run here.
const Lookup* lookup_named(std::string_view name) noexcept {
  for (const Candidate& candidate : candidates()) {
    if (candidate.runs && name == candidate.lookup->name) return candidate.lookup;
  }
  return nullptr;
}

const Lookup* best_lookup() noexcept {
  const Lookup* best = nullptr;
  for (const Candidate& candidate : candidates()) best = candidate.runs ? candidate.lookup : best;
  return best;
}

std::atomic<const Lookup*>& chosen() noexcept {
  static std::atomic<const Lookup*> lookup{best_lookup()};
  return lookup;
}

void lookup_below_root(const Root& root, const std::uint32_t* keys, Value* out, std::size_t n) noexcept {
  chosen().load(std::memory_order_relaxed)->v4(root, keys, out, n);
}
void lookup_below_root(const Root& root, const std::uint8_t* const* keys, Value* out,
                       std::size_t n) noexcept {
  chosen().load(std::memory_order_relaxed)->v6(root, keys, out, n);
}

LPM_INLINE unsigned first_byte(std::uint32_t key) noexcept {
  return key >> 24;
}
LPM_INLINE unsigned first_byte(const std::uint8_t* key) noexcept {
  return key[0];
}

// The shortest prefixes are not in the trie, where they would be the fallback of most slots. A key without a
// match in the trie takes the default loaded before the walk, if the default is still the same after it: then
// trie and default applied together when the key's slot was read.
template <typename Bits, typename Key>
void lookup_all(const Table<Bits>& table, const Key* keys, Value* out, std::size_t n) noexcept {
  const Defaults* defaults;
  do {
    defaults = table.defaults();
    lookup_below_root(*table.root(), keys, out, n);
  } while (table.defaults() != defaults);
  if (defaults->is_single()) {
    const Value value = defaults->values[0];
    if (value == kNoMatch) return;
    for (std::size_t i = 0; i < n; ++i) out[i] = out[i] == kNoMatch ? value : out[i];
    return;
  }
  for (std::size_t i = 0; i < n; ++i) {
    const Value value = defaults->values[first_byte(keys[i]) >> (8 - kWideBits)];
    out[i] = out[i] == kNoMatch ? value : out[i];
  }
}

}  // namespace

const char* lookup_variant() noexcept {
  return chosen().load(std::memory_order_relaxed)->name;
}

bool select_lookup(std::string_view name) noexcept {
  const Lookup* lookup = lookup_named(name);
  if (lookup == nullptr) return false;
  chosen().store(lookup, std::memory_order_relaxed);
  return true;
}

Reclaimer& immediate_reclaimer() noexcept {
  static ImmediateReclaimer reclaimer;
  return reclaimer;
}

Lpm4::Lpm4(Reclaimer& reclaimer) : table_(std::make_unique<Table<std::uint32_t>>(reclaimer)) {}
Lpm4::~Lpm4() = default;
Lpm4::Lpm4(Lpm4&&) noexcept = default;
Lpm4& Lpm4::operator=(Lpm4&&) noexcept = default;

Expected<Inserted> Lpm4::insert(std::uint32_t prefix, unsigned length, Value value) {
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
std::optional<std::size_t> Lpm4::for_part(std::size_t part, const Callback& callback) const {
  std::vector<Prefix<std::uint32_t>> some;
  const auto next = table_->append_part(part, some);
  for (const auto& prefix : some) callback(prefix.bits, prefix.length, prefix.value);
  return next;
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

Expected<Inserted> Lpm6::insert(const Address6& prefix, unsigned length, Value value) {
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
std::optional<std::size_t> Lpm6::for_part(std::size_t part, const Callback& callback) const {
  std::vector<Prefix<Uint128>> some;
  const auto next = table_->append_part(part, some);
  for (const auto& prefix : some) callback(address_of(prefix.bits), prefix.length, prefix.value);
  return next;
}
std::size_t Lpm6::size() const noexcept {
  return table_->size();
}
std::size_t Lpm6::memory_bytes() const noexcept {
  return table_->memory_bytes();
}

Value Lpm6::lookup(const std::uint8_t* address) const noexcept {
  Value value;
  lookup_all(*table_, &address, &value, 1);
  return value;
}
void Lpm6::lookup_burst(const std::uint8_t* const* addresses, Value* out, std::size_t n) const noexcept {
  lookup_all(*table_, addresses, out, n);
}

}  // namespace wg::lpm
