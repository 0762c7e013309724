#include "bench/vf/generator.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <random>

#include "bench/vf/trial.h"
#include "dataplane/packet/headers.h"

namespace wg::bench {

using namespace dataplane;

namespace {

// Sessions are renewed before the protocol's REKEY_AFTER_TIME of 120 s.
constexpr std::chrono::seconds kOldest{110};
constexpr std::uint32_t kInFlight = 64;  // handshakes: a gateway is not under load by so many

std::uint64_t clocks_of(double seconds) {
  return static_cast<std::uint64_t>(seconds * static_cast<double>(rte_get_tsc_hz()));
}

class Deadline {
 public:
  explicit Deadline(double seconds) : end_(rte_rdtsc() + clocks_of(seconds)) {}
  [[nodiscard]] bool passed() const { return rte_rdtsc() > end_; }

 private:
  std::uint64_t end_;
};

}  // namespace

Generator::Generator(Wire& lan, Wire& wan, std::uint32_t peers, rte_mempool* pool)
    : lan_(lan),
      wan_(wan),
      pool_(pool),
      peers_(peers, [this](std::uint32_t flow, noise::Bytes message) { send_message(flow, message); }),
      flows_(peers),
      walk_(peers),
      scratch_(crypto::make_aead_scratch()) {
  std::iota(walk_.begin(), walk_.end(), 0u);
  std::shuffle(walk_.begin(), walk_.end(), std::mt19937_64{7});
}

void Generator::send_message(std::uint32_t flow, noise::Bytes message) {
  std::array<std::uint8_t, kOuterHeaders + kMaxHandshakeMessage> frame;
  const std::size_t headers = write_outer(frame.data(), wan_.ends(), flow, message.size());
  std::copy(message.begin(), message.end(), frame.begin() + static_cast<std::ptrdiff_t>(headers));
  wan_.send({frame.data(), headers + message.size()});
}

// ---------------------------------------------------------------- connecting

bool Generator::wait_for_links(double seconds) {
  for (const Deadline deadline(seconds); !deadline.passed(); usleep(1000))
    if (lan_.link_up() && wan_.link_up()) return true;
  return false;
}

bool Generator::wait_for_gateway(double seconds) {
  std::uint64_t next = 0;
  for (const Deadline deadline(seconds); !deadline.passed(); usleep(200)) {
    if (lan_.gateway_known() && wan_.gateway_known()) return true;
    if (const std::uint64_t now = rte_rdtsc(); now > next) {
      lan_.ask_for_gateway();
      wan_.ask_for_gateway();
      next = now + clocks_of(0.1);
    }
    idle();
  }
  return false;
}

// Returns how many flows have a new session.
std::uint32_t Generator::shake_hands(double seconds) {
  new_sessions_ = 0;
  std::uint32_t begun = 0;
  std::uint64_t repeat = rte_rdtsc() + clocks_of(1);
  for (const Deadline deadline(seconds); new_sessions_ < peers_.count() && !deadline.passed();) {
    while (begun < peers_.count() && begun - new_sessions_ < kInFlight) peers_.initiate(begun++);
    take_others(lan_);
    take_others(wan_);
    if (rte_rdtsc() < repeat) continue;
    for (std::uint32_t flow = 0; flow < begun; ++flow) peers_.repeat_lost(flow);
    repeat = rte_rdtsc() + clocks_of(1);
  }
  return static_cast<std::uint32_t>(new_sessions_);
}

Generator::Connected Generator::connect(bool looped, double seconds) {
  Connected out;
  lan_.forget_gateway();
  wan_.forget_gateway();
  out.link = wait_for_links(seconds);
  out.gateway = out.link && wait_for_gateway(seconds);
  if (!out.gateway || looped) return out;
  const std::uint64_t begin = rte_rdtsc();
  out.sessions = shake_hands(seconds);
  out.seconds = static_cast<double>(rte_rdtsc() - begin) / static_cast<double>(rte_get_tsc_hz());
  return out;
}

void Generator::renew_sessions(double for_seconds) {
  const auto age = peers_.oldest();
  if (age > kOldest - std::chrono::duration<double>(for_seconds)) shake_hands(30);
}

// ---------------------------------------------------------------- besides the packets of a trial

void Generator::take_other(Wire& wire, rte_mbuf* packet) {
  const Bytes frame = frame_of(packet);
  MessageView view;
  if (&wire != &wan_ || !read_message(frame, &view)) {
    wire.take_arp(frame);
  } else if (const auto flow = flow_at(view.to, peers_.count());
             flow && classify_message(view.message) != MessageClass::kTransportData) {
    new_sessions_ += peers_.take_handshake(*flow, view.message) ? 1 : 0;
  }
  rte_pktmbuf_free(packet);
}

void Generator::take_others(Wire& wire) {
  rte_mbuf* packets[kBurst];
  const std::uint16_t count = wire.receive(packets);
  for (std::uint16_t i = 0; i < count; ++i) take_other(wire, packets[i]);
}

void Generator::idle() {
  take_others(lan_);
  take_others(wan_);
}

Result Generator::run(const Order& order) {
  if (!order.looped) renew_sessions(order.seconds);
  idle();
  ++trial_;
  for (Flow& flow : flows_) flow.number = 0;
  if (order.looped || order.direction == Direction::kReceive)
    for (Flow& flow : flows_) flow.arrivals.start_over();
  return Trial(*this, order).run();
}

}  // namespace wg::bench
