#include "control/gateway/rounds.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "control/clock.h"
#include "control/packet_ptr.h"

namespace wg::control {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kHandshakesPerRound = 256;
constexpr std::size_t kEventsPerRound = 2048;
constexpr unsigned kPatience = 8;          // rounds, for the mirror
constexpr std::size_t kEventsAtOnce = 16;  // between two looks at the clock; each may be an initiation

bool has_more_to_do(Interface& interface) {
  return interface.engine().queued() != 0 || interface.routes().has_more_to_do() ||
         interface.paths().has_more_to_do();
}

}  // namespace

void Rounds::run_once() {
  // While handshakes gather no worker rings: descriptors and this wait alone end the sleep.
  const bool gather = pace_.gather();
  if (!gather) services_.dataplane.doorbell().prepare_sleep();
  const auto wait = std::chrono::duration_cast<EventLoop::Clock::duration>(sleep_time(gather));
  const EventLoop::Lasted lasted = services_.loop.lasted();
  services_.rounds.note(lasted.took, lasted.on_core);
  services_.loop.run_once(wait);
  services_.dataplane.doorbell().awake();
  services_.loop.guarded([this] { advance(); });
}

template <class Step>
void Rounds::for_interfaces(const Step& step) {
  const Objects::Interfaces& all = objects_.interfaces();
  if (all.empty()) return;
  auto at = std::next(all.begin(), static_cast<std::ptrdiff_t>(first_ % all.size()));
  for (std::size_t i = 0; i < all.size(); ++i) {
    step(*at->second);
    if (++at == all.end()) at = all.begin();
  }
}

// Until the next timer of an engine; not at all while messages wait.
std::chrono::nanoseconds Rounds::sleep_time(bool gather) {
  std::chrono::nanoseconds wait = gather ? std::chrono::nanoseconds(noise::HandshakePace::kGather) : 1s;
  const BootTime at = now().boot;
  for (const auto& [name, interface] : objects_.interfaces()) {
    const BootTime due = interface->next_deadline();
    if (due != kNever) wait = std::min(wait, std::max(due - at, 0ns));
    if (has_more_to_do(*interface)) wait = 0ns;
  }
  for (const auto& worker : services_.dataplane.workers()) {
    const dataplane::WorkerMailboxes& boxes = worker->mailboxes();
    if (!boxes.events.empty() || (!gather && !boxes.handshakes.empty())) wait = 0ns;
  }
  if (flows_unfinished_ || records_wait_) wait = 0ns;
  if (packets_.active()) wait = std::min<std::chrono::nanoseconds>(wait, 1ms);
  if (const auto due = services_.publisher.next_flush()) wait = std::min(wait, std::max(*due - at, 0ns));
  if (services_.dataplane.quiescence().collect() != 0) wait = std::min<std::chrono::nanoseconds>(wait, 1ms);
  return wait;
}

// Events, then handshakes and timers, each for a part of the round's time. The rest waits for the next round,
// in which the next interface and the next worker begin.
void Rounds::advance() {
  const auto begun = EventLoop::Clock::now();
  pace_.note(drain_mailboxes(begun + RoundTimes::kEvents), now().boot);
  for_interfaces([until = begun + RoundTimes::kEvents + RoundTimes::kHandshakes](Interface& interface) {
    interface.advance(until);
  });
  follow_linux(EventLoop::Clock::now() + RoundTimes::kPaths);
  flows_unfinished_ = flows_.advance();
  records_wait_ = packets_.advance(EventLoop::Clock::now() + RoundTimes::kPackets);
  services_.publisher.flush_paced(now().boot, EventLoop::Clock::now() + RoundTimes::kRoutes);
  release_ports();
  ++first_;
}

// Routes are set and compared with Linux's, and paths led elsewhere where Linux has changed something. Linux
// tells of each change of a route: more than the mirror has read would end in a new dump. Others may change
// routes all the time, so patience ends.
void Rounds::follow_linux(EventLoop::Clock::time_point until) {
  unread_ = services_.mirror.has_unread() && unread_ < kPatience ? unread_ + 1 : 0;
  for_interfaces([this, until](Interface& interface) {
    if (unread_ == 0) interface.routes().advance(until);
    interface.paths().advance(until);
  });
}

void Rounds::release_ports() {
  bool followed = !flows_unfinished_;
  for_interfaces([&followed](Interface& interface) { followed &= !interface.paths().has_more_to_do(); });
  if (followed) services_.publisher.release_ports();
}

std::size_t Rounds::drain_mailboxes(EventLoop::Clock::time_point until) {
  const noise::Now at = now();
  const auto on_handshake = [this, &at](const dataplane::HandshakeMessage& message) {
    if (Interface* interface = objects_.interface_by_id(message.interface_id))
      interface->on_handshake(message, at);
  };
  const auto on_event_of = [this](const dataplane::Event& event) { on_event(event); };
  const auto& workers = services_.dataplane.workers();
  std::size_t handshakes = 0;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    dataplane::WorkerMailboxes& boxes = workers[(first_ + i) % workers.size()]->mailboxes();
    // Events first: confirmations and roaming of established peers go before handshakes of unknown hosts.
    for (std::size_t n = 0; n < kEventsPerRound && !boxes.events.empty(); n += kEventsAtOnce) {
      boxes.events.drain(kEventsAtOnce, on_event_of);
      if (EventLoop::Clock::now() >= until) break;
    }
    handshakes += boxes.handshakes.drain(kHandshakesPerRound, on_handshake);
  }
  return handshakes;
}

void Rounds::on_event(const dataplane::Event& event) {
  PacketPtr packet(event.packet);
  if (Interface* interface = objects_.interface_by_id(event.interface_id)) {
    interface->on_event(event, std::move(packet));
  } else if (packet) {
    services_.drops.add(dataplane::DropReason::peer_gone);
  }
}

// The packets go back to the pool; there is no one left to show a counter to.
void Rounds::empty_mailboxes() {
  const auto give_back = [](const auto& message) { PacketPtr packet(message.packet); };
  for (const auto& worker : services_.dataplane.workers()) {
    dataplane::WorkerMailboxes& boxes = worker->mailboxes();
    boxes.events.drain(boxes.events.capacity(), give_back);
    boxes.commands.drain(boxes.commands.capacity(), give_back);
  }
}

}  // namespace wg::control
