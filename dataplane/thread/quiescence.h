// Quiescent-state-based reclamation (QSBR): readers never wait, the writer waits for all of them.
//
// Each worker reports once per loop that it holds no reference obtained earlier, and goes offline before
// it sleeps. The control thread retires an object together with its deleter; collect() frees the objects
// whose epoch every online worker has passed. All accesses are std::atomic, so that ThreadSanitizer sees
// every edge.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

namespace wg::dataplane {

class Quiescence {
 public:
  explicit Quiescence(std::size_t workers);

  // ---- worker `id`
  // Call it at the top of each loop.
  void report(std::size_t id) noexcept { report_as_of(id, epoch()); }
  // The same for a worker that still holds references from earlier loops. `epoch` is the result of epoch() at
  // the top of the oldest of those loops. An object retired later is not freed before a newer report.
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_.load(std::memory_order_acquire); }
  void report_as_of(std::size_t id, std::uint64_t epoch) noexcept {
    slots_[id].seen.store(epoch, std::memory_order_release);
  }
  // Call them around a sleep: an offline worker holds no reference, so collect() does not wait for it.
  void offline(std::size_t id) noexcept { slots_[id].seen.store(kOffline, std::memory_order_release); }
  // seq_cst: pairs with the writer's exchange in retire(), so a worker that comes online sees every earlier
  // unpublishing.
  void online(std::size_t id) noexcept {
    slots_[id].seen.store(epoch_.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
    epoch_.load(std::memory_order_seq_cst);
  }

  // ---- control thread
  // `free` runs in a later collect(), after all workers have reported. Unpublish before retiring.
  void retire(std::function<void()> free);
  // Frees the objects that are safe to free and returns the number that still wait.
  std::size_t collect();
  // True when every worker has reported since this call's ticket was drawn.
  std::uint64_t ticket() { return epoch_.fetch_add(1, std::memory_order_seq_cst) + 1; }
  [[nodiscard]] bool passed(std::uint64_t ticket) const noexcept;
  [[nodiscard]] std::size_t workers() const noexcept { return workers_; }

 private:
  static constexpr std::uint64_t kOffline = ~std::uint64_t{0};
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> seen{kOffline};
  };
  struct Retired {
    std::uint64_t ticket;
    std::function<void()> free;
  };

  std::size_t workers_;
  std::unique_ptr<Slot[]> slots_;
  alignas(64) std::atomic<std::uint64_t> epoch_{1};
  std::deque<Retired> retired_;
};

}  // namespace wg::dataplane
