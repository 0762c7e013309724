// What packets of people without a key can make the protocol engine do: the rows of docs/security.md that
// name unit_noise.
#include "tests/budget/table.h"

#include <cstring>

#include "control/noise/ratelimiter.h"
#include "control/staging.h"
#include "fake_host.h"

namespace wg::noise::test {
namespace {

using wg::test::Measured;

constexpr EngineOptions kNeverUnderLoad{.under_load_at = 1'000'000, .wasted_at = 1'000'000'000};

// An initiation with a right mac1 from an unknown peer.
Buffer spoofed(const Side& to, std::uint32_t number) {
  InitiationMessage message{};
  Buffer out(sizeof message, 0);
  out[0] = kInitiation;
  std::memcpy(out.data() + 4, &number, sizeof number);
  out[8] = 9;  // an ephemeral of full order
  repair_mac1(out, to.engine.public_key());
  return out;
}

Measured mac1_checks() {
  TwoEngines t;
  Buffer junk = spoofed(t.b, 1);
  junk[60] ^= 1;
  for (int i = 0; i < 120'000; ++i) t.b.engine.queue_handshake(junk, endpoint(9, 9), t.b_at, t.now);
  return {t.b.engine.counters().of(Outcome::kBadMac1), t.b.engine.counters().of(Outcome::kHashBudget)};
}

Measured cookie_replies() {
  TwoEngines t;
  const Buffer message = spoofed(t.b, 1);
  for (int i = 0; i < 130; ++i) {
    for (int k = 0; k < 1000; ++k) t.b.engine.queue_handshake(message, endpoint(9, 9), t.b_at, t.now);
    t.b.engine.process_queued(1000, t.now);
    t.b.host.sent.clear();
  }
  return {t.b.engine.counters().sent(kCookieReply), t.b.engine.counters().of(Outcome::kHashBudget)};
}

Measured wasted_secrets() {
  TwoEngines t(kNeverUnderLoad);
  for (std::uint32_t i = 0; i < 2000; ++i)
    t.b.engine.on_handshake(spoofed(t.b, i), endpoint(9, 9), t.b_at, t.now);
  return {t.b.engine.counters().of(Outcome::kBadInitiation),
          t.b.engine.counters().of(Outcome::kSecretBudget)};
}

Measured without_cookie() {
  TwoEngines t;
  for (std::uint32_t i = 0; i < 2000; ++i)
    t.b.engine.on_handshake(spoofed(t.b, i), endpoint(9, 9), t.b_at, t.now);
  return {t.b.engine.counters().of(Outcome::kBadInitiation),
          t.b.engine.counters().of(Outcome::kCookieReplySent)};
}

Measured forged_responses() {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  const Buffer initiation = t.a.host.sent.back().bytes;
  for (std::uint8_t i = 0; i < 200; ++i) {
    Buffer response(sizeof(ResponseMessage), i);
    response[0] = kResponse;
    response[1] = response[2] = response[3] = 0;
    std::memcpy(response.data() + 8, initiation.data() + 4, 4);
    response[12] = 9;
    repair_mac1(response, t.a.engine.public_key());
    t.a.engine.on_handshake(response, endpoint(66, 6), t.a_at, t.now);
  }
  return {t.a.engine.counters().of(Outcome::kBadResponse),
          t.a.engine.counters().of(Outcome::kResponseNeedsCookie)};
}

// An attacker relays a peer's packets, each from another port.
Measured endpoint_moves() {
  TwoEngines t;
  t.handshake();
  const int before = t.b.host.endpoint_changes;
  std::uint64_t withheld = 0;
  for (std::uint16_t i = 0; i < 1000; ++i) {
    t.pass(kMs);
    const Endpoint there = endpoint(7, static_cast<std::uint16_t>(1000 + i));
    withheld += t.b.engine.on_roamed(t.at_b->ref(), there, t.b_at, t.now) ? 0 : 1;
  }
  return {static_cast<std::uint64_t>(t.b.host.endpoint_changes - before), withheld};
}

Measured stray_initiations() {
  TwoEngines t;
  std::uint64_t refused = 0;
  for (int i = 0; i < 5000; ++i) {
    refused += t.a.engine.on_stray(*t.at_a, t.now) ? 0 : 1;
    t.pass(kMs);
  }
  return {t.a.engine.counters().sent(kInitiation), refused};
}

Measured limited_sources() {
  SeededRandom random(1);
  RateLimiter limiter(random);
  std::uint64_t refused = 0;
  for (std::uint32_t i = 0; i < 80'000; ++i) {
    const std::uint8_t address[] = {10, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                                    static_cast<std::uint8_t>(i)};
    refused += limiter.allow(IpAddress::from_v4(address), BootTime(1000 * kSec)) ? 0 : 1;
  }
  return {limiter.sources(), refused};
}

Measured queued_handshakes() {
  TwoEngines t;
  const Buffer message = spoofed(t.b, 1);
  for (int i = 0; i < 6000; ++i) t.b.engine.queue_handshake(message, endpoint(9, 9), t.b_at, t.now);
  return {t.b.engine.queued(), t.b.engine.counters().of(Outcome::kQueueFull)};
}

// A host of the LAN sends to peers that do not answer.
Measured staged_bytes() {
  dataplane::DropCounters drops;
  control::Staging staging(drops);
  for (std::uint32_t i = 0; i < 100'000; ++i) staging.push(i % 2000, control::Staging::Packet(1400));
  return {staging.bytes(), drops.get(dataplane::DropReason::staged_dropped)};
}

TEST(Budget, EveryRowOfTheEngineIsMeasured) {
  wg::test::check_budget(std::string(LINEGATE_SOURCE_DIR) + "/docs/security.md", "unit_noise",
                         {{"mac1_checks", mac1_checks},
                          {"cookie_replies", cookie_replies},
                          {"wasted_secrets", wasted_secrets},
                          {"without_cookie", without_cookie},
                          {"forged_responses", forged_responses},
                          {"endpoint_moves", endpoint_moves},
                          {"stray_initiations", stray_initiations},
                          {"limited_sources", limited_sources},
                          {"queued_handshakes", queued_handshakes},
                          {"staged_bytes", staged_bytes}});
}

}  // namespace
}  // namespace wg::noise::test
