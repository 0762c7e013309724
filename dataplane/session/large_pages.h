// Memory that workers access in random order. With small pages each access would also miss the TLB.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace wg::dataplane {

inline constexpr std::size_t kLargePage = std::size_t{2} << 20;

// Maps `size` bytes of zeroed memory, in pages of 2 MB where the kernel provides them (advice only), and
// aligned to them when it is that large. Returns null without memory. The caller unmaps it with
// munmap(memory, size).
inline void* map_large(std::size_t size) noexcept {
  const std::size_t margin = size >= kLargePage ? kLargePage : 0;
  void* const range = mmap(nullptr, size + margin, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return nullptr;
  auto* const start = static_cast<std::byte*>(range);
  if (margin == 0) return start;
  const std::size_t page = static_cast<std::size_t>(4096);
  const std::size_t used = (size + page - 1) / page * page;
  const std::size_t front = (kLargePage - reinterpret_cast<std::uintptr_t>(start) % kLargePage) % kLargePage;
  if (front != 0) munmap(start, front);
  if (margin != front) munmap(start + front + used, margin - front);
  madvise(start + front, used, MADV_HUGEPAGE);
  return start + front;
}

}  // namespace wg::dataplane
