// A bounded ring of records of different sizes from one worker to the control thread. When it is full the
// worker counts the record and goes on.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/watch/record.h"

namespace wg::dataplane {

class WatchRing {
 public:
  // At least `bytes`, none of them in memory yet. Throws std::system_error.
  explicit WatchRing(std::size_t bytes);
  // Wipes what discard_more() has not: packets of the inside lay in it.
  ~WatchRing();
  WatchRing(const WatchRing&) = delete;
  WatchRing& operator=(const WatchRing&) = delete;

  // ---- the worker
  // Fills in record.size and captured. False: there was no room, the record is counted as lost.
  bool write(WatchRecord record, std::span<const std::uint8_t> packet) noexcept {
    const std::size_t wanted = padded(sizeof(WatchRecord) + packet.size());
    const std::size_t head = head_.load(std::memory_order_relaxed);
    const std::size_t to_end = size_ - (head & (size_ - 1));
    const std::size_t skipped = wanted <= to_end ? 0 : to_end;
    if (head + skipped + wanted - cached_tail_ > size_) {
      cached_tail_ = tail_.load(std::memory_order_acquire);
      if (head + skipped + wanted - cached_tail_ > size_) {
        lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        return false;
      }
    }
    if (skipped != 0) std::memset(at(head), 0, sizeof record.size);  // a size of 0: go on at the begin
    record.size = static_cast<std::uint32_t>(wanted);
    record.captured = static_cast<std::uint16_t>(packet.size());
    std::memcpy(at(head + skipped), &record, sizeof record);
    if (!packet.empty()) std::memcpy(at(head + skipped) + sizeof record, packet.data(), packet.size());
    head_.store(head + skipped + wanted, std::memory_order_release);
    return true;
  }

  // ---- the control thread
  // Both in parts of kPart, because a whole ring takes tens of milliseconds. True: there is more to do.
  static constexpr std::size_t kPart = std::size_t{1} << 20;
  // Puts the next part into memory: a page that is missing makes the worker wait for the kernel. Records may
  // lie in it already.
  bool populate_more() noexcept;
  // Wipes the next part and gives it back. The ring is not used any more.
  bool discard_more() noexcept;
  // The oldest record. False: there is none.
  bool peek(WatchRecord* record) noexcept {
    std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_.load(std::memory_order_acquire)) return false;
    std::memcpy(&record->size, at(tail), sizeof record->size);
    if (record->size == 0) {
      tail += size_ - (tail & (size_ - 1));
      tail_.store(tail, std::memory_order_release);
    }
    std::memcpy(record, at(tail), sizeof *record);
    return true;
  }
  // Its bytes, valid until pop(). After peek().
  [[nodiscard]] std::span<const std::uint8_t> packet(const WatchRecord& record) const noexcept {
    return {at(tail_.load(std::memory_order_relaxed)) + sizeof record, record.captured};
  }
  void pop(const WatchRecord& record) noexcept {
    tail_.store(tail_.load(std::memory_order_relaxed) + record.size, std::memory_order_release);
  }
  [[nodiscard]] bool empty() const noexcept {
    return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
  }
  // Records that found no room, since the start.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t padded(std::size_t bytes) noexcept { return (bytes + 7) & ~std::size_t{7}; }
  [[nodiscard]] std::uint8_t* at(std::size_t position) const noexcept {
    return memory_ + (position & (size_ - 1));
  }

  std::size_t size_;  // a power of two
  std::uint8_t* memory_;
  std::size_t populated_ = 0, discarded_ = 0;     // bytes from the begin. W: control
  alignas(64) std::atomic<std::size_t> head_{0};  // W: the worker
  std::size_t cached_tail_ = 0;                   // the worker's
  std::atomic<std::uint64_t> lost_{0};            // W: the worker
  alignas(64) std::atomic<std::size_t> tail_{0};  // W: control
};

}  // namespace wg::dataplane
