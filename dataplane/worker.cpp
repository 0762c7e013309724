// A packet's whole life, in order.
//
//   receive:  port -> classify -> sessions -> open -> replay -> inner checks -> source check -> route -> out
//   send:     port -> classify -> route -> cryptokey routing -> counter, headers -> seal -> out
//
// Everything the fast path does not own (handshakes, ARP, fragments, local delivery, unresolved next hops)
// leaves through a mailbox to control or a TUN/TAP queue to Linux. Under load, open and seal are done by
// whichever worker is idle (stage/crypto_sharing.h); all other stages stay with the worker that received the
// packet, in its order.
#include "dataplane/worker.h"

#include <poll.h>
#include <rte_mbuf.h>
#include <sys/prctl.h>

#include <array>
#include <vector>

#include "dataplane/base/processor.h"
#include "dataplane/io/port.h"
#include "dataplane/io/program_ring.h"
#include "dataplane/io/tun.h"
#include "dataplane/journey.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kCommandBurst = 32;
// A read() of an empty TUN costs as much as several packets of crypto: look every so many busy loops.
constexpr std::uint32_t kExceptionPollInterval = 8;

}  // namespace

// ---------------------------------------------------------------- the journey

// One burst of one port, run to completion.
bool Journey::poll_port(BurstContext& at, PortIndex index) {
  Port* port = at.view->ports[index].port;
  if (port == nullptr) return false;
  port->transmit_handed_over(core.options.id, core.counters);
  if (!port->has_rx(core.options.id) || !sharing.has_room()) return false;

  at.started_at = core.burst_started();
  rte_mbuf* packets[kPollBurst];
  const std::uint16_t n = port->receive(core.options.id, packets, kPollBurst, core.counters);
  if (n == 0) return false;
  if (n == kPollBurst) sharing.note_backlog();
  core.counters.rx_packets.add(n);
  core.count_stage(Stage::receive_port, n);
  if (core.watcher.on()) [[unlikely]]
    core.watcher.received(index, {packets, n});

  if (!at.view->ports[index].up) [[unlikely]] {
    for (std::size_t i = 0; i < n; ++i) core.drop(packets[i], DropReason::port_down);
    return true;
  }
  classify.run(at, index, packets, n, data, inner);
  core.count_stage(Stage::classify, n);
  run_to_completion(at);
  core.count_latency(at, n);
  return true;
}

// From sessions to the outgoing queues: everything classified so far.
void Journey::run_to_completion(const BurstContext& at) {
  if (data.n != 0) receive.prepare(at, data);
  if (data.n != 0 && !sharing.offer(at, data)) {
    crypto.open(data);
    finish_opened(at, data);
  }
  route_and_send(at);
}

void Journey::finish_opened(const BurstContext& at, DataBurst& opened) {
  const std::size_t first = inner.n;
  receive.finish(at, opened, inner);
  if (!at.view->rings.empty()) [[unlikely]]
    program.refuse_sources_of_routed(at, inner, first);
}

void Journey::route_and_send(const BurstContext& at) {
  if (const std::size_t routed = inner.n; routed != 0) {
    if (at.view->flows != nullptr) carry_flows(at);
    route.run(at, inner, send);
    core.count_stage(Stage::route, routed);
  }
  send_all(at);
  egress.flush(at);
}

// Only for ports and interfaces with `forwarding: flows`; the others' packets stay in `inner`.
void Journey::carry_flows(const BurstContext& at) {
  InnerBurst& packets = Flows::take(*at.view, inner, apart);
  flows.run(at, packets, carried);
  if (packets.n != 0) route.run_carried(at, packets, carried, send);
}

// Packets, then their fragments, then the ICMP errors about both. The errors cause no further errors.
void Journey::send_all(const BurstContext& at) {
  for (std::size_t round = 0; round < kSendRounds; ++round) {
    if (send.n != 0) send_round(at);
    if (!fragment.move_into(send)) icmp.move_into(at, send, egress);
    if (send.n == 0) return;
  }
  drop_rest();
}

void Journey::send_round(const BurstContext& at) {
  if (!at.view->rings.empty()) [[unlikely]]
    program.deliver_to_routed(at, send, egress);
  sender.prepare(at, send, icmp, fragment);
  if (send.n != 0 && !sharing.offer(at, send)) {
    crypto.seal(send);
    sender.transmit(at, send);
  }
  send.clear();
}

// Behind the crypto, maybe another worker's, under the context the burst was prepared with; only the time is
// this at's: what a stage notes may not be older than what a later burst has noted.
void Journey::release(CryptoJob& job, BootTime now) {
  const BurstContext at = job.context.resumed(now);
  const bool opened = job.kind == CryptoJob::Kind::kOpen;
  const std::size_t packets = opened ? job.data.n : job.send.n;
  if (opened) {
    for (std::size_t i = 0; i < packets; ++i) __builtin_prefetch(job.data.op[i].data);  // in another's cache
    finish_opened(at, job.data);
  } else {
    sender.transmit(at, job.send);
  }
  route_and_send(at);
  core.count_latency(at, packets);
}

// ---------------------------------------------------------------- where else packets come in

// Packets of programs: inner packets. What the inner side of an interface sends goes into it; what a program
// beside the peers sends is routed, as what comes out of a tunnel.
bool Journey::poll_programs(BurstContext& at) {
  std::size_t taken = 0;
  for (const InterfaceId id : at.view->rings) {
    if (!at.view->interfaces[id].up || !sharing.has_room()) continue;
    at.started_at = core.burst_started();
    const bool routed = routed_program(at.view->interfaces[id].ring) != nullptr;
    const std::size_t n = routed ? program.take(at, id, inner) : program.take(at, id, send);
    if (n == kPollBurst) sharing.note_backlog();
    taken += n;
    if (n != 0) route_and_send(at);
  }
  return finish_exceptions(at, taken);
}

// Packets that Linux sends through the TUNs: inner packets.
bool Journey::poll_tuns(BurstContext& at) {
  std::size_t taken = 0;
  for (const InterfaceId id : at.view->interfaces.ids()) {
    const InterfaceView& interface = at.view->interfaces[id];
    if (!interface.up || !sharing.has_room()) continue;
    at.started_at = core.burst_started();
    rte_mbuf* packets[kPollBurst];
    const std::size_t n = read_from_linux(interface.tun, packets);
    if (n == 0) continue;
    if (n == kPollBurst) sharing.note_backlog();
    core.counters.from_tun.add(n);
    taken += n;
    if (core.watcher.on()) [[unlikely]]
      core.watcher.from_linux_by_tun(id, {packets, n});
    if (inner_program(interface.ring) != nullptr) [[unlikely]] {
      for (std::size_t i = 0; i < n; ++i) core.drop(packets[i], DropReason::program_inside);
      continue;
    }
    for (std::size_t i = 0; i < n; ++i) send.push(packets[i], PacketOrigin::at_interface(From::kKernel, id));
    send_all(at);
  }
  return finish_exceptions(at, taken);
}

// Packets that Linux sends through the TAPs: frames, for the ports as they are.
bool Journey::poll_taps(const BurstContext& at) {
  std::size_t taken = 0;
  for (const PortIndex index : at.view->ports.ids()) {
    const PortView& port = at.view->ports[index];
    if (port.port == nullptr) continue;
    rte_mbuf* packets[kPollBurst];
    const std::size_t n = read_from_linux(port.tap, packets);
    core.counters.from_tap.add(n);
    taken += n;
    if (core.watcher.on()) [[unlikely]]
      core.watcher.from_linux_by_tap(index, {packets, n});
    for (std::size_t i = 0; i < n; ++i) egress.transmit(at, index, packets[i]);
  }
  return finish_exceptions(at, taken);
}

bool Journey::finish_exceptions(const BurstContext& at, std::size_t taken) {
  if (taken == 0) return false;
  core.count_stage(Stage::exception_in, taken);
  egress.flush(at);
  return true;
}

// This worker's queue of a TUN or TAP; null: there is none.
std::size_t Journey::read_from_linux(KernelInterface* from, std::span<rte_mbuf*> packets) {
  if (from == nullptr || core.options.id >= from->queue_count()) return 0;
  return from->queue(core.options.id)
      .read_burst(core.pool, packets.data(), packets.size(), core.counters.of_exception_path());
}

// Control's commands: staged packets that have a session now, keepalives, datagrams the kernel's socket got.
// One burst per loop: a mailbox full of them (a change that switches thousands of keepalives on) may not keep
// packets waiting. Peers are named by generation, so that a command outlives its peer without harm.
bool Journey::drain_commands(BurstContext& at) {
  if (!sharing.has_room()) return false;
  at.started_at = core.burst_started();
  const std::size_t n = core.mailboxes.commands.drain(
      kCommandBurst, [&](const Command& command) { take_command(at, command); });
  if (n == 0) return false;
  send_all(at);
  run_to_completion(at);
  return true;
}

void Journey::take_command(const BurstContext& at, const Command& command) {
  if (core.watcher.on() && command.packet != nullptr) [[unlikely]]
    watch_command(command);
  if (command.type == CommandType::kReceiveOuter)
    return classify.take_socket_datagram(at, command.packet, data);
  if (command.type == CommandType::kSendFrame) return egress.transmit(at, command.port, command.packet);
  Peer* peer = at.view->peers->find(command.peer);
  if (peer == nullptr) {
    if (command.packet != nullptr) core.drop(command.packet, DropReason::peer_gone);
    return;
  }
  const bool keepalive = command.type == CommandType::kKeepalive;
  rte_mbuf* packet = keepalive ? rte_pktmbuf_alloc(core.pool) : command.packet;
  if (packet == nullptr) return core.counters.drop(DropReason::no_mbuf);
  if (core.watcher.on()) [[unlikely]]
    core.watcher.from_control(peer->interface_id, packet);
  send.push(packet, PacketOrigin::at_interface(From::kKernel, peer->interface_id), peer);
}

void Journey::watch_command(const Command& command) {
  if (command.type == CommandType::kSendInner) return core.watcher.made(command.packet, nullptr);
  const bool frame = command.type == CommandType::kSendFrame;
  core.watcher.frame_from_control(frame ? command.port : PortIndex{kNowhere}, command.packet);
}

// ---------------------------------------------------------------- jobs, their end

bool Journey::work_on_jobs(BootTime now) {
  if (!sharing.has_jobs()) return false;
  sharing.do_own_share();
  release_finished_jobs(now);
  return true;
}

void Journey::release_finished_jobs(BootTime now) {
  for (std::size_t i = 0; i < CryptoSharing::kJobs; ++i) {
    CryptoJob* job = sharing.next_finished(now);
    if (job == nullptr) return;
    release(*job, now);
    sharing.release();
  }
}

// Before the lcore ends: helpers finish what they have claimed, the rest is done here.
void Journey::finish_all_jobs(BootTime now) {
  sharing.stop_helping();
  core.watcher.begin_loop(nullptr);
  while (sharing.has_jobs()) {
    sharing.do_oldest();
    release_finished_jobs(now);
  }
  core.free_refused();
}

// Reached only when a peer's MTU is lowered between two rounds of one burst. Nothing may wait for another
// burst: its peers and its snapshot may be gone by then.
void Journey::drop_rest() {
  for (std::size_t i = 0; i < send.n; ++i) core.drop(send.packet[i], DropReason::too_big);
  send.clear();
  icmp.drop_rest();
}

Journey::Journey(const WorkerOptions& options, const crypto::AeadEngine& engine, rte_mempool* pool,
                 Doorbell& doorbell)
    : core(options, engine, pool),
      egress(core),
      classify(core, egress),
      receive(core),
      flows(core, egress),
      route(core, egress),
      sender(core, egress),
      fragment(core),
      icmp(core),
      program(core),
      crypto(core),
      sharing(core, crypto, doorbell) {}

void Journey::begin_loop(std::uint64_t now) noexcept {
  core.begin_loop(now);
  classify.begin_loop();
  receive.begin_loop();
  egress.begin_loop();
  sharing.begin_loop();
}

// ---------------------------------------------------------------- the loop

Worker::Worker(const WorkerOptions& options, const crypto::AeadEngine& engine, rte_mempool* pool,
               Quiescence& quiescence, const std::atomic<const Snapshot*>& snapshot,
               Doorbell& control_doorbell)
    : id_(options.id),
      quiescence_(quiescence),
      published_(snapshot),
      control_doorbell_(control_doorbell),
      idle_(options.spin),
      journey_(std::make_unique<Journey>(options, engine, pool, doorbell_)) {
  set_idle(options.adaptive_idle, options.max_sleep);
}

Worker::~Worker() = default;

const WorkerCounters& Worker::counters() const noexcept {
  return journey_->core.counters;
}

WorkerMailboxes& Worker::mailboxes() noexcept {
  return journey_->core.mailboxes;
}

void Worker::join_team(std::span<const std::unique_ptr<Worker>> team) {
  std::vector<CryptoSharing*> sharings;
  for (const std::unique_ptr<Worker>& worker : team) sharings.push_back(&worker->journey_->sharing);
  journey_->sharing.join(std::move(sharings));
}

void Worker::run() {
  prctl(PR_SET_TIMERSLACK, 1000);  // short sleeps are meant to be short
  if (const auto& on_start = journey_->core.options.on_start) on_start();
  quiescence_.online(id_);
  BootTime now = BootClock::now();
  for (; !stopping_.load(std::memory_order_acquire); now = BootClock::now())
    sleep_if_idle(run_once(now), now);
  journey_->finish_all_jobs(now);
  quiescence_.offline(id_);
}

bool Worker::run_once(BootTime now) {
  Core& core = journey_->core;
  const std::uint64_t started = Core::tsc();
  journey_->begin_loop(started);
  const std::uint64_t epoch = hold_epoch();
  heartbeat_.store(heartbeat_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  const Snapshot* const view = published_.load(std::memory_order_acquire);
  if (view == nullptr) return false;
  core.watcher.begin_loop(view->watches.get());
  BurstContext at{view, now, epoch, core.burst_started(), live_ports(*view)};
  const bool worked = run_journey(at);

  core.free_refused();
  if (core.take_posted()) control_doorbell_.ring();
  core.counters.loops.add(1);
  const std::uint64_t cycles = Core::tsc() - started;
  (worked ? core.counters.busy_cycles : core.counters.idle_cycles).add(cycles);
  if (worked) core.counters.busy_loops.add(1);
  return worked;
}

bool Worker::run_journey(BurstContext& at) {
  Journey& journey = *journey_;
  ++loop_;
  bool worked = journey.drain_commands(at);
  for (const PortIndex index : at.view->ports.ids()) worked |= journey.poll_port(at, index);
  if (!at.view->rings.empty()) [[unlikely]]
    worked |= journey.poll_programs(at);
  if (!worked || loop_ % kExceptionPollInterval == 0) {
    worked |= journey.poll_tuns(at);
    worked |= journey.poll_taps(at);
  }
  worked |= journey.work_on_jobs(at.now);
  if (journey.sharing.has_team()) worked |= journey.sharing.help_another_worker(!worked);
  return worked;
}

// Reports the epoch of the oldest reference held: this loop's, unless bursts of earlier loops are in flight.
std::uint64_t Worker::hold_epoch() noexcept {
  const std::uint64_t epoch = quiescence_.epoch();
  quiescence_.report_as_of(id_, journey_->sharing.oldest_epoch(epoch));
  return epoch;
}

// ---------------------------------------------------------------- idle

namespace {

// The descriptors that end a sleep at once: the doorbell, a packet socket, a program, a TUN, a TAP.
struct WakeUps {
  std::array<pollfd, 1 + 2 * kMaxPorts + kMaxInterfaces> fds;
  nfds_t n = 0;
  void add(int fd) noexcept {
    if (fd >= 0 && n != fds.size()) fds[n++] = {fd, POLLIN, 0};
  }
  void add(KernelInterface* from, std::uint16_t worker) noexcept {
    if (from != nullptr && worker < from->queue_count()) add(from->queue(worker).fd());
  }
};

WakeUps wake_ups(const Doorbell& doorbell, const Snapshot* view, std::uint16_t worker) noexcept {
  WakeUps out;
  out.add(doorbell.fd());
  if (view == nullptr) return out;
  for (const PortView& port : view->ports) {
    if (port.port != nullptr && port.up) out.add(port.port->wake_fd(worker));
  }
  for (const InterfaceId id : view->rings) {
    if (view->interfaces[id].up) out.add(view->interfaces[id].ring->queue(worker).wake_fd());
  }
  for (const InterfaceView& interface : view->interfaces) {
    if (interface.up) out.add(interface.tun, worker);
  }
  for (const PortView& port : view->ports) out.add(port.tap, worker);
  return out;
}

// False: a program has sent something, do not sleep.
bool programs_are_quiet(const Snapshot* view, std::uint16_t worker) noexcept {
  bool quiet = true;
  if (view == nullptr) return quiet;
  for (const InterfaceId id : view->rings) {
    if (view->interfaces[id].up) quiet &= view->interfaces[id].ring->queue(worker).prepare_sleep();
  }
  return quiet;
}

void stop_waiting_for_programs(const Snapshot* view, std::uint16_t worker) noexcept {
  if (view == nullptr) return;
  for (const InterfaceId id : view->rings) {
    ProgramRing& ring = *view->interfaces[id].ring;
    ring.queue(worker).awake();
    ring.note_fault(ring.queue(worker));
  }
}

}  // namespace

void Worker::sleep_if_idle(bool worked, BootTime now) {
  if (!idle_.wants_sleep(worked, now)) {
    if (!worked) processor::pause();
    return;
  }
  // This worker is online until it sleeps, so what is published now stays until then.
  const Snapshot* const view = published_.load(std::memory_order_acquire);
  WakeUps wake = wake_ups(doorbell_, view, id_);
  const timespec limit{0, static_cast<long>(idle_.next_sleep().count())};
  doorbell_.prepare_sleep();
  // A command posted before prepare_sleep() rang no bell: look once more before sleeping.
  if (programs_are_quiet(view, id_) && mailboxes().commands.empty() &&
      !stopping_.load(std::memory_order_seq_cst)) {
    quiescence_.offline(id_);
    ppoll(wake.fds.data(), wake.n, &limit, nullptr);
    quiescence_.online(id_);
    journey_->core.counters.sleeps.add(1);
  }
  doorbell_.awake();
  // The snapshot of now: rings that it slept beside may be gone.
  stop_waiting_for_programs(published_.load(std::memory_order_acquire), id_);
}

}  // namespace wg::dataplane
