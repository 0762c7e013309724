// Splitter against a byte-wise oracle, Coalescer against "one by one": what the receiver gets after splitting
// what was joined is what was sent, in order within each flow.
#include "dataplane/io/segmentation.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <random>

#include "tests/unit/io/packets.h"

namespace wg::dataplane {
namespace {

using namespace test;

VnetHeader vnet_for(const Recipe& r, std::size_t gso_size) {
  VnetHeader vnet;
  vnet.flags = VnetHeader::kNeedsChecksum;
  vnet.gso_type = r.udp ? VnetHeader::kUdp : r.v6 ? VnetHeader::kTcp6 : VnetHeader::kTcp4;
  vnet.header_length = static_cast<std::uint16_t>(r.header_size());
  vnet.gso_size = static_cast<std::uint16_t>(gso_size);
  vnet.checksum_start = static_cast<std::uint16_t>(r.l4());
  vnet.checksum_offset = r.udp ? 6 : 16;
  return vnet;
}

Framing framing_of(const Recipe& r) {
  return r.ethernet ? Framing::kEthernet : Framing::kIp;
}

// Every segment in a block of exactly its size.
std::vector<Octets> split_all(const VnetHeader& vnet, const Octets& super, Framing framing) {
  std::vector<Octets> packets;
  Splitter splitter;
  if (!splitter.load(vnet, super, framing)) return packets;
  while (splitter.pending()) {
    const std::size_t size = splitter.next_size();
    const auto block = std::make_unique<std::uint8_t[]>(size);
    EXPECT_EQ(splitter.next(block.get()), size);
    packets.emplace_back(block.get(), block.get() + size);
  }
  return packets;
}

// --- splitting

class Split : public ::testing::TestWithParam<int> {
 protected:
  static Recipe recipe() {
    Recipe r;
    r.v6 = (GetParam() & 1) != 0;
    r.udp = (GetParam() & 2) != 0;
    r.ethernet = (GetParam() & 4) != 0;
    r.vlan = (GetParam() & 12) == 12;
    return r;
  }
};

TEST_P(Split, EqualsTheOracleAtBoundarySizes) {
  for (const std::size_t gso : {1u, 2u, 3u, 535u, 536u, 1359u, 1360u, 1448u, 8948u}) {
    for (const std::size_t count : {1u, 2u, 3u, 44u}) {
      for (const int delta : {-1, 0, 1}) {
        const std::size_t payload =
            std::min<std::size_t>(gso * count + static_cast<std::size_t>(delta), 65400);
        if (payload == 0) continue;
        Recipe r = recipe();
        r.id = 0xfffe;  // wraps
        r.sequence = 0xfffffc00;
        r.flags = 0x19;  // ACK PSH FIN
        r.payload = pattern(payload, gso);
        ASSERT_EQ(split_all(vnet_for(r, gso), build_super(r), framing_of(r)), split_oracle(r, gso))
            << gso << " x " << count << " + " << delta;
      }
    }
  }
}

TEST_P(Split, CarriesOptionsAndExtensionHeaders) {
  Recipe r = recipe();
  r.ip_extra =
      r.v6 ? Octets{static_cast<std::uint8_t>(r.udp ? 17 : 6), 0, 1, 4, 0, 0, 0, 0} : Octets{1, 1, 1, 0};
  r.ip6_next = 60;
  r.payload = pattern(5000, 3);
  EXPECT_EQ(split_all(vnet_for(r, 1400), build_super(r), framing_of(r)), split_oracle(r, 1400));
}

// --- tunnels that the sender leaves to the device

struct Tunnel {
  const char* name;
  bool outer_v6;
  std::uint8_t protocol;  // 17: in UDP
  Octets between;         // what follows the outer IP or UDP header
  bool udp_checksum = false;
  Octets extension = {};  // of the outer IPv6 header; its first byte is the protocol
};

// The tunnel's packet with this one inside, written byte by byte; `id` is that of the outer IPv4 header.
Octets wrap(const Tunnel& tunnel, const Octets& inner, std::uint16_t id) {
  Recipe outer;
  outer.ethernet = outer.udp = true;
  outer.v6 = tunnel.outer_v6;
  outer.ip_extra = tunnel.extension;
  outer.ip6_next = 60;
  outer.host = 77;
  outer.id = id;
  outer.payload = tunnel.between;
  outer.payload.insert(outer.payload.end(), inner.begin(), inner.end());
  Octets b = build(outer);
  const auto l4 = static_cast<std::ptrdiff_t>(outer.l4());
  if (tunnel.protocol == 17) {
    if (!tunnel.udp_checksum) put16(b, outer.checksum_at(), 0);
    return b;
  }
  b.erase(b.begin() + l4, b.begin() + l4 + 8);
  const std::size_t l3 = outer.l3();
  if (tunnel.outer_v6) {
    put16(b, l3 + 4, b.size() - l3 - 40);
    b[tunnel.extension.empty() ? l3 + 6 : l3 + 40] = tunnel.protocol;
  } else {
    b[l3 + 9] = tunnel.protocol;
    put16(b, l3 + 2, b.size() - l3);
    put16(b, l3 + 10, 0);
    put16(b, l3 + 10, ~ones_sum(b, l3, l3 + 20) & 0xffff);
  }
  return b;
}

std::vector<Tunnel> tunnels(bool inner_v6) {
  const std::uint8_t ip = inner_v6 ? 41 : 4, high = inner_v6 ? 0x86 : 0x08, low = inner_v6 ? 0xdd : 0x00;
  Octets ethernet(14, 0x11), vxlan{8, 0, 0, 0, 0, 0, 42, 0};
  ethernet[12] = high;
  ethernet[13] = low;
  vxlan.insert(vxlan.end(), ethernet.begin(), ethernet.end());
  Octets geneve{1, 0, 0x65, 0x58, 0, 0, 9, 0, 1, 2, 3, 4};
  geneve.insert(geneve.end(), ethernet.begin(), ethernet.end());
  std::vector<Tunnel> all;
  for (const bool outer_v6 : {false, true}) {
    all.push_back({"IP in IP", outer_v6, ip, {}});
    all.push_back({"GRE", outer_v6, 47, {0, 0, high, low}});
    all.push_back({"GRE with a key", outer_v6, 47, {0x20, 0, high, low, 0, 0, 0, 9}});
    all.push_back({"IP in UDP", outer_v6, 17, {}, true});
    all.push_back({"VXLAN", outer_v6, 17, vxlan, false});
    all.push_back({"VXLAN with a checksum", outer_v6, 17, vxlan, true});
    all.push_back({"Geneve", outer_v6, 17, geneve, true});
  }
  all.push_back({"IP in IPv6 with an encapsulation limit", true, ip, {}, false, {ip, 0, 4, 1, 4, 1, 0, 0}});
  return all;
}

VnetHeader inner_vnet(const Octets& whole, const Octets& inner, const Recipe& r) {
  VnetHeader vnet;
  vnet.flags = VnetHeader::kNeedsChecksum;
  vnet.gso_type = r.udp ? VnetHeader::kUdp : r.v6 ? VnetHeader::kTcp6 : VnetHeader::kTcp4;
  vnet.gso_size = 700;
  vnet.checksum_start = static_cast<std::uint16_t>(whole.size() - inner.size() + r.l4());
  vnet.checksum_offset = r.udp ? 6 : 16;
  return vnet;
}

TEST(SplitInTunnels, EachSegmentGetsAllHeaders) {
  for (const bool udp : {false, true}) {
    for (const bool v6 : {false, true}) {
      Recipe inner;
      inner.udp = udp;
      inner.v6 = v6;
      inner.flags = 0x18;
      inner.payload = pattern(5 * 700 + 33, 1);
      const Octets super = build_super(inner);
      const auto segments = split_oracle(inner, 700);
      for (const Tunnel& tunnel : tunnels(v6)) {
        const Octets whole = wrap(tunnel, super, 0xfffe);
        std::vector<Octets> expected;
        for (std::size_t i = 0; i < segments.size(); ++i)
          expected.push_back(wrap(tunnel, segments[i], static_cast<std::uint16_t>(0xfffe + i)));
        const auto got = split_all(inner_vnet(whole, super, inner), whole, Framing::kEthernet);
        EXPECT_EQ(got, expected) << tunnel.name << (tunnel.outer_v6 ? " over IPv6" : "") << udp << v6;
      }
    }
  }
}

TEST(SplitInTunnels, WhatIsNotKnownIsRefused) {
  Recipe inner;
  inner.payload = pattern(3000, 1);
  const Octets super = build_super(inner);
  Octets behind_options = super;
  behind_options[0] = 0x46;  // not where the transport header is
  const std::vector<std::pair<Tunnel, Octets>> refused{
      {{"GRE with a checksum", false, 47, {0x80, 0, 8, 0, 0, 0, 0, 0}}, super},
      {{"GRE with a sequence number", false, 47, {0x10, 0, 8, 0, 0, 0, 0, 1}}, super},
      {{"PPTP", false, 47, {0x20, 1, 8, 0, 0, 0, 0, 1}}, super},
      {{"ESP", false, 50, {0, 0, 0, 1, 0, 0, 0, 2}}, super},
      {{"a fragment", true, 44, {4, 0, 0, 1, 0, 0, 0, 7}}, super},
      {{"an inner header with options", false, 4, {}}, behind_options},
      {{"an inner packet of another length", false, 4, {}}, Octets(super.begin(), super.end() - 1)},
  };
  for (const auto& [tunnel, bytes] : refused) {
    const Octets whole = wrap(tunnel, bytes, 1);
    Splitter splitter;
    EXPECT_FALSE(splitter.load(inner_vnet(whole, bytes, inner), whole, Framing::kEthernet)) << tunnel.name;
    EXPECT_FALSE(splitter.pending());
  }
  // Cut anywhere, it is refused or split without reading beyond its end.
  for (const Tunnel& tunnel : tunnels(false)) {
    const Octets whole = wrap(tunnel, super, 1);
    for (std::size_t size = 0; size < 200; ++size) {
      const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      Splitter splitter;
      EXPECT_FALSE(splitter.load(inner_vnet(whole, super, inner), cut, Framing::kEthernet))
          << tunnel.name << size;
    }
  }
}

TEST_P(Split, CongestionWindowReducedIsSaidOnce) {
  Recipe r = recipe();
  if (r.udp) GTEST_SKIP() << "TCP only";
  r.flags = 0xd0;  // CWR ECE ACK
  r.payload = pattern(5000, 3);
  VnetHeader vnet = vnet_for(r, 1400);
  vnet.gso_type |= VnetHeader::kEcn;
  const auto packets = split_all(vnet, build_super(r), framing_of(r));
  ASSERT_EQ(packets, split_oracle(r, 1400));
  EXPECT_EQ(packets[0][r.l4() + 13], 0xd0);
  EXPECT_EQ(packets[1][r.l4() + 13], 0x50);
}

TEST_P(Split, RefusesWhatDoesNotFit) {
  Recipe r = recipe();
  r.payload = pattern(3000, 1);
  const Octets super = build_super(r);
  const VnetHeader good = vnet_for(r, 1000);
  ASSERT_EQ(split_all(good, super, framing_of(r)).size(), 3u);
  const auto refused = [&](auto change) {
    VnetHeader bad = good;
    change(bad);
    return split_all(bad, super, framing_of(r)).empty();
  };
  EXPECT_TRUE(refused([](auto& v) { v.gso_size = 0; }));
  EXPECT_TRUE(refused([](auto& v) { v.flags = 0; }));
  EXPECT_TRUE(refused([](auto& v) { v.gso_type = 3; }));  // UDP fragments
  EXPECT_TRUE(refused([&](auto& v) { v.gso_type = r.v6 ? VnetHeader::kTcp4 : VnetHeader::kTcp6; }));
  EXPECT_TRUE(refused([&](auto& v) { v.checksum_start = static_cast<std::uint16_t>(r.l3() + 19); }));
  EXPECT_TRUE(refused([](auto& v) { v.checksum_start = 0xffff; }));
  EXPECT_TRUE(refused([&](auto& v) { v.checksum_start = static_cast<std::uint16_t>(super.size() - 7); }));
  // One segment longer than an IP packet can be.
  Recipe giant = r;
  giant.payload = pattern(65535 + 40 - (r.header_size() - r.l3()), 1);
  EXPECT_TRUE(split_all(vnet_for(r, 65535), build_super(giant), framing_of(r)).empty());
  EXPECT_FALSE(split_all(vnet_for(r, 65000), build_super(giant), framing_of(r)).empty());
  // Cut anywhere in the headers, or right behind them.
  for (std::size_t size = 0; size <= r.header_size(); ++size) {
    const auto block = std::make_unique<std::uint8_t[]>(size);
    std::copy_n(super.begin(), size, block.get());
    Splitter splitter;
    EXPECT_FALSE(splitter.load(good, Bytes{block.get(), size}, framing_of(r))) << size;
    EXPECT_FALSE(splitter.pending());
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, Split, ::testing::Values(0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15));

TEST(PartialChecksum, IsCompleted) {
  for (const bool v6 : {false, true}) {
    for (const bool udp : {false, true}) {
      for (std::size_t size = 0; size < 200; ++size) {
        Recipe r;
        r.v6 = v6;
        r.udp = udp;
        r.payload = pattern(size, size);
        Octets packet = build_super(r);
        ASSERT_NE(packet, build(r));
        ASSERT_TRUE(complete_checksum(vnet_for(r, 0), packet));
        ASSERT_EQ(packet, build(r)) << size;
      }
    }
  }
}

TEST(PartialChecksum, OutsideThePacketIsRefused) {
  for (std::size_t size = 0; size < 64; ++size) {
    for (std::uint16_t start = 0; start < 80; ++start) {
      const auto block = std::make_unique<std::uint8_t[]>(size);
      VnetHeader vnet;
      vnet.checksum_start = start;
      vnet.checksum_offset = 16;
      EXPECT_EQ(complete_checksum(vnet, MutableBytes{block.get(), size}), start + 18u <= size);
    }
  }
}

// --- joining

struct Written {
  VnetHeader vnet;
  Octets bytes;
  std::vector<std::uint16_t> members;
};

// The bytes that would be written, group by group. `packets` stay unchanged.
std::vector<Written> write_all(const std::vector<Octets>& packets, Framing framing, bool tcp = true,
                               bool udp = true) {
  std::vector<std::unique_ptr<std::uint8_t[]>> blocks;
  std::vector<MutableBytes> spans;
  for (const Octets& p : packets) {
    blocks.push_back(std::make_unique<std::uint8_t[]>(p.size()));
    std::copy(p.begin(), p.end(), blocks.back().get());
    spans.emplace_back(blocks.back().get(), p.size());
  }
  Coalescer coalescer(framing, tcp, udp);
  std::vector<Written> written;
  for (const Coalescer::Group& group : coalescer.plan(spans)) {
    Written w;
    w.vnet = coalescer.seal(group);
    const MutableBytes first = spans[group.first];
    w.bytes.assign(first.begin(), first.end());
    w.members.push_back(group.first);
    for (std::uint16_t i = coalescer.next(group.first); i != Coalescer::kEnd; i = coalescer.next(i)) {
      const Bytes payload = coalescer.payload_of(group, i);
      w.bytes.insert(w.bytes.end(), payload.begin(), payload.end());
      w.members.push_back(i);
    }
    EXPECT_EQ(w.members.size(), group.segments);
    EXPECT_EQ(w.members.back(), group.last);
    written.push_back(std::move(w));
  }
  return written;
}

std::vector<std::vector<std::uint16_t>> groups_of(const std::vector<Octets>& packets,
                                                  Framing framing = Framing::kIp) {
  std::vector<std::vector<std::uint16_t>> groups;
  for (const Written& w : write_all(packets, framing)) groups.push_back(w.members);
  return groups;
}
using Groups = std::vector<std::vector<std::uint16_t>>;

// Splitting what was written gives every packet back, and each exactly once.
void expect_round_trip(const std::vector<Octets>& packets, Framing framing) {
  std::vector<int> seen(packets.size());
  for (const Written& w : write_all(packets, framing)) {
    const bool super = w.members.size() > 1;
    ASSERT_EQ(super, w.vnet.gso_type != VnetHeader::kNone);
    const auto received = super ? split_all(w.vnet, w.bytes, framing) : std::vector<Octets>{w.bytes};
    ASSERT_EQ(received.size(), w.members.size());
    ASSERT_LE(w.bytes.size(), kSuperPacketMax + (framing == Framing::kEthernet ? 14 : 0));
    for (std::size_t i = 0; i < received.size(); ++i) {
      ASSERT_EQ(received[i], packets[w.members[i]]) << "packet " << w.members[i];
      ++seen[w.members[i]];
    }
  }
  for (const int times : seen) ASSERT_EQ(times, 1);
}

std::vector<Octets> run_of(Recipe r, std::size_t count, std::size_t payload) {
  r.payload = pattern(payload, r.sequence);
  std::vector<Octets> packets;
  for (std::size_t i = 0; i < count; ++i, r = after(r, payload)) packets.push_back(build(r));
  return packets;
}

class Join : public ::testing::TestWithParam<int> {
 protected:
  static Recipe recipe() {
    Recipe r;
    r.v6 = (GetParam() & 1) != 0;
    r.udp = (GetParam() & 2) != 0;
    r.ethernet = (GetParam() & 4) != 0;
    return r;
  }
};

TEST_P(Join, ARunBecomesOneSuperPacket) {
  const Recipe r = recipe();
  const auto packets = run_of(r, 10, 1300);
  const auto written = write_all(packets, framing_of(r));
  ASSERT_EQ(written.size(), 1u);
  const VnetHeader expected = vnet_for(r, 1300);
  EXPECT_EQ(0, std::memcmp(&written[0].vnet, &expected, sizeof expected));
  Recipe whole = r;
  whole.payload.clear();
  for (const Octets& p : packets)
    whole.payload.insert(whole.payload.end(), p.begin() + static_cast<std::ptrdiff_t>(r.header_size()),
                         p.end());
  EXPECT_EQ(written[0].bytes, build_super(whole));
  expect_round_trip(packets, framing_of(r));
}

TEST_P(Join, StopsAtItsBounds) {
  const Recipe r = recipe();
  const std::size_t fit = (65535 - (r.header_size() - r.l3())) / 1400;
  EXPECT_EQ(write_all(run_of(r, 100, 1400), framing_of(r))[0].members.size(), fit);
  EXPECT_EQ(write_all(run_of(r, 100, 100), framing_of(r))[0].members.size(), Coalescer::kMaxSegments);
  // 65 535 exactly, and one byte more.
  const std::size_t rest = 65535 - (r.header_size() - r.l3()) - 2 * 21000;
  for (const std::size_t last : {rest, rest + 1}) {
    Recipe head = r;
    head.payload = pattern(21000 + 3000, 1);
    const Recipe second = after(head, 21000 + 3000);
    const Recipe third = after(second, last - 6000);
    EXPECT_EQ(write_all({build(head), build(second), build(third)}, framing_of(r)).size(),
              last == rest ? 1u : 2u);
  }
  expect_round_trip(run_of(r, 128, 1400), framing_of(r));
  expect_round_trip(run_of(r, 128, 100), framing_of(r));
}

TEST_P(Join, AShorterPacketIsTheLastAndALongerOneStartsANewGroup) {
  const Recipe r = recipe();
  Recipe a = r;
  a.payload = pattern(1000, 0);
  const Recipe b = after(a, 1000), shorter = after(b, 999), d = after(shorter, 1000), longer = after(d, 1001);
  const std::vector<Octets> packets{build(a), build(b), build(shorter), build(d), build(longer)};
  EXPECT_EQ(groups_of(packets, framing_of(r)), (Groups{{0, 1, 2}, {3}, {4}}));
  expect_round_trip(packets, framing_of(r));
}

// Every bit of every header, checksums made right again: only PSH and FIN may differ.
TEST_P(Join, AnyOtherHeaderBitKeepsPacketsApart) {
  for (const bool dont_fragment : {false, true}) {
    Recipe r = recipe();
    if (r.v6 && dont_fragment) continue;
    r.fragment = dont_fragment ? 0x4000 : 0;
    const auto packets = run_of(r, 2, 500);
    for (std::size_t bit = 0; bit < r.header_size() * 8; ++bit) {
      const std::size_t byte = bit / 8;
      const bool lengths_or_checksums = (!r.v6 && (byte - r.l3() == 10 || byte - r.l3() == 11)) ||
                                        byte == r.checksum_at() || byte == r.checksum_at() + 1;
      if (lengths_or_checksums) continue;
      Octets other = packets[1];
      other[byte] ^= static_cast<std::uint8_t>(1u << bit % 8);
      const Octets flipped = other;
      // The checksums right for the flipped bytes; a flipped length stays as flipped.
      seal_packet(r, other);
      for (const std::size_t length : {r.l3() + (r.v6 ? 4 : 2), r.l4() + (r.udp ? 4 : 0)}) {
        for (const std::size_t at : {length, length + 1}) {
          if (at == byte) other[at] = flipped[at];
        }
      }
      const bool final_flag = !r.udp && byte == r.l4() + 13 && (bit % 8 == 0 || bit % 8 == 3);
      const bool constant_id = dont_fragment && !r.v6 && bit == (r.l3() + 5) * 8;
      EXPECT_EQ(groups_of({packets[0], other}, framing_of(r)).size(), final_flag || constant_id ? 1u : 2u)
          << "byte " << byte << " bit " << bit % 8;
      if (!constant_id) expect_round_trip({packets[0], other, packets[1]}, framing_of(r));
    }
  }
}

// Every bit of either packet, checksums left wrong: the damage must reach the receiver.
TEST_P(Join, DamageIsNeverRepaired) {
  const Recipe r = recipe();
  const auto packets = run_of(r, 2, 64);
  ASSERT_EQ(groups_of(packets, framing_of(r)).size(), 1u);
  for (std::size_t which = 0; which < 2; ++which) {
    for (std::size_t bit = r.l3() * 8; bit < packets[0].size() * 8; ++bit) {
      auto damaged = packets;
      damaged[which][bit / 8] ^= static_cast<std::uint8_t>(1u << bit % 8);
      EXPECT_EQ(groups_of(damaged, framing_of(r)).size(), 2u) << which << " byte " << bit / 8;
      expect_round_trip(damaged, framing_of(r));
    }
  }
}

TEST_P(Join, TheFirstPacketWithoutDamageStartsAgain) {
  const Recipe r = recipe();
  auto packets = run_of(r, 6, 200);
  packets[0].back() ^= 1;
  packets[3].back() ^= 1;
  EXPECT_EQ(groups_of(packets, framing_of(r)), (Groups{{0}, {1, 2}, {3}, {4, 5}}));
  expect_round_trip(packets, framing_of(r));
}

TEST_P(Join, OptionsAndExtensionHeadersNever) {
  Recipe r = recipe();
  r.ip_extra =
      r.v6 ? Octets{static_cast<std::uint8_t>(r.udp ? 17 : 6), 0, 1, 4, 0, 0, 0, 0} : Octets{1, 1, 1, 0};
  r.ip6_next = 60;
  EXPECT_EQ(groups_of(run_of(r, 4, 100), framing_of(r)).size(), 4u);
}

TEST_P(Join, PaddingBehindThePacketKeepsItAlone) {
  const Recipe r = recipe();
  auto packets = run_of(r, 3, 100);
  packets[1].push_back(0);
  EXPECT_EQ(groups_of(packets, framing_of(r)), (Groups{{0}, {1}, {2}}));
}

TEST_P(Join, OnlyWhatTheKernelAgreedTo) {
  const Recipe r = recipe();
  const auto packets = run_of(r, 5, 100);
  EXPECT_EQ(write_all(packets, framing_of(r), true, false).size(), r.udp ? 5u : 1u);
  EXPECT_EQ(write_all(packets, framing_of(r), false, true).size(), r.udp ? 1u : 5u);
}

TEST_P(Join, EightFlowsInterleaved) {
  std::vector<Octets> packets;
  std::vector<std::vector<Octets>> runs;
  for (std::uint8_t flow = 0; flow < 8; ++flow) {
    Recipe r = recipe();
    r.source_port = static_cast<std::uint16_t>(r.source_port + flow % 4);
    r.host = flow / 4;
    runs.push_back(run_of(r, 8, 400));
  }
  for (std::size_t i = 0; i < 8; ++i) {
    for (const auto& run : runs) packets.push_back(run[i]);
  }
  const auto groups = groups_of(packets, framing_of(recipe()));
  EXPECT_EQ(groups.size(), 8u);
  for (const auto& group : groups) EXPECT_EQ(group.size(), 8u);
  expect_round_trip(packets, framing_of(recipe()));
}

TEST_P(Join, ANinthFlowEndsTheOldest) {
  std::vector<Octets> packets;
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::uint8_t flow = 0; flow < 9; ++flow) {
      Recipe r = recipe();
      r.host = flow;
      packets.push_back(run_of(r, 2, 300)[i]);
    }
  }
  EXPECT_EQ(groups_of(packets, framing_of(recipe())).size(), 18u);
  expect_round_trip(packets, framing_of(recipe()));
}

TEST_P(Join, IdentificationCountsOrStands) {
  Recipe r = recipe();
  if (r.v6) GTEST_SKIP() << "IPv4 only";
  const auto with_ids = [&](std::uint16_t fragment, std::vector<std::uint16_t> ids) {
    Recipe next = r;
    next.fragment = fragment;
    next.payload = pattern(100, 0);
    std::vector<Octets> packets;
    for (const std::uint16_t id : ids) {
      next.id = id;
      packets.push_back(build(next));
      next = after(next, 100);
    }
    return groups_of(packets, framing_of(r));
  };
  EXPECT_EQ(with_ids(0x4000, {0xffff, 0, 1}), (Groups{{0, 1, 2}}));
  EXPECT_EQ(with_ids(0, {0xffff, 0, 1}), (Groups{{0, 1, 2}}));
  EXPECT_EQ(with_ids(0x4000, {0, 0, 0}), (Groups{{0, 1, 2}}));
  EXPECT_EQ(with_ids(0, {0, 0, 0}), (Groups{{0}, {1}, {2}}));
  EXPECT_EQ(with_ids(0x4000, {0, 0, 1}), (Groups{{0, 1}, {2}}));
  EXPECT_EQ(with_ids(0x4000, {0, 0, 2}), (Groups{{0, 1}, {2}}));
  EXPECT_EQ(with_ids(0x4000, {0, 1, 0}), (Groups{{0, 1}, {2}}));
  EXPECT_EQ(with_ids(0x4000, {0, 2, 4}), (Groups{{0}, {1}, {2}}));
}

TEST_P(Join, RandomTrafficKeepsContentsAndOrder) {
  std::mt19937 random(static_cast<unsigned>(251 + GetParam()));
  std::size_t joined = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<Recipe> flows;
    for (std::uint8_t flow = 0; flow < 1 + random() % 12; ++flow) {
      Recipe r = recipe();
      r.udp = random() % 2 == 0;
      r.v6 = random() % 2 == 0;
      r.host = flow;
      r.sequence = 0xffffff00 + flow;
      flows.push_back(after(r, 1 + random() % 1400));
    }
    std::vector<Octets> packets;
    std::vector<std::size_t> flow_of;
    const std::size_t count = 1 + random() % Coalescer::kMaxPackets;
    std::size_t flow = 0;
    while (packets.size() < count) {
      if (random() % 3 == 0) flow = random() % flows.size();
      Recipe& r = flows[flow];
      Recipe sent = r;
      switch (random() % 24) {
        case 0:
          sent.flags |= 0x08;
          break;
        case 1:
          sent.flags |= 0x01;
          break;
        case 2:
          sent.payload.clear();
          break;
        case 3:
          sent.flags = 0x12;
          break;
        case 4:
          sent.fragment = 0x2000;
          break;
        case 5:
          ++r.sequence;
          break;
        case 6:
          sent.ttl = 3;
          break;
        case 7:
          sent.flags |= 0x80;
          break;
        case 8:
          sent.window = 1;
          break;
        case 9:
          sent.tcp_options = {1, 1, 1, 1};
          break;
        default:
          break;
      }
      packets.push_back(build(sent));
      // Behind the ports: damaged there, it would be another flow's packet.
      const std::size_t ports_end = sent.l4() + 4;
      if (random() % 32 == 0) packets.back()[ports_end + random() % (packets.back().size() - ports_end)] ^= 4;
      flow_of.push_back(flow);
      r = after(r, random() % 8 == 0 ? 1 + random() % 1400 : sent.payload.size() + 1 - !sent.payload.empty());
    }
    expect_round_trip(packets, framing_of(recipe()));
    std::map<std::size_t, std::uint16_t> last;
    for (const Written& w : write_all(packets, framing_of(recipe()))) {
      joined += w.members.size() - 1;
      for (const std::uint16_t member : w.members) {
        const auto [at, first] = last.emplace(flow_of[member], member);
        if (!first) {
          ASSERT_LT(at->second, member) << "flow overtakes itself";
        }
        at->second = member;
      }
    }
  }
  EXPECT_GT(joined, 3000u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Join, ::testing::Range(0, 8));

TEST(JoinTcp, PushAndFinishEndARun) {
  for (const std::uint8_t flag : Octets{0x08, 0x01, 0x09}) {
    Recipe r;
    r.payload = pattern(100, 0);
    std::vector<Octets> packets;
    for (int i = 0; i < 5; ++i, r = after(r, 100)) {
      Recipe sent = r;
      if (i == 2) sent.flags |= flag;
      packets.push_back(build(sent));
    }
    EXPECT_EQ(groups_of(packets), (Groups{{0, 1, 2}, {3, 4}}));
    const auto written = write_all(packets, Framing::kIp);
    EXPECT_EQ(written[0].bytes[33], 0x10 | flag);
    EXPECT_EQ(written[1].bytes[33], 0x10);
    expect_round_trip(packets, Framing::kIp);
  }
}

TEST(JoinTcp, OtherFlagsStayAlone) {
  for (const std::uint8_t flags : Octets{0x00, 0x12, 0x14, 0x30, 0x90, 0x08}) {
    Recipe r;
    r.flags = flags;
    EXPECT_EQ(groups_of(run_of(r, 3, 50)).size(), 3u) << int{flags};
  }
  Recipe echo;
  echo.flags = 0x50;  // ECE ACK
  EXPECT_EQ(groups_of(run_of(echo, 3, 50)).size(), 1u);
}

TEST(JoinTcp, APureAcknowledgmentEndsItsFlowOnly) {
  Recipe a;
  Recipe b;
  b.host = 9;
  const auto of_a = run_of(a, 4, 100), of_b = run_of(b, 4, 100);
  Recipe ack = a;
  ack.payload.clear();
  ack.sequence = 1200;
  const std::vector<Octets> packets{of_a[0],    of_b[0], of_a[1], of_b[1],
                                    build(ack), of_a[2], of_b[2], of_a[3]};
  EXPECT_EQ(groups_of(packets), (Groups{{0, 2}, {1, 3, 6}, {4}, {5, 7}}));
}

TEST(JoinTcp, WhatIsNotUnderstoodEndsEveryFlow) {
  Recipe a;
  Recipe b;
  b.host = 9;
  const auto of_a = run_of(a, 4, 100), of_b = run_of(b, 4, 100);
  Recipe fragment = a;
  fragment.fragment = 0x2000;
  fragment.payload = pattern(80, 0);
  for (const Octets& strange : {build(fragment), Octets{}, Octets{0x45}, Octets(64, 0x00)}) {
    const std::vector<Octets> packets{of_a[0], of_b[0], of_a[1], of_b[1], strange, of_a[2], of_b[2], of_a[3]};
    EXPECT_EQ(groups_of(packets), (Groups{{0, 2}, {1, 3}, {4}, {5, 7}, {6}}));
    expect_round_trip(packets, Framing::kIp);
  }
}

TEST(JoinTcp, AGapOrARepetitionStartsANewGroup) {
  const auto run = run_of(Recipe{}, 6, 100);
  EXPECT_EQ(groups_of({run[0], run[1], run[3], run[4]}), (Groups{{0, 1}, {2, 3}}));
  EXPECT_EQ(groups_of({run[0], run[1], run[1], run[2]}), (Groups{{0, 1}, {2, 3}}));
  EXPECT_EQ(groups_of({run[1], run[0]}), (Groups{{0}, {1}}));
}

TEST(JoinUdp, AMissingChecksumStaysMissing) {
  Recipe r;
  r.udp = true;
  auto packets = run_of(r, 3, 100);
  put16(packets[1], r.checksum_at(), 0);
  EXPECT_EQ(groups_of(packets).size(), 3u);
  expect_round_trip(packets, Framing::kIp);
}

// Its checksum computes to zero: sent as all ones it may be joined, sent as "none" it may not, though it sums
// up.
TEST(JoinUdp, ZeroIsNotAChecksum) {
  Recipe r;
  r.udp = true;
  auto packets = run_of(r, 3, 100);
  put16(packets[1], r.header_size(), 0);
  seal_packet(r, packets[1]);
  put16(packets[1], r.header_size(), get16(packets[1], r.checksum_at()));
  seal_packet(r, packets[1]);
  ASSERT_EQ(get16(packets[1], r.checksum_at()), 0xffffu);
  EXPECT_EQ(groups_of(packets).size(), 1u);
  expect_round_trip(packets, Framing::kIp);
  put16(packets[1], r.checksum_at(), 0);
  EXPECT_EQ(groups_of(packets).size(), 3u);
}

TEST(JoinEthernet, OtherFramesAndTagsStayAlone) {
  Recipe r;
  r.ethernet = true;
  r.vlan = true;
  EXPECT_EQ(groups_of(run_of(r, 3, 100), Framing::kEthernet).size(), 3u);
  r.vlan = false;
  auto packets = run_of(r, 3, 100);
  ASSERT_EQ(groups_of(packets, Framing::kEthernet).size(), 1u);
  packets[1][3] ^= 1;  // another station
  EXPECT_EQ(groups_of(packets, Framing::kEthernet).size(), 3u);
}

}  // namespace
}  // namespace wg::dataplane
