#include "control/gateway/packet_watch.h"

#include <pcap/bpf.h>
#include <rte_cycles.h>

#include <sodium.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "config/key.h"
#include "control/api/pcapng.h"
#include "control/clock.h"
#include "control/gateway/key_log.h"
#include "dataplane/core/watcher.h"

namespace wg::control {

using dataplane::bit_of;
using dataplane::Watch;
using dataplane::WatchPoint;
using dataplane::WatchRecord;

namespace {

constexpr std::uint32_t kTraceSnap = 128;
constexpr std::size_t kMostInstructions = 4096;  // the kernel's limit too
constexpr unsigned kBits = 8;                    // of WatchMark::chosen
constexpr std::size_t kRecordsAtOnce = 64;       // between two looks at the clock
// Long enough for a worker's record to reach its ring.
constexpr std::chrono::microseconds kSettled{100};

// From the clock of the workers' records to that of the wall. The two are read as close together as this
// thread gets: it may lose its core in between.
class WallClock {
 public:
  WallClock() : hz_(rte_get_tsc_hz()) {
    std::uint64_t least = ~std::uint64_t{0};
    for (int i = 0; i < kReadings; ++i) {
      const std::uint64_t before = rte_rdtsc();
      const WallTime wall = std::chrono::system_clock::now();
      const std::uint64_t gap = rte_rdtsc() - before;
      if (gap >= least) continue;
      least = gap;
      tsc_ = before;
      wall_ = wall;
    }
  }
  [[nodiscard]] WallTime now() const { return of(rte_rdtsc()); }
  [[nodiscard]] WallTime of(std::uint64_t tsc) const {
    return tsc >= tsc_ ? wall_ + duration_of(tsc - tsc_) : wall_ - duration_of(tsc_ - tsc);
  }
  // The clock of the wall is disciplined, the other one is not.
  void follow() {
    if (now() - wall_ > kFollow) *this = WallClock();
  }

 private:
  static constexpr int kReadings = 5;
  static constexpr std::chrono::seconds kFollow{10};
  [[nodiscard]] std::chrono::nanoseconds duration_of(std::uint64_t clocks) const {
    return std::chrono::seconds(clocks / hz_) + std::chrono::nanoseconds(clocks % hz_ * std::nano::den / hz_);
  }

  std::uint64_t hz_, tsc_ = 0;
  WallTime wall_;
};

// Jumps go forward alone, so that a worker's time for a packet is bounded by the program's length. libpcap
// compiles `protochain` to a loop.
bool jumps_forward(const std::vector<bpf_insn>& program) {
  for (std::size_t i = 0; i < program.size(); ++i) {
    const bool jump = BPF_CLASS(program[i].code) == BPF_JMP && BPF_OP(program[i].code) == BPF_JA;
    if (jump && program[i].k >= program.size() - i - 1) return false;
  }
  return true;
}

Expected<std::vector<bpf_insn>> program_of(const std::vector<FilterInstruction>& instructions) {
  std::vector<bpf_insn> program;
  if (instructions.size() > kMostInstructions) return Refusal{EINVAL, "the filter is too long"};
  for (const auto& [code, jt, jf, k] : instructions) {
    if (code > 0xffff || jt > 0xff || jf > 0xff) return Refusal{EINVAL, "the filter is not a program"};
    program.push_back({static_cast<u_short>(code), static_cast<u_char>(jt), static_cast<u_char>(jf), k});
  }
  const bool valid =
      program.empty() ||
      (bpf_validate(program.data(), static_cast<int>(program.size())) != 0 && jumps_forward(program));
  if (!valid) return Refusal{EINVAL, "the filter is not a program that ends"};
  return program;
}

std::uint32_t points_of(const WatchRequest& request) {
  if (request.drops_only) return bit_of(WatchPoint::dropped);
  if (request.trace) return ~std::uint32_t{0};
  std::uint32_t points = bit_of(WatchPoint::dropped);
  if (request.outer) points |= bit_of(WatchPoint::received) | bit_of(WatchPoint::transmitted);
  if (request.inner) points |= bit_of(WatchPoint::opened) | bit_of(WatchPoint::sending);
  return points;
}

Expected<> read_reasons(const std::vector<std::string>& names, Watch& watch) {
  if (names.empty()) return {};
  watch.reasons.reset();
  for (const std::string& name : names) {
    const auto* const end = std::end(dataplane::kDropNames);
    const auto* const at = std::find_if(std::begin(dataplane::kDropNames), end,
                                        [&](const char* known) { return known == name; });
    if (at == end) return Refusal{EINVAL, "no drop reason " + name};
    watch.reasons.set(static_cast<std::size_t>(at - std::begin(dataplane::kDropNames)));
  }
  return {};
}

WatchNames names_from(const Services& services, const Objects& objects) {
  WatchNames names;
  names.port = [&services, &objects](std::uint16_t index) {
    const dataplane::Snapshot& view = *services.dataplane.current();
    for (const auto& [name, port] : objects.ports())
      if (index < view.ports.size() && view.ports[dataplane::PortIndex{index}].port == &port->port())
        return name;
    return "port " + std::to_string(index);
  };
  names.interface = [&objects](std::uint16_t id) {
    const Interface* interface = objects.interface_by_id(dataplane::InterfaceId{id});
    return interface != nullptr ? interface->name() : "interface " + std::to_string(id);
  };
  names.peer = [&objects](std::uint32_t slot) -> std::string {
    if (slot == dataplane::kNoPeer) return {};
    for (const auto& [name, interface] : objects.interfaces()) {
      const PeerRecord* record = interface->book().find_slot(slot);
      if (record != nullptr)
        return record->name.empty() ? config::to_string(record->public_key) : record->name;
    }
    return {};
  };
  return names;
}

// The rings of the workers come into memory while they are in use already.
void populate(EventLoop& loop, const std::shared_ptr<Watch>& watch) {
  loop.in_turns([weak = std::weak_ptr(watch), ring = std::size_t{0}]() mutable {
    const auto live = weak.lock();
    if (!live) return false;
    if (!live->rings[ring]->populate_more()) ++ring;
    return ring < live->rings.size();
  });
}

// It is not used any more.
void discard(EventLoop& loop, Watch* watch) {
  loop.in_turns([old = std::shared_ptr<Watch>(watch)] {
    if (!old->rings.empty() && !old->rings.back()->discard_more()) old->rings.pop_back();
    return !old->rings.empty();
  });
}

std::string comment_of_file(const WatchRequest& request) {
  return request.filter.empty() ? "Linegate capture" : "Linegate capture, filter: " + request.filter;
}

}  // namespace

// ---------------------------------------------------------------- one of them

class PacketWatch::Session final : public WatchSession {
 public:
  using Watches = std::vector<std::shared_ptr<Watch>>;
  Session(PacketWatch& owner, Watches watches, std::unique_ptr<WatchSink> sink, WatchOutput output,
          std::uint32_t seconds)
      : owner_(owner), watches_(std::move(watches)), sink_(std::move(sink)), output_(std::move(output)) {
    owner_.add(*this);
    if (seconds != 0)
      timer_ = owner_.services_.loop.after(std::chrono::seconds(seconds), [this] { timer_ = 0, finish(); });
  }
  ~Session() override {
    owner_.services_.loop.cancel(timer_);
    forget_keys();
    if (!finished_) owner_.remove(*this);
  }

  [[nodiscard]] const Watches& watches() const { return watches_; }

  // The secrets of `peer` go into the file, in front of the messages that they belong to.
  void record_keys(Interface& interface, const PeerRecord& peer) {
    tapped_ = interface.name();
    interface.engine().tap_secrets([this, key = peer.public_key](const noise::HandshakeSecrets& secrets) {
      if (secrets.peer != key.bytes) return;
      key_sent_ = true;
      std::string lines = key_log_lines(secrets);
      sink_->add(pcapng::wireguard_secrets_block(lines));
      sodium_memzero(lines.data(), lines.size());
    });
  }
  // The handshake that follows is the one that the file needs: of a session that is there, it has none. The
  // engine begins none within REKEY_TIMEOUT of the last.
  void begin_handshake(const config::Key& key, unsigned tries = kTries) {
    handshake_timer_ = 0;
    Interface* interface = owner_.objects_.find_interface(tapped_);
    const PeerRecord* peer = interface == nullptr ? nullptr : interface->book().find(key);
    if (key_sent_ || tries == 0 || peer == nullptr) return;
    interface->engine().initiate(*peer->slot, now());
    handshake_timer_ = owner_.services_.loop.after(std::chrono::seconds(1),
                                                   [this, key, tries] { begin_handshake(key, tries - 1); });
  }
  [[nodiscard]] bool records_keys() const { return !tapped_.empty(); }

  // True: more is waiting, and its reader has room for it.
  bool advance(EventLoop::Clock::time_point until) {
    clock_.follow();
    bool more = true;
    while (more && output_.room() != 0 && !sink_->is_full()) {
      for (std::size_t i = 0; more && i < kRecordsAtOnce; ++i) more = move_oldest(kSettled);
      flush();
      if (EventLoop::Clock::now() >= until) break;
    }
    if (!more) sink_->passed(clock_.now() - kSettled);
    flush();
    if (sink_->is_full()) finish();
    return more && !finished_ && output_.room() != 0;
  }

  void finish() override {
    if (finished_) return;
    finished_ = true;
    forget_keys();
    while (!sink_->is_full() && move_oldest({})) {
    }
    owner_.remove(*this);
    sink_->finish(std::max(last_, clock_.now()), lost());
    flush();
    output_.end();
  }

 private:
  void forget_keys() {
    Interface* interface = tapped_.empty() ? nullptr : owner_.objects_.find_interface(tapped_);
    if (interface != nullptr) interface->engine().tap_secrets({});
    tapped_.clear();
    owner_.services_.loop.cancel(std::exchange(handshake_timer_, 0));
  }
  // Moves the oldest record of all workers, unless a worker may still write an older one.
  bool move_oldest(std::chrono::nanoseconds settled) {
    dataplane::WatchRing* oldest = nullptr;
    WatchRecord found, record;
    for (const auto& watch : watches_)
      for (const auto& ring : watch->rings) {
        if (!ring->peek(&record) || (oldest != nullptr && record.tsc >= found.tsc)) continue;
        oldest = ring.get();
        found = record;
      }
    if (oldest == nullptr || clock_.of(found.tsc) + settled > clock_.now()) return false;
    last_ = std::max(last_, clock_.of(found.tsc));  // the wall's clock may have been set back
    sink_->take(found, oldest->packet(found), last_);
    oldest->pop(found);
    return true;
  }
  void flush() {
    std::string text = sink_->take_text();
    if (!text.empty()) output_.write(std::move(text));
  }
  [[nodiscard]] std::uint64_t lost() const {
    std::uint64_t lost = 0;
    for (const auto& watch : watches_)
      for (const auto& ring : watch->rings) lost += ring->lost();
    return lost;
  }

  PacketWatch& owner_;
  const Watches watches_;
  const std::unique_ptr<WatchSink> sink_;
  const WatchOutput output_;
  WallClock clock_;
  WallTime last_;  // of the last record
  static constexpr unsigned kTries = 7;
  EventLoop::TimerId timer_ = 0, handshake_timer_ = 0;
  bool key_sent_ = false;  // a secret
  std::string tapped_;     // the interface whose engine has a tap; empty: none
  bool finished_ = false;
};

// ---------------------------------------------------------------- all of them

PacketWatch::PacketWatch(Services& services, const Objects& objects, Logger log)
    : services_(services), objects_(objects), log_(std::move(log)), names_(names_from(services, objects)) {}

Expected<> PacketWatch::select(const WatchRequest& request, Watch& watch) const {
  if (!request.interface.empty()) {
    const Interface* interface = objects_.find_interface(request.interface);
    if (interface == nullptr) return Refusal{ENOENT, "no interface " + request.interface};
    watch.interface_id = interface->id();
  }
  if (!request.peer.empty()) {
    const FoundPeer peer = objects_.find_peer(request.interface, request.peer);
    if (peer.record == nullptr) return Refusal{ENOENT, "no peer " + request.peer};
    watch.peer = peer.record->slot->slot;
  }
  if (request.port.empty()) return {};
  const GatewayPort* port = objects_.find_port(request.port);
  if (port == nullptr) return Refusal{ENOENT, "no port " + request.port};
  const dataplane::Snapshot& view = *services_.dataplane.current();
  for (const dataplane::PortIndex index : view.ports.ids())
    if (names_.port(number_of(index)) == request.port) watch.port = index;
  return {};
}

Expected<std::shared_ptr<Watch>> PacketWatch::watch_of(const WatchRequest& request) const {
  std::shared_ptr<Watch> watch(new Watch, [&loop = services_.loop](Watch* old) { discard(loop, old); });
  auto ethernet = program_of(request.ethernet), ip = program_of(request.ip);
  if (!ethernet) return ethernet.error();
  if (!ip) return ip.error();
  watch->filter = {!request.filtered, *std::move(ethernet), *std::move(ip)};
  if (const auto selected = select(request, *watch); !selected) return selected.error();
  if (const auto reasons = read_reasons(request.reasons, *watch); !reasons) return reasons.error();
  watch->points = points_of(request);
  const std::uint32_t snap = request.trace ? kTraceSnap : request.snap;
  watch->snap = static_cast<std::uint16_t>(std::clamp<std::uint32_t>(snap, 1, WatchRequest::kMostSnap));
  const std::size_t ring =
      std::size_t{std::clamp<std::uint32_t>(request.ring_mb, 1, WatchRequest::kMostRingMb)} << 20;
  for (std::size_t i = 0; i < services_.dataplane.workers().size(); ++i)
    watch->rings.push_back(std::make_unique<dataplane::WatchRing>(ring));
  populate(services_.loop, watch);
  return watch;
}

// ---------------------------------------------------------------- keys

Expected<> PacketWatch::check_keys(const WatchRequest& request) const {
  if (!request.with_keys) return {};
  if (!services_.key_captures_allowed)
    return Refusal{EPERM, "this gateway records no keys: it was not started with --allow-key-captures"};
  if (request.trace || request.drops_only || request.peer.empty())
    return Refusal{EINVAL, "keys are recorded by a capture of one peer"};
  const bool busy =
      std::any_of(sessions_.begin(), sessions_.end(), [](const Session* s) { return s->records_keys(); });
  if (busy) return Refusal{EBUSY, "another capture records keys"};
  return {};
}

// No session names a handshake message's peer, so that a watch for a peer misses it.
std::shared_ptr<Watch> PacketWatch::handshakes_of(const WatchRequest& request) const {
  auto watch = std::make_shared<Watch>();
  const FoundPeer peer = objects_.find_peer(request.interface, request.peer);
  watch->filter = {false, handshake_frames(peer.interface->listen_port()), {}};
  watch->points = bit_of(WatchPoint::received) | bit_of(WatchPoint::transmitted);
  for (std::size_t i = 0; i < services_.dataplane.workers().size(); ++i)
    watch->rings.push_back(std::make_unique<dataplane::WatchRing>(std::size_t{1} << 20));
  return watch;
}

void PacketWatch::record_keys(const WatchRequest& request, Session& session) {
  const FoundPeer peer = objects_.find_peer(request.interface, request.peer);
  session.record_keys(*peer.interface, *peer.record);
  services_.counters.key_captures.add(1);
  log_->write(
      log_event::keys_recorded, {.interface = peer.interface->name(), .peer = request.peer},
      "the private key of {} and the secrets of peer {} go into a capture: whoever has it reads what they "
      "protect",
      peer.interface->name(), request.peer);
  session.begin_handshake(peer.record->public_key);
}

// ---------------------------------------------------------------- start and end

Expected<std::unique_ptr<WatchSession>> PacketWatch::watch(const WatchRequest& request, WatchOutput output) {
  if (sessions_.size() >= kMost)
    return Refusal{EBUSY, std::to_string(kMost) + " captures and traces run already"};
  if (dataplane::watch_mark_offset() < 0)
    return Refusal{ENOSPC, "a driver has left no room in the packet buffers for marks"};
  if (const auto allowed = check_keys(request); !allowed) return allowed.error();
  auto watch = catch_refusal([&] { return watch_of(request); });
  if (!watch) return watch.error();
  std::unique_ptr<WatchSink> sink;
  if (request.trace) {
    sink = std::make_unique<TraceSink>(names_, request.count);
  } else {
    const bool all = request.drops_only;
    sink = std::make_unique<CaptureSink>(names_, request.count, comment_of_file(request),
                                         request.outer || all, request.inner || all);
  }
  Session::Watches watches{*std::move(watch)};
  if (request.with_keys) watches.push_back(handshakes_of(request));
  auto session = std::make_unique<Session>(*this, std::move(watches), std::move(sink), std::move(output),
                                           request.seconds);
  if (request.with_keys) record_keys(request, *session);
  return session;
}

// A bit comes back only after the others: by then no packet carries it any more.
std::uint8_t PacketWatch::free_bit() {
  for (;;) {
    const auto bit = static_cast<std::uint8_t>(1u << (next_bit_++ % kBits));
    if (!is_used(bit)) return bit;
  }
}

bool PacketWatch::is_used(std::uint8_t bit) const {
  for (const Session* session : sessions_)
    for (const auto& watch : session->watches())
      if (watch->bit == bit) return true;
  return false;
}

void PacketWatch::add(Session& session) {
  if (sessions_.empty()) ++generation_;
  sessions_.push_back(&session);
  for (const auto& watch : session.watches()) watch->bit = free_bit();
  publish();
}

void PacketWatch::remove(Session& session) {
  sessions_.erase(std::remove(sessions_.begin(), sessions_.end(), &session), sessions_.end());
  publish();
}

// At once: who asked may send the packet as soon as the answer is there.
void PacketWatch::publish() {
  std::shared_ptr<dataplane::WatchSet> set;
  if (!sessions_.empty()) {
    set = std::make_shared<dataplane::WatchSet>();
    set->generation = generation_;
    set->mark_offset = dataplane::watch_mark_offset();
    for (const Session* session : sessions_)
      set->watches.insert(set->watches.end(), session->watches().begin(), session->watches().end());
  }
  services_.publisher.set_watches(std::move(set));
  services_.publisher.flush_settings();
}

bool PacketWatch::advance(EventLoop::Clock::time_point until) {
  bool more = false;
  const std::vector<Session*> all = sessions_;  // one that is finished removes itself
  for (Session* session : all) {
    const bool still = std::find(sessions_.begin(), sessions_.end(), session) != sessions_.end();
    more |= still && session->advance(until);
  }
  return more;
}

}  // namespace wg::control
