#include "control/api/explain.h"

#include <gtest/gtest.h>

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
  facts.peer.endpoint = config::parse_endpoint("192.0.2.7:51820").endpoint;
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
            "alice is not up: initiation refused: its timestamp is not newer by 3.2 s from 192.0.2.7:51820, "
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
  ASSERT_EQ(out.reasons.size(), 3U);
  EXPECT_NE(out.reasons[0].find("preshared key"), std::string::npos);
  EXPECT_NE(out.reasons[1].find("given up"), std::string::npos);
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
  EXPECT_NE(describe(refused).find("in nobody's allowed_ips"), std::string::npos);
}

TEST(Explain, EveryKindHasAStableNameAndWords) {
  std::set<std::string_view> names;
  for (unsigned i = 0; i <= static_cast<unsigned>(Kind::kClockBehind); ++i) {
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
  theirs.remote.port = 51820;
  const auto ours = event_of(theirs, kNow);
  EXPECT_EQ(ours.kind, Kind::kTimestampNotNewer);
  EXPECT_EQ(ours.by, 3200ms);
  EXPECT_EQ(ours.from, "192.0.2.7:51820");
  EXPECT_EQ(ours.count, 2U);
  theirs.kind = noise::PeerEventKind::kResponseRefused;
  theirs.detail = static_cast<std::int64_t>(noise::Outcome::kBadResponse);
  EXPECT_NE(event_of(theirs, kNow).detail.find("preshared key"), std::string::npos);
  noise::Refusal refusal;
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
