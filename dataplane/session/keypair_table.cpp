#include "dataplane/session/keypair_table.h"

#include <bit>
#include <new>

#include "dataplane/session/large_pages.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kSparse = 8;  // a table with fewer than one entry in so many used does not grow

}  // namespace

KeypairTable::Buckets::Buckets(std::size_t n) : mask(n - 1) {
  void* const pages = map_large(n * sizeof(Bucket));
  if (pages == nullptr) throw std::bad_alloc();
  array = static_cast<Bucket*>(pages);
  for (std::size_t i = 0; i < n; ++i) new (array + i) Bucket{};
}

KeypairTable::Buckets::~Buckets() {
  munmap(array, (mask + 1) * sizeof(Bucket));
}

KeypairTable::KeypairTable(std::size_t buckets, std::function<void(std::function<void()>)> defer)
    : buckets_(new Buckets(std::bit_ceil(buckets))), defer_(std::move(defer)) {}

KeypairTable::~KeypairTable() {
  delete buckets_.load(std::memory_order_relaxed);
}

int KeypairTable::free_entry(const Bucket& bucket) noexcept {
  for (std::size_t i = 0; i < kEntries; ++i) {
    if (bucket.index[i].load(std::memory_order_relaxed) == 0) return static_cast<int>(i);
  }
  return -1;
}

std::uint32_t KeypairTable::reserve(const std::function<std::uint32_t()>& random32) {
  if (size_ * 2 >= (buckets_.load(std::memory_order_relaxed)->mask + 1) * kEntries) grow();
  for (;;) {
    const std::uint32_t index = random32();
    if (index != 0 && !reserved(index) && take(index)) return index;
  }
}

bool KeypairTable::reserve_exact(std::uint32_t index) {
  if (index == 0 || reserved(index)) return false;
  if (take(index)) return true;
  if (size_ * kSparse < (buckets_.load(std::memory_order_relaxed)->mask + 1) * kEntries) return false;
  grow();
  return take(index);
}

// False: the bucket is full.
bool KeypairTable::take(std::uint32_t index) noexcept {
  const Buckets* b = buckets_.load(std::memory_order_relaxed);
  Bucket& bucket = b->array[index & b->mask];
  const int entry = free_entry(bucket);
  if (entry < 0) return false;
  // A reused entry has a null keypair, because remove() clears it before the index.
  bucket.index[entry].store(index, std::memory_order_release);
  ++size_;
  return true;
}

void KeypairTable::publish(std::uint32_t index, Keypair* keypair) {
  const Buckets* b = buckets_.load(std::memory_order_relaxed);
  Bucket& bucket = b->array[index & b->mask];
  for (std::size_t i = 0; i < kEntries; ++i) {
    if (bucket.index[i].load(std::memory_order_relaxed) == index) {
      bucket.keypair[i].store(keypair, std::memory_order_release);
      return;
    }
  }
}

void KeypairTable::remove(std::uint32_t index) noexcept {
  if (index == 0) return;
  const Buckets* b = buckets_.load(std::memory_order_relaxed);
  Bucket& bucket = b->array[index & b->mask];
  for (std::size_t i = 0; i < kEntries; ++i) {
    if (bucket.index[i].load(std::memory_order_relaxed) == index) {
      bucket.keypair[i].store(nullptr, std::memory_order_release);
      bucket.index[i].store(0, std::memory_order_release);
      --size_;
      return;
    }
  }
}

bool KeypairTable::reserved(std::uint32_t index) const noexcept {
  const Buckets* b = buckets_.load(std::memory_order_relaxed);
  const Bucket& bucket = b->array[index & b->mask];
  for (std::size_t i = 0; i < kEntries; ++i) {
    if (bucket.index[i].load(std::memory_order_relaxed) == index) return true;
  }
  return false;
}

std::size_t KeypairTable::memory_bytes() const noexcept {
  return (buckets_.load(std::memory_order_relaxed)->mask + 1) * sizeof(Bucket);
}

// Entries of bucket b can only move to b or b + old size, so no new bucket holds more than kEntries.
void KeypairTable::grow() {
  Buckets* old = buckets_.load(std::memory_order_relaxed);
  auto* grown = new Buckets((old->mask + 1) * 2);
  for (std::size_t i = 0; i <= old->mask; ++i) {
    for (std::size_t e = 0; e < kEntries; ++e) {
      const std::uint32_t index = old->array[i].index[e].load(std::memory_order_relaxed);
      if (index == 0) continue;
      Bucket& to = grown->array[index & grown->mask];
      const int entry = free_entry(to);
      to.keypair[entry].store(old->array[i].keypair[e].load(std::memory_order_relaxed),
                              std::memory_order_relaxed);
      to.index[entry].store(index, std::memory_order_relaxed);
    }
  }
  buckets_.store(grown, std::memory_order_release);
  defer_([old] { delete old; });
}

}  // namespace wg::dataplane
