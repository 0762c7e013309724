// The cost of the protocol on the control thread: handshakes in either role, refusing floods, timers of many
// peers.
//
// Each figure is the median over repeats of one pass over all peers, so a busy machine disturbs it little.
// One line per figure: word key=value ...
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "control/noise/cookie.h"
#include "control/noise/engine.h"
#include "control/noise/messages.h"
#include "dataplane/crypto/x25519.h"

namespace {

using namespace wg::noise;
namespace crypto = wg::crypto;
using wg::BootTime;
using wg::dataplane::KeypairTable;
using wg::dataplane::Peer;
using Buffer = std::vector<std::uint8_t>;

constexpr std::chrono::nanoseconds kSec = std::chrono::seconds(1);
constexpr std::size_t kPeers = 512;
constexpr int kRepeats = 15;

// CPU time of this thread, which excludes other programs on a shared machine.
double core_us() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double median_us(const std::function<void()>& prepare, const std::function<void()>& run, std::size_t items) {
  std::vector<double> costs;
  for (int i = 0; i < kRepeats; ++i) {
    prepare();
    const double from = core_us();
    run();
    costs.push_back((core_us() - from) / static_cast<double>(items));
  }
  return median(std::move(costs));
}

void print(const char* what, double us) {
  std::printf("handshake %s per_second=%.0f core_us=%.2f\n", what, 1e6 / us, us);
}

// Keeps the messages sent, and frees retired objects immediately because there are no workers.
struct BenchHost final : Host {
  void send_handshake(const Endpoint&, const Endpoint&, std::span<const std::uint8_t> m,
                      std::uint8_t) override {
    ++answers;
    if (keep) sent.emplace_back(m.begin(), m.end());
  }
  void send_keepalive(Peer& peer) override { peer.note_sent(boot, false); }
  bool release_staged(Peer&) override { return false; }
  void drop_staged(Peer&) override {}
  bool has_staged(const Peer&) override { return false; }
  void endpoint_changed(Peer&, const Endpoint&, const Endpoint&) override {}
  void retire(std::function<void()> free) override { free(); }
  void event(const Peer*, const PeerEvent&) override {}

  std::vector<Buffer> sent;
  std::uint64_t answers = 0;
  bool keep = true;
  BootTime boot = wg::kNever;
};

struct Gateway {
  explicit Gateway(Random& random)
      : table(64, [](const std::function<void()>& free) { free(); }), engine(host, table, random) {
    random.fill(key);
    const Now start{BootTime(kSec), wg::WallTime(kSec)};
    engine.set_private_key(key, start);
    engine.up(start);
  }
  Peer& add(const PublicKey& public_key, const Now& now) {
    slots.push_back(std::make_unique<Peer>());
    slots.back()->slot = static_cast<std::uint32_t>(slots.size() - 1);
    engine.add_peer(*slots.back(), public_key, now);
    return *slots.back();
  }
  Key key{};
  BenchHost host;
  KeypairTable table;
  std::vector<std::unique_ptr<Peer>> slots;
  Engine engine;
};

const std::uint8_t kAddress[] = {192, 0, 2, 1};
const Endpoint kHere{IpAddress::from_v4(kAddress), wg::dataplane::UdpPort{51820}, 0};

// One gateway in the middle, kPeers others around it.
class Star {
 public:
  Star() : middle_(random_) {
    for (std::size_t i = 0; i < kPeers; ++i) {
      around_.push_back(std::make_unique<Gateway>(random_));
      Gateway& g = *around_.back();
      Peer& to_middle = g.add(middle_.engine.public_key(), now_);
      g.engine.set_endpoint(to_middle, kHere, now_);
      Peer& from_middle = middle_.add(g.engine.public_key(), now_);
      middle_.engine.set_endpoint(from_middle, kHere, now_);
    }
  }

  void run() {
    middle_.host.keep = false;
    const double cold = once([this] { collect_initiations(); }, [this] { answer_all(); });
    print("role=responder first=1", cold);
    storm();
    middle_.host.keep = true;
    print("role=initiator", median_us([this] { age(); }, [this] { initiate_all(); }, kPeers) +
                                median_us([this] { collect_responses(); }, [this] { finish_all(); }, kPeers));
    floods();
  }

 private:
  static double once(const std::function<void()>& prepare, const std::function<void()>& work) {
    prepare();
    const double from = core_us();
    work();
    return (core_us() - from) / static_cast<double>(kPeers);
  }
  // A storm of initiations through the queue, as the daemon takes them, by turns with libsodium's X25519 one
  // by one.
  void storm() {
    const crypto::X25519Engine& chosen = crypto::x25519_engine();
    std::vector<double> ours, baseline, ratio;
    for (int i = 0; i < kRepeats; ++i) {
      crypto::use_x25519_engine(*crypto::x25519_engines().front());
      baseline.push_back(once([this] { collect_initiations(); }, [this] { answer_queued(); }));
      crypto::use_x25519_engine(chosen);
      ours.push_back(once([this] { collect_initiations(); }, [this] { answer_queued(); }));
      ratio.push_back(baseline.back() / ours.back());
    }
    const double us = median(ours);
    std::printf(
        "handshake role=responder per_second=%.0f core_us=%.2f baseline_per_second=%.0f ratio=%.2f "
        "x25519=%s\n",
        1e6 / us, us, 1e6 / median(baseline), median(ratio), chosen.name);
  }
  // So few at once that the gateway is not under load.
  void answer_queued() {
    constexpr std::size_t kAtOnce = 16;
    const std::uint64_t before = middle_.host.answers;
    for (std::size_t i = 0; i < kPeers; i += kAtOnce) {
      for (std::size_t j = i; j < i + kAtOnce; ++j)
        if (middle_.engine.queue_handshake(messages_[j], kHere, kHere, now_) != Outcome::kQueued)
          std::abort();
      if (middle_.engine.process_queued(kAtOnce, now_) != kAtOnce) std::abort();
    }
    if (middle_.host.answers != before + kPeers) std::abort();
  }
  void age() {
    now_.boot += 6 * kSec;
    now_.wall += 6 * kSec;
    middle_.host.sent.clear();
  }
  void collect_initiations() {
    age();
    messages_.clear();
    for (auto& g : around_) {
      g->host.sent.clear();
      g->engine.initiate(*g->slots[0], now_);
      messages_.push_back(g->host.sent.at(0));
    }
  }
  void answer_all() {
    for (const auto& m : messages_) {
      if (middle_.engine.on_handshake(m, kHere, kHere, now_) != Outcome::kInitiationAnswered) std::abort();
    }
  }
  void initiate_all() {
    for (auto& slot : middle_.slots) middle_.engine.initiate(*slot, now_);
  }
  void collect_responses() {
    age();
    initiate_all();
    messages_.clear();
    for (std::size_t i = 0; i < kPeers; ++i) {
      Gateway& g = *around_[i];
      g.host.sent.clear();
      g.engine.on_handshake(middle_.host.sent.at(i), kHere, kHere, now_);
      messages_.push_back(g.host.sent.at(0));
    }
  }
  void finish_all() {
    for (const auto& m : messages_) {
      if (middle_.engine.on_handshake(m, kHere, kHere, now_) != Outcome::kResponseAccepted) std::abort();
    }
  }

  void floods() {
    middle_.host.keep = false;
    constexpr std::size_t kMessages = 4000;
    const Key mac1_key = derive_mac1_key(middle_.engine.public_key());
    std::vector<Buffer> good;
    for (std::uint32_t i = 0; i < kMessages; ++i) {
      Buffer m(sizeof(InitiationMessage));
      m[0] = kInitiation;
      std::memcpy(m.data() + 4, &i, 4);
      const Mac right = mac(mac1_key, before_mac1(m));
      std::copy(right.begin(), right.end(), m.end() - sizeof(Macs));
      good.push_back(std::move(m));
    }
    const auto queue_all = [&] {
      for (std::size_t i = 0; i < kMessages; ++i) {
        const Endpoint spoofed{IpAddress::from_v4(&i),
                               wg::dataplane::UdpPort{static_cast<std::uint16_t>(i + 1)}, 0};
        (void)middle_.engine.queue_handshake(good[i], spoofed, kHere, now_);
      }
    };
    const auto drain = [&] { (void)middle_.engine.process_queued(kMessages, now_); };
    print("flood=valid_mac1 stage=queue", median_us(drain, queue_all, kMessages));
    print("flood=valid_mac1 stage=cookie_reply", median_us(queue_all, drain, kMessages));
    for (auto& m : good) m[120] ^= 1;
    print("flood=bad_mac1", median_us([] {}, queue_all, kMessages));
    for (auto& m : good) m.pop_back();
    print("flood=bad_length", median_us([] {}, queue_all, kMessages));
  }

  SystemRandom random_;
  Now now_{BootTime(1000 * kSec), wg::WallTime(1'700'000'000 * kSec)};
  Gateway middle_;
  std::vector<std::unique_ptr<Gateway>> around_;
  std::vector<Buffer> messages_;
};

// Measures adding peers, and a tick of the timers when every peer has a persistent keepalive.
void many_peers(std::size_t peers) {
  SystemRandom random;
  Gateway g(random);
  g.host.keep = false;
  Now now{BootTime(1000 * kSec), wg::WallTime(1'700'000'000 * kSec)};
  std::vector<PublicKey> keys(peers);
  for (auto& k : keys) random.fill(k);
  const double from = core_us();
  for (const auto& k : keys) g.add(k, now);
  const double added = core_us() - from;
  // Without an endpoint nothing is sent, so this measures the wheel and the check of each peer.
  for (auto& slot : g.slots) g.engine.set_keepalive(*slot, std::chrono::seconds(10), now);
  const double us = median_us([] {},
                              [&] {
                                for (int i = 0; i < 100; ++i) {
                                  now.boot += kSec / 10;
                                  now.wall += kSec / 10;
                                  do g.engine.advance(now);
                                  while (g.engine.next_deadline() <= now.boot);
                                }
                              },
                              peers);
  std::printf("timers peers=%zu add_us=%.2f core_us_per_firing=%.2f bytes_per_peer=%zu\n", peers,
              added / static_cast<double>(peers), us, g.engine.memory_bytes() / peers + sizeof(Peer));
}

}  // namespace

int main() {
  Star().run();
  many_peers(100'000);
}
