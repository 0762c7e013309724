// Memory for secrets: locked into RAM, left out of core dumps, zero in a forked child, wiped on free.
//
// A slab allocator for one type: private keys, handshakes in flight, sessions. It is not thread-safe: only
// the control thread allocates and frees (workers only read what was published).
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "control/noise/primitives.h"
#include "dataplane/session/large_pages.h"

namespace wg::noise {

// Owns anonymous pages with the protections above. Locking may fail under RLIMIT_MEMLOCK: the pages are
// then used unlocked and locked() returns false, because refusing to run would protect no one.
class SecretPages {
 public:
  explicit SecretPages(std::size_t size) : size_(size) {
    memory_ = dataplane::map_large(size);
    if (memory_ == nullptr) throw std::bad_alloc();
    locked_ = mlock(memory_, size_) == 0;
    madvise(memory_, size_, MADV_DONTDUMP);
    madvise(memory_, size_, MADV_WIPEONFORK);
  }
  SecretPages(SecretPages&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), size_(other.size_), locked_(other.locked_) {}
  SecretPages(const SecretPages&) = delete;
  SecretPages& operator=(const SecretPages&) = delete;
  ~SecretPages() {
    if (memory_ == nullptr) return;
    wipe(memory_, size_);
    munmap(memory_, size_);
  }

  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(memory_); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool locked() const noexcept { return locked_; }

 private:
  void* memory_ = nullptr;
  std::size_t size_;
  bool locked_ = false;
};

template <typename T>
class SecretArena {
 public:
  SecretArena() = default;
  SecretArena(const SecretArena&) = delete;
  SecretArena& operator=(const SecretArena&) = delete;

  template <typename... Arguments>
  [[nodiscard]] T* create(Arguments&&... arguments) {
    if (free_.empty()) add_slab();
    std::byte* const place = free_.back();
    T* const object = new (place) T(std::forward<Arguments>(arguments)...);
    free_.pop_back();
    ++live_;
    return object;
  }

  void destroy(T* object) noexcept {
    if (object == nullptr) return;
    object->~T();
    wipe(static_cast<void*>(object), sizeof(T));
    free_.push_back(reinterpret_cast<std::byte*>(object));  // capacity reserved in add_slab()
    --live_;
  }

  [[nodiscard]] std::size_t live() const noexcept { return live_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept {
    return bytes_ + free_.capacity() * sizeof(std::byte*);
  }
  [[nodiscard]] bool locked() const noexcept {
    for (const auto& slab : slabs_) {
      if (!slab.locked()) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t kStride = (sizeof(T) + alignof(T) - 1) / alignof(T) * alignof(T);
  static constexpr std::size_t kSmallSlab = 64 * 1024;
  static_assert(kStride <= kSmallSlab && alignof(T) <= 4096);

  // The first slabs are small. An arena that outgrows one large page gets large pages.
  void add_slab() {
    const std::size_t size = bytes_ < dataplane::kLargePage ? kSmallSlab : dataplane::kLargePage;
    const std::size_t objects = size / kStride;
    free_.reserve(live_ + objects);
    slabs_.emplace_back(size);
    bytes_ += size;
    for (std::size_t i = objects; i-- > 0;) free_.push_back(slabs_.back().data() + i * kStride);
  }

  std::vector<SecretPages> slabs_;
  std::vector<std::byte*> free_;
  std::size_t bytes_ = 0;
  std::size_t live_ = 0;
};

// Owning pointer into an arena that outlives it.
template <typename T>
struct SecretDeleter {
  SecretArena<T>* arena = nullptr;
  void operator()(T* object) const noexcept { arena->destroy(object); }
};
template <typename T>
using SecretPtr = std::unique_ptr<T, SecretDeleter<T>>;

template <typename T>
SecretPtr<T> make_secret(SecretArena<T>& arena) {
  return SecretPtr<T>(arena.create(), SecretDeleter<T>{&arena});
}

}  // namespace wg::noise
