// The program's end of a ring, for the path bench: a host of its own behind an interface in place of the one
// on the LAN. It is in the bench's thread, outside of the timed sections.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/io/program_ring.h"

namespace wg::bench {

class ProgramEnd {
 public:
  // `address`: the program's, in host order.
  explicit ProgramEnd(std::uint32_t address);
  ~ProgramEnd();
  ProgramEnd(const ProgramEnd&) = delete;
  ProgramEnd& operator=(const ProgramEnd&) = delete;

  [[nodiscard]] dataplane::ProgramRing& ring() { return *ring_; }
  // False: there is no room.
  [[nodiscard]] bool send(std::span<const std::uint8_t> packet);
  // Gives up to `most` packets back; returns how many there were.
  std::size_t receive(std::size_t most);

 private:
  [[nodiscard]] std::uint8_t* way(std::uint32_t direction) const;
  [[nodiscard]] ring_words& words(std::uint32_t direction) const;

  std::unique_ptr<dataplane::ProgramRing> ring_;
  std::vector<dataplane::FileDescriptor> descriptors_;
  std::uint8_t* memory_ = nullptr;
};

// The copies of a ring without the rest of it: the least that it can cost more than a port in memory.
class CopyAlone {
 public:
  // `stride`: from one packet of `burst` to the next; `packets` of `bytes` each.
  struct Burst {
    std::uint8_t* begin;
    std::size_t stride, packets, bytes;
  };
  CopyAlone();
  ~CopyAlone();
  CopyAlone(const CopyAlone&) = delete;
  CopyAlone& operator=(const CopyAlone&) = delete;

  // To the next slots, as a worker does with what it has just opened.
  void to_slots(const Burst& burst);
  // From the slots that were written last.
  void from_slots(const Burst& burst);

 private:
  static constexpr std::size_t kSlots = dataplane::RingOptions::kUsualSlots, kSlotBytes = 2048;
  [[nodiscard]] std::uint8_t* slot(std::size_t position) {
    return memory_ + (position % kSlots) * kSlotBytes;
  }

  std::uint8_t* memory_;
  std::size_t position_ = 0;
};

}  // namespace wg::bench
