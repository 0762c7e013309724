#include "dataplane/thread/doorbell.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>

namespace wg::dataplane {

Doorbell::Doorbell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::runtime_error("eventfd: out of file descriptors");
}

Doorbell::~Doorbell() {
  close(fd_);
}

void Doorbell::ring() noexcept {
  if (!sleeping_.load(std::memory_order_seq_cst) || !sleeping_.exchange(false, std::memory_order_seq_cst))
    return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);
}

void Doorbell::awake() noexcept {
  sleeping_.store(false, std::memory_order_seq_cst);
  std::uint64_t count;
  [[maybe_unused]] const ssize_t drained = read(fd_, &count, sizeof count);
}

}  // namespace wg::dataplane
