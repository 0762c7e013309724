// The input is a program that writes packets: raw bytes, or the next packet of the last one's flow with a few
// bytes changed. Whatever is joined must split into exactly what went in, and anything may be split.
#include "dataplane/io/segmentation.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/packet/checksum.h"
#include "tests/fuzz/input.h"

namespace {

using wg::fuzz::Input;
using wg::fuzz::require;

using namespace wg::dataplane;
using Octets = std::vector<std::uint8_t>;

std::uint16_t word(Input& input) {
  const std::uint16_t high = input.byte();
  return static_cast<std::uint16_t>(high << 8 | input.byte());
}
Octets octets(Input& input, std::size_t size) {
  const Bytes taken = input.take_bytes(size);
  return {taken.begin(), taken.end()};
}

std::size_t l3_of(Framing framing) {
  return framing == Framing::kEthernet ? kEthernetHeaderSize : 0;
}

// Right lengths and checksums, so that the interesting code is reached. Anything strange is left alone.
void seal_packet(Octets& packet, Framing framing) {
  const std::size_t l3 = l3_of(framing);
  if (packet.size() < l3 + kIpv6HeaderSize + kTcpHeaderSize || packet.size() > 9000) return;
  const bool v6 = packet[l3] >> 4 == 6;
  const std::size_t l4 = l3 + (v6 ? kIpv6HeaderSize : kIpv4HeaderSize);
  const auto length = static_cast<std::uint16_t>(packet.size() - l4);
  auto* ip4 = header_at<Ipv4Header>(packet.data() + l3);
  auto* ip6 = header_at<Ipv6Header>(packet.data() + l3);
  const bool udp = (v6 ? ip6->next_header : ip4->protocol) == ip_protocol::kUdp;
  const std::uint8_t protocol = udp ? ip_protocol::kUdp : ip_protocol::kTcp;
  if (v6) {
    ip6->payload_length = Be16{length};
  } else {
    ip4->version_ihl = 0x45;
    ip4->total_length = Be16{static_cast<std::uint16_t>(packet.size() - l3)};
    ipv4_checksum_fill(ip4);
  }
  if (udp) header_at<UdpHeader>(packet.data() + l4)->length = Be16{length};
  Be16* field = header_at<Be16>(packet.data() + l4 + (udp ? 6 : 16));
  *field = Be16{0};
  const ChecksumSum pseudo =
      v6 ? pseudo_header(*ip6, protocol, length) : pseudo_header(*ip4, protocol, length);
  *field = checksum_finish_udp(checksum_add(pseudo, Bytes(packet).subspan(l4)));
}

Octets next_of_flow(const Octets& before, Framing framing, Input& input) {
  Octets packet = before;
  const std::size_t l3 = l3_of(framing);
  if (packet.size() < l3 + kIpv6HeaderSize + kTcpHeaderSize) return packet;
  const bool v6 = packet[l3] >> 4 == 6;
  const std::size_t l4 = l3 + (v6 ? kIpv6HeaderSize : kIpv4HeaderSize);
  auto* ip4 = header_at<Ipv4Header>(packet.data() + l3);
  auto* tcp = header_at<TcpHeader>(packet.data() + l4);
  const std::size_t header = l4 + tcp->header_length();
  const std::uint8_t how = input.byte();
  if ((v6 ? packet[l3 + 6] : ip4->protocol) == ip_protocol::kTcp && header <= packet.size()) {
    tcp->sequence = Be32{tcp->sequence.value() + static_cast<std::uint32_t>(packet.size() - header)};
  }
  if (!v6 && (how & 1) == 0) ip4->id = Be16{static_cast<std::uint16_t>(ip4->id.value() + 1)};
  if ((how & 2) != 0) packet.resize(packet.size() - std::min<std::size_t>(packet.size(), input.byte()));
  for (int changes = how >> 6; changes > 0 && !packet.empty(); --changes) {
    const std::size_t at = input.byte() % packet.size();
    packet[at] ^= input.byte();
  }
  if ((how & 4) == 0) seal_packet(packet, framing);
  return packet;
}

std::vector<Octets> split(const VnetHeader& vnet, const Octets& bytes, Framing framing) {
  const auto block = std::make_unique<std::uint8_t[]>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), block.get());
  std::vector<Octets> packets;
  Splitter splitter;
  if (!splitter.load(vnet, Bytes{block.get(), bytes.size()}, framing)) return packets;
  std::size_t largest = splitter.next_size();
  while (splitter.pending()) {
    const std::size_t size = splitter.next_size();
    require(size <= largest);
    largest = size;
    Octets packet(size);
    require(splitter.next(packet.data()) == size);
    packets.push_back(std::move(packet));
  }
  return packets;
}

// One's complement has two zeros: a checksum may be written as either, and verifies as either.
void forget_zero(Octets& packet, std::size_t checksum_at, Framing framing) {
  const std::size_t l3 = l3_of(framing);
  const std::uint8_t protocol = packet[l3] >> 4 == 6 ? packet[l3 + 6] : packet[l3 + 9];
  Be16* field = header_at<Be16>(packet.data() + checksum_at);
  if (protocol == ip_protocol::kTcp && *field == Be16{0xffff}) *field = Be16{0};
  Be16* of_header = header_at<Be16>(packet.data() + l3 + offsetof(Ipv4Header, checksum));
  if (packet[l3] >> 4 == 4 && *of_header == Be16{0xffff}) *of_header = Be16{0};
}

// RFC 6864: with DF set the identification means nothing, and joined packets may come back numbered.
void forget_id(Octets& packet, Framing framing) {
  const std::size_t l3 = l3_of(framing);
  if (packet[l3] >> 4 != 4 || !header_at<Ipv4Header>(packet.data() + l3)->dont_fragment()) return;
  std::fill_n(packet.begin() + static_cast<std::ptrdiff_t>(l3 + 4), 2, std::uint8_t{0});
  std::fill_n(packet.begin() + static_cast<std::ptrdiff_t>(l3 + 10), 2, std::uint8_t{0});
}

void check_round_trip(const std::vector<Octets>& packets, Framing framing) {
  std::vector<std::unique_ptr<std::uint8_t[]>> blocks;
  std::vector<MutableBytes> spans;
  for (const Octets& p : packets) {
    blocks.push_back(std::make_unique<std::uint8_t[]>(p.size()));
    std::copy(p.begin(), p.end(), blocks.back().get());
    spans.emplace_back(blocks.back().get(), p.size());
  }
  static Coalescer ip(Framing::kIp, true, true), ethernet(Framing::kEthernet, true, true);
  Coalescer& coalescer = framing == Framing::kIp ? ip : ethernet;
  std::size_t total = 0;
  for (const Coalescer::Group& group : coalescer.plan(spans)) {
    const VnetHeader vnet = coalescer.seal(group);
    Octets bytes(spans[group.first].begin(), spans[group.first].end());
    std::vector<std::uint16_t> members{group.first};
    for (std::uint16_t i = coalescer.next(group.first); i != Coalescer::kEnd; i = coalescer.next(i)) {
      const Bytes payload = coalescer.payload_of(group, i);
      bytes.insert(bytes.end(), payload.begin(), payload.end());
      require(members.back() < i);
      members.push_back(i);
    }
    require(members.size() == group.segments);
    total += members.size();
    std::vector<Octets> received =
        group.segments > 1 ? split(vnet, bytes, framing) : std::vector<Octets>{bytes};
    require(received.size() == members.size());
    for (std::size_t i = 0; i < received.size(); ++i) {
      Octets sent = packets[members[i]];
      if (group.segments > 1) {
        forget_id(sent, framing);
        forget_id(received[i], framing);
        forget_zero(sent, group.l4_offset + 16u, framing);
        forget_zero(received[i], group.l4_offset + 16u, framing);
      }
      require(received[i] == sent);
    }
  }
  require(total == packets.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t mode = input.byte();
  const Framing framing = (mode & 1) != 0 ? Framing::kEthernet : Framing::kIp;
  if ((mode & 2) != 0) {
    const VnetHeader vnet{input.byte(), input.byte(), word(input), word(input), word(input), word(input)};
    Octets packet = octets(input, size);
    (void)split(vnet, packet, framing);
    (void)complete_checksum(vnet, packet);
    return 0;
  }
  std::vector<Octets> packets;
  while (!input.empty() && packets.size() < Coalescer::kMaxPackets) {
    const std::uint8_t kind = input.byte();
    if (packets.empty() || kind < 32) {
      packets.push_back(octets(input, word(input) % 2048));
      if ((kind & 1) == 0) seal_packet(packets.back(), framing);
    } else {
      packets.push_back(next_of_flow(
          packets[packets.size() - 1 - kind % std::min<std::size_t>(packets.size(), 3)], framing, input));
    }
  }
  check_round_trip(packets, framing);
  return 0;
}
