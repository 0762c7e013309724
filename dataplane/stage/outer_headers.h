// The headers in front of the payloads of a run of packets of one peer: the path's headers and the message's,
// complete but for lengths, TOS, id, checksums and counter. What differs is put into a word before the word
// is stored.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"
#include "dataplane/packet/path.h"
#include "dataplane/session/keypair.h"

namespace wg::dataplane {

// The fields of a message's headers that differ from its neighbours'.
struct OuterFields {
  std::uint64_t counter;
  std::uint16_t udp_length;
  std::uint8_t tos;
};

namespace outer_detail {

using checksum_detail::load;
static_assert(std::endian::native == std::endian::little);
inline constexpr std::size_t kWord = sizeof(std::uint64_t);

template <typename Word>
[[gnu::always_inline]] inline void store(std::uint8_t* to, Word word) noexcept {
  std::memcpy(to, &word, sizeof word);
}

// Type and receiver.
inline std::uint64_t message_start(const Keypair& keypair) noexcept {
  return std::bit_cast<std::uint64_t>(
      std::array<Le32, 2>{Le32{kMessageTransportData}, Le32{keypair.remote_index}});
}

// Words of an IPv4 header, the UDP ports behind it.
struct Ipv4Words {
  static constexpr unsigned kTosAt = 8, kTotalAt = 16, kChecksumAt = 16;  // bits of their words

  // `l3`: of a path.
  explicit Ipv4Words(const std::uint8_t* l3) noexcept
      : word0(load<std::uint64_t>(l3)),
        word1(load<std::uint64_t>(l3 + kWord)),
        word2(load<std::uint64_t>(l3 + 2 * kWord)) {
    sum = static_cast<std::uint16_t>(~(word1 >> kChecksumAt));
    word1 &= ~(std::uint64_t{0xffff} << kChecksumAt);
  }
  [[gnu::always_inline]] void write(std::uint8_t* l3, const OuterFields& fields,
                                    std::uint16_t id) const noexcept {
    // Total length and id are neighbours, so both are swapped at once.
    const std::uint32_t total = std::uint32_t{fields.udp_length} + kIpv4HeaderSize;
    const std::uint32_t total_and_id = Be32{total << 16 | id}.native();
    const std::uint64_t tos = std::uint64_t{fields.tos} << kTosAt;
    const Be16 checksum = checksum_finish(sum + tos + total_and_id);
    store(l3, word0 | tos | std::uint64_t{total_and_id} << kTotalAt);
    store(l3 + kWord, word1 | std::uint64_t{checksum.native()} << kChecksumAt);
    store(l3 + 2 * kWord, word2);
  }

  std::uint64_t word0, word1, word2;  // the differing fields are zero
  ChecksumSum sum;                    // of the header with the differing fields zero
};

// The end of all headers: UDP length, a checksum of zero, the message's header.
[[gnu::always_inline]] inline void write_message(std::uint8_t* message, std::uint64_t start,
                                                 const OuterFields& fields) noexcept {
  store(message - 2 * sizeof(Be16), std::uint32_t{Be16{fields.udp_length}.native()});
  store(message, start);
  header_at<TransportDataHeader>(message)->counter = Le64{fields.counter};
}

}  // namespace outer_detail

// IPv4 behind an Ethernet header without a VLAN, as nearly always.
class UsualHeaders {
 public:
  static constexpr bool kByPort = true;  // what they are in front of leaves by a port
  [[nodiscard]] static bool fit(const Path& path) noexcept {
    return path.header_length == kOuterSize && path.l3_offset == kEthernetHeaderSize;
  }
  // Reads the path's line and the session's alone: runs may be of one packet.
  UsualHeaders(const Path& path, const Keypair& keypair) noexcept
      : ethernet_(checksum_detail::load<checksum_detail::Lanes>(path.header.data())),
        ip_(path.header.data() + kEthernetHeaderSize),
        message_(outer_detail::message_start(keypair)) {}
  [[nodiscard]] static constexpr std::size_t size() noexcept { return kOuterSize + kTransportDataHeaderSize; }

  // In front of `payload`. `last_id`: of IPv4, which goes on from there.
  [[gnu::always_inline]] void write(std::uint8_t* payload, const OuterFields& fields,
                                    std::uint16_t& last_id) const noexcept {
    std::uint8_t* const frame = payload - size();
    std::memcpy(frame, &ethernet_, sizeof ethernet_);  // into the IP header, which follows
    ip_.write(frame + kEthernetHeaderSize, fields, ++last_id);
    outer_detail::write_message(frame + kOuterSize, message_, fields);
  }

 private:
  static constexpr std::size_t kOuterSize = kEthernetHeaderSize + kIpv4HeaderSize + kUdpHeaderSize;

  checksum_detail::Lanes ethernet_;
  outer_detail::Ipv4Words ip_;
  std::uint64_t message_;
};

// Any others; none in front of the message when the kernel's socket will send it.
class AnyHeaders {
 public:
  static constexpr bool kByPort = false;
  AnyHeaders(const Path& path, const Keypair& keypair) noexcept
      : header_(path.header.data()),
        message_(outer_detail::message_start(keypair)),
        outer_(path.header_length),
        l3_(path.l3_offset),
        v6_(path.v6()) {}
  [[nodiscard]] std::size_t size() const noexcept { return outer_ + kTransportDataHeaderSize; }

  void write(std::uint8_t* payload, const OuterFields& fields, std::uint16_t& last_id) const noexcept {
    std::uint8_t* const message = payload - kTransportDataHeaderSize;
    if (outer_ == 0) {
      outer_detail::store(message, message_);
      header_at<TransportDataHeader>(message)->counter = Le64{fields.counter};
      return;
    }
    if (v6_) {
      write_v6(message - kUdpHeaderSize - kIpv6HeaderSize, fields);
    } else {
      std::uint8_t* const l3 = message - kUdpHeaderSize - kIpv4HeaderSize;
      write_ethernet(l3);
      outer_detail::Ipv4Words(header_ + l3_).write(l3, fields, ++last_id);
    }
    outer_detail::write_message(message, message_, fields);
  }

 private:
  static constexpr std::size_t kWord = outer_detail::kWord;
  // All but the UDP header's length and checksum, which differ per packet: without them the headers of IPv6
  // end with the path's second line.
  static constexpr std::size_t kFilledIn = 2 * sizeof(Be16);
  static_assert(offsetof(Path, header) - offsetof(Path, port) + kEthernetHeaderSize + kIpv6HeaderSize +
                    kUdpHeaderSize - kFilledIn <=
                64);

  // Bytes [begin, begin + kSize) of the header, to the same place of a packet whose IP header is at l3.
  template <std::size_t kSize>
  void copy(std::uint8_t* l3, std::size_t begin) const noexcept {
    std::memcpy(l3 - l3_ + begin, header_ + begin, kSize);
  }
  // Ethernet's last block reaches into the IP header.
  void write_ethernet(std::uint8_t* l3) const noexcept {
    copy<2 * kWord>(l3, 0);
    if (l3_ != kEthernetHeaderSize) [[unlikely]]
      copy<kWord>(l3, kEthernetHeaderSize);
  }
  void write_v6(std::uint8_t* l3, const OuterFields& fields) const noexcept {
    write_ethernet(l3);
    for (std::size_t at = 0; at < kIpv6HeaderSize; at += kWord) copy<kWord>(l3, l3_ + at);
    copy<kUdpHeaderSize - kFilledIn>(l3, l3_ + kIpv6HeaderSize);
    auto* ip = header_at<Ipv6Header>(l3);
    ip->payload_length = Be16{fields.udp_length};
    ip->set_traffic_class(fields.tos);
  }

  const std::uint8_t* header_;  // the path's
  std::uint64_t message_;
  std::size_t outer_, l3_;
  bool v6_;
};

}  // namespace wg::dataplane
