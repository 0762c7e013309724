// Jobs that several cores share and that stay in order. The one owner reserves slots in order, any worker
// completes them in any order, and the owner releases them in slot order. No call waits: a full ring returns
// null.
//
// A slot's life:  reserve() -> publish() -> claim() by one worker -> complete() -> oldest() -> release()
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>

namespace wg::dataplane {

template <typename Job>
class OrderedRing {
  struct alignas(64) Slot {
    std::atomic<bool> done{false};
    Job job;
  };

 public:
  // A claimed job. Only the claiming worker may access it until it completes the job.
  class Claim {
   public:
    Claim() = default;
    explicit operator bool() const noexcept { return slot_ != nullptr; }
    [[nodiscard]] Job& job() const noexcept { return slot_->job; }
    void complete() noexcept { slot_->done.store(true, std::memory_order_release); }

   private:
    friend class OrderedRing;
    explicit Claim(Slot* slot) : slot_(slot) {}
    Slot* slot_ = nullptr;
  };

  // `capacity` is rounded up to a power of two.
  explicit OrderedRing(std::size_t capacity)
      : mask_(std::bit_ceil(capacity) - 1), slots_(std::make_unique<Slot[]>(mask_ + 1)) {}

  // ---- owner
  [[nodiscard]] std::size_t in_flight() const noexcept {
    return published_.load(std::memory_order_relaxed) - released_;
  }
  [[nodiscard]] std::size_t free() const noexcept { return mask_ + 1 - in_flight(); }
  // The jobs in flight that no worker has claimed.
  [[nodiscard]] std::size_t unclaimed() const noexcept {
    return published_.load(std::memory_order_relaxed) - claimed_.load(std::memory_order_relaxed);
  }
  // Returns the next slot to fill, or null when all are in flight. Other workers see it only after publish().
  [[nodiscard]] Job* reserve() noexcept {
    if (free() == 0) return nullptr;
    Slot& slot = at(published_.load(std::memory_order_relaxed));
    slot.done.store(false, std::memory_order_relaxed);
    return &slot.job;
  }
  void publish() noexcept {
    published_.store(published_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  // Returns the oldest job in flight if it is complete, else null.
  [[nodiscard]] Job* oldest() noexcept {
    if (in_flight() == 0) return nullptr;
    Slot& slot = at(released_);
    return slot.done.load(std::memory_order_acquire) ? &slot.job : nullptr;
  }
  void release() noexcept { ++released_; }
  // Visits every job in flight, oldest first. It may read only what no completing worker writes.
  template <typename Visit>
  void for_each_in_flight(Visit&& visit) const {
    const std::size_t end = published_.load(std::memory_order_relaxed);
    for (std::size_t i = released_; i != end; ++i) visit(at(i).job);
  }

  // ---- any worker, the owner included
  // Claims the oldest unclaimed job. The claim is empty when there is none.
  [[nodiscard]] Claim claim() noexcept {
    // Acquired, here and after a failed exchange: who claimed the jobs before `next` had seen them published,
    // so what is read of published_ below is not older than that. Otherwise a job that is not published yet
    // could be claimed where loads are reordered.
    std::size_t next = claimed_.load(std::memory_order_acquire);
    // The loop is bounded: a failed exchange means that another worker claimed a job, and there are no more
    // jobs than were published.
    for (std::size_t attempt = 0; attempt <= mask_; ++attempt) {
      if (next == published_.load(std::memory_order_acquire)) return Claim();
      if (claimed_.compare_exchange_weak(next, next + 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire))
        return Claim(&at(next));
    }
    return Claim();
  }

 private:
  [[nodiscard]] Slot& at(std::size_t i) const noexcept { return slots_[i & mask_]; }

  std::size_t mask_;
  std::unique_ptr<Slot[]> slots_;
  alignas(64) std::atomic<std::size_t> published_{0};  // W: owner
  std::size_t released_ = 0;                           // owned by the owner
  alignas(64) std::atomic<std::size_t> claimed_{0};    // W: any worker
};

}  // namespace wg::dataplane
