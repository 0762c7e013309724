// A small world around the real worker: two ports, two WireGuard interfaces, three peers, routes; frames go
// in and come out as bytes, and libsodium is the oracle of what is sealed. No thread, no clock: loop() runs
// the worker once at now().
//
//   lan host 192.168.1.5 -- lan | wg0: alice (v4 endpoint), bob (v6 endpoint) | wan -- gateway -- peers
//                               | wg1: carol                                  |
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/lpm/lpm.h"
#include "dataplane/snapshot.h"
#include "dataplane/watch/watch.h"
#include "dataplane/worker.h"
#include "tests/worker_world/environment.h"
#include "tests/worker_world/packet.h"

namespace wg::test {

using dataplane::DropReason;
using dataplane::Event;
using dataplane::EventType;

inline constexpr dataplane::PortIndex kWan{0}, kLan{1};    // ports
inline constexpr dataplane::InterfaceId kWg0{0}, kWg1{1};  // interfaces
inline const Octets kWanMac = {2, 0, 0, 0, 0, 1}, kLanMac = {2, 0, 0, 0, 0, 2};
inline const Octets kGatewayMac = {2, 0, 0, 0, 1, 1}, kHostMac = {2, 0, 0, 0, 2, 5};
inline const std::string kUs4 = "203.0.113.2", kUs6 = "2001:db8:1::2";

// A peer as the tests know it.
struct TestPeer {
  std::uint32_t slot;
  dataplane::InterfaceId interface_id;
  std::string endpoint;
  std::uint16_t endpoint_port;
  std::uint16_t listen_port;  // ours
  std::string inside4, inside6;
  std::uint32_t our_index, their_index;
};
inline const TestPeer kAlice = {0,           kWg0,      "198.51.100.1", 1111,      51820,
                                "10.10.0.2", "fd10::2", 0x1a000001,     0xa1a1a1a1};
inline const TestPeer kBob = {1,           kWg0,      "2001:db8:9::3", 3333,      51820,
                              "10.10.0.3", "fd10::3", 0x2b000002,      0xb2b2b2b2};
inline const TestPeer kCarol = {2,           kWg1,      "198.51.100.4", 4444,      51821,
                                "10.20.0.2", "fd20::2", 0x3c000003,     0xc3c3c3c3};

inline constexpr std::size_t kPadTo16 = ~std::size_t{0};
// Type, index, counter, sealed plaintext and tag. `padded`: plaintext length with zero padding.
Octets message_from(const TestPeer& peer, std::uint64_t counter, const Octets& inner,
                    std::size_t padded = kPadTo16);
Octets message_to(const TestPeer& peer, std::uint64_t counter, const Octets& inner,
                  std::size_t padded = kPadTo16);
// The frame that carries `message` from the peer to us, and from us to the peer (`id`: IPv4's).
Packet outer_from(const TestPeer& peer, const Octets& message, std::uint8_t tos = 0);
Packet outer_to(const TestPeer& peer, const Octets& message, std::uint16_t id = 1, std::uint8_t tos = 0);
// The frame on the LAN port's wire: from the host to us and back.
Packet from_host();
Packet to_host();

struct SessionOptions {
  bool initiator = true;
  bool confirmed = true;
  std::chrono::seconds age{10};
  std::uint64_t counter = 0;
};

class WorkerWorld {
 public:
  // `workers`: a team of them; the ports' queues belong to the first, which loop() runs.
  explicit WorkerWorld(const dataplane::WorkerOptions& options = {}, std::size_t workers = 1);
  ~WorkerWorld();
  WorkerWorld(const WorkerWorld&) = delete;
  WorkerWorld& operator=(const WorkerWorld&) = delete;

  // ---- before or between loops
  [[nodiscard]] dataplane::Snapshot& snapshot() { return snapshot_; }
  [[nodiscard]] dataplane::InterfaceView& interface(dataplane::InterfaceId id) {
    return snapshot_.interfaces[id];
  }
  [[nodiscard]] dataplane::PortView& port(dataplane::PortIndex index) { return snapshot_.ports[index]; }
  [[nodiscard]] dataplane::Peer& peer(const TestPeer& test_peer) { return peers_.at(test_peer.slot); }
  [[nodiscard]] dataplane::Keypair& keypair(const TestPeer& test_peer) { return *keypairs_[test_peer.slot]; }
  [[nodiscard]] dataplane::Path& path(const TestPeer& test_peer) { return *paths_[test_peer.slot]; }
  [[nodiscard]] lpm::Lpm4& allowed4(dataplane::InterfaceId id) { return allowed4_[number_of(id)]; }
  [[nodiscard]] lpm::Lpm6& allowed6(dataplane::InterfaceId id) { return allowed6_[number_of(id)]; }
  [[nodiscard]] lpm::Lpm4& routes4() { return routes4_; }
  [[nodiscard]] lpm::Lpm6& routes6() { return routes6_; }
  [[nodiscard]] dataplane::Worker& worker(std::size_t id = 0) { return *workers_[id]; }
  [[nodiscard]] std::span<const std::unique_ptr<dataplane::Worker>> workers() const { return workers_; }
  [[nodiscard]] static rte_mempool* pool();
  [[nodiscard]] dataplane::Quiescence& quiescence() { return quiescence_; }
  [[nodiscard]] BootTime now() const { return now_; }
  void advance_clock(std::chrono::nanoseconds time) { now_ += time; }
  void set_session(const TestPeer& test_peer, const SessionOptions& options);
  void remove_session(const TestPeer& test_peer);
  void remove_endpoint(const TestPeer& test_peer);
  void use_kernel_path(const TestPeer& test_peer);
  void limit_path(const TestPeer& test_peer, std::uint16_t mtu) { paths_[test_peer.slot]->mtu = mtu; }
  void set_endpoint(const TestPeer& test_peer, const std::string& host, std::uint16_t port);
  void close_listen_port(std::uint16_t port);
  void accept_vlan(dataplane::PortIndex port, std::uint16_t id);
  std::uint16_t add_hop(const dataplane::NextHop& hop);

  // ---- traffic
  // Lays the frame on the port's wire; `segments`: in that many chained buffers.
  void arrive(dataplane::PortIndex port, const Octets& frame, std::size_t segments = 1,
              std::uint64_t ol_flags = 0);
  // Fills the wire, so that it accepts nothing until transmitted() has been called.
  void block_wire(dataplane::PortIndex port);
  bool loop(std::size_t worker = 0) { return workers_[worker]->run_once(now_); }
  // Frames of the worker that left since the last call.
  std::vector<Octets> transmitted(dataplane::PortIndex port);
  void command(dataplane::CommandType type, const TestPeer& test_peer, const Octets& inner = {});
  void stale_command(const Octets& inner);
  void frame_command(dataplane::PortIndex port, const Octets& frame);
  // Records every packet at every point, from now on.
  void watch_everything();
  // What has been recorded since the last call, by the first worker.
  struct Seen {
    dataplane::WatchRecord record;
    Octets bytes;
  };
  std::vector<Seen> seen();
  [[nodiscard]] dataplane::Watch& watch() { return *watch_; }  // after watch_everything()

  // ---- what came of it. Draining frees the packets that events carry; their bytes stay.
  struct Note {
    Event event;
    Octets packet;
  };
  std::vector<Note> events();
  std::vector<dataplane::HandshakeMessage> handshakes();
  [[nodiscard]] std::map<std::string, std::uint64_t> drops() const;
  // Packet buffers that are neither in the pool nor on a wire. 0 after all has been drained.
  [[nodiscard]] std::size_t missing_buffers();
  // Takes all buffers out of the pool until released.
  void exhaust_pool();
  void restore_pool();

 private:
  void add_peer(const TestPeer& test_peer);
  void build_path(const TestPeer& test_peer, const std::string& host, std::uint16_t port);
  void drain_everything();

  BootTime now_{std::chrono::seconds(1000)};
  dataplane::Quiescence quiescence_;
  dataplane::KeypairTable keypair_table_{64, [](const std::function<void()>& free) { free(); }};
  dataplane::PeerTable peers_{64};
  std::array<lpm::Lpm4, 2> allowed4_;  // by interface
  std::array<lpm::Lpm6, 2> allowed6_;
  lpm::Lpm4 routes4_;
  lpm::Lpm6 routes6_;
  std::map<std::uint32_t, std::unique_ptr<dataplane::Keypair>> keypairs_;
  std::map<std::uint32_t, std::unique_ptr<dataplane::Path>> paths_;
  dataplane::Snapshot snapshot_;
  std::shared_ptr<dataplane::Watch> watch_;
  std::atomic<const dataplane::Snapshot*> published_{nullptr};
  dataplane::Doorbell control_doorbell_;
  std::vector<std::unique_ptr<dataplane::Worker>> workers_;
  std::vector<rte_mbuf*> withheld_;
};

}  // namespace wg::test
