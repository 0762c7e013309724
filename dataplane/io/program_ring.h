// A program at an interface: memory that it shares with the workers, a queue for each of them, and a socket
// pair per queue by which the two wake each other. It is the interface's inner side in place of Linux, or it
// is routed: a host behind the interface, beside its peers, whose addresses are its sources.
//
// Control creates it, hands the program its descriptors, seals the memory when the program has mapped it, and
// only then publishes it; it is destroyed through quiescence. A queue is its worker's alone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/base/expected.h"
#include "dataplane/io/file_descriptor.h"
#include "dataplane/io/program_offloads.h"
#include "dataplane/packet/address.h"
#include "dataplane/ring/ring_ends.h"

namespace wg::dataplane {

// The addresses from which a program may send.
class RingSources {
 public:
  static constexpr std::size_t kMost = 16;

  // False: there are kMost already. `length`: bits, at most those of the address.
  bool add(const IpAddress& address, std::uint8_t length);
  [[nodiscard]] std::size_t size() const noexcept { return n_; }
  // `source`: 4 or 16 bytes of a packet.
  [[nodiscard]] bool allow(const std::uint8_t* source, bool v6) const noexcept;

 private:
  struct Prefix {
    std::array<std::uint64_t, 2> bits{}, mask{};
    bool v6 = false;
  };
  std::array<Prefix, kMost> prefixes_;
  std::size_t n_ = 0;
};

struct RingOptions {
  static constexpr std::uint32_t kLeastSlots = 64, kMostSlots = 4096, kUsualSlots = 1024, kOffloadSlots = 256;
  static constexpr std::size_t kMostBytes = std::size_t{64} << 20;  // control makes them in one go

  std::size_t queues = 1;  // one per worker
  // A power of two, of each ring. 0: 1024, or with offloads as many as there is memory for, at most 256.
  std::uint32_t slots = 0;
  std::uint32_t largest = 1500;  // bytes of a packet; slots are made at least as large
  RingSources sources;
  bool routed = false;
  bool offloads = false;  // a VnetHeader in front of each packet, and super-packets of TCP both ways
  bool join_udp = false;  // and of UDP towards the program; those from it are always taken
  std::int64_t pid = 0;   // of the program, for people; 0: not known
};

class alignas(128) ProgramQueue {
 public:
  ProgramQueue(std::uint8_t* memory, std::uint32_t slots, std::uint32_t slot_bytes,
               FileDescriptor wake) noexcept
      : reader(memory + ring_offset(0, RING_FROM_PROGRAM, slots, slot_bytes), slots, slot_bytes),
        writer(memory, slots, slot_bytes),
        wake_(std::move(wake)) {}

  // ---- the worker
  // Wakes the program: one system call that never waits, whatever the program has done to its end.
  void wake() noexcept;
  // For ppoll(); -1: the program has closed its end.
  [[nodiscard]] int wake_fd() const noexcept { return hung_up_ ? -1 : wake_.get(); }
  // Before a sleep. False: there are packets, do not sleep.
  [[nodiscard]] bool prepare_sleep() noexcept {
    reader.announce_sleep();
    return reader.available() == 0 && !(offloads != nullptr && offloads->pending());
  }
  void awake() noexcept;
  [[nodiscard]] RingFault fault() const noexcept;

  RingReader reader;
  RingWriter writer;
  std::unique_ptr<ProgramOffloads> offloads;  // null: packets alone

 private:
  FileDescriptor wake_;
  bool hung_up_ = false;
};

class ProgramRing {
 public:
  // Refused: options out of their bounds, or what the system says.
  static Expected<std::unique_ptr<ProgramRing>> create(const RingOptions& options);
  ~ProgramRing();
  ProgramRing(const ProgramRing&) = delete;
  ProgramRing& operator=(const ProgramRing&) = delete;

  // ---- control
  [[nodiscard]] std::uint32_t slots() const noexcept { return slots_; }
  [[nodiscard]] std::uint32_t slot_bytes() const noexcept { return slot_bytes_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::int64_t pid() const noexcept { return pid_; }
  [[nodiscard]] bool routed() const noexcept { return routed_; }
  [[nodiscard]] bool offloads() const noexcept { return offloads_; }
  [[nodiscard]] bool join_udp() const noexcept { return join_udp_; }
  [[nodiscard]] std::size_t queue_count() const noexcept { return queues_.size(); }
  // The memory, then the program's end of each queue's socket pair. They are the caller's; call it once.
  [[nodiscard]] std::vector<FileDescriptor> take_descriptors() { return std::move(descriptors_); }
  // The program has mapped the memory. From now on no process can map it for writing or punch holes into it,
  // and all of it is there: no worker ever waits for a page.
  Expected<> seal();

  // ---- workers
  [[nodiscard]] ProgramQueue& queue(std::size_t worker) noexcept { return queues_[worker]; }
  [[nodiscard]] const RingSources& sources() const noexcept { return sources_; }
  void note_fault(const ProgramQueue& queue) noexcept {
    if (const RingFault fault = queue.fault(); fault != RingFault::kNone) [[unlikely]]
      fault_.store(fault, std::memory_order_relaxed);
  }

  // ---- any thread
  [[nodiscard]] RingFault fault() const noexcept { return fault_.load(std::memory_order_relaxed); }

 private:
  ProgramRing(const RingOptions& options, std::uint32_t slot_bytes);
  Expected<> make_memory();
  Expected<> make_queues(const RingOptions& options);

  const std::uint32_t slots_, slot_bytes_;
  const std::size_t bytes_;
  const RingSources sources_;
  const bool routed_, offloads_, join_udp_;
  const std::int64_t pid_;
  FileDescriptor memory_fd_;
  std::uint8_t* memory_ = nullptr;
  std::vector<ProgramQueue> queues_;
  std::vector<FileDescriptor> descriptors_;
  std::atomic<RingFault> fault_{RingFault::kNone};  // W: workers
};

// Which of the two a view's program is, if it has one.
[[nodiscard]] inline ProgramRing* inner_program(ProgramRing* ring) noexcept {
  return ring != nullptr && !ring->routed() ? ring : nullptr;
}
[[nodiscard]] inline ProgramRing* routed_program(ProgramRing* ring) noexcept {
  return ring != nullptr && ring->routed() ? ring : nullptr;
}

}  // namespace wg::dataplane
