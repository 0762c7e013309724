// A worker: one polling lcore that owns its queue of every port and TUN, and runs packets to completion.
//
// worker.cpp names every stage in order; classify, receive, send, route and icmp hold the stages' bodies,
// spread lets other workers do the crypto of this one's bursts when they have nothing to do. Stages work on
// bursts as structures of arrays (below), with the fields' validity in comments. Nothing here waits,
// allocates, throws or logs.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/core/burst_context.h"
#include "dataplane/core/bursts.h"
#include "dataplane/counters.h"
#include "dataplane/crypto/aead.h"
#include "dataplane/io/tun.h"
#include "dataplane/messages.h"
#include "dataplane/packet/headers.h"
#include "dataplane/session/boot_clock.h"
#include "dataplane/session/keypair.h"
#include "dataplane/snapshot.h"
#include "dataplane/thread/doorbell.h"
#include "dataplane/thread/mailbox.h"
#include "dataplane/thread/ordered_ring.h"
#include "dataplane/thread/quiescence.h"

struct rte_mbuf;
struct rte_mempool;

namespace wg::dataplane {

using FrameStart = std::array<std::uint64_t, 2>;  // a frame's first 16 bytes

struct WorkerOptions {
  std::uint16_t id = 0;
  bool adaptive_idle = true;
  std::uint32_t spin_ns = 50'000;        // busy polling before the first sleep
  std::uint32_t max_sleep_ns = 500'000;  // bound on the latency an idle worker adds
  // Handshake messages posted per loop, the rest is shed unhashed. Quiet loops save up for up to four: a heap
  // after a pause (a late poll, a sender's burst) is no flood, and who is honest is in it too.
  std::uint32_t handshake_budget = 16;
  std::uint32_t punt_budget = 64;  // packets given to TUN and TAP queues per loop
  std::uint32_t icmp_per_second = 1000;
  bool spread = true;  // let idle workers seal and open for busy ones
  bool sole = false;   // there is no other worker
};

// Worker <-> control, one of each per worker.
struct WorkerMailboxes {
  Mailbox<HandshakeMessage> handshakes{1024};
  Mailbox<Event> events{4096};
  Mailbox<Command> commands{1024};
};

class Worker {
 public:
  // `engine`: the AEAD variant, chosen once. `pool`: packets this worker makes. All references outlive it.
  Worker(const WorkerOptions& options, const crypto::AeadEngine& engine, rte_mempool* pool,
         Quiescence& quiescence, const std::atomic<const Snapshot*>& snapshot, Doorbell& control_doorbell);
  ~Worker();

  // Who may help whom; before run(). The span's workers outlive this one's run().
  void join_team(std::span<const std::unique_ptr<Worker>> team) noexcept { team_ = team; }

  // ---- the lcore
  // Polls until stop().
  void run();
  // One loop; true when there was work. `now`: BootTime, one reading per loop.
  bool run_once(BootTime now);

  // ---- any thread
  void set_idle(bool adaptive, std::uint32_t max_sleep_ns) noexcept {
    adaptive_idle_.store(adaptive, std::memory_order_relaxed);
    max_sleep_ns_.store(max_sleep_ns, std::memory_order_relaxed);
  }
  void stop() noexcept {
    stopping_.store(true, std::memory_order_release);
    doorbell_.ring();
  }
  [[nodiscard]] const WorkerCounters& counters() const noexcept { return counters_; }
  [[nodiscard]] std::uint64_t heartbeat() const noexcept {
    return heartbeat_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] WorkerMailboxes& mailboxes() noexcept { return mailboxes_; }
  [[nodiscard]] Doorbell& doorbell() noexcept { return doorbell_; }
  [[nodiscard]] std::uint16_t id() const noexcept { return options_.id; }

 private:
  // What is asked once per poll of the port a frame came from.
  struct FirstLook {
    FrameStart usual;     // how nearly every frame begins
    SendOrigin untagged;  // of a packet behind a plain Ethernet header
  };

  // What becomes of packets that share next hop and origin.
  struct Way {
    enum class Kind : std::uint8_t {
      interface,
      port,
      kernel,
      hairpin_off,  // this and what follows: refused
      blackhole,
    };
    Kind kind;
    bool from_tunnel;
    std::uint16_t mtu;        // the least on the way
    std::uint16_t mss_clamp;  // 0: off
    const NextHop* hop;
    SendOrigin origin;  // with the interface that sends, for Kind::interface
  };

  // A burst between the stages in front of the crypto and those behind it: the worker that received it stays
  // its owner, any worker seals or opens it.
  struct CryptoJob {
    enum class Kind : std::uint8_t { open, seal };
    Kind kind;
    BurstContext context;     // under which the burst has been prepared and will be finished
    std::uint64_t handed_at;  // TSC, of publish_job()
    DataBurst data;           // Kind::open
    SendBurst send;           // Kind::seal
  };
  static constexpr std::size_t kJobs = 16;
  // What one step of the owner may publish at most: what it polled to open and to seal, ICMP answers of both.
  static constexpr std::size_t kJobsPerStep = 4;

  // What a run of packets shares that leave with the same session by the same path.
  struct Outlet {
    const Keypair* keypair = nullptr;
    const Path* path = nullptr;
    std::size_t peer_mtu = 0;   // inner bytes, 0: the interface's
    std::size_t pad_limit = 0;  // padding does not go beyond
    std::size_t headers = 0;    // in front of the payload
    [[nodiscard]] bool serves(const SendBurst& burst, std::size_t i) const noexcept {
      return burst.keypair[i] == keypair && burst.path[i] == path && keypair != nullptr;
    }
  };

  // Traffic of a run of packets of one peer, so that its shared counters are touched once per run.
  struct Tally {
    Peer* peer = nullptr;
    std::uint64_t bytes = 0, packets = 0;
    bool data = false;          // not keepalives alone
    std::uint8_t tos_mask = 0;  // sending: of the inner TOS, what the outer one copies
  };

  // What note_authenticated() has said last in this burst.
  struct Noted {
    const Keypair* keypair = nullptr;
    bool data = false;
  };

  struct IcmpAnswers {
    std::size_t n = 0;
    std::array<rte_mbuf*, kBurst> packet;
    std::array<SendOrigin, kBurst> origin;
  };

  // ---- worker.cpp: the journey
  bool poll_port(const BurstContext& at, std::uint16_t index);
  void run_to_completion(const BurstContext& at);
  void route_and_send(const BurstContext& at);
  bool poll_exception_queues(const BurstContext& at);
  bool drain_commands(const BurstContext& at);
  void flush(const BurstContext& at);
  void sleep_if_idle(bool worked, BootTime now);

  // ---- classify.cpp
  [[gnu::flatten]] void classify(const BurstContext& at, const PortView& port, std::uint16_t index,
                                 rte_mbuf** packets, std::uint16_t n);
  // Not inlined: rare, and they would take the usual frame's registers.
  [[gnu::noinline]] void classify_checked(const BurstContext& at, const PortView& port, std::uint16_t index,
                                          rte_mbuf* packet);
  void classify_v4(const BurstContext& at, const PortView& port, std::uint16_t index, rte_mbuf* packet,
                   const EthernetView& frame);
  void classify_v6(const BurstContext& at, const PortView& port, std::uint16_t index, rte_mbuf* packet,
                   const EthernetView& frame);
  bool take_message(const BurstContext& at, rte_mbuf* packet, const std::uint8_t* l3, bool v6,
                    std::uint8_t tos, Bytes ip_payload);
  bool take_common(const BurstContext& at, const PortView& port, std::uint16_t index, rte_mbuf* packet,
                   const FirstLook& look);
  void take_message_of(const BurstContext& at, std::uint16_t interface_id, rte_mbuf* packet,
                       const std::uint8_t* l3, bool v6, std::uint8_t tos, const UdpHeader& udp,
                       Bytes message);
  void take_socket_datagram(const BurstContext& at, rte_mbuf* packet);
  [[gnu::noinline]] void post_handshake(const BurstContext& at, rte_mbuf* packet, const std::uint8_t* l3,
                                        bool v6, const UdpHeader& udp, Bytes message,
                                        std::uint16_t interface_id);
  void want_route(const BurstContext& at, const PortView& port, std::uint16_t index, rte_mbuf* packet,
                  std::size_t l3_offset, std::size_t length, bool v6);
  void queue_inner(rte_mbuf* packet, std::uint8_t* l3, std::uint16_t length, const SendOrigin& origin,
                   bool v6) noexcept {
    const std::size_t i = inner_.n++;
    inner_.packet[i] = packet;
    inner_.l3[i] = l3;
    inner_.length[i] = length;
    inner_.origin[i] = origin;
    inner_.destination4[i] = header_at<Be32>(header_at<Ipv4Header>(l3)->destination.data())->value();
    inner_.v6[i] = v6;
    inner_.n6 += v6 ? 1 : 0;
  }

  // ---- receive.cpp
  [[gnu::flatten]] void find_sessions(const BurstContext& at);
  bool session_usable(const BurstContext& at, std::size_t i);
  void prepare_open();
  void prefetch_accepting(std::size_t i) const;
  void open(DataBurst& burst);
  void finish_receive(const BurstContext& at);
  [[gnu::flatten]] void accept_burst(const BurstContext& at);
  void check_replay(bool* accepted);
  bool accept_one(const BurstContext& at, std::size_t i, bool fresh, Noted& noted);
  void note_authenticated(const BurstContext& at, std::size_t i, Peer& peer, bool data);
  void post_roamed(std::size_t i, Peer& peer);
  void check_inner(std::size_t i);
  void count_received(const Tally& tally);
  [[gnu::flatten]] void check_sources(const BurstContext& at);
  void check_sources_of(const BurstContext& at, std::uint16_t interface_id, std::size_t begin,
                        std::size_t end);
  void drop_disallowed(std::size_t i, lpm::Value owner);

  // ---- route.cpp
  [[gnu::flatten]] void route_burst(const BurstContext& at);
  void look_up_routes(const BurstContext& at, const NextHop** hop);
  [[nodiscard]] Way way_of(const BurstContext& at, const NextHop& hop,
                           const SendOrigin& origin) const noexcept;
  void forward(const BurstContext& at, std::size_t i, const Way& way);
  void forward_to_port(const BurstContext& at, std::size_t i, const Way& way);
  void forward_to_interface(std::size_t i, const Way& way);
  [[gnu::noinline]] void refuse_way(const BurstContext& at, std::size_t i, const Way& way);
  void decrement_ttl(std::uint8_t* l3, bool v6);
  void clamp_mss(std::uint8_t* l3, std::size_t length, bool v6, std::uint16_t mss);
  void to_kernel(const BurstContext& at, std::size_t i);
  void punt_to_tap(const BurstContext& at, std::uint16_t port_index, rte_mbuf* packet);
  void punt_to_tun(const BurstContext& at, std::uint16_t interface_id, rte_mbuf* packet);

  // ---- send.cpp
  void queue_send(rte_mbuf* packet, const SendOrigin& origin, Peer* peer = nullptr);
  void queue_send(rte_mbuf* packet, std::uint8_t* l3, std::uint16_t length, bool v6,
                  std::uint32_t destination4, const SendOrigin& origin, Peer* peer) noexcept {
    assert(send_.n < kBurst);  // a poll's packets and the answers they cause always fit
    const std::size_t i = send_.n++;
    send_.packet[i] = packet;
    send_.l3[i] = l3;
    send_.length[i] = length;
    send_.v6[i] = v6;
    send_.n6 += v6 ? 1 : 0;
    send_.destination4[i] = destination4;
    send_.origin[i] = origin;
    send_.peer[i] = peer;
    send_.mixed = send_.mixed || peer != nullptr || origin.interface_id != send_.origin[0].interface_id;
  }
  [[gnu::flatten]] void send_burst(const BurstContext& at);
  void choose_peers(const BurstContext& at);
  void choose_peers_of(const BurstContext& at, std::uint16_t interface_id, std::size_t begin,
                       std::size_t end);
  void find_paths();
  void keep_ready(const BurstContext& at);
  [[nodiscard]] bool way_open(const BurstContext& at, std::size_t i);
  [[nodiscard]] Outlet outlet_of(const BurstContext& at, std::size_t i) const noexcept;
  [[nodiscard]] bool fits(const BurstContext& at, std::size_t i, const Outlet& outlet);
  std::size_t reserve_counters(const BurstContext& at, std::size_t begin, std::size_t end);
  bool cut(std::size_t i, std::size_t mtu);  // fragment.cpp
  void send_pieces(const BurstContext& at);
  [[gnu::cold]] void stage(std::size_t i);
  [[gnu::cold]] void refuse(const BurstContext& at, std::size_t i, DropReason reason);
  void encapsulate(const BurstContext& at, std::size_t i, Tally& tally);
  void count_sent(const BurstContext& at, const Tally& tally);
  void write_outer(std::uint8_t* frame, const Path& path, std::uint16_t udp_length, std::uint8_t tos);
  void seal(SendBurst& burst, const Snapshot& view);
  void transmit_sealed(const BurstContext& at);
  void send_through_kernel(std::size_t i);
  static void finish_udp_checksums(SendBurst& burst, const Snapshot& view);
  void request_handshake(Peer& peer, PeerRequest request, EventType type);

  // ---- spread.cpp: one peer's packets over several cores, in order
  [[nodiscard]] bool room_for_step() const noexcept { return jobs_.free() >= kJobsPerStep; }
  [[nodiscard]] bool wants_help(const BurstContext& at, std::span<const crypto::AeadOp> ops) const noexcept;
  [[nodiscard]] std::size_t workers_with_time() const noexcept;
  CryptoJob* reserve_job(const BurstContext& at, CryptoJob::Kind kind,
                         std::span<const crypto::AeadOp> ops) noexcept;
  void publish_job() noexcept;
  std::uint64_t hold_epoch() noexcept;
  void work_on(OrderedRing<CryptoJob>::Claim claim);
  bool work_on_own_jobs(const BurstContext& at);
  bool share_time(bool has_time);
  void release_finished_jobs(BootTime now);
  void release_job(CryptoJob& job, BootTime now);
  void finish_all_jobs(BootTime now);

  // ---- icmp.cpp
  enum class IcmpError : std::uint8_t { no_route, ttl_exceeded, too_big };
  // Answers the packet's source with an ICMP error and frees nothing: the caller still drops the packet.
  void send_icmp(const BurstContext& at, IcmpError error, rte_mbuf* packet, std::size_t l3_offset,
                 const SendOrigin& origin, std::uint16_t mtu);
  void send_icmp_answers(const BurstContext& at);
  bool icmp_allowed(const BurstContext& at);

  // ---- shared
  void transmit(const BurstContext& at, std::uint16_t port, rte_mbuf* packet) noexcept {
    if (!at.port_is_live(port)) [[unlikely]]
      return drop(packet, DropReason::port_down);
    OutQueue& out = port_out_[port];
    if (out.n == kBurst) [[unlikely]]
      hand_over(at, port, out);
    out.packet[out.n++] = packet;
  }
  void hand_over(const BurstContext& at, std::uint16_t port, OutQueue& out) noexcept;
  // Refused packets go back to the pool together, when the loop ends.
  void drop(rte_mbuf* packet, DropReason reason) noexcept {
    counters_.drop(reason);
    if (refused_.n == kBurst) free_refused();
    refused_.packet[refused_.n++] = packet;
  }
  void free_refused() noexcept;
  // A counter of a peer, which only workers write: a sole worker needs no locked instruction.
  void count(std::atomic<std::uint64_t>& counter, std::uint64_t n) const noexcept {
    if (options_.sole)
      return counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    counter.fetch_add(n, std::memory_order_relaxed);
  }
  bool post(const Event& event) noexcept;
  void count_stage(Stage stage, std::size_t packets) noexcept;
  void count_latency(const BurstContext& at, std::size_t packets) noexcept;

  WorkerOptions options_;
  const crypto::AeadEngine& engine_;
  crypto::AeadScratchPtr scratch_;
  rte_mempool* pool_;
  Quiescence& quiescence_;
  const std::atomic<const Snapshot*>& published_;
  Doorbell& control_doorbell_;
  static constexpr unsigned kNsShift = 24;
  const std::uint64_t ns_per_clock_;  // fixed point: no division per burst
  WorkerMailboxes mailboxes_;
  Doorbell doorbell_;

  std::uint64_t stage_started_ = 0;  // TSC clocks
  std::uint32_t handshakes_left_ = 0;
  std::uint32_t punts_left_ = 0;  // of this loop
  bool posted_ = false;           // something waits for control
  bool mismatch_posted_ = false;  // one source_mismatch event per loop is enough
  PeerRef roamed_peer_;           // of this loop: what the last roamed event said
  Endpoint roamed_to_, roamed_at_;
  std::uint32_t loop_ = 0;
  std::uint16_t ipv4_id_ = 0;
  std::uint64_t icmp_tokens_ = 0;
  BootTime icmp_refilled_ = 0;

  DataBurst data_;
  PlainBurst plain_;
  InnerBurst inner_;
  SendBurst send_;
  IcmpAnswers icmp_answers_;
  bool sending_answers_ = false;
  OutQueue refused_;

  OrderedRing<CryptoJob> jobs_{kJobs};  // this worker's bursts; claimed by any worker of the team
  std::span<const std::unique_ptr<Worker>> team_;
  std::size_t helped_last_ = 0;        // index into team_
  BootTime spread_again_ = 0;          // no hand-over before: a helper was off its core
  bool backlog_ = false;               // the last poll filled its burst: more is waiting
  std::atomic<bool> has_time_{false};  // W: this worker. R: the team
  std::vector<OutQueue> port_out_, tap_out_,
      tun_out_;   // by port index and interface id, sized by control's limits
  OutQueue cut_;  // fragments made of this burst's packets, and whose they are
  std::array<SendOrigin, kBurst> cut_origin_;
  std::array<Peer*, kBurst> cut_peer_;

  BootTime idle_since_ = 0;
  std::uint32_t sleep_ns_ = 0;
  std::atomic<bool> adaptive_idle_{true};       // W: control
  std::atomic<std::uint32_t> max_sleep_ns_{0};  // W: control
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> heartbeat_{0};
  WorkerCounters counters_;
};

}  // namespace wg::dataplane
