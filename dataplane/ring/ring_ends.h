// The gateway's ends of a ring that it shares with a program (layout.h).
//
// Nothing that the program writes is trusted. Where the gateway is in the ring is its own copy, and it never
// reads back a word that it has written. Of the program's words it reads one per burst and one per packet,
// each once, and checks it before use; none is a pointer or an offset. Packets are copied, and only the copy
// is looked at. A word that cannot be is a fault: from then on the end does nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/ring/layout.h"

namespace wg::dataplane {

enum class RingFault : std::uint8_t { kNone, kProducedTooMuch, kConsumedTooMuch, kHungUp };

// For people: what the program did.
[[nodiscard]] constexpr const char* text_of(RingFault fault) noexcept {
  switch (fault) {
    case RingFault::kProducedTooMuch:
      return "the program claims to have put in more packets than the ring has slots";
    case RingFault::kConsumedTooMuch:
      return "the program claims to have taken out packets that were never put in";
    case RingFault::kHungUp:
      return "the program has closed its end of a queue";
    case RingFault::kNone:
      break;
  }
  return "";
}

// Brings a line near that will be overwritten. prefetchw is not in the compiler's x86-64 baseline; a
// processor that does not have it ignores it.
inline void prefetch_to_write(const std::uint8_t* line) noexcept {
#ifdef __x86_64__
  asm volatile("prefetchw %0" : : "m"(*line));
#else
  __builtin_prefetch(line, 1);
#endif
}

// The state of a ring for both ends of the gateway, in memory of its own.
class RingPlace {
 public:
  // `memory`: of this ring, ring_bytes() of it, page-aligned.
  RingPlace(std::uint8_t* memory, std::uint32_t slots, std::uint32_t slot_bytes) noexcept
      : words_(reinterpret_cast<ring_words*>(memory)),
        lengths_(reinterpret_cast<std::uint32_t*>(memory + RING_LENGTHS_OFFSET)),
        packets_(memory + ring_slots_offset(slots)),
        mask_(slots - 1),
        slot_bytes_(slot_bytes) {}

  [[nodiscard]] RingFault fault() const noexcept { return fault_; }

 protected:
  [[nodiscard]] std::uint32_t slots() const noexcept { return mask_ + 1; }
  [[nodiscard]] std::uint32_t& length_at(std::uint32_t position) const noexcept {
    return lengths_[position & mask_];
  }
  [[nodiscard]] std::uint8_t* packet_at(std::uint32_t position) const noexcept {
    return packets_ + std::size_t{position & mask_} * slot_bytes_;
  }

  ring_words* const words_;
  std::uint32_t* const lengths_;
  std::uint8_t* const packets_;
  const std::uint32_t mask_;
  const std::uint32_t slot_bytes_;
  std::uint32_t position_ = 0;  // of the next packet; W: this end alone
  RingFault fault_ = RingFault::kNone;
};

// Packets come out of it. One thread.
class RingReader : public RingPlace {
 public:
  using RingPlace::RingPlace;

  // Packets that may be taken now.
  [[nodiscard]] std::uint32_t available() noexcept {
    if (fault_ != RingFault::kNone) return 0;
    const std::uint32_t there = ring_load(&words_->produced) - position_;
    if (there <= slots()) return there;
    fault_ = RingFault::kProducedTooMuch;
    return 0;
  }
  // Copies the next packet, of those available(). 0: its length cannot be, or it does not fit; it is passed
  // by.
  [[nodiscard]] std::size_t take(std::span<std::uint8_t> to) noexcept {
    const std::uint32_t at = position_++;
    const std::uint32_t length = ring_load_once(&length_at(at));
    if (length < RING_LEAST_PACKET || length > slot_bytes_ || length > to.size()) return 0;
    std::memcpy(to.data(), packet_at(at), length);
    return length;
  }
  // Gives the slots back. True: the program waits for room and is to be woken.
  [[nodiscard]] bool finish() noexcept {
    ring_store(&words_->consumed, position_);
    return ring_must_wake(&words_->producer_waits) != 0;
  }
  void announce_sleep() noexcept { ring_announce_sleep(&words_->consumer_sleeps); }
  void end_sleep() noexcept { ring_end_sleep(&words_->consumer_sleeps); }
};

// Packets go into it. One thread.
class RingWriter : public RingPlace {
 public:
  using RingPlace::RingPlace;

  // How many packets may be put now.
  [[nodiscard]] std::uint32_t room() noexcept {
    if (fault_ != RingFault::kNone) return 0;
    const std::uint32_t used = position_ - ring_load(&words_->consumed);
    if (used <= slots()) return slots() - used;
    fault_ = RingFault::kConsumedTooMuch;
    return 0;
  }
  [[nodiscard]] std::size_t largest() const noexcept { return slot_bytes_; }
  // A slot is written once in a round of the ring, so its lines have left the near caches or are the
  // program's. A burst fetches them beforehand: the first line of a slot kSlotsAhead before its packet is
  // put, the next ones while the packet before it is, as many as a core can wait for at a time. All within
  // the room(): behind it the program may be reading.
  void prefetch_burst(std::size_t count) const noexcept {
    for (std::size_t i = 0; i < std::min(count, kSlotsAhead); ++i) prefetch(i, 0, kLine);
  }
  // Before each put(). `left`: packets of the burst that are not put yet; `next_bytes`: of the second of
  // them.
  void prefetch_next(std::size_t left, std::size_t next_bytes) const noexcept {
    if (left > kSlotsAhead) prefetch(kSlotsAhead, 0, kLine);
    if (left > 1) prefetch(1, kLine, std::min(next_bytes, kNextBytes));
  }
  // Within the room() and not larger than the largest().
  void put(std::span<const std::uint8_t> packet) noexcept {
    std::memcpy(slot(), packet.data(), packet.size());
    put_slot(packet.size());
  }
  // The same in two steps: the bytes of the next packet, to be written and never read; then how many they
  // are.
  [[nodiscard]] std::uint8_t* slot() noexcept { return packet_at(position_); }
  void put_slot(std::size_t bytes) noexcept {
    __atomic_store_n(&length_at(position_), static_cast<std::uint32_t>(bytes), __ATOMIC_RELAXED);
    ++position_;
  }
  // The program sees them. True: it sleeps and is to be woken.
  [[nodiscard]] bool finish() noexcept {
    ring_store(&words_->produced, position_);
    return ring_must_wake(&words_->consumer_sleeps) != 0;
  }

 private:
  static constexpr std::size_t kLine = 64, kSlotsAhead = 8, kNextBytes = 512;

  void prefetch(std::size_t ahead, std::size_t begin, std::size_t end) const noexcept {
    const std::uint8_t* const slot = packet_at(position_ + static_cast<std::uint32_t>(ahead));
    for (std::size_t at = begin; at < end; at += kLine) prefetch_to_write(slot + at);
  }
};

}  // namespace wg::dataplane
