// receiver_index -> Keypair. Lock-free for workers; the control thread is the only writer.
//
// An index is random and unique (protocol C4-7): control draws 32 random bits and redraws when the index
// is taken or its bucket (one cache line, four entries, chosen by the low bits) is full, so a lookup
// touches one line and no chain can grow. Doubling the buckets never overflows one, because each splits in
// two. A handshake in flight reserves its index with a null keypair, and the session keeps the index.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "dataplane/session/keypair.h"

namespace wg::dataplane {

class KeypairTable {
 public:
  static constexpr std::size_t kEntries = 4;

  // `buckets` is rounded up to a power of two. `defer` runs a deleter after all workers are quiescent.
  KeypairTable(std::size_t buckets, std::function<void(std::function<void()>)> defer);
  ~KeypairTable();
  KeypairTable(const KeypairTable&) = delete;
  KeypairTable& operator=(const KeypairTable&) = delete;

  // ---- workers
  [[nodiscard]] Keypair* find(std::uint32_t index) const noexcept {
    const Buckets* b = buckets_.load(std::memory_order_acquire);
    const Bucket& bucket = b->array[index & b->mask];
    // All four are compared before any branch, because an index's place in its bucket is unpredictable.
    static_assert(kEntries == 4);
    const auto equals = [&](std::size_t i) -> unsigned {
      return bucket.index[i].load(std::memory_order_acquire) == index;
    };
    const unsigned equal = equals(0) | equals(1) << 1 | equals(2) << 2 | equals(3) << 3;
    if (equal == 0) return nullptr;
    const auto i = static_cast<std::size_t>(std::countr_zero(equal));
    Keypair* const keypair = bucket.keypair[i].load(std::memory_order_acquire);
    // Another index may have taken the entry between the two loads.
    return bucket.index[i].load(std::memory_order_acquire) == index ? keypair : nullptr;
  }
  void prefetch(std::uint32_t index) const noexcept {
    const Buckets* b = buckets_.load(std::memory_order_acquire);
    __builtin_prefetch(&b->array[index & b->mask]);
  }

  // ---- control
  // Reserves a fresh index drawn from `random32`; grows when the load passes one half.
  [[nodiscard]] std::uint32_t reserve(const std::function<std::uint32_t()>& random32);
  // Reserves this very index, that of a session which was not derived here. False: it is 0, it is taken, or
  // its bucket is full. The table grows for it once, unless it is nearly empty: chosen indices must not blow
  // it up.
  [[nodiscard]] bool reserve_exact(std::uint32_t index);
  // Makes `index`, which must be reserved, find the keypair.
  void publish(std::uint32_t index, Keypair* keypair);
  // Frees the index and ignores unknown ones. The caller must retire the keypair itself.
  void remove(std::uint32_t index) noexcept;
  [[nodiscard]] bool reserved(std::uint32_t index) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

 private:
  struct alignas(64) Bucket {
    std::atomic<std::uint32_t> index[kEntries];  // 0: empty; index 0 is never handed out
    std::atomic<Keypair*> keypair[kEntries];
  };
  struct Buckets {
    explicit Buckets(std::size_t n);  // a power of two
    ~Buckets();
    Buckets(const Buckets&) = delete;
    Buckets& operator=(const Buckets&) = delete;
    std::size_t mask;
    Bucket* array;  // in pages of its own; zero: empty
  };

  static int free_entry(const Bucket& bucket) noexcept;
  bool take(std::uint32_t index) noexcept;
  void grow();

  std::atomic<Buckets*> buckets_;
  std::size_t size_ = 0;
  std::function<void(std::function<void()>)> defer_;
};

}  // namespace wg::dataplane
