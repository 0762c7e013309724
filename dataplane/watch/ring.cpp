#include "dataplane/watch/ring.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace wg::dataplane {

namespace {

constexpr std::size_t kLeast = std::size_t{1} << 16;  // the longest packet fits

}  // namespace

// Left out of core dumps.
WatchRing::WatchRing(std::size_t bytes) : size_(std::bit_ceil(std::max(bytes, 2 * kLeast))) {
  void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "ring of a watch");
  madvise(memory, size_, MADV_DONTDUMP);
  memory_ = static_cast<std::uint8_t*>(memory);
}

WatchRing::~WatchRing() {
  explicit_bzero(memory_ + discarded_, size_ - discarded_);
  munmap(memory_, size_);
}

// Kernels before 5.14 do not know how; the worker waits for the pages then.
bool WatchRing::populate_more() noexcept {
  const std::size_t part = std::min(kPart, size_ - populated_);
  if (part == 0 || madvise(memory_ + populated_, part, MADV_POPULATE_WRITE) != 0) return false;
  populated_ += part;
  return populated_ < size_;
}

bool WatchRing::discard_more() noexcept {
  const std::size_t part = std::min(kPart, size_ - discarded_);
  explicit_bzero(memory_ + discarded_, part);
  madvise(memory_ + discarded_, part, MADV_DONTNEED);
  discarded_ += part;
  return discarded_ < size_;
}

}  // namespace wg::dataplane
