#include "bench/dataplane_program.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "dataplane/packet/headers.h"

namespace wg::bench {

using namespace dataplane;

ProgramEnd::ProgramEnd(std::uint32_t address) {
  RingOptions options;
  options.routed = true;
  const Be32 own{address};
  options.sources.add(IpAddress::from_v4(&own), 32);
  auto ring = ProgramRing::create(options);
  if (!ring) throw std::runtime_error(ring.error().text);
  ring_ = *std::move(ring);
  descriptors_ = ring_->take_descriptors();
  void* const memory =
      mmap(nullptr, ring_->bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, descriptors_[0].get(), 0);
  if (memory == MAP_FAILED || !ring_->seal()) throw std::runtime_error("no memory for a ring");
  memory_ = static_cast<std::uint8_t*>(memory);
}

ProgramEnd::~ProgramEnd() {
  munmap(memory_, ring_->bytes());
}

std::uint8_t* ProgramEnd::way(std::uint32_t direction) const {
  return memory_ + ring_offset(0, direction, ring_->slots(), ring_->slot_bytes());
}

ring_words& ProgramEnd::words(std::uint32_t direction) const {
  return *reinterpret_cast<ring_words*>(way(direction));
}

bool ProgramEnd::send(std::span<const std::uint8_t> packet) {
  ring_words& shared = words(RING_FROM_PROGRAM);
  const std::uint32_t at = shared.produced, slot = at & (ring_->slots() - 1);
  if (at - ring_load(&shared.consumed) == ring_->slots()) return false;
  std::memcpy(
      way(RING_FROM_PROGRAM) + ring_slots_offset(ring_->slots()) + std::size_t{slot} * ring_->slot_bytes(),
      packet.data(), packet.size());
  reinterpret_cast<std::uint32_t*>(way(RING_FROM_PROGRAM) + RING_LENGTHS_OFFSET)[slot] =
      static_cast<std::uint32_t>(packet.size());
  ring_store(&shared.produced, at + 1);
  return true;
}

std::size_t ProgramEnd::receive(std::size_t most) {
  ring_words& shared = words(RING_TO_PROGRAM);
  const std::uint32_t there = ring_load(&shared.produced) - shared.consumed;
  const std::uint32_t taken = std::min(there, static_cast<std::uint32_t>(most));
  ring_store(&shared.consumed, shared.consumed + taken);
  return taken;
}

// Of the same kind of pages as a ring.
CopyAlone::CopyAlone() {
  constexpr std::size_t kBytes = kSlots * kSlotBytes;
  const FileDescriptor file(memfd_create("copy", MFD_CLOEXEC));
  if (ftruncate(file.get(), kBytes) != 0) throw std::runtime_error("no memory for copies");
  void* const memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory for copies");
  memory_ = static_cast<std::uint8_t*>(memory);
  std::memset(memory_, 1, kBytes);
}

CopyAlone::~CopyAlone() {
  munmap(memory_, kSlots * kSlotBytes);
}

void CopyAlone::to_slots(const Burst& burst) {
  for (std::size_t i = 0; i < burst.packets; ++i)
    std::memcpy(slot(position_++), burst.begin + i * burst.stride, burst.bytes);
}

void CopyAlone::from_slots(const Burst& burst) {
  for (std::size_t i = 0; i < burst.packets; ++i)
    std::memcpy(burst.begin + i * burst.stride, slot(position_ - burst.packets + i), burst.bytes);
}

}  // namespace wg::bench
