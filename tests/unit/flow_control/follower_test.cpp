// The follower with a connection tracking of the test's own: what is asked of it, and what workers find.
#include "control/flows/flow_follower.h"

#include <gtest/gtest.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/flows/flow_list.h"
#include "control/flows/flow_search.h"

namespace wg::control {
namespace {

using dataplane::Flow;
using dataplane::FlowIngress;
using dataplane::FlowNumber;
using dataplane::FlowTable;
using dataplane::kNoFlow;
using dataplane::kOriginal;
using dataplane::kReply;

constexpr std::uint32_t kMark = 0x40000000;
constexpr std::uint8_t kTcp = 6, kUdp = 17;
const FlowIngress kTunnel = FlowIngress::interface(dataplane::InterfaceId{0}),
                  kWan = FlowIngress::port(dataplane::PortIndex{0}, 0),
                  kLan = FlowIngress::port(dataplane::PortIndex{1}, 5);

class FakeConntrack final : public ConntrackRequests {
 public:
  void update(const ConntrackUpdate& update) override { updates.push_back(update); }
  void start_dump(std::uint32_t mark) override { dumps.push_back(mark); }
  std::vector<ConntrackUpdate> take() { return std::exchange(updates, {}); }
  std::vector<ConntrackUpdate> updates;
  std::vector<std::uint32_t> dumps;
};

IpAddress ip(const std::string& text) {
  const auto address = dataplane::parse_ip_address(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(IpAddress{});
}

constexpr BootSeconds kNow{WholeSeconds(1'000'000)};

class Follower : public ::testing::Test {
 protected:
  Follower() { follower.set_now(kNow); }

  FlowTable table{100, FlowTable::HashKey{1, 2, 3, 4, 5, 6},
                  [](const std::function<void()>& free) { free(); }};
  FakeConntrack conntrack;
  std::map<std::string, FlowWay> ways{
      {"10.10.0.2", {kTunnel}}, {"198.51.100.7", {kWan}}, {"192.168.1.5", {kLan}}};
  FlowFollower follower{table, conntrack,
                        [this](const IpAddress& address) {
                          const auto at = ways.find(to_string(address));
                          return at == ways.end() ? FlowWay{{}, FlowRefusal::no_route} : at->second;
                        },
                        kMark};

  // A road warrior's connection behind our address, as it is when it may be carried.
  static ConntrackEntry masqueraded(std::uint8_t protocol = kTcp, std::uint16_t port = 40000) {
    ConntrackEntry entry;
    entry.original = {ip("10.10.0.2"), ip("198.51.100.7"), port, 443, protocol};
    entry.reply = {ip("198.51.100.7"), ip("203.0.113.2"), 443, port, protocol};
    entry.id = port;
    entry.mark = kMark | 3;
    entry.timeout = WholeSeconds(protocol == kTcp ? 432'000 : 120);
    entry.status = IPS_ASSURED | IPS_SEEN_REPLY | IPS_CONFIRMED;
    if (protocol == kTcp) entry.tcp_state = TCP_CONNTRACK_ESTABLISHED;
    return entry;
  }
  // As the kernel reports it after the follower's own update.
  static ConntrackEntry answer_to(ConntrackEntry entry) {
    entry.liberal = entry.original.protocol == kTcp;
    return entry;
  }
  void carry(const ConntrackEntry& entry) {
    follower.updated(entry, false);
    follower.updated(answer_to(entry), true);
    ASSERT_TRUE(is_carried(entry));
    conntrack.take();
  }
  bool is_carried(const ConntrackEntry& entry) const {
    const FlowNumber number = table.find(entry.original);
    EXPECT_EQ(number, table.find(entry.reply));
    return number != kNoFlow;
  }
  Flow& flow_of(const ConntrackEntry& entry) { return table.at(table.find(entry.original)); }
  // "-": unknown to the follower; "carried".
  std::string reason_of(const ConntrackEntry& entry) const {
    if (is_carried(entry)) return "carried";
    const auto at = follower.waiting().find(entry.id);
    return at == follower.waiting().end()
               ? "-"
               : kFlowRefusalTexts[static_cast<std::size_t>(at->second.reason)].name;
  }
  void settle() {
    while (follower.advance()) {
    }
  }
};

TEST_F(Follower, CarriesOnlyAfterTheKernelsAnswer) {
  const ConntrackEntry entry = masqueraded();
  follower.updated(entry, false);
  EXPECT_EQ(reason_of(entry), "asked");
  const auto asked = conntrack.take();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].original, entry.original);
  EXPECT_TRUE(asked[0].liberal) << "Linux does not see the windows move";
  EXPECT_EQ(asked[0].clear_mark, 0u);
  follower.updated(answer_to(entry), true);
  ASSERT_EQ(reason_of(entry), "carried");
  const Flow& flow = flow_of(entry);
  EXPECT_EQ(flow.direction[kOriginal].tuple(), entry.original);
  EXPECT_EQ(flow.direction[kReply].tuple(), entry.reply);
  EXPECT_EQ(FlowIngress::from_bits(flow.direction[kOriginal].ingress), kTunnel);
  EXPECT_EQ(FlowIngress::from_bits(flow.direction[kReply].ingress), kWan);
  EXPECT_EQ(follower.counts().taken_over, 1u);
  EXPECT_TRUE(conntrack.updates.empty());
}

// An entry whose changes cause no event would not be cut when it is deleted.
TEST_F(Follower, NewsOfOthersAreNoAnswer) {
  for (const std::uint8_t protocol : {kTcp, kUdp}) {
    const ConntrackEntry entry = masqueraded(protocol);
    follower.updated(answer_to(entry), false);
    EXPECT_EQ(reason_of(entry), "asked");
    EXPECT_EQ(conntrack.take().size(), 1u);
  }
}

TEST_F(Follower, AnAnswerMustSayAllOfTcp) {
  ConntrackEntry strict = masqueraded();
  follower.updated(strict, true);
  EXPECT_EQ(reason_of(strict), "asked") << "its windows are still checked";
  ConntrackEntry vague = answer_to(masqueraded());
  vague.tcp_state.reset();
  follower.updated(vague, true);
  EXPECT_EQ(reason_of(vague), "asked") << "its state is unknown";
  ConntrackEntry closing = answer_to(masqueraded());
  closing.tcp_state = TCP_CONNTRACK_FIN_WAIT;
  follower.updated(closing, true);
  EXPECT_EQ(reason_of(closing), "not_established");
}

TEST_F(Follower, UdpIsAskedByItsTimeout) {
  const ConntrackEntry entry = masqueraded(kUdp);
  follower.updated(entry, false);
  const auto asked = conntrack.take();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_FALSE(asked[0].liberal);
  EXPECT_EQ(asked[0].timeout, WholeSeconds(120));
  follower.updated(entry, true);
  EXPECT_EQ(reason_of(entry), "carried");
}

struct Refused {
  const char* reason;
  std::function<void(ConntrackEntry&)> change;
};

TEST_F(Follower, GivesAReasonForWhatIsLinuxs) {
  const Refused rows[] = {
      {"-", [](ConntrackEntry& e) { e.mark = 0; }},
      {"-", [](ConntrackEntry& e) { e.mark = 0x3fffffff; }},
      {"zone", [](ConntrackEntry& e) { e.zone = 7; }},
      {"helper", [](ConntrackEntry& e) { e.has_helper = true; }},
      {"sequence_adjusted", [](ConntrackEntry& e) { e.adjusts_sequence = true; }},
      {"offloaded", [](ConntrackEntry& e) { e.status |= IPS_OFFLOAD; }},
      {"not_assured", [](ConntrackEntry& e) { e.status &= ~std::uint32_t{IPS_ASSURED}; }},
      {"not_established", [](ConntrackEntry& e) { e.tcp_state = TCP_CONNTRACK_SYN_RECV; }},
      {"not_established", [](ConntrackEntry& e) { e.tcp_state = TCP_CONNTRACK_TIME_WAIT; }},
      {"no_route", [](ConntrackEntry& e) { e.original.source = ip("10.10.0.9"); }},
      {"no_route", [](ConntrackEntry& e) { e.reply.source = ip("198.51.100.9"); }},
  };
  for (const Refused& row : rows) {
    ConntrackEntry entry = answer_to(masqueraded());
    row.change(entry);
    follower.updated(entry, true);
    EXPECT_EQ(reason_of(entry), row.reason);
    EXPECT_TRUE(conntrack.take().empty()) << "what cannot be carried need not be asked for: " << row.reason;
    follower.destroyed(entry);
    EXPECT_EQ(reason_of(entry), "-");
  }
  for (const FlowRefusal refusal :
       {FlowRefusal::local, FlowRefusal::several_next_hops, FlowRefusal::not_flows}) {
    ways["198.51.100.7"] = {{}, refusal};
    const ConntrackEntry entry = answer_to(masqueraded());
    follower.updated(entry, true);
    EXPECT_EQ(reason_of(entry), kFlowRefusalTexts[static_cast<std::size_t>(refusal)].name);
  }
}

TEST_F(Follower, HandsBackWhatEndsOrCloses) {
  const ConntrackEntry entry = masqueraded();
  carry(entry);
  ConntrackEntry other = entry;
  other.id = 99;
  follower.destroyed(other);
  EXPECT_TRUE(is_carried(entry)) << "that was a former connection with the same addresses and ports";
  follower.destroyed(entry);
  EXPECT_EQ(reason_of(entry), "-");

  carry(entry);
  ConntrackEntry unmarked = entry;
  unmarked.mark = 3;
  unmarked.tcp_state.reset();
  follower.updated(unmarked, false);
  EXPECT_EQ(reason_of(entry), "-");

  carry(entry);
  ConntrackEntry closing = answer_to(entry);
  closing.tcp_state = TCP_CONNTRACK_FIN_WAIT;
  follower.updated(closing, false);
  EXPECT_EQ(reason_of(entry), "not_established");
  EXPECT_EQ(follower.counts().handed_back, 3u);
  EXPECT_EQ(table.size(), 0u);
}

TEST_F(Follower, ANewConnectionWithTheSameTupleReplacesTheOld) {
  const ConntrackEntry entry = masqueraded();
  carry(entry);
  ConntrackEntry again = entry;
  again.id = 7;
  follower.updated(again, false);
  EXPECT_EQ(reason_of(again), "asked");
  follower.updated(answer_to(again), true);
  EXPECT_EQ(follower.carried(table.find(entry.original)).id, 7u);
}

TEST_F(Follower, NewRulesMustMarkAgain) {
  const ConntrackEntry entry = masqueraded();
  carry(entry);
  follower.rules_changed();
  EXPECT_EQ(table.size(), 0u);
  EXPECT_EQ(conntrack.dumps, std::vector<std::uint32_t>{kMark});
  follower.dumped(entry);
  auto updates = conntrack.take();
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].clear_mark, kMark) << "and no other bit";
  EXPECT_FALSE(updates[0].liberal || updates[0].timeout);
  follower.dump_ended();
  ConntrackEntry cleared = answer_to(entry);
  cleared.mark = 3;
  follower.updated(cleared, true);
  EXPECT_EQ(reason_of(entry), "-");
  ConntrackEntry marked = entry;  // by the next packet; such an event has no state
  marked.tcp_state.reset();
  follower.updated(marked, false);
  EXPECT_EQ(reason_of(entry), "asked");
  follower.updated(answer_to(entry), true);
  EXPECT_EQ(reason_of(entry), "carried");
  EXPECT_EQ(follower.counts().rule_changes, 1u);
  EXPECT_EQ(follower.counts().returned_by_rules, 1u);
}

// Rules that change while a dump runs: its rest is learnt from, or cleared, and then it is cleared once more.
TEST_F(Follower, DumpsFollowOneAnother) {
  follower.start();
  follower.rules_changed();
  follower.lost();
  EXPECT_EQ(conntrack.dumps.size(), 1u);
  EXPECT_EQ(follower.counts().read_again, 0u);
  follower.dumped(masqueraded());
  EXPECT_EQ(conntrack.take().at(0).clear_mark, 0u);
  follower.dump_ended();
  EXPECT_EQ(conntrack.dumps.size(), 2u);
  EXPECT_EQ(follower.counts().read_again, 0u) << "this dump had begun before the loss";
  follower.dumped(masqueraded());
  EXPECT_EQ(conntrack.take().at(0).clear_mark, kMark);
  follower.dump_ended();
  EXPECT_EQ(conntrack.dumps.size(), 2u);
  EXPECT_EQ(follower.counts().read_again, 1u);
}

TEST_F(Follower, LostEventsForgetAllAndLearnAgain) {
  const ConntrackEntry entry = masqueraded();
  carry(entry);
  follower.lost();
  EXPECT_EQ(table.size(), 0u) << "its end may be among what is lost";
  EXPECT_EQ(conntrack.dumps.size(), 1u);
  follower.dumped(entry);
  EXPECT_EQ(reason_of(entry), "asked");
  follower.updated(answer_to(entry), true);
  EXPECT_EQ(reason_of(entry), "carried");
}

// ---- `explain packet`

class Search : public Follower {
 protected:
  // "carried" or the reason, then the connection, of each that is named.
  std::vector<std::string> find(const FlowTuple& packet, FlowIngress from = {}) {
    found = find_connections(follower, packet, from, [this](const FlowTuple& tuple) {
      asked = tuple;
      return tracked;
    });
    std::vector<std::string> out;
    for (const PacketConnection& one : found.named)
      out.push_back((one.why_linux.empty() ? "carried" : one.why_linux) + " " + one.words);
    return out;
  }

  std::optional<ConntrackEntry> tracked;  // of connection tracking
  std::optional<FlowTuple> asked;
  PacketConnections found;
};

using Found = std::vector<std::string>;

TEST_F(Search, APacketOfACarriedConnectionInEitherDirection) {
  const ConntrackEntry entry = masqueraded();
  tracked = entry;
  carry(entry);
  const Found carried{"carried tcp 10.10.0.2:40000 -> 198.51.100.7:443"};
  EXPECT_EQ(find(entry.original), carried);
  EXPECT_EQ(asked, entry.original);
  EXPECT_TRUE(found.exact);
  EXPECT_EQ(find(entry.original, kTunnel), carried);
  EXPECT_EQ(find(entry.reply, kWan), carried);
  EXPECT_EQ(found.carried, 1u);
  EXPECT_EQ(find(entry.original, kWan),
            Found{"workers take its packets from where 10.10.0.2 is routed to alone tcp 10.10.0.2:40000 -> "
                  "198.51.100.7:443"});
  EXPECT_EQ(found.with_linux, 1u);
  EXPECT_EQ(found.named[0].remedy, "linegate explain route 10.10.0.2");
}

TEST_F(Search, WhatKeepsAConnectionWithLinux) {
  ConntrackEntry entry = masqueraded();
  EXPECT_EQ(find(entry.original), Found{}) << "connection tracking has none";
  tracked = entry;
  tracked->mark = 0;
  find(entry.original);
  ASSERT_EQ(found.named.size(), 1u) << "without the mark the follower has never heard of it";
  EXPECT_EQ(found.named[0].why_linux, "no rule has set the mark");
  EXPECT_NE(found.named[0].remedy.find("ct mark set"), std::string::npos);
  tracked->mark = kMark;
  tracked->has_helper = true;
  find(entry.original);
  EXPECT_EQ(found.named.at(0).why_linux, "a helper reads its packets");
  tracked = entry;
  find(entry.original);
  EXPECT_EQ(found.named.at(0).why_linux.substr(0, 37), "connection tracking has been asked an")
      << "no event came";
  ways.erase("198.51.100.7");
  follower.updated(entry, false);
  find(entry.original);
  EXPECT_EQ(found.named.at(0).why_linux, "there is no route to one end") << "what the follower has found";
}

TEST_F(Search, AddressesAloneNameSeveral) {
  for (std::uint16_t port = 41000; port < 41004; ++port) carry(masqueraded(kTcp, port));
  ConntrackEntry closing = masqueraded(kTcp, 42000);
  closing.tcp_state = TCP_CONNTRACK_FIN_WAIT;
  follower.updated(closing, false);
  FlowTuple packet = closing.original;
  packet.source_port = packet.destination_port = 0;
  packet.protocol = 0;
  EXPECT_EQ(find(packet).at(0), "the TCP connection opens or closes tcp 10.10.0.2:42000 -> 198.51.100.7:443")
      << "those with Linux first";
  EXPECT_FALSE(asked) << "connection tracking cannot be asked";
  EXPECT_EQ(found.named.size(), 3u);
  EXPECT_EQ(found.carried, 4u);
  EXPECT_EQ(found.with_linux, 1u);
  EXPECT_TRUE(found.complete);
  EXPECT_FALSE(found.exact);
  packet.protocol = kUdp;
  EXPECT_EQ(find(packet), Found{});
  packet.protocol = kTcp;
  packet.source_port = 41001;
  EXPECT_EQ(find(packet), Found{"carried tcp 10.10.0.2:41001 -> 198.51.100.7:443"});
  EXPECT_EQ(find({closing.reply.source, closing.reply.destination, 0, 41002, 0}),
            Found{"carried tcp 10.10.0.2:41002 -> 198.51.100.7:443"})
      << "a reply";
}

TEST_F(Follower, FollowsRoutes) {
  const ConntrackEntry entry = masqueraded();
  carry(entry);
  RoutesChanged elsewhere, there;
  elsewhere.add(IpPrefix{ip("172.16.0.0"), 12});
  there.add(IpPrefix{ip("198.51.100.0"), 24});
  ways["198.51.100.7"] = {{}, FlowRefusal::no_route};
  follower.on_ways_changed(elsewhere);
  settle();
  EXPECT_EQ(reason_of(entry), "carried") << "nobody said that this route has changed";
  follower.on_ways_changed(there);
  settle();
  EXPECT_EQ(reason_of(entry), "no_route");

  ways["198.51.100.7"] = {kLan};
  follower.on_ways_changed(there);
  settle();
  EXPECT_EQ(reason_of(entry), "asked");
  ASSERT_EQ(conntrack.take().size(), 1u);
  follower.updated(answer_to(entry), true);
  ASSERT_EQ(reason_of(entry), "carried");
  EXPECT_EQ(FlowIngress::from_bits(flow_of(entry).direction[kReply].ingress), kLan);

  ways["198.51.100.7"] = {kWan};
  follower.on_ways_changed(RoutesChanged::all());
  settle();
  EXPECT_EQ(FlowIngress::from_bits(flow_of(entry).direction[kReply].ingress), kWan) << "in place";
  EXPECT_EQ(follower.counts().handed_back, 1u);
}

TEST(FollowerSlices, ManyFlowsAreJudgedInSeveralCalls) {
  FlowTable table(20'000, FlowTable::HashKey{1, 2, 3, 4, 5, 6},
                  [](const std::function<void()>& free) { free(); });
  FakeConntrack conntrack;
  FlowIngress wan = kWan;
  FlowFollower follower(
      table, conntrack,
      [&](const IpAddress&) {
        return FlowWay{wan, FlowRefusal::kNone};
      },
      kMark);
  follower.set_now(kNow);
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    ConntrackEntry entry;
    entry.original = {ip("10.10.0.2"), ip("198.51.100.7"), static_cast<std::uint16_t>(i + 1), 53, kUdp};
    entry.reply = entry.original.turned_round();
    entry.id = i;
    entry.mark = kMark;
    entry.timeout = WholeSeconds(120);
    entry.status = IPS_ASSURED;
    follower.updated(entry, true);
  }
  EXPECT_GE(table.size(), 9990u);
  wan = kLan;
  follower.on_ways_changed(RoutesChanged::all());
  unsigned calls = 1;
  while (follower.advance()) ++calls;
  EXPECT_GT(calls, 1u);
  for (FlowNumber number = 0; number < table.end(); ++number) {
    ASSERT_EQ(FlowIngress::from_bits(table.at(number).direction[kOriginal].ingress), kLan) << number;
  }
}

// Those that no route let the workers have, too.
TEST(FollowerSlices, ManyWaitingAreJudgedInSeveralCalls) {
  constexpr std::uint32_t kWaiting = 10'000;
  FlowTable table(20'000, FlowTable::HashKey{1, 2, 3, 4, 5, 6},
                  [](const std::function<void()>& free) { free(); });
  FakeConntrack conntrack;
  FlowWay way{{}, FlowRefusal::no_route};
  FlowFollower follower(
      table, conntrack, [&](const IpAddress&) { return way; }, kMark);
  follower.set_now(kNow);
  for (std::uint32_t i = 0; i < kWaiting; ++i) {
    ConntrackEntry entry;
    entry.original = {ip("10.10.0.2"), ip("198.51.100.7"), static_cast<std::uint16_t>(i + 1), 53, kUdp};
    entry.reply = entry.original.turned_round();
    entry.id = i * 400'000;
    entry.mark = kMark;
    entry.timeout = WholeSeconds(120);
    entry.status = IPS_ASSURED;
    follower.updated(entry, true);
  }
  ASSERT_EQ(follower.waiting().size(), kWaiting);
  way = {kWan};
  follower.on_ways_changed(RoutesChanged::all());
  EXPECT_TRUE(conntrack.updates.empty());
  std::size_t most = 0, all = 0;
  for (bool more = true; more;) {
    more = follower.advance();
    const std::size_t asked = conntrack.take().size();
    most = std::max(most, asked);
    all += asked;
  }
  EXPECT_EQ(all, kWaiting);
  EXPECT_LE(most, kWaiting / 5);
  EXPECT_FALSE(follower.advance());
}

// ---------------------------------------------------------------- timeouts

class Refresh : public Follower {
 protected:
  // Lets the time pass, second by second; a packet comes every `interval` seconds (0: none). Returns when,
  // and with what timeout, connection tracking was told.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pass(const ConntrackEntry& entry,
                                                            std::uint32_t seconds, std::uint32_t interval) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> told;
    for (std::uint32_t i = 1; i <= seconds; ++i) {
      follower.set_now(now += WholeSeconds(1));
      if (interval != 0 && i % interval == 0) flow_of(entry).direction[kReply].note_carried(100, now);
      follower.refresh();
      for (const ConntrackUpdate& update : conntrack.take()) {
        EXPECT_EQ(update.original, entry.original);
        EXPECT_FALSE(update.liberal);
        told.emplace_back(i, update.timeout.value_or(WholeSeconds(0)).count());
      }
    }
    return told;
  }
  BootSeconds now = kNow;
};

TEST_F(Refresh, ABusyUdpFlowIsRefreshedAtHalfItsTimeout) {
  const ConntrackEntry entry = masqueraded(kUdp);
  carry(entry);
  const auto told = pass(entry, 200, 1);
  ASSERT_EQ(told.size(), 3u);
  for (std::size_t i = 0; i < told.size(); ++i) {
    EXPECT_EQ(told[i].first, 60 * (i + 1));
    EXPECT_EQ(told[i].second, 120u);
  }
  EXPECT_EQ(follower.counts().refreshed, 3u);
}

TEST_F(Refresh, ASilentFlowExpiresWhenLinuxWouldDropIt) {
  const ConntrackEntry entry = masqueraded(kUdp);
  carry(entry);
  EXPECT_TRUE(pass(entry, 119, 0).empty());
}

// 100 seconds apart: each packet is told of before the entry would expire, with what is left from then.
TEST_F(Refresh, RarePacketsKeepAFlowAlive) {
  const ConntrackEntry entry = masqueraded(kUdp);
  carry(entry);
  std::uint32_t expiry = 120;
  const auto told = pass(entry, 1000, 100);
  for (const auto& [second, timeout] : told) {
    EXPECT_LT(second, expiry) << "it has expired meanwhile";
    expiry = second + timeout;
    EXPECT_EQ(expiry % 100, 20u) << "120 seconds after a packet";
  }
  EXPECT_GE(expiry, 1000u);
}

TEST_F(Refresh, TcpIsToldOnceInAnHour) {
  const ConntrackEntry entry = masqueraded();
  carry(entry);
  const auto told = pass(entry, 7300, 7);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].first, 3600u);
}

// Learnt after a restart, ten seconds before Linux would drop it.
TEST_F(Refresh, AnEntryWithLittleTimeLeftIsRefreshedInTime) {
  ConntrackEntry entry = masqueraded(kUdp);
  entry.timeout = WholeSeconds(10);
  carry(entry);
  const auto told = pass(entry, 30, 1);
  ASSERT_GE(told.size(), 1u);
  EXPECT_LT(told[0].first, 10u);
  EXPECT_EQ(told[0].second, 120u);
}

TEST_F(Refresh, PacketsAreCountedBeyondThirtyTwoBits) {
  const ConntrackEntry entry = masqueraded(kUdp);
  carry(entry);
  auto& packets = flow_of(entry).direction[kOriginal].packets;
  const FlowNumber number = table.find(entry.original);
  for (const std::uint32_t count : {0xf0000000u, 0x10000000u}) {
    packets = count;
    pass(entry, 60, 0);
  }
  EXPECT_EQ(follower.carried(number).packets[kOriginal], 0x110000000u);
  packets = 0x10000005u;
  EXPECT_EQ(follower.carried(number).packets[kOriginal], 0x110000005u) << "without waiting";
}

TEST_F(Follower, AFullTableLeavesTheRestToLinux) {
  for (std::uint16_t port = 1; port <= 150; ++port) {
    const ConntrackEntry entry = masqueraded(kUdp, port);
    follower.updated(entry, false);
    follower.updated(entry, true);
  }
  EXPECT_EQ(table.size(), 100u);
  EXPECT_EQ(reason_of(masqueraded(kUdp, 150)), "table_full");
  EXPECT_GE(follower.counts().refused_full, 50u);
  follower.destroyed(masqueraded(kUdp, 1));
  follower.updated(masqueraded(kUdp, 150), true);
  EXPECT_EQ(reason_of(masqueraded(kUdp, 150)), "carried");
}

// ---------------------------------------------------------------- show flows

struct Listed {
  FlowsStatus counts;
  std::vector<FlowStatus> flows;
};
Listed list_of(const FlowFollower& follower, const FlowQuery& query) {
  FlowList list({[&follower] { return &follower; }, [] { return kNow + WholeSeconds(10); }}, query, {});
  while (list.read(std::chrono::steady_clock::now())) {
  }
  Listed listed{list.totals(), {}};
  while (auto flow = list.next()) listed.flows.push_back(*std::move(flow));
  return listed;
}

TEST_F(Follower, ListsTheLargestFirstAndReasonsLast) {
  for (const std::uint16_t port : std::vector<std::uint16_t>{1, 2, 3}) {
    carry(masqueraded(kUdp, port));
    flow_of(masqueraded(kUdp, port))
        .direction[kReply]
        .note_carried(static_cast<std::uint16_t>(100 * port), kNow + WholeSeconds(5));
  }
  ConntrackEntry other = masqueraded(kTcp, 9);
  other.original.source = ip("192.168.1.5");
  other.has_helper = true;
  follower.updated(other, false);

  const Listed all = list_of(follower, {});
  ASSERT_EQ(all.flows.size(), 4u);
  EXPECT_EQ(all.counts.carried, 3u);
  EXPECT_EQ(all.counts.with_linux, 1u);
  const FlowStatus& first = all.flows[0];
  EXPECT_EQ(first.protocol + " " + first.source + " " + first.destination,
            "udp 10.10.0.2:3 198.51.100.7:443");
  EXPECT_EQ(first.leaves_from + " " + first.leaves_to, "203.0.113.2:3 198.51.100.7:443");
  EXPECT_TRUE(first.carried);
  EXPECT_EQ(first.bytes.first, 0u);
  EXPECT_EQ(first.bytes.second, 300u);
  EXPECT_EQ(first.packets.second, 1u);
  EXPECT_EQ(first.age, std::chrono::seconds(10));
  EXPECT_EQ(first.idle, std::chrono::seconds(5));
  EXPECT_FALSE(all.flows[3].carried);
  EXPECT_EQ(all.flows[3].reason, "helper");
  for (const NamedCount& reason : all.counts.reasons)
    EXPECT_EQ(reason.count, reason.name == "helper" ? 1u : 0u) << reason.name;

  EXPECT_EQ(list_of(follower, {"", 2}).flows.size(), 2u);
  const Listed by_address = list_of(follower, {"192.168.1.5", 0});
  ASSERT_EQ(by_address.flows.size(), 1u);
  EXPECT_EQ(by_address.flows[0].reason, "helper");
  EXPECT_TRUE(list_of(follower, {"everything", 0}).flows.empty());
}

// A reader may be slow, and the configuration may take flows away.
TEST_F(Follower, AListOutlivesWhatItLists) {
  for (const std::uint16_t port : std::vector<std::uint16_t>{1, 2, 3}) carry(masqueraded(kUdp, port));
  const FlowFollower* there = &follower;
  FlowList list({[&there] { return there; }, [] { return kNow; }}, {}, {});
  while (list.read(std::chrono::steady_clock::now())) {
  }
  EXPECT_TRUE(list.next());
  follower.destroyed(masqueraded(kUdp, 1));
  follower.destroyed(masqueraded(kUdp, 2));
  follower.destroyed(masqueraded(kUdp, 3));
  EXPECT_FALSE(list.next()) << "they have ended";
  there = nullptr;
  EXPECT_FALSE(list.next());
  FlowList late({[] { return nullptr; }, [] { return kNow; }}, {}, {});
  EXPECT_FALSE(late.read(std::chrono::steady_clock::now()));
  EXPECT_FALSE(late.next());
}

}  // namespace
}  // namespace wg::control
