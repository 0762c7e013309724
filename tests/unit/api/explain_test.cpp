#include "control/api/explain.h"

#include <gtest/gtest.h>

#include "control/api/explain_route.h"
#include "control/api/format.h"
#include "control/noise/engine.h"
#include "tests/unit/api/fake_gateway.h"

namespace wg::control::test {
namespace {

using namespace std::chrono_literals;
using Kind = PeerEventKind;

const WallTime kNow{std::chrono::seconds{1'700'000'000}};

PeerFacts alice() {
  PeerFacts facts;
  facts.peer.interface = "wg0";
  facts.peer.name = "alice";
  facts.peer.public_key = key_of(1);
  facts.peer.endpoint = config::parse_endpoint("192.0.2.7:51820").value();
  facts.next_hop = "10.0.0.1 via wan0";
  return facts;
}

PeerEvent event(Kind kind, std::chrono::seconds ago, const std::string& from = "192.0.2.7:51820") {
  PeerEvent made;
  made.kind = kind;
  made.at = kNow - ago;
  made.from = from;
  return made;
}

TEST(Explain, SilenceIsNotAFault) {
  const auto out = explain(alice(), kNow);
  EXPECT_FALSE(out.up);
  EXPECT_NE(out.verdict.find("neither side has tried"), std::string::npos) << out.verdict;
  EXPECT_TRUE(out.reasons.empty());
}

TEST(Explain, StaleTimestampIsNamedWithItsFigure) {
  auto facts = alice();
  facts.events = {event(Kind::kInitiationReceived, 20s), event(Kind::kTimestampNotNewer, 10s)};
  facts.events[1].by = 3200ms;
  const auto out = explain(facts, kNow);
  EXPECT_EQ(out.verdict,
            "alice is not up: initiation refused from 192.0.2.7:51820: its timestamp is not newer by 3.2 s, "
            "10s ago.");
  EXPECT_NE(out.advice.at(0).find("clock"), std::string::npos);
  EXPECT_EQ(out.history.size(), 2U);
}

TEST(Explain, TheMoreDecisiveReasonComesFirst) {
  auto facts = alice();
  facts.events = {event(Kind::kResponseRefused, 30s), event(Kind::kInitiationSent, 5s),
                  event(Kind::kGaveUp, 2s)};
  facts.events[0].detail = "response does not authenticate: wrong preshared key, or forged";
  const auto out = explain(facts, kNow);
  ASSERT_EQ(out.reasons.size(), 1U) << "the peer has answered: that it gave up and might be off is not so";
  EXPECT_NE(out.reasons[0].find("preshared key"), std::string::npos);
  facts.events = {event(Kind::kCookieReceived, 30s), event(Kind::kInitiationSent, 5s),
                  event(Kind::kGaveUp, 2s)};
  const auto loaded = explain(facts, kNow);
  ASSERT_EQ(loaded.reasons.size(), 2U);
  EXPECT_NE(loaded.reasons[0].find("under load"), std::string::npos);
  EXPECT_NE(loaded.reasons[1].find("given up"), std::string::npos);
}

PeerEvent times(PeerEvent event, std::uint32_t count) {
  event.count = count;
  return event;
}

TEST(Explain, NoAnswerIsCounted) {
  auto facts = alice();
  facts.events = {times(event(Kind::kInitiationSent, 3s), 10)};
  facts.events[0].number = 10;
  const auto out = explain(facts, kNow);
  EXPECT_EQ(out.verdict,
            "alice is not up: no answer to our initiations to 192.0.2.7:51820, 10 times, 3s ago.");
  ASSERT_EQ(out.advice.size(), 1U);
  EXPECT_NE(out.advice[0].find("wrong address or port"), std::string::npos);
}

// The usual road warrior with another preshared key: it starts, and cannot open what we answer.
TEST(Explain, ResponsesThatLeadToNothing) {
  auto facts = alice();
  facts.events = {times(event(Kind::kInitiationReceived, 2s), 3), times(event(Kind::kResponseSent, 2s), 3)};
  const auto out = explain(facts, kNow);
  EXPECT_EQ(out.verdict,
            "alice is not up: our responses lead to no session to 192.0.2.7:51820, 3 times, 2s ago.");
  ASSERT_EQ(out.advice.size(), 1U);
  EXPECT_NE(out.advice[0].find("preshared keys"), std::string::npos);
  facts.events.push_back(event(Kind::kSessionUp, 1s));
  EXPECT_TRUE(explain(facts, kNow).reasons.empty()) << "the session came";
  facts.events = {event(Kind::kInitiationReceived, 1s), event(Kind::kResponseSent, 1s)};
  EXPECT_TRUE(explain(facts, kNow).reasons.empty()) << "one response may be on its way";
}

TEST(Explain, TheWayToThePeerIsBlocked) {
  auto facts = alice();
  facts.events = {times(event(Kind::kInitiationSent, 12s), 3), times(event(Kind::kInitiationReceived, 2s), 3),
                  times(event(Kind::kResponseSent, 2s), 3)};
  const auto out = explain(facts, kNow);
  ASSERT_EQ(out.reasons.size(), 1U) << "and not that the peer might be off";
  EXPECT_NE(out.verdict.find("the peer reaches us, but our packets do not reach it"), std::string::npos)
      << out.verdict;
  EXPECT_NE(out.advice.at(0).find("firewall"), std::string::npos);
  facts.events.insert(facts.events.begin(), event(Kind::kResponseRefused, 20s));
  EXPECT_NE(explain(facts, kNow).verdict.find("response refused"), std::string::npos)
      << "its answers do arrive";
}

TEST(Explain, WithoutARouteNothingElseMatters) {
  auto facts = alice();
  facts.next_hop_resolved = false;
  facts.next_hop = "";
  facts.events = {times(event(Kind::kInitiationSent, 1s), 6), event(Kind::kGaveUp, 1s)};
  const auto out = explain(facts, kNow);
  EXPECT_EQ(out.reasons,
            (std::vector<std::string>{"the next hop towards the endpoint does not resolve: no route"}));
}

TEST(Explain, UpWithRefusedHandshakes) {
  auto facts = alice();
  facts.peer.session_age = 60s;
  facts.peer.last_handshake = kNow - 60s;
  facts.peer.last_received = kNow - 5s;
  facts.events = {event(Kind::kTimestampNotNewer, 100s), event(Kind::kTimestampNotNewer, 3s)};
  const auto out = explain(facts, kNow);
  EXPECT_TRUE(out.up);
  EXPECT_NE(out.verdict.find("But not everything is well:"), std::string::npos);
  ASSERT_EQ(out.reasons.size(), 1U);
  EXPECT_NE(out.advice.at(0).find("newest handshakes are refused"), std::string::npos);
  facts.events.pop_back();
  EXPECT_TRUE(explain(facts, kNow).reasons.empty()) << "older than the session";
}

TEST(Explain, OneKeyOnTwoDevices) {
  auto facts = alice();
  facts.peer.session_age = 5s;
  facts.peer.last_handshake = kNow - 5s;
  facts.events = {event(Kind::kRoamed, 4s, "198.51.100.9:4000"), event(Kind::kRoamed, 3s, "192.0.2.7:51820"),
                  event(Kind::kRoamed, 2s, "198.51.100.9:4000")};
  const auto out = explain(facts, kNow);
  ASSERT_EQ(out.reasons.size(), 1U);
  EXPECT_EQ(out.reasons[0],
            "two devices use this key at the same time: 192.0.2.7:51820 and 198.51.100.9:4000, 2s ago");
  facts.events[2].from = "203.0.113.1:4000";
  EXPECT_TRUE(explain(facts, kNow).reasons.empty()) << "it only moves on";
}

TEST(Explain, IcmpSaysWhoAnsweredAndWhat) {
  auto facts = alice();
  facts.events = {event(Kind::kInitiationSent, 6s), event(Kind::kIcmpPortUnreachable, 5s),
                  event(Kind::kInitiationSent, 1s)};
  facts.events[1].detail = "sent by 192.0.2.7";
  facts.events[1].count = 3;
  const auto out = explain(facts, kNow);
  EXPECT_EQ(out.verdict,
            "alice is not up: ICMP says port unreachable for our packets to 192.0.2.7:51820: sent by "
            "192.0.2.7, 3 times, 5s ago.");
  EXPECT_EQ(out.reasons.size(), 1U) << "that there is no answer is said by it";
  EXPECT_NE(out.advice.at(0).find("nothing listens on that UDP port"), std::string::npos);
  facts.events[1].at = kNow - 60s;
  facts.events.insert(facts.events.begin(), event(Kind::kSessionUp, 30s));
  const auto old = explain(facts, kNow);
  EXPECT_NE(old.verdict.find("no answer to our initiations"), std::string::npos)
      << "what was before the last session is history";
}

TEST(Explain, IcmpOfPacketsThatAreTooBigIsToldWhileThePeerIsUp) {
  auto facts = alice();
  facts.peer.session_age = 20s;
  facts.peer.last_handshake = kNow - 20s;
  facts.peer.last_received = kNow - 1s;
  facts.events = {event(Kind::kIcmpTooBig, 5s)};
  facts.events[0].detail = "sent by 203.0.113.9, whose next link has MTU 1280";
  const auto out = explain(facts, kNow);
  EXPECT_TRUE(out.up);
  ASSERT_EQ(out.reasons.size(), 1U);
  EXPECT_EQ(out.reasons[0],
            "ICMP says too big for our packets to 192.0.2.7:51820: sent by 203.0.113.9, whose next link has "
            "MTU 1280, 5s ago");
  EXPECT_NE(out.advice.at(0).find("lower the peer's `mtu`"), std::string::npos);
}

TEST(Explain, OurClockIsNamedWhenItMatters) {
  auto facts = alice();
  facts.clock_synchronised = false;
  facts.events = {event(Kind::kInitiationSent, 1s)};
  EXPECT_EQ(explain(facts, kNow).advice.size(), 1U);
  facts.events = {event(Kind::kTimestampNotNewer, 1s)};
  EXPECT_NE(explain(facts, kNow).advice.back().find("not synchronised"), std::string::npos);
}

TEST(Explain, AddressesStandBesideWhatCameFromThem) {
  EXPECT_EQ(describe(event(Kind::kBadMac1, 0s)),
            "handshake with a wrong mac1 from 192.0.2.7:51820: its sender has another public key for us");
  EXPECT_EQ(describe(event(Kind::kInitiationSent, 0s)), "handshake initiation sent to 192.0.2.7:51820");
}

struct RouteRow {
  const char* name;
  RouteFacts facts;
  bool ok;
  const char* verdict;
};

RouteFacts route_to_peer() {
  RouteFacts facts;
  facts.address = "192.168.2.7";
  facts.routed = facts.interface = facts.interface_up = facts.peer_active = true;
  facts.prefix = "192.168.2.0/24";
  facts.link = facts.peer_interface = "wg0";
  facts.peer = "branch";
  facts.peer_prefix = "192.168.2.0/24";
  return facts;
}

template <class Change>
RouteFacts but(Change change) {
  RouteFacts facts = route_to_peer();
  change(facts);
  return facts;
}

TEST(ExplainRoute, EachWay) {
  const RouteRow rows[] = {
      {"to a peer", route_to_peer(), true,
       "192.168.2.7 goes to peer branch (allowed IP 192.168.2.0/24) through wg0."},
      {"no session", but([](RouteFacts& f) { f.peer_active = false; }), false,
       "192.168.2.7 goes to peer branch (allowed IP 192.168.2.0/24) through wg0; the peer has no session."},
      {"interface down", but([](RouteFacts& f) { f.interface_up = false; }), false,
       "192.168.2.7 goes to peer branch (allowed IP 192.168.2.0/24) through wg0, which is down."},
      {"no peer's", but([](RouteFacts& f) { f.peer.clear(); }), false,
       "route 192.168.2.0/24 leads 192.168.2.7 into wg0, but no peer has it in its allowed IPs: packets are "
       "dropped "
       "(no_peer)."},
      {"another interface's", but([](RouteFacts& f) { f.peer_interface = "wg1"; }), false,
       "route 192.168.2.0/24 leads 192.168.2.7 into wg0, but peer branch of wg1 has it in its allowed IPs "
       "(192.168.2.0/24): packets are dropped (no_peer)."},
      {"in clear", but([](RouteFacts& f) {
         f.interface = false;
         f.port = true;
         f.link = "wan0";
         f.prefix = "0.0.0.0/0";
         f.gateway = "203.0.113.1";
       }),
       false,
       "192.168.2.7 leaves by port wan0 by next hop 203.0.113.1 (route 0.0.0.0/0), outside the tunnel and in "
       "clear, "
       "although peer branch of wg0 has it in its allowed IPs (192.168.2.0/24)."},
      {"a LAN host", but([](RouteFacts& f) {
         f.peer.clear();
         f.interface = false;
         f.port = true;
         f.link = "lan0";
       }),
       true, "192.168.2.7 leaves by port lan0 on the link (route 192.168.2.0/24)."},
      {"a LAN host beside a full tunnel", but([](RouteFacts& f) {
         f.peer_prefix = "0.0.0.0/0";
         f.interface = false;
         f.port = true;
         f.link = "lan0";
       }),
       true,
       "192.168.2.7 leaves by port lan0 on the link (route 192.168.2.0/24); the route is longer than "
       "0.0.0.0/0 "
       "of peer branch (wg0), which has everything else in it."},
      {"a route of the peer's own length", but([](RouteFacts& f) {
         f.interface = false;
         f.port = true;
         f.link = "lan0";
       }),
       false,
       "192.168.2.7 leaves by port lan0 on the link (route 192.168.2.0/24), outside the tunnel and in clear, "
       "although peer branch of wg0 has it in its allowed IPs (192.168.2.0/24)."},
      {"by Linux", but([](RouteFacts& f) {
         f.peer.clear();
         f.interface = false;
         f.link = "eth0";
       }),
       true,
       "192.168.2.7 leaves by eth0 on the link (route 192.168.2.0/24), which is no port of Linegate: Linux "
       "forwards it."},
      {"no route", but([](RouteFacts& f) { f.routed = false; }), false,
       "there is no route to 192.168.2.7, although peer branch of wg0 has it in its allowed IPs "
       "(192.168.2.0/24)."},
      {"refused", but([](RouteFacts& f) {
         f.routed = false;
         f.refusal = "unreachable";
         f.peer.clear();
       }),
       false, "packets to 192.168.2.7 are refused: route 192.168.2.0/24 is unreachable."},
      {"our own", but([](RouteFacts& f) { f.local = true; }), true,
       "192.168.2.7 is an address of this machine (wg0)."}};
  for (const auto& row : rows) {
    const auto out = explain_route(row.facts);
    EXPECT_EQ(out.ok, row.ok) << row.name;
    EXPECT_EQ(out.verdict, row.verdict) << row.name;
    EXPECT_TRUE(out.ok || !out.advice.empty() || row.facts.refusal.size() > 1) << row.name;
  }
}

TEST(Explain, WhatHappenedBeforeTheLastSuccessIsHistoryOnly) {
  auto facts = alice();
  facts.events = {event(Kind::kTimestampNotNewer, 100s), event(Kind::kSessionUp, 90s),
                  event(Kind::kExpired, 1s)};
  const auto out = explain(facts, kNow);
  ASSERT_EQ(out.reasons.size(), 1U);
  EXPECT_NE(out.reasons[0].find("keys wiped"), std::string::npos);
  EXPECT_EQ(out.history.size(), 3U);
}

TEST(Explain, NamelessMessagesCountWhenTheyComeFromWhereThePeerIs) {
  auto facts = alice();
  facts.unattributed = {event(Kind::kBadMac1, 4s, "203.0.113.99:1"),
                        event(Kind::kUnknownKey, 3s, "192.0.2.7:9999")};
  facts.unattributed[1].claimed_key = "KEY=";
  const auto out = explain(facts, kNow);
  ASSERT_EQ(out.reasons.size(), 1U);
  EXPECT_NE(out.reasons[0].find("not configured (KEY=) from 192.0.2.7:9999"), std::string::npos)
      << out.reasons[0];
  facts.peer.endpoint.reset();  // could be anywhere now
  const auto anywhere = explain(facts, kNow);
  EXPECT_EQ(anywhere.reasons.size(), 3U);  // both messages, and no endpoint
}

TEST(Explain, StandingFactsNeedNoEvent) {
  auto facts = alice();
  facts.interface_up = false;
  facts.next_hop_resolved = false;
  facts.next_hop = "";
  auto out = explain(facts, kNow);
  EXPECT_EQ(out.verdict, "alice is not up: the interface is down.");
  EXPECT_EQ(out.reasons.at(1), "the next hop towards the endpoint does not resolve: no route");
  facts = alice();
  facts.peer.endpoint.reset();
  EXPECT_NE(explain(facts, kNow).verdict.find("the endpoint is unknown"), std::string::npos);
  facts.peer.configured_endpoint = "vpn.example.net:51820";
  EXPECT_NE(explain(facts, kNow).verdict.find("does not resolve"), std::string::npos);
  facts = alice();
  facts.interface_has_private_key = false;
  EXPECT_NE(explain(facts, kNow).verdict.find("no private key"), std::string::npos);
}

TEST(Explain, UpButRefusedPacketsNameSourceAndOwner) {
  auto facts = alice();
  facts.peer.session_age = 12s;
  facts.peer.last_handshake = kNow - 12s;
  facts.peer.last_received = kNow - 2s;
  auto out = explain(facts, kNow);
  EXPECT_TRUE(out.up);
  EXPECT_EQ(out.verdict, "alice is up: session 12s old, last packet received 2s ago.");
  auto refused = event(Kind::kDisallowedSource, 1s, "");
  refused.source = "10.0.0.9";
  refused.owner = "bob";
  refused.count = 7;
  facts.events = {refused};
  out = explain(facts, kNow);
  EXPECT_TRUE(out.up);
  EXPECT_EQ(
      out.reasons.at(0),
      "packet refused: its inner source is not allowed (source 10.0.0.9, which belongs to bob), 7 times, "
      "1s ago");
  refused.owner = "";
  EXPECT_NE(describe(refused).find("in no peer's allowed_ips"), std::string::npos);
}

TEST(Explain, EveryKindHasAStableNameAndWords) {
  std::set<std::string_view> names;
  for (unsigned i = 0; i <= static_cast<unsigned>(Kind::kTwoDevices); ++i) {
    PeerEvent some;
    some.kind = static_cast<Kind>(i);
    EXPECT_TRUE(names.insert(name_of(some.kind)).second);
    EXPECT_FALSE(describe(some).empty());
  }
}

TEST(Explain, TheEnginesEventsAreTranslated) {
  noise::PeerEvent theirs;
  theirs.kind = noise::PeerEventKind::kTimestampNotNewer;
  theirs.detail = 3'200'000'000;
  theirs.count = 2;
  theirs.remote.address.bytes = {192, 0, 2, 7};
  theirs.remote.port = dataplane::UdpPort{51820};
  const auto ours = event_of(theirs, kNow);
  EXPECT_EQ(ours.kind, Kind::kTimestampNotNewer);
  EXPECT_EQ(ours.by, 3200ms);
  EXPECT_EQ(ours.from, "192.0.2.7:51820");
  EXPECT_EQ(ours.count, 2U);
  theirs.kind = noise::PeerEventKind::kResponseRefused;
  theirs.detail = static_cast<std::int64_t>(noise::Outcome::kBadResponse);
  EXPECT_NE(event_of(theirs, kNow).detail.find("preshared key"), std::string::npos);
  noise::RefusedMessage refusal;
  refusal.outcome = noise::Outcome::kUnknownPeer;
  refusal.claimed.fill(5);
  EXPECT_EQ(event_of(refusal, kNow).claimed_key, config::to_string(key_of(5)));
  EXPECT_EQ(event_of(refusal, kNow).kind, Kind::kUnknownKey);
}

TEST(Explain, TextHasItsSections) {
  Explanation explanation;
  explanation.verdict = "alice is not up: x.";
  explanation.reasons = {"x"};
  explanation.history = {"then"};
  EXPECT_EQ(to_text(explanation),
            "alice is not up: x.\n\nreasons, the most decisive first:\n  x\n\nwhat happened:\n  then\n");
}

TEST(Format, Units) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1536), "1.50 KiB");
  EXPECT_EQ(format_bytes(5'368'709'120), "5.00 GiB");
  EXPECT_EQ(format_bytes(UINT64_MAX), "16.00 EiB");
  EXPECT_EQ(format_duration(3200ms), "3.2 s");
  EXPECT_EQ(format_duration(-250ms), "-250 ms");
  EXPECT_EQ(format_duration(125s), "2m5s");
  EXPECT_EQ(format_duration(90061s), "1d1h");
  EXPECT_EQ(format_ago(std::nullopt, kNow), "never");
  EXPECT_EQ(format_ago(kNow, kNow), "now");
  EXPECT_EQ(format_ago(kNow - 1s, kNow), "1s ago");
  EXPECT_EQ(format_ago(kNow + 5s, kNow), "in the future (clock went back)");
  EXPECT_EQ(format_time(kNow + 7ms), "2023-11-14T22:13:20.007Z");
  EXPECT_EQ(format_share(0.125), "12.5 %");
  EXPECT_EQ(format_duration(89s), "1m29s");
  EXPECT_EQ(format_duration(3600s), "1h");
  EXPECT_EQ(format_age(kNow - 11'100s, kNow), "3h5m");
  EXPECT_EQ(format_age(kNow + 1s, kNow), "future");
}

TEST(Format, FiguresOfTablesHaveThreeDigits) {
  EXPECT_EQ(format_size(92), "92 B");
  EXPECT_EQ(format_size(15'360), "15.0 KiB");
  EXPECT_EQ(format_size(1'048'000), "1023 KiB");
  EXPECT_EQ(format_size(UINT64_MAX), "16.0 EiB");
  EXPECT_EQ(format_count(9'999'999), "9999999");
  EXPECT_EQ(format_count(12'345'678), "12.3M");
  EXPECT_EQ(format_si(0), "0");
  EXPECT_EQ(format_si(999.6), "1k");
  EXPECT_EQ(format_si(12'345), "12.3k");
  EXPECT_EQ(format_si(1e10), "10G");
}

}  // namespace
}  // namespace wg::control::test
