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

}  // namespace wg::bench
