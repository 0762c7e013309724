#include "control/noise/timing_wheel.h"

#include <algorithm>
#include <bit>

namespace wg::noise {

TimingWheel::TimingWheel() {
  heads_.fill(kNone);
}

void TimingWheel::reserve_id(std::uint32_t id) {
  if (id >= nodes_.size()) nodes_.resize(id + 1);
}

// Level of the highest digit in which `tick` differs from the current tick.
unsigned TimingWheel::slot_at(std::uint64_t tick) const {
  const std::uint64_t difference = (tick ^ current_) | 1;
  const auto level = static_cast<unsigned>(63 - std::countl_zero(difference)) / kDigitBits;
  const auto digit = static_cast<unsigned>(tick >> (level * kDigitBits)) % kSlots;
  return level * kSlots + digit;
}

void TimingWheel::link(std::uint32_t id, std::uint64_t tick) {
  const unsigned slot = slot_at(tick);
  Node& node = nodes_[id];
  node = {tick, heads_[slot], kNone, slot};
  if (node.next != kNone) nodes_[node.next].previous = id;
  heads_[slot] = id;
  occupied_[slot / kSlots] |= std::uint64_t{1} << (slot % kSlots);
}

void TimingWheel::unlink(std::uint32_t id) {
  Node& node = nodes_[id];
  if (node.previous != kNone) {
    nodes_[node.previous].next = node.next;
  } else {
    heads_[node.slot] = node.next;
    if (node.next == kNone) {
      occupied_[node.slot / kSlots] &= ~(std::uint64_t{1} << (node.slot % kSlots));
    }
  }
  if (node.next != kNone) nodes_[node.next].previous = node.previous;
  node = {};
}

void TimingWheel::schedule(std::uint32_t id, BootTime deadline) {
  cancel(id);
  const std::uint64_t tick = tick_of(deadline + kTick - std::chrono::nanoseconds(1));
  link(id, std::clamp(tick, current_ + 1, kMaxTick));
}

void TimingWheel::cancel(std::uint32_t id) {
  if (nodes_[id].tick != 0) unlink(id);
}

BootTime TimingWheel::deadline(std::uint32_t id) const {
  return time_of(nodes_[id].tick);
}

// The lowest occupied level holds the earliest entries, and its lowest slot starts at the next tick.
std::uint64_t TimingWheel::next_tick() const {
  for (unsigned level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const unsigned shift = level * kDigitBits;
    const auto digit = static_cast<std::uint64_t>(std::countr_zero(occupied_[level]));
    return ((current_ >> shift >> kDigitBits << kDigitBits) + digit) << shift;
  }
  return 0;
}

}  // namespace wg::noise
