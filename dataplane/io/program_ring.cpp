#include "dataplane/io/program_ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010  // Linux 5.1
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace wg::dataplane {
namespace {

constexpr std::uint32_t kLeastSlotBytes = 2048, kLargestPacket = 65535;

FileDescriptor duplicate(const FileDescriptor& fd) {
  return FileDescriptor(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
}

std::uint32_t slot_bytes_of(const RingOptions& options) {
  return options.offloads ? ProgramOffloads::kSlotBytes
                          : std::max(kLeastSlotBytes, std::bit_ceil(options.largest));
}

std::size_t bytes_of(const RingOptions& options) {
  return std::size_t{2} * options.queues * ring_bytes(options.slots, slot_bytes_of(options));
}

// Those that are not said.
RingOptions with_slots(RingOptions options) {
  if (options.slots != 0) return options;
  options.slots = options.offloads ? RingOptions::kOffloadSlots : RingOptions::kUsualSlots;
  while (options.offloads && options.slots > RingOptions::kLeastSlots &&
         bytes_of(options) > RingOptions::kMostBytes)
    options.slots /= 2;
  return options;
}

}  // namespace

// ---------------------------------------------------------------- sources

bool RingSources::add(const IpAddress& address, std::uint8_t length) {
  if (n_ == kMost) return false;
  std::array<std::uint8_t, 16> mask{};
  for (std::size_t bit = 0; bit < length; ++bit)
    mask[bit / 8] = static_cast<std::uint8_t>(mask[bit / 8] | 0x80 >> (bit % 8));
  Prefix& prefix = prefixes_[n_++];
  prefix.v6 = address.v6;
  std::memcpy(prefix.mask.data(), mask.data(), mask.size());
  std::memcpy(prefix.bits.data(), address.bytes.data(), address.bytes.size());
  for (std::size_t i = 0; i < 2; ++i) prefix.bits[i] &= prefix.mask[i];
  return true;
}

bool RingSources::allow(const std::uint8_t* source, bool v6) const noexcept {
  std::array<std::uint64_t, 2> bits{};
  std::memcpy(bits.data(), source, v6 ? 16 : 4);
  return std::any_of(prefixes_.begin(), prefixes_.begin() + static_cast<std::ptrdiff_t>(n_),
                     [&](const Prefix& prefix) {
                       return prefix.v6 == v6 && (bits[0] & prefix.mask[0]) == prefix.bits[0] &&
                              (bits[1] & prefix.mask[1]) == prefix.bits[1];
                     });
}

// ---------------------------------------------------------------- a queue

// In a socket pair each side has an end of its own, so MSG_DONTWAIT is this side's word alone. An eventfd
// would be one for both: a program could fill it, make it blocking, and so stop the worker in a write. A full
// socket is as readable as one with a byte.
void ProgramQueue::wake() noexcept {
  const char byte = 0;
  [[maybe_unused]] const ssize_t sent = ::send(wake_.get(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void ProgramQueue::awake() noexcept {
  reader.end_sleep();
  if (hung_up_) return;
  std::array<char, 256> bytes;
  const ssize_t got = ::recv(wake_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  hung_up_ = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

RingFault ProgramQueue::fault() const noexcept {
  if (reader.fault() != RingFault::kNone) return reader.fault();
  if (writer.fault() != RingFault::kNone) return writer.fault();
  return hung_up_ ? RingFault::kHungUp : RingFault::kNone;
}

// ---------------------------------------------------------------- all of it

Expected<std::unique_ptr<ProgramRing>> ProgramRing::create(const RingOptions& wanted) {
  const RingOptions options = with_slots(wanted);
  if (!std::has_single_bit(options.slots) || options.slots < RingOptions::kLeastSlots ||
      options.slots > RingOptions::kMostSlots)
    return Refusal{EINVAL, "a ring has 64 to 4096 slots, a power of two"};
  if (options.largest > kLargestPacket) return Refusal{EINVAL, "packets have at most 65535 bytes"};
  const std::uint32_t slot_bytes = slot_bytes_of(options);
  const std::size_t bytes = bytes_of(options);
  if (bytes > RingOptions::kMostBytes)
    return Refusal{EINVAL, "a ring has at most 64 MiB; with " + std::to_string(options.queues) +
                               " workers and packets of " + std::to_string(slot_bytes) + " bytes these " +
                               std::to_string(options.slots) + " slots would take " +
                               std::to_string(bytes >> 20)};
  std::unique_ptr<ProgramRing> ring(new ProgramRing(options, slot_bytes));
  if (const Expected<> made = ring->make_memory(); !made) return made.error();
  if (const Expected<> made = ring->make_queues(options); !made) return made.error();
  return ring;
}

ProgramRing::ProgramRing(const RingOptions& options, std::uint32_t slot_bytes)
    : slots_(options.slots),
      slot_bytes_(slot_bytes),
      bytes_(std::size_t{2} * options.queues * ring_bytes(options.slots, slot_bytes)),
      sources_(options.sources),
      routed_(options.routed),
      offloads_(options.offloads),
      join_udp_(options.join_udp),
      pid_(options.pid) {}

// A file that could shrink would be a SIGBUS in a worker, so it is sealed before another process has it.
Expected<> ProgramRing::make_memory() {
  memory_fd_ = FileDescriptor(::memfd_create("linegate-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (memory_fd_.get() < 0) return Refusal::from_errno(errno, "memory of a ring");
  if (::ftruncate(memory_fd_.get(), static_cast<off_t>(bytes_)) != 0)
    return Refusal::from_errno(errno, "memory of a ring");
  if (::fcntl(memory_fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)
    return Refusal::from_errno(errno, "sealing the memory of a ring");
  void* const memory = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd_.get(), 0);
  if (memory == MAP_FAILED) return Refusal::from_errno(errno, "memory of a ring");
  memory_ = static_cast<std::uint8_t*>(memory);
  descriptors_.push_back(duplicate(memory_fd_));
  if (descriptors_.back().get() < 0) return Refusal::from_errno(errno, "memory of a ring");
  return {};
}

Expected<> ProgramRing::make_queues(const RingOptions& options) {
  queues_.reserve(options.queues);
  for (std::size_t i = 0; i < options.queues; ++i) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
      return Refusal::from_errno(errno, "sockets of a ring");
    const std::size_t offset = i * 2 * ring_bytes(slots_, slot_bytes_);
    queues_.emplace_back(memory_ + offset, slots_, slot_bytes_, FileDescriptor(ends[0]));
    if (offloads_) queues_.back().offloads = std::make_unique<ProgramOffloads>(options.join_udp);
    descriptors_.emplace_back(ends[1]);
  }
  return {};
}

Expected<> ProgramRing::seal() {
  if (::fcntl(memory_fd_.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0)
    return Refusal::from_errno(errno, "sealing the memory of a ring");
  memory_fd_ = FileDescriptor();
  if (::madvise(memory_, bytes_, MADV_POPULATE_WRITE) == 0) return {};
  if (errno != EINVAL) return Refusal::from_errno(errno, "memory of a ring");
  for (std::size_t at = 0; at < bytes_; at += RING_PAGE)  // a kernel before 5.14
    __atomic_fetch_or(memory_ + at, 0, __ATOMIC_RELAXED);
  return {};
}

ProgramRing::~ProgramRing() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
}

}  // namespace wg::dataplane
