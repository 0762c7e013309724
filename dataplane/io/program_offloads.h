// Super-packets in the ring of a program that has asked for them: in front of each packet lies a VnetHeader,
// both ways. The worker of the queue alone; nothing here throws, allocates after the construction, or waits.
//
// What the program has written is copied once, header and all, and only the copy is looked at.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/io/segmentation.h"
#include "dataplane/ring/ring_ends.h"

namespace wg::dataplane {

class ProgramOffloads {
 public:
  // A header, the largest packet, and what rounds them up to whole cache lines.
  static constexpr std::uint32_t kSlotBytes = 65600;

  explicit ProgramOffloads(bool join_udp);

  // ---- from the program
  // A super-packet is half taken: the next packet is of it, and of no slot.
  [[nodiscard]] bool pending() const noexcept { return splitter_.pending(); }
  // The next packet, of the pending super-packet or else of the reader's next slot, of those available().
  // Returns its size, with complete checksums. 0: it cannot be, or it does not fit; it is passed by, with the
  // rest of its super-packet.
  [[nodiscard]] std::size_t take(RingReader& reader, std::span<std::uint8_t> to) noexcept;

  // ---- to the program
  [[nodiscard]] Coalescer& coalescer() noexcept { return coalescer_; }
  // Puts one packet, or super-packet, that lies in pieces; within the writer's room() and kSuperPacketMax.
  static void put(RingWriter& writer, const VnetHeader& header, std::span<const iovec> pieces) noexcept;

 private:
  [[nodiscard]] std::size_t take_slot(RingReader& reader, std::span<std::uint8_t> to) noexcept;
  [[nodiscard]] std::size_t take_segment(std::span<std::uint8_t> to) noexcept;

  Splitter splitter_;
  Coalescer coalescer_;
  std::unique_ptr<std::uint8_t[]> copy_;  // kSlotBytes: what splitter_ is at
};

}  // namespace wg::dataplane
