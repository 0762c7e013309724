#include "bench/vf/generator.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <signal.h>
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
constexpr double kRenewSeconds = 60;
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

// Gives each flow a session that was not there before `older_than`; false: not all in time.
bool Generator::shake_hands(double seconds, BootTime older_than) {
  std::vector<std::uint32_t> wanting;
  for (std::uint32_t flow = 0; flow < peers_.count(); ++flow)
    if (!peers_.has_session_since(flow, older_than)) wanting.push_back(flow);
  new_sessions_ = 0;
  std::size_t begun = 0;
  std::uint64_t repeat = rte_rdtsc() + clocks_of(1);
  for (const Deadline deadline(seconds); new_sessions_ < wanting.size() && !deadline.passed();) {
    while (begun < wanting.size() && begun < new_sessions_ + kInFlight) peers_.initiate(wanting[begun++]);
    idle();
    if (rte_rdtsc() < repeat) continue;
    for (std::size_t i = 0; i < begun; ++i) peers_.repeat_lost(wanting[i]);
    repeat = rte_rdtsc() + clocks_of(1);
  }
  return new_sessions_ >= wanting.size();
}

Generator::Connected Generator::connect(bool looped, double seconds) {
  Connected out;
  lan_.forget_gateway();
  wan_.forget_gateway();
  out.link = wait_for_links(seconds);
  out.gateway = out.link && wait_for_gateway(seconds);
  if (!out.gateway || looped) return out;
  const std::uint64_t begin = rte_rdtsc();
  shake_hands(seconds, BootClock::now());
  out.sessions = static_cast<std::uint32_t>(new_sessions_);
  out.seconds = static_cast<double>(rte_rdtsc() - begin) / static_cast<double>(rte_get_tsc_hz());
  return out;
}

void Generator::renew_sessions(double for_seconds) {
  const auto age = peers_.oldest();
  if (age > kOldest - std::chrono::duration<double>(for_seconds))
    shake_hands(kRenewSeconds, BootClock::now());
}

// ---------------------------------------------------------------- after a restart

// The gateway initiates to those that it remembers. The others repeat their own after 5 s without a new one.
bool Generator::wait_for_sessions(double seconds, bool* by_gateway) {
  const BootTime begin = BootClock::now();
  new_sessions_ = 0;
  std::uint64_t before = 0, last = rte_rdtsc();
  for (const std::uint64_t patience = clocks_of(5); rte_rdtsc() - last < patience; idle()) {
    if (new_sessions_ >= peers_.count()) return *by_gateway = true;
    if (new_sessions_ != before) last = rte_rdtsc();
    before = new_sessions_;
  }
  return shake_hands(seconds, begin);
}

Generator::Recovered Generator::recover(int process, double seconds) {
  Recovered out;
  const std::uint64_t begin = rte_rdtsc();
  const auto since = [begin] {
    return static_cast<double>(rte_rdtsc() - begin) / static_cast<double>(rte_get_tsc_hz());
  };
  if (kill(process, SIGKILL) != 0) return out;
  // The driver unmaps the memory of a virtual wire whose other side has gone: until then it is not touched.
  for (const Deadline deadline(5); lan_.is_virtual() && (lan_.link_up() || wan_.link_up());) {
    if (deadline.passed()) return out;
    usleep(100);
  }
  lan_.forget_gateway();
  wan_.forget_gateway();
  if (!wait_for_links(seconds)) return out;
  out.link = since();
  if (!wait_for_gateway(seconds)) return out;
  out.gateway = since();
  if (wait_for_sessions(seconds, &out.by_gateway)) out.sessions = since();
  return out;
}

// ---------------------------------------------------------------- besides the packets of a trial

void Generator::take_other(Wire& wire, rte_mbuf* packet) {
  if (&wire == &wan_) take_message(frame_of(packet));
  wire.take_arp(frame_of(packet));
  rte_pktmbuf_free(packet);
}

void Generator::take_message(Bytes frame) {
  MessageView view;
  if (!read_message(frame, &view)) return;
  if (classify_message(view.message) == MessageClass::kTransportData) return confirm_by(view.message);
  if (const auto flow = flow_at(view.to, peers_.count()))
    new_sessions_ += peers_.take_handshake(*flow, view.message) ? 1 : 0;
}

void Generator::confirm_by(Bytes message) {
  const auto* header = header_at<TransportDataHeader>(message.data());
  Keypair* const session = peers_.find(header->receiver.value());
  if (session == nullptr || session->confirmed.load(std::memory_order_relaxed)) return;
  std::vector<std::uint8_t> room(crypto::kAeadReadBefore + message.size() + crypto::kAeadReadAfter);
  std::uint8_t* const copy = room.data() + crypto::kAeadReadBefore - kTransportDataHeaderSize;
  std::copy(message.begin(), message.end(), copy);
  crypto::AeadOp op{copy + kTransportDataHeaderSize, session->receiving_key.data(), header->counter.value(),
                    static_cast<std::uint32_t>(message.size() - kKeepaliveSize), 0};
  if (crypto::aead_engine().open(*scratch_, {&op, 1}) != 1) return;
  session->confirmed.store(true, std::memory_order_relaxed);
  ++new_sessions_;
  peers_.confirm(*session);
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
  for (std::uint32_t i = 0; i < peers_.count(); ++i) {
    flows_[i].number = 0;
    flows_[i].sending = order.looped ? nullptr : peers_.session(i);
  }
  if (order.looped || order.direction == Direction::kReceive)
    for (Flow& flow : flows_) flow.arrivals.start_over();
  return Trial(*this, order).run();
}

}  // namespace wg::bench
