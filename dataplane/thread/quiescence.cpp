#include "dataplane/thread/quiescence.h"

#include <utility>

namespace wg::dataplane {

Quiescence::Quiescence(std::size_t workers) : workers_(workers), slots_(std::make_unique<Slot[]>(workers)) {}

void Quiescence::retire(std::function<void()> free) {
  retired_.push_back({ticket(), std::move(free)});
}

bool Quiescence::passed(std::uint64_t ticket) const noexcept {
  for (std::size_t i = 0; i < workers_; ++i) {
    if (slots_[i].seen.load(std::memory_order_seq_cst) < ticket) return false;
  }
  return true;
}

std::size_t Quiescence::collect() {
  while (!retired_.empty() && passed(retired_.front().ticket)) {
    retired_.front().free();  // if it throws, as memory is short, the next call tries again
    retired_.pop_front();
  }
  return retired_.size();
}

}  // namespace wg::dataplane
