// One timer per peer for a million peers: a hierarchical timing wheel of 7 levels of 64 slots.
//
// A tick is 2^20 ns (about 1 ms). An entry sits on the level of the highest base-64 digit in which its tick
// differs from the current one, so every entry of a level lies ahead within the same digit above and no slot
// ever wraps. Insert, cancel and find-next are O(1); an entry moves down at most 6 times before it fires.
// The caller may be lazy: it can leave a postponed timer in place and check the deadline when it fires.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <type_traits>

#include "dataplane/session/limits.h"

namespace wg::noise {

class TimingWheel {
 public:
  static constexpr unsigned kTickShift = 20;
  static constexpr std::chrono::nanoseconds kTick{std::int64_t{1} << kTickShift};

  TimingWheel();

  // Ids are dense, chosen by the caller.
  void reserve_id(std::uint32_t id);
  // Replaces an earlier schedule of `id`. Never fires before `deadline`, at most one tick after it.
  void schedule(std::uint32_t id, BootTime deadline);
  void cancel(std::uint32_t id);
  // Deadline of `id` rounded up to a tick; kNever: not scheduled.
  [[nodiscard]] BootTime deadline(std::uint32_t id) const;

  // Calls fire(id) for everything due, in tick order. If a call returns false, the next advance() goes on
  // there; calls that return nothing never stop. An entry is unscheduled before its call. A deadline set from
  // within that is already past fires in the next advance().
  template <typename Fire>
  void advance(BootTime now, Fire&& fire) {
    const std::uint64_t target = tick_of(now);
    if (unfinished_ != kNone && !empty_slot(unfinished_, fire)) return;
    for (std::uint64_t tick = next_tick(); tick != 0 && tick <= target; tick = next_tick()) {
      const unsigned slot = slot_at(tick);
      current_ = tick;
      if (!empty_slot(slot, fire)) return;
    }
    if (target > current_) current_ = target;
  }

  // Earliest moment at which advance() has something to do (possibly only moving entries down).
  [[nodiscard]] BootTime next_deadline() const {
    return time_of(unfinished_ != kNone ? current_ : next_tick());
  }
  [[nodiscard]] std::size_t memory_bytes() const { return nodes_.size() * sizeof(Node); }

 private:
  static constexpr unsigned kLevels = 7;
  static constexpr unsigned kDigitBits = 6;
  static constexpr unsigned kSlots = 1u << kDigitBits;
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::uint64_t kMaxTick = (std::uint64_t{1} << (kLevels * kDigitBits)) - 1;

  // Rounded down. The tick 0 is kNever.
  static std::uint64_t tick_of(BootTime time) {
    return static_cast<std::uint64_t>(time.time_since_epoch().count()) >> kTickShift;
  }
  static BootTime time_of(std::uint64_t tick) {
    return BootTime(std::chrono::nanoseconds(static_cast<std::int64_t>(tick << kTickShift)));
  }

  struct Node {
    std::uint64_t tick = 0;  // 0: not scheduled
    std::uint32_t next = kNone;
    std::uint32_t previous = kNone;
    std::uint32_t slot = 0;
  };

  template <typename Fire>
  static bool goes_on(Fire& fire, std::uint32_t id) {
    if constexpr (std::is_void_v<decltype(fire(id))>) {
      fire(id);
      return true;
    } else {
      return fire(id);
    }
  }
  // Fires or moves down the entries of the slot that begins at the current tick. False: stopped, it may have
  // more.
  template <typename Fire>
  bool empty_slot(std::uint32_t slot, Fire& fire) {
    unfinished_ = kNone;
    while (heads_[slot] != kNone) {
      const std::uint32_t id = heads_[slot];
      const std::uint64_t due = nodes_[id].tick;
      unlink(id);
      if (due > current_) {
        link(id, due);
      } else if (!goes_on(fire, id)) {
        unfinished_ = slot;
        return false;
      }
    }
    return true;
  }

  [[nodiscard]] std::uint64_t next_tick() const;  // 0: the wheel is empty
  [[nodiscard]] unsigned slot_at(std::uint64_t tick) const;
  void link(std::uint32_t id, std::uint64_t tick);
  void unlink(std::uint32_t id);

  std::deque<Node> nodes_;  // grows without moving: many peers cost no long round
  std::array<std::uint32_t, kLevels * kSlots> heads_;
  std::array<std::uint64_t, kLevels> occupied_{};  // bit d: slot d of the level is not empty
  std::uint64_t current_ = 0;
  std::uint32_t unfinished_ = kNone;  // the slot in which advance() stopped
};

}  // namespace wg::noise
