#include "dataplane/flow/flow_table.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "dataplane/flow/rewrite.h"
#include "dataplane/session/large_pages.h"

namespace wg::dataplane {

namespace {

// On average three entries of seven are in use when the table is full.
constexpr std::size_t kUsedEntries = 3;

using checksum_detail::load;

// Both halves of a product, folded: every bit of both factors reaches every bit of the result.
std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// The packet's headers, as far as a lookup reads them, made from a tuple.
struct Headers {
  std::array<std::uint8_t, kIpv6HeaderSize + kTcpHeaderSize> bytes{};
  FlowProbe probe;

  explicit Headers(const FlowTuple& tuple) : probe{bytes.data(), tuple.source.v6} {
    const std::size_t header = probe.v6 ? kIpv6HeaderSize : kIpv4HeaderSize;
    if (probe.v6) {
      auto* ip = header_at<Ipv6Header>(bytes.data());
      ip->next_header = tuple.protocol;
      ip->source = tuple.source.bytes;
      ip->destination = tuple.destination.bytes;
    } else {
      auto* ip = header_at<Ipv4Header>(bytes.data());
      ip->protocol = tuple.protocol;
      std::memcpy(ip->source.data(), tuple.source.bytes.data(), sizeof(Ipv4Bytes));
      std::memcpy(ip->destination.data(), tuple.destination.bytes.data(), sizeof(Ipv4Bytes));
    }
    *header_at<Be16>(bytes.data() + header) = Be16{tuple.source_port};
    *header_at<Be16>(bytes.data() + header + sizeof(Be16)) = Be16{tuple.destination_port};
  }
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;
};

template <class T>
T* map_array(std::size_t count) {
  void* const pages = map_large(count * sizeof(T));
  if (pages == nullptr) throw std::bad_alloc();
  return static_cast<T*>(pages);  // zeroed memory is an array of free entries
}

}  // namespace

void FlowTable::Unmap::operator()(void* pages) const noexcept {
  munmap(pages, bytes);
}

FlowTable::FlowTable(std::size_t capacity, const HashKey& key,
                     std::function<void(std::function<void()>)> defer)
    : capacity_(capacity),
      buckets_(std::max<std::size_t>(2, (2 * capacity + kUsedEntries - 1) / kUsedEntries)),
      key_(key),
      defer_(std::move(defer)),
      index_(map_array<Bucket>(buckets_), Unmap{buckets_ * sizeof(Bucket)}),
      flows_(map_array<Flow>(capacity_), Unmap{capacity_ * sizeof(Flow)}),
      free_(std::make_shared<std::vector<FlowNumber>>()) {}

FlowTable::~FlowTable() = default;

std::size_t FlowTable::memory_bytes() const noexcept {
  return buckets_ * sizeof(Bucket) + capacity_ * (sizeof(Flow) + sizeof(FlowNumber)) + capacity_ / 8;
}

// ---------------------------------------------------------------- lookups

// In the manner of wyhash: 64 x 64 bit products with secret factors.
inline std::uint64_t FlowTable::hash_of(const FlowProbe& probe) const noexcept {
  const std::uint8_t* l3 = probe.l3;
  if (!probe.v6) {
    const auto addresses = load<std::uint64_t>(l3 + offsetof(Ipv4Header, source));
    const std::uint64_t rest =
        load<std::uint32_t>(l3 + kIpv4HeaderSize) | std::uint64_t{header_at<Ipv4Header>(l3)->protocol} << 32;
    return mixed(mixed(addresses ^ key_[0], rest ^ key_[1]) ^ key_[2], key_[3]);
  }
  const std::uint8_t* addresses = l3 + offsetof(Ipv6Header, source);
  const std::uint64_t rest =
      load<std::uint32_t>(l3 + kIpv6HeaderSize) | std::uint64_t{header_at<Ipv6Header>(l3)->next_header} << 32;
  const std::uint64_t low =
      mixed(load<std::uint64_t>(addresses) ^ key_[0], load<std::uint64_t>(addresses + 8) ^ key_[1]);
  const std::uint64_t high =
      mixed(load<std::uint64_t>(addresses + 16) ^ key_[2], load<std::uint64_t>(addresses + 24) ^ key_[3]);
  return mixed(low ^ key_[4], mixed(high ^ rest, key_[5]));
}

inline FlowTable::Bucket& FlowTable::first_bucket(std::uint64_t hash) const noexcept {
  return index_[(hash >> 32) * buckets_ >> 32];
}

// Another half of the same hash, spread again.
inline FlowTable::Bucket& FlowTable::second_bucket(std::uint64_t hash) const noexcept {
  return index_[(mixed(hash ^ key_[4], key_[5]) >> 32) * buckets_ >> 32];
}

inline FlowDirection* FlowTable::direction_of(std::uint64_t entry) const noexcept {
  const std::uint32_t place = static_cast<std::uint32_t>(entry) - 1;
  return &flows_[place >> 1].direction[place & 1];
}

// Bit i: entry i has this hash. All are compared before any branch: which one matches is unpredictable.
inline unsigned FlowTable::matches(const Bucket& bucket, std::uint64_t hash) noexcept {
  constexpr std::uint64_t kPlaces = 0xffff'ffff;  // and zero, which no entry in use has
  unsigned equal = 0;
  for (std::size_t i = kEntries; i-- > 0;) {
    const std::uint64_t place = bucket.entry[i].load(std::memory_order_acquire) ^ hash << 32;
    equal += equal + (place - 1 < kPlaces ? 1 : 0);
  }
  return equal;
}

FlowDirection* FlowTable::search(const Bucket& bucket, std::uint64_t hash,
                                 const FlowProbe& probe) const noexcept {
  for (unsigned equal = matches(bucket, hash); equal != 0; equal &= equal - 1) {
    const std::uint64_t entry = bucket.entry[std::countr_zero(equal)].load(std::memory_order_acquire);
    if (static_cast<std::uint32_t>(entry) == 0) continue;  // removed between the two loads
    FlowDirection* const direction = direction_of(entry);
    if (names(*direction, probe.l3, probe.v6)) return direction;
  }
  return nullptr;
}

FlowDirection* FlowTable::search_all(const FlowProbe& probe, std::uint64_t hash) const noexcept {
  const Bucket& first = first_bucket(hash);
  if (FlowDirection* const found = search(first, hash, probe); found != nullptr) return found;
  if (first.elsewhere.load(std::memory_order_acquire) == 0) return nullptr;
  return search(second_bucket(hash), hash, probe);
}

// In passes, so that each finds what the one before prefetched.
void FlowTable::find_burst(const FlowProbe* probes, std::size_t n, FlowDirection** found) const noexcept {
  std::array<std::uint64_t, kMaxBurst> hash;
  for (std::size_t i = 0; i < n; ++i) {
    if (probes[i].l3 == nullptr) [[unlikely]]
      continue;
    hash[i] = hash_of(probes[i]);
    __builtin_prefetch(&first_bucket(hash[i]));
  }
  for (std::size_t i = 0; i < n; ++i) {
    found[i] = nullptr;
    if (probes[i].l3 == nullptr) [[unlikely]]
      continue;
    const Bucket& bucket = first_bucket(hash[i]);
    const unsigned equal = matches(bucket, hash[i]);
    if (equal == 0) continue;
    const std::uint64_t entry = bucket.entry[std::countr_zero(equal)].load(std::memory_order_acquire);
    if (static_cast<std::uint32_t>(entry) == 0) continue;
    found[i] = direction_of(entry);
    __builtin_prefetch(found[i], 1);
    if (probes[i].v6) __builtin_prefetch(&opposite(*found[i]));
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (probes[i].l3 == nullptr) [[unlikely]]
      continue;
    if (found[i] != nullptr && names(*found[i], probes[i].l3, probes[i].v6)) continue;
    // No entry with this hash, or one of another tuple.
    found[i] = search_all(probes[i], hash[i]);
  }
}

FlowNumber FlowTable::find(const FlowTuple& tuple) const noexcept {
  const Headers headers(tuple);
  const FlowDirection* direction = search_all(headers.probe, hash_of(headers.probe));
  if (direction == nullptr) return kNoFlow;
  const auto offset =
      reinterpret_cast<std::uintptr_t>(direction) - reinterpret_cast<std::uintptr_t>(flows_.get());
  return static_cast<FlowNumber>(offset / sizeof(Flow));
}

// ---------------------------------------------------------------- changes

FlowNumber FlowTable::insert(const FlowTuple& original, const FlowTuple& reply, FlowIngress original_from,
                             FlowIngress reply_from, BootSeconds now) {
  if (find(original) != kNoFlow || find(reply) != kNoFlow) return kNoFlow;
  const FlowNumber number = take_number();
  if (number == kNoFlow) return kNoFlow;
  Flow& flow = flows_[number];
  fill(flow, original, reply, original_from, reply_from, now);
  const std::uint64_t value = 2 * std::uint64_t{number} + 1;
  if (!add_entry(flow.direction[kOriginal], value)) {
    free_->push_back(number);  // no worker has found it
    return kNoFlow;
  }
  if (!add_entry(flow.direction[kReply], value + 1)) {
    remove_entry(flow.direction[kOriginal], value);
    give_back({number});
    return kNoFlow;
  }
  used_[number] = true;
  ++size_;
  return number;
}

void FlowTable::remove(FlowNumber number) {
  if (!in_use(number)) return;
  const Flow& flow = flows_[number];
  const std::uint64_t value = 2 * std::uint64_t{number} + 1;
  remove_entry(flow.direction[kOriginal], value);
  remove_entry(flow.direction[kReply], value + 1);
  used_[number] = false;
  --size_;
  give_back({number});
}

void FlowTable::clear() {
  std::vector<FlowNumber> numbers;
  for (FlowNumber number = 0; number < end(); ++number) {
    if (used_[number]) numbers.push_back(number);
  }
  for (std::size_t i = 0; i < buckets_; ++i) {
    for (auto& entry : index_[i].entry) entry.store(0, std::memory_order_release);
    index_[i].elsewhere.store(0, std::memory_order_release);
  }
  std::fill(used_.begin(), used_.end(), false);
  size_ = 0;
  give_back(std::move(numbers));
}

bool FlowTable::add_entry(const FlowDirection& direction, std::uint64_t value) {
  const Headers headers(direction.tuple());
  const std::uint64_t hash = hash_of(headers.probe);
  const std::uint64_t entry = hash << 32 | value;
  const auto put = [&](Bucket& bucket) {
    for (auto& slot : bucket.entry) {
      if (slot.load(std::memory_order_relaxed) != 0) continue;
      slot.store(entry, std::memory_order_release);
      return true;
    }
    return false;
  };
  Bucket& first = first_bucket(hash);
  if (put(first)) return true;
  if (!put(second_bucket(hash))) return false;
  first.elsewhere.fetch_add(1, std::memory_order_release);
  return true;
}

void FlowTable::remove_entry(const FlowDirection& direction, std::uint64_t value) {
  const Headers headers(direction.tuple());
  const std::uint64_t hash = hash_of(headers.probe);
  const std::uint64_t entry = hash << 32 | value;
  const auto take = [&](Bucket& bucket) {
    for (auto& slot : bucket.entry) {
      if (slot.load(std::memory_order_relaxed) != entry) continue;
      slot.store(0, std::memory_order_release);
      return true;
    }
    return false;
  };
  Bucket& first = first_bucket(hash);
  if (take(first)) return;
  if (take(second_bucket(hash))) first.elsewhere.fetch_sub(1, std::memory_order_release);
}

FlowNumber FlowTable::take_number() {
  if (!free_->empty()) {
    const FlowNumber number = free_->back();
    free_->pop_back();
    return number;
  }
  if (used_.size() == capacity_) return kNoFlow;
  used_.push_back(false);
  return static_cast<FlowNumber>(used_.size() - 1);
}

void FlowTable::give_back(std::vector<FlowNumber> numbers) {
  if (numbers.empty()) return;
  defer_([free = free_, numbers = std::move(numbers)] {
    free->insert(free->end(), numbers.begin(), numbers.end());
  });
}

}  // namespace wg::dataplane
