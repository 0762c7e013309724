#include "dataplane/io/segmentation.h"

#include <cstring>

#include "dataplane/packet/checksum.h"

namespace wg::dataplane {
namespace {

constexpr std::size_t kTcpChecksumOffset = offsetof(TcpHeader, checksum);
constexpr std::size_t kUdpChecksumOffset = offsetof(UdpHeader, checksum);
// A difference in any flag except these two ends the kernel's merging.
constexpr std::uint8_t kFinalFlags = TcpHeader::kPsh | TcpHeader::kFin;
constexpr std::uint8_t kJoinableFlags = TcpHeader::kAck | TcpHeader::kEce | kFinalFlags;

Be16 to_be16(std::size_t value) {
  return Be16{static_cast<std::uint16_t>(value)};
}

template <typename Header>
bool same_options(const Header* a, const Header* b, std::size_t header_length) {
  return std::memcmp(bytes_of(*a) + sizeof(Header), bytes_of(*b) + sizeof(Header),
                     header_length - sizeof(Header)) == 0;
}

}  // namespace

bool complete_checksum(const VnetHeader& vnet, MutableBytes packet) {
  const std::size_t start = vnet.checksum_start;
  const std::size_t field = start + vnet.checksum_offset;
  if (field + sizeof(Be16) > packet.size()) return false;
  // UDP requires all ones instead of zero; for every other protocol both are equal checksums.
  const Be16 checksum = checksum_finish_udp(checksum_add(0, packet.subspan(start)));
  *header_at<Be16>(packet.data() + field) = checksum;
  return true;
}

// --- Splitter

namespace {

constexpr std::size_t kGreHeaderSize = 4;
constexpr std::uint8_t kIpv4InIp = 4, kIpv6InIp = 41, kGre = 47;  // IANA protocol numbers

// Extension headers that a whole packet may have, with their length in the second byte; 0 is hop-by-hop.
bool is_sized_extension(std::uint8_t next_header) {
  using namespace ip_protocol;
  return next_header == kHopByHop || next_header == kRouting || next_header == kDestination;
}

}  // namespace

bool Splitter::load(const VnetHeader& vnet, Bytes packet, Framing framing) {
  packet_ = packet;
  offset_ = payload_size_ = 0;
  index_ = 0;
  segment_size_ = vnet.gso_size;
  if (segment_size_ == 0 || (vnet.flags & VnetHeader::kNeedsChecksum) == 0) return false;
  if (!find_headers(vnet, framing)) return false;
  payload_size_ = packet_.size() - header_size_;
  if (next_size() - outer_l3_offset_ > kSuperPacketMax) drop_rest();
  return pending();
}

// The transport header starts where the checksum starts, even after IPv6 extension headers.
bool Splitter::find_headers(const VnetHeader& vnet, Framing framing) {
  outer_l3_offset_ = 0;
  if (framing == Framing::kEthernet) {
    EthernetView ethernet;
    if (parse_ethernet(packet_, &ethernet) != Parse::kOk) return false;
    outer_l3_offset_ = ethernet.l3_offset();
  }
  l4_offset_ = vnet.checksum_start;
  if (packet_.size() - outer_l3_offset_ > kSuperPacketMax + kIpv6HeaderSize) return false;
  if (l4_offset_ < outer_l3_offset_ + kIpv4HeaderSize || l4_offset_ > packet_.size()) return false;
  const std::uint8_t kind = vnet.gso_type & static_cast<std::uint8_t>(~VnetHeader::kEcn);
  udp_ = kind == VnetHeader::kUdp;
  if (!find_ip()) return false;
  if (!udp_ && kind != (is_version6(l3_offset_) ? VnetHeader::kTcp6 : VnetHeader::kTcp4)) return false;

  const Bytes transport = packet_.subspan(l4_offset_);
  std::size_t transport_header = kUdpHeaderSize;
  Be16 field{0};
  if (udp_) {
    const auto* udp = checked_header<UdpHeader>(transport);
    if (udp == nullptr) return false;
    field = udp->checksum;
  } else {
    TcpView tcp;
    if (parse_tcp(transport, &tcp) != Parse::kOk) return false;
    field = tcp.header->checksum;
    transport_header = tcp.header_length;
  }
  header_size_ = l4_offset_ + transport_header;
  // The field holds the pseudo header's sum. Remove the total length; each segment adds its own.
  const std::uint16_t length = to_be16(transport.size()).native();
  pseudo_ = ChecksumSum{field.native()} + static_cast<std::uint16_t>(~length);
  return true;
}

// The IP header of the transport header: the first one, or the one behind a tunnel's headers.
bool Splitter::find_ip() {
  const std::uint8_t transport = udp_ ? ip_protocol::kUdp : ip_protocol::kTcp;
  const std::uint8_t* ip = packet_.data() + outer_l3_offset_;
  l3_offset_ = outer_l3_offset_;
  outer_udp_offset_ = 0;
  if (ip[0] >> 4 == 4) {
    const auto* header = header_at<Ipv4Header>(ip);
    const std::size_t end = outer_l3_offset_ + header->header_length();
    if (header->header_length() < kIpv4HeaderSize) return false;
    if (end == l4_offset_) return header->protocol == transport;
    return find_inner_ip(end, header->protocol);
  }
  if (ip[0] >> 4 != 6 || outer_l3_offset_ + kIpv6HeaderSize > l4_offset_) return false;
  std::uint8_t next = header_at<Ipv6Header>(ip)->next_header;
  std::size_t end = outer_l3_offset_ + kIpv6HeaderSize;
  while (is_sized_extension(next) && end + 2 <= l4_offset_) {
    next = packet_[end];
    end += (std::size_t{packet_[end + 1]} + 1) * 8;  // RFC 8200 section 4
  }
  return end == l4_offset_ ? next == transport : find_inner_ip(end, next);
}

// Bytes between the outer headers and the inner IP header are copied as they are, so only what counts or sums
// the segment's bytes has to be known.
bool Splitter::find_inner_ip(std::size_t outer_end, std::uint8_t next_header) {
  std::size_t begin = outer_end;
  if (next_header == ip_protocol::kUdp) {
    outer_udp_offset_ = outer_end;
    begin += kUdpHeaderSize;
  } else if (next_header == kGre) {
    // A checksum (bit 0) or sequence number (bit 3) differs per segment; a version other than 0 is PPTP.
    begin += kGreHeaderSize;
    if (begin > l4_offset_ || (packet_[outer_end] & 0x90) != 0 || (packet_[outer_end + 1] & 0x07) != 0)
      return false;
  } else if (next_header != kIpv4InIp && next_header != kIpv6InIp) {
    return false;
  }
  for (const std::size_t header : {kIpv4HeaderSize, kIpv6HeaderSize}) {
    if (begin + header > l4_offset_) continue;
    l3_offset_ = l4_offset_ - header;
    if (is_ip_of_transport(l3_offset_)) return true;
  }
  return false;
}

// Does an IP header without options lie there, whose packet is the rest of the super-packet?
bool Splitter::is_ip_of_transport(std::size_t offset) const {
  const std::uint8_t transport = udp_ ? ip_protocol::kUdp : ip_protocol::kTcp;
  const std::size_t size = packet_.size() - offset;
  if (l4_offset_ - offset == kIpv4HeaderSize) {
    const auto* ip = header_at<Ipv4Header>(packet_.data() + offset);
    return ip->version_ihl == 0x45 && ip->protocol == transport && ip->total_length.value() == size;
  }
  const auto* ip = header_at<Ipv6Header>(packet_.data() + offset);
  return is_version6(offset) && ip->next_header == transport &&
         ip->payload_length.value() == size - kIpv6HeaderSize;
}

std::size_t Splitter::next_size() const {
  const std::size_t rest = payload_size_ - offset_;
  return header_size_ + (rest < segment_size_ ? rest : segment_size_);
}

std::size_t Splitter::next(std::uint8_t* to) {
  const std::size_t size = next_size();
  const std::size_t payload = size - header_size_;
  std::memcpy(to, packet_.data(), header_size_);
  const ChecksumSum payload_sum =
      checksum_copy(0, to + header_size_, packet_.data() + header_size_ + offset_, payload);
  write_ip_header(to, l3_offset_, size);
  if (udp_) {
    header_at<UdpHeader>(to + l4_offset_)->length = to_be16(size - l4_offset_);
  } else {
    write_tcp_header(header_at<TcpHeader>(to + l4_offset_), offset_ + payload == payload_size_);
  }
  Be16* checksum = header_at<Be16>(to + l4_offset_ + (udp_ ? kUdpChecksumOffset : kTcpChecksumOffset));
  *checksum = Be16{0};
  const ChecksumSum sum = checksum_add(payload_sum + pseudo_ + to_be16(size - l4_offset_).native(),
                                       to + l4_offset_, header_size_ - l4_offset_);
  *checksum = udp_ ? checksum_finish_udp(sum) : checksum_finish(sum);
  if (outer_l3_offset_ != l3_offset_) write_outer_headers(to, size);
  offset_ += payload;
  ++index_;
  return size;
}

void Splitter::write_ip_header(std::uint8_t* segment, std::size_t l3_offset, std::size_t size) const {
  if (is_version6(l3_offset)) {
    header_at<Ipv6Header>(segment + l3_offset)->payload_length = to_be16(size - l3_offset - kIpv6HeaderSize);
    return;
  }
  Ipv4Header* ip = header_at<Ipv4Header>(segment + l3_offset);
  ip->total_length = to_be16(size - l3_offset);
  ip->id = to_be16(std::size_t{ip->id.value()} + index_);
  ipv4_checksum_fill(ip);
}

// After everything inside: an outer UDP checksum, where there is one, covers it.
void Splitter::write_outer_headers(std::uint8_t* segment, std::size_t size) const {
  write_ip_header(segment, outer_l3_offset_, size);
  if (outer_udp_offset_ == 0) return;
  auto* udp = header_at<UdpHeader>(segment + outer_udp_offset_);
  const auto length = static_cast<std::uint32_t>(size - outer_udp_offset_);
  udp->length = to_be16(length);
  if (udp->checksum == Be16{0}) return;
  udp->checksum = Be16{0};
  const std::uint8_t* ip = segment + outer_l3_offset_;
  const ChecksumSum pseudo = is_version6(outer_l3_offset_)
                                 ? pseudo_header(*header_at<const Ipv6Header>(ip), ip_protocol::kUdp, length)
                                 : pseudo_header(*header_at<const Ipv4Header>(ip), ip_protocol::kUdp, length);
  udp->checksum = checksum_finish_udp(checksum_add(pseudo, segment + outer_udp_offset_, length));
}

// The first segment alone carries CWR (RFC 3168 6.1.2), the last one PSH and FIN.
void Splitter::write_tcp_header(TcpHeader* tcp, bool last) const {
  tcp->sequence = Be32{tcp->sequence.value() + static_cast<std::uint32_t>(offset_)};
  if (!last) tcp->flags &= static_cast<std::uint8_t>(~kFinalFlags);
  if (index_ != 0) tcp->flags &= static_cast<std::uint8_t>(~TcpHeader::kCwr);
}

// --- Coalescer

struct Coalescer::Candidate {
  MutableBytes packet;
  std::uint64_t signature = 0;
  std::size_t l3_offset = 0;
  std::size_t l4_offset = 0;
  std::size_t header_size = 0;
  std::size_t payload_size = 0;
  bool v6 = false;
  bool udp = false;
  bool joinable = false;    // false: it only closes the open group of its flow
  bool unfinished = false;  // its checksum is left to the kernel

  [[nodiscard]] const Ipv4Header* ip4() const {
    return header_at<const Ipv4Header>(packet.data() + l3_offset);
  }
  [[nodiscard]] const Ipv6Header* ip6() const {
    return header_at<const Ipv6Header>(packet.data() + l3_offset);
  }
  [[nodiscard]] const TcpHeader* tcp() const { return header_at<const TcpHeader>(packet.data() + l4_offset); }
  [[nodiscard]] std::uint16_t id() const { return v6 ? std::uint16_t{0} : ip4()->id.value(); }
  [[nodiscard]] Bytes segment() const { return packet.subspan(l4_offset); }
};

namespace {

// In both IP versions the two addresses are adjacent.
template <typename Candidate>
bool same_addresses(const Candidate& candidate, const std::uint8_t* other_ip) {
  const std::uint8_t* ip = candidate.packet.data() + candidate.l3_offset;
  return candidate.v6 ? std::memcmp(ip + 8, other_ip + 8, 32) == 0
                      : std::memcmp(ip + 12, other_ip + 12, 8) == 0;
}

template <typename Candidate>
bool checksums_valid(const Candidate& c) {
  if (!c.v6 && !ipv4_checksum_valid(*c.ip4())) return false;
  const Bytes segment = c.segment();
  const std::uint8_t protocol = c.udp ? ip_protocol::kUdp : ip_protocol::kTcp;
  const auto length = static_cast<std::uint32_t>(segment.size());
  const ChecksumSum pseudo =
      c.v6 ? pseudo_header(*c.ip6(), protocol, length) : pseudo_header(*c.ip4(), protocol, length);
  return checksum_valid(checksum_add(pseudo, segment));
}

}  // namespace

bool Coalescer::parse(MutableBytes packet, Candidate* out) const {
  out->packet = packet;
  Bytes ip = packet;
  if (framing_ == Framing::kEthernet) {
    EthernetView ethernet;
    if (parse_ethernet(packet, &ethernet) != Parse::kOk || ethernet.tag != nullptr) return false;
    if (ethernet.type != ether_type::kIpv4 && ethernet.type != ether_type::kIpv6) return false;
    out->l3_offset = kEthernetHeaderSize;
    ip = ethernet.payload;
    if ((ip.empty() ? 0 : ip[0] >> 4) != (ethernet.type == ether_type::kIpv4 ? 4 : 6)) return false;
  }
  IpView view;
  if (parse_ip(ip, &view) != Parse::kOk) return false;
  if (view.fragment || view.has_options || view.total_length != ip.size()) return false;
  out->v6 = view.v6;
  out->l4_offset = out->l3_offset + view.header_length;
  return parse_transport(out, view.protocol, view.payload);
}

bool Coalescer::parse_transport(Candidate* out, std::uint8_t protocol, Bytes segment) const {
  if (protocol == ip_protocol::kTcp && join_tcp_) {
    TcpView tcp;
    if (parse_tcp(segment, &tcp) != Parse::kOk) return false;
    out->header_size = out->l4_offset + tcp.header_length;
    out->payload_size = tcp.payload.size();
    const std::uint8_t flags = tcp.header->flags;
    out->joinable =
        out->payload_size != 0 && (flags & ~kJoinableFlags) == 0 && (flags & TcpHeader::kAck) != 0;
  } else if (protocol == ip_protocol::kUdp && join_udp_) {
    UdpView udp;
    if (parse_udp(segment, &udp) != Parse::kOk) return false;
    out->udp = true;
    out->header_size = out->l4_offset + kUdpHeaderSize;
    out->payload_size = udp.payload.size();
    out->joinable = out->payload_size != 0 && udp.payload.size() + kUdpHeaderSize == segment.size() &&
                    udp.header->checksum != Be16{0};
  } else {
    return false;
  }
  const std::uint32_t ports = header_at<Be32>(segment.data())->native();
  out->signature = std::uint64_t{ports} << 8 | std::uint64_t{out->v6} << 1 | std::uint64_t{out->udp};
  return true;
}

Coalescer::Group* Coalescer::find_flow(const Candidate& candidate) {
  for (std::size_t i = 0; i < flow_count_; ++i) {
    if (flows_[i].signature != candidate.signature) continue;
    Group& group = groups_[flows_[i].group];
    if (same_addresses(candidate, packets_[group.first].data() + group.l3_offset)) return &group;
  }
  return nullptr;
}

void Coalescer::remember_flow(const Candidate& candidate, std::uint16_t group) {
  for (std::size_t i = 0; i < flow_count_; ++i) {
    Flow& flow = flows_[i];
    if (flow.signature != candidate.signature) continue;
    const Group& old = groups_[flow.group];
    if (!same_addresses(candidate, packets_[old.first].data() + old.l3_offset)) continue;
    flow.group = group;
    return;
  }
  std::size_t slot = flow_count_;
  if (flow_count_ < kMaxFlows) {
    ++flow_count_;
  } else {
    slot = oldest_flow_;
    oldest_flow_ = (oldest_flow_ + 1) % kMaxFlows;
  }
  flows_[slot] = {candidate.signature, group};
}

void Coalescer::close_all() {
  flow_count_ = oldest_flow_ = 0;
}

bool Coalescer::can_join(const Group& group, const Candidate& c) const {
  if (!group.open || group.segments == kMaxSegments || group.header_size != c.header_size) return false;
  if (c.payload_size > group.segment_size || group.ip_size + c.payload_size > kSuperPacketMax) return false;
  const std::uint8_t* first = packets_[group.first].data();
  if (std::memcmp(first, c.packet.data(), c.l3_offset) != 0) return false;
  if (c.v6) {
    const auto* ip = header_at<Ipv6Header>(first + c.l3_offset);
    if (ip->version_class_flow != c.ip6()->version_class_flow || ip->hop_limit != c.ip6()->hop_limit)
      return false;
  } else {
    const auto* ip = header_at<Ipv4Header>(first + c.l3_offset);
    if (ip->tos != c.ip4()->tos || ip->ttl != c.ip4()->ttl || ip->fragment != c.ip4()->fragment) return false;
    if (!ids_fit(group, c)) return false;
  }
  if (c.udp) return true;
  const auto* tcp = header_at<TcpHeader>(first + c.l4_offset);
  return c.tcp()->sequence.value() == group.next_sequence && tcp->acknowledgment == c.tcp()->acknowledgment &&
         tcp->offset_reserved == c.tcp()->offset_reserved &&
         ((tcp->flags ^ c.tcp()->flags) & ~kFinalFlags) == 0 && tcp->window == c.tcp()->window &&
         tcp->urgent == c.tcp()->urgent && same_options(tcp, c.tcp(), c.header_size - c.l4_offset);
}

bool Coalescer::ids_fit(const Group& group, const Candidate& c) const {
  const auto* ip = header_at<Ipv4Header>(packets_[group.first].data() + c.l3_offset);
  const auto step = static_cast<std::uint16_t>(c.id() - ip->id.value());
  if (c.unfinished && group.unfinished) return step >= group.segments;
  const bool counts = step == group.segments && group.id_step != 0;
  const bool constant = step == 0 && group.id_step != 1 && ip->dont_fragment();
  return counts || constant;
}

// Returns false when a checksum is wrong: the group is closed and the candidate stays alone.
bool Coalescer::join(Group* group, const Candidate& c, std::uint16_t index) {
  if (!group->verified) {
    Candidate first;
    group->verified = parse(packets_[group->first], &first) && checksums_valid(first);
    if (!group->verified) return false;
  }
  if (!c.unfinished && !checksums_valid(c)) return false;
  if (!c.v6) {
    group->id_step =
        c.id() == header_at<Ipv4Header>(packets_[group->first].data() + c.l3_offset)->id.value() ? 0 : 1;
  }
  next_[group->last] = index;
  group->last = index;
  ++group->segments;
  group->ip_size = static_cast<std::uint16_t>(group->ip_size + c.payload_size);
  group->next_sequence += static_cast<std::uint32_t>(c.payload_size);
  if (!c.udp) group->final_flags = c.tcp()->flags & kFinalFlags;
  if (c.payload_size < group->segment_size || group->final_flags != 0) group->open = false;
  return true;
}

std::span<const Coalescer::Group> Coalescer::plan(std::span<const MutableBytes> packets,
                                                  std::span<const bool> unfinished) {
  packets_ = packets;
  unfinished_ = unfinished;
  group_count_ = 0;
  close_all();
  for (std::uint16_t i = 0; i < packets.size(); ++i) {
    next_[i] = kEnd;
    Candidate candidate;
    const bool understood = parse(packets[i], &candidate);
    candidate.unfinished = !unfinished_.empty() && unfinished_[i] && candidate.udp;
    if (!understood) close_all();
    if (understood && candidate.joinable) {
      Group* open = find_flow(candidate);
      if (open != nullptr && can_join(*open, candidate) && join(open, candidate, i)) continue;
    }
    Group& group = groups_[group_count_] = Group{};
    group.first = group.last = i;
    if (understood) {
      group.header_size = static_cast<std::uint16_t>(candidate.header_size);
      group.l3_offset = static_cast<std::uint16_t>(candidate.l3_offset);
      group.l4_offset = static_cast<std::uint16_t>(candidate.l4_offset);
      group.segment_size = static_cast<std::uint16_t>(candidate.payload_size);
      group.ip_size = static_cast<std::uint16_t>(candidate.packet.size() - candidate.l3_offset);
      group.v6 = candidate.v6;
      group.udp = candidate.udp;
      group.verified = group.unfinished = candidate.unfinished;
      if (!candidate.udp) {
        group.next_sequence =
            candidate.tcp()->sequence.value() + static_cast<std::uint32_t>(candidate.payload_size);
        group.final_flags = candidate.tcp()->flags & kFinalFlags;
      }
      group.open = candidate.joinable && group.final_flags == 0;
      remember_flow(candidate, static_cast<std::uint16_t>(group_count_));
    }
    ++group_count_;
  }
  return {groups_.data(), group_count_};
}

VnetHeader Coalescer::seal(const Group& group) const {
  VnetHeader vnet{};
  if (group.segments == 1) return vnet;
  std::uint8_t* first = packets_[group.first].data();
  const std::uint8_t protocol = group.udp ? ip_protocol::kUdp : ip_protocol::kTcp;
  const std::uint32_t length = group.ip_size - (group.l4_offset - group.l3_offset);
  ChecksumSum pseudo = 0;
  if (group.v6) {
    auto* ip = header_at<Ipv6Header>(first + group.l3_offset);
    ip->payload_length = to_be16(group.ip_size - kIpv6HeaderSize);
    pseudo = pseudo_header(*ip, protocol, length);
  } else {
    auto* ip = header_at<Ipv4Header>(first + group.l3_offset);
    ip->total_length = to_be16(group.ip_size);
    ipv4_checksum_fill(ip);
    pseudo = pseudo_header(*ip, protocol, length);
  }
  const Be16 partial = Be16::from_native(checksum_fold(pseudo));
  if (group.udp) {
    auto* udp = header_at<UdpHeader>(first + group.l4_offset);
    udp->length = to_be16(length);
    udp->checksum = partial;
  } else {
    auto* tcp = header_at<TcpHeader>(first + group.l4_offset);
    tcp->flags |= group.final_flags;
    tcp->checksum = partial;
  }
  vnet.flags = VnetHeader::kNeedsChecksum;
  vnet.gso_type = group.udp ? VnetHeader::kUdp : group.v6 ? VnetHeader::kTcp6 : VnetHeader::kTcp4;
  vnet.header_length = group.header_size;
  vnet.gso_size = group.segment_size;
  vnet.checksum_start = group.l4_offset;
  vnet.checksum_offset = static_cast<std::uint16_t>(group.udp ? kUdpChecksumOffset : kTcpChecksumOffset);
  return vnet;
}

}  // namespace wg::dataplane
