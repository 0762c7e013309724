// A packet's whole life, in order.
//
//   receive:  port -> classify -> sessions -> open -> replay -> inner checks -> source check -> route -> out
//   send:     port -> classify -> route -> cryptokey routing -> counter, headers -> seal -> out
//
// Everything the fast path does not own (handshakes, ARP, fragments, local delivery, unresolved next hops)
// leaves through a mailbox to control or a TUN/TAP queue to Linux. Under load, open and seal are done by
// whichever worker has time (spread.cpp); all other stages stay with the worker that received the packet, in
// its order.
#include "dataplane/worker.h"

#include <poll.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

#include "dataplane/io/port.h"
#include "dataplane/io/tun.h"

namespace wg::dataplane {

namespace {
constexpr std::size_t kCommandBurst = 32;
constexpr std::uint32_t kSavedBudgets = 4;
// A read() of an empty TUN costs as much as several packets of crypto: look every so many busy loops.
constexpr std::uint32_t kExceptionPollInterval = 8;
constexpr std::uint32_t kFirstSleepNs = 20'000;
}  // namespace

Worker::Worker(const WorkerOptions& options, const crypto::AeadEngine& engine, rte_mempool* pool,
               Quiescence& quiescence, const std::atomic<const Snapshot*>& snapshot,
               Doorbell& control_doorbell)
    : options_(options),
      engine_(engine),
      scratch_(crypto::make_aead_scratch()),
      pool_(pool),
      quiescence_(quiescence),
      published_(snapshot),
      control_doorbell_(control_doorbell),
      ns_per_clock_((std::uint64_t{1'000'000'000} << kNsShift) /
                    std::max<std::uint64_t>(rte_get_tsc_hz(), 1)),
      port_out_(kMaxPorts),
      tap_out_(kMaxPorts),
      tun_out_(kMaxInterfaces) {
  set_idle(options.adaptive_idle, options.max_sleep_ns);
}

Worker::~Worker() = default;

void Worker::run() {
  prctl(PR_SET_TIMERSLACK, 1000);  // short sleeps are meant to be short
  quiescence_.online(options_.id);
  BootTime now = boot_now();
  for (; !stopping_.load(std::memory_order_acquire); now = boot_now()) sleep_if_idle(run_once(now), now);
  has_time_.store(false, std::memory_order_relaxed);
  finish_all_jobs(now);
  quiescence_.offline(options_.id);
}

bool Worker::run_once(BootTime now) {
  const std::uint64_t started = stage_started_ = rte_rdtsc();
  const std::uint64_t epoch = hold_epoch();
  heartbeat_.store(heartbeat_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  const Snapshot* const published = published_.load(std::memory_order_acquire);
  if (published == nullptr) return false;
  const BurstContext at{published, now, epoch, started, live_ports(*published)};
  handshakes_left_ =
      std::min(handshakes_left_ + options_.handshake_budget, kSavedBudgets * options_.handshake_budget);
  punts_left_ = options_.punt_budget;
  mismatch_posted_ = false;
  roamed_peer_ = {};
  ++loop_;

  backlog_ = false;
  bool worked = drain_commands(at);
  for (std::uint16_t index = 0; index < at.view->ports.size(); ++index) worked |= poll_port(at, index);
  if (!worked || loop_ % kExceptionPollInterval == 0) worked |= poll_exception_queues(at);
  worked |= work_on_own_jobs(at);
  if (team_.size() > 1) worked |= share_time(!worked);

  if (refused_.n != 0) free_refused();
  if (posted_) {
    posted_ = false;
    control_doorbell_.ring();
  }
  counters_.loops.add(1);
  const std::uint64_t cycles = (worked ? stage_started_ : rte_rdtsc()) - started;
  (worked ? counters_.busy_cycles : counters_.idle_cycles).add(cycles);
  if (worked) counters_.busy_loops.add(1);
  return worked;
}

// One burst of one port, run to completion.
bool Worker::poll_port(const BurstContext& loop, std::uint16_t index) {
  const PortView& port = loop.view->ports[index];
  if (port.port == nullptr) return false;
  port.port->transmit_handed_over(options_.id, counters_);
  if (!port.port->has_rx(options_.id) || !room_for_step()) return false;

  const BurstContext at = loop.started(stage_started_);
  rte_mbuf* packets[kPollBurst];
  const std::uint16_t n = port.port->receive(options_.id, packets, kPollBurst);
  if (n == 0) return false;
  backlog_ |= n == kPollBurst;
  counters_.rx_packets.add(n);
  count_stage(Stage::receive_port, n);

  classify(at, port, index, packets, n);
  count_stage(Stage::classify, n);
  run_to_completion(at);
  count_latency(at, n);
  return true;
}

// From sessions to the outgoing queues: everything classified so far.
void Worker::run_to_completion(const BurstContext& at) {
  if (data_.n != 0) {
    const std::size_t messages = data_.n;
    find_sessions(at);
    prepare_open();
    count_stage(Stage::sessions, messages);
  }
  if (data_.n != 0) {
    if (CryptoJob* job = reserve_job(at, CryptoJob::Kind::open, {data_.op.data(), data_.n}); job != nullptr) {
      job->data.take(data_);
      data_.n = 0;
      publish_job();
    } else {
      open(data_);
      finish_receive(at);
    }
  }
  route_and_send(at);
}

// Behind the open: the checks an authentic packet has to pass. Leaves the packets that want a route in
// inner_.
void Worker::finish_receive(const BurstContext& at) {
  const std::size_t messages = data_.n;
  accept_burst(at);
  count_stage(Stage::replay, messages);
  check_sources(at);
  count_stage(Stage::inner, messages);
}

void Worker::route_and_send(const BurstContext& at) {
  if (inner_.n != 0) {
    const std::size_t routed = inner_.n;
    route_burst(at);
    count_stage(Stage::route, routed);
  }
  if (send_.n != 0) send_burst(at);
  send_icmp_answers(at);
  flush(at);
}

// What Linux sends: inner packets from the TUNs, frames from the TAPs.
bool Worker::poll_exception_queues(const BurstContext& loop) {
  std::size_t taken = 0;
  for (std::uint16_t id = 0; id < loop.view->interfaces.size(); ++id) {
    const InterfaceView& interface = loop.view->interfaces[id];
    const BurstContext at = loop.started(stage_started_);
    if (interface.tun == nullptr || !interface.up || options_.id >= interface.tun->queue_count()) continue;
    if (!room_for_step()) break;
    rte_mbuf* packets[kPollBurst];
    const std::size_t n =
        interface.tun->queue(options_.id).read_burst(pool_, packets, kPollBurst, counters_.exception);
    if (n == 0) continue;
    backlog_ |= n == kPollBurst;
    counters_.from_tun.add(n);
    taken += n;
    for (std::size_t i = 0; i < n; ++i) queue_send(packets[i], {From::kernel, id, id, 0});
    send_burst(at);
  }
  for (std::uint16_t index = 0; index < loop.view->ports.size(); ++index) {
    const PortView& port = loop.view->ports[index];
    if (port.tap == nullptr || port.port == nullptr || options_.id >= port.tap->queue_count()) continue;
    rte_mbuf* packets[kPollBurst];
    const std::size_t n =
        port.tap->queue(options_.id).read_burst(pool_, packets, kPollBurst, counters_.exception);
    counters_.from_tap.add(n);
    taken += n;
    for (std::size_t i = 0; i < n; ++i) transmit(loop, index, packets[i]);
  }
  if (taken == 0) return false;
  count_stage(Stage::exception_in, taken);
  flush(loop);
  return true;
}

// Control's commands: staged packets that have a session now, keepalives, datagrams the kernel's socket got.
// One burst per loop: a mailbox full of them (a change that switches thousands of keepalives on) may not keep
// packets waiting. Peers are named by generation, so that a command outlives its peer without harm.
bool Worker::drain_commands(const BurstContext& loop) {
  if (!room_for_step()) return false;
  const BurstContext at = loop.started(stage_started_);
  const std::size_t n = mailboxes_.commands.drain(kCommandBurst, [&](const Command& command) {
    if (command.type == CommandType::receive_outer) return take_socket_datagram(at, command.packet);
    if (command.type == CommandType::send_frame) return transmit(at, command.port, command.packet);
    Peer* peer = at.view->peers->find(command.peer);
    if (peer == nullptr) {
      if (command.packet != nullptr) drop(command.packet, DropReason::peer_gone);
      return;
    }
    rte_mbuf* packet = command.type == CommandType::keepalive ? rte_pktmbuf_alloc(pool_) : command.packet;
    if (packet == nullptr) return counters_.drop(DropReason::no_mbuf);
    queue_send(packet, {From::kernel, peer->interface_id, peer->interface_id, 0}, peer);
  });
  if (n == 0) return false;
  send_burst(at);
  run_to_completion(at);
  return true;
}

// Hands everything this burst produced to ports, TAPs and TUNs.
void Worker::flush(const BurstContext& at) {
  std::size_t sent = 0, punted = 0;
  for (std::size_t index = 0; index < at.view->ports.size(); ++index) {
    OutQueue& out = port_out_[index];
    if (out.n != 0) {
      sent += out.n;
      hand_over(at, static_cast<std::uint16_t>(index), out);
    }
    OutQueue& tap = tap_out_[index];
    if (tap.n != 0) {
      punted += tap.n;
      const std::size_t written = at.view->ports[index]
                                      .tap->queue(options_.id)
                                      .write_burst(tap.packet.data(), tap.n, counters_.exception);
      counters_.to_tap.add(written);
      counters_.drop(DropReason::punt_full, tap.n - written);
      tap.n = 0;
    }
  }
  if (sent != 0) count_stage(Stage::transmit, sent);
  for (std::size_t id = 0; id < at.view->interfaces.size(); ++id) {
    OutQueue& tun = tun_out_[id];
    if (tun.n == 0) continue;
    punted += tun.n;
    const std::size_t written = at.view->interfaces[id]
                                    .tun->queue(options_.id)
                                    .write_burst(tun.packet.data(), tun.n, counters_.exception);
    counters_.to_tun.add(written);
    counters_.drop(DropReason::punt_full, tun.n - written);
    tun.n = 0;
  }
  if (punted != 0) count_stage(Stage::exception_out, punted);
}

// Spins, then sleeps longer and longer up to the bound; a TUN, a TAP or control's doorbell wakes it at once.
void Worker::sleep_if_idle(bool worked, BootTime now) {
  if (worked || !adaptive_idle_.load(std::memory_order_relaxed)) {
    idle_since_ = 0;
    if (!worked) __builtin_ia32_pause();
    return;
  }
  if (idle_since_ == 0) {
    idle_since_ = now;
    sleep_ns_ = kFirstSleepNs;
  }
  if (now - idle_since_ < options_.spin_ns) return __builtin_ia32_pause();

  std::array<pollfd, 1 + kMaxPorts> fds;
  nfds_t n = 0;
  fds[n++] = {doorbell_.fd(), POLLIN, 0};
  // Online until the sleep, so whatever is published now stays until then.
  if (const Snapshot* view = published_.load(std::memory_order_acquire); view != nullptr) {
    for (const InterfaceView& interface : view->interfaces) {
      if (interface.tun == nullptr || !interface.up || options_.id >= interface.tun->queue_count() ||
          n == fds.size())
        continue;
      fds[n++] = {interface.tun->queue(options_.id).fd(), POLLIN, 0};
    }
    for (const PortView& port : view->ports) {
      if (port.tap == nullptr || options_.id >= port.tap->queue_count() || n == fds.size()) continue;
      fds[n++] = {port.tap->queue(options_.id).fd(), POLLIN, 0};
    }
  }
  doorbell_.prepare_sleep();
  // A command posted before prepare_sleep() rang nobody: look once more before sleeping.
  if (mailboxes_.commands.empty() && !stopping_.load(std::memory_order_seq_cst)) {
    quiescence_.offline(options_.id);
    const timespec limit{0, static_cast<long>(sleep_ns_)};
    ppoll(fds.data(), n, &limit, nullptr);
    quiescence_.online(options_.id);
    counters_.sleeps.add(1);
  }
  doorbell_.awake();
  sleep_ns_ = std::min(sleep_ns_ * 2, max_sleep_ns_.load(std::memory_order_relaxed));
}

void Worker::free_refused() noexcept {
  std::size_t ours = 0;
  for (std::size_t i = 0; i < refused_.n; ++i) {
    rte_mbuf* packet = refused_.packet[i];
    if (packet->nb_segs != 1 || packet->pool != pool_) {
      rte_pktmbuf_free(packet);
    } else if ((packet = rte_pktmbuf_prefree_seg(packet)) != nullptr) {
      refused_.packet[ours++] = packet;
    }
  }
  rte_mempool_put_bulk(pool_, reinterpret_cast<void* const*>(refused_.packet.data()),
                       static_cast<unsigned>(ours));
  refused_.n = 0;
}

bool Worker::post(const Event& event) noexcept {
  if (!mailboxes_.events.post(event)) {
    counters_.events_lost.add(1);
    return false;
  }
  counters_.events_posted.add(1);
  posted_ = true;
  return true;
}

void Worker::count_latency(const BurstContext& at, std::size_t packets) noexcept {
  counters_.latency.add((stage_started_ - at.started_at) * ns_per_clock_ >> kNsShift, packets);
}

// A stage lasts from the end of the one before: one clock reading each.
void Worker::count_stage(Stage stage, std::size_t packets) noexcept {
  const std::uint64_t now = rte_rdtsc();
  counters_.stage_cycles[static_cast<std::size_t>(stage)].add(now - stage_started_);
  counters_.stage_packets[static_cast<std::size_t>(stage)].add(packets);
  stage_started_ = now;
}

}  // namespace wg::dataplane
