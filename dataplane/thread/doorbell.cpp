#include "dataplane/thread/doorbell.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>

#ifdef __SANITIZE_THREAD__
// ThreadSanitizer does not model fences. Those here order atomics alone, so no report depends on them.
#pragma GCC diagnostic ignored "-Wtsan"
#endif

namespace wg::dataplane {

Doorbell::Doorbell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (fd_ < 0) throw std::runtime_error("eventfd: out of file descriptors");
}

Doorbell::~Doorbell() {
  close(fd_);
}

// Each side writes first and reads the other's word afterwards: here sleeping_, then the work; in ring() the
// work, then sleeping_. Only a full fence between the two keeps both sides from reading the old value, after
// which the sleeper would sleep beside its work.
void Doorbell::prepare_sleep() noexcept {
  sleeping_.store(true, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void Doorbell::ring() noexcept {
  std::atomic_thread_fence(std::memory_order_seq_cst);
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
