#include "dataplane/watch/ring.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace wg::dataplane {

namespace {

constexpr std::size_t kLeast = std::size_t{1} << 16;  // the longest packet fits

}  // namespace

// Left out of core dumps. A page that is missing would make the worker wait for the kernel.
WatchRing::WatchRing(std::size_t bytes) : size_(std::bit_ceil(std::max(bytes, 2 * kLeast))) {
  void* memory =
      mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "ring of a watch");
  madvise(memory, size_, MADV_DONTDUMP);
  memory_ = static_cast<std::uint8_t*>(memory);
}

WatchRing::~WatchRing() {
  explicit_bzero(memory_, size_);
  munmap(memory_, size_);
}

}  // namespace wg::dataplane
