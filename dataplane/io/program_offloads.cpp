#include "dataplane/io/program_offloads.h"

#include <cstring>

namespace wg::dataplane {

static_assert(ProgramOffloads::kSlotBytes >= sizeof(VnetHeader) + kSuperPacketMax);
static_assert(ProgramOffloads::kSlotBytes % 64 == 0);

ProgramOffloads::ProgramOffloads(bool join_udp)
    : coalescer_(Framing::kIp, true, join_udp), copy_(std::make_unique<std::uint8_t[]>(kSlotBytes)) {}

std::size_t ProgramOffloads::take(RingReader& reader, std::span<std::uint8_t> to) noexcept {
  return pending() ? take_segment(to) : take_slot(reader, to);
}

std::size_t ProgramOffloads::take_slot(RingReader& reader, std::span<std::uint8_t> to) noexcept {
  const std::size_t taken = reader.take({copy_.get(), kSlotBytes});
  if (taken < sizeof(VnetHeader) + RING_LEAST_PACKET) return 0;
  VnetHeader header;
  std::memcpy(&header, copy_.get(), sizeof header);
  const MutableBytes packet{copy_.get() + sizeof header, taken - sizeof header};
  if (header.gso_type != VnetHeader::kNone) {
    if (packet.size() > kSuperPacketMax || !splitter_.load(header, packet, Framing::kIp)) return 0;
    return take_segment(to);
  }
  if (packet.size() > to.size()) return 0;
  if ((header.flags & VnetHeader::kNeedsChecksum) != 0 && !complete_checksum(header, packet)) return 0;
  std::memcpy(to.data(), packet.data(), packet.size());
  return packet.size();
}

std::size_t ProgramOffloads::take_segment(std::span<std::uint8_t> to) noexcept {
  if (!splitter_.pending()) return 0;
  if (splitter_.next_size() <= to.size()) return splitter_.next(to.data());
  splitter_.drop_rest();
  return 0;
}

void ProgramOffloads::put(RingWriter& writer, const VnetHeader& header,
                          std::span<const iovec> pieces) noexcept {
  std::uint8_t* const slot = writer.slot();
  std::memcpy(slot, &header, sizeof header);
  std::size_t size = sizeof header;
  for (const iovec& piece : pieces) {
    std::memcpy(slot + size, piece.iov_base, piece.iov_len);
    size += piece.iov_len;
  }
  writer.put_slot(size);
}

}  // namespace wg::dataplane
