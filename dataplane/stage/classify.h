// First look at a frame: transport data and handshakes for a listen port, packets to route, the rest for
// Linux.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/core/core.h"
#include "dataplane/core/egress.h"

namespace wg::dataplane {

class Classify {
 public:
  Classify(Core& core, Egress& egress) : core_(core), egress_(egress) {}

  // Unused budget for handshakes accumulates for a few loops (WorkerOptions::handshake_budget).
  void begin_loop() noexcept;
  // Takes all `n` frames of port `index`: into `data` transport data, into `inner` what needs a route.
  [[gnu::flatten]] void run(const BurstContext& at, PortIndex index, rte_mbuf* const* packets, std::size_t n,
                            DataBurst& data, InnerBurst& inner);
  // A frame around transport data that reached the kernel's socket instead of a port.
  void take_socket_datagram(const BurstContext& at, rte_mbuf* packet, DataBurst& data);

 private:
  using FrameStart = std::array<std::uint64_t, 2>;  // a frame's first 16 bytes

  // Transport data that this poll has taken before: the next frame nearly always differs only where it may.
  // Whoever equals it in the fields of kUsualCompared has passed the same checks.
  struct UsualDatagram {
    std::array<FrameStart, 3> fields{};  // of the frame's first 46 bytes, in pieces that overlap
    InterfaceId interface_id{};
    bool known = false;
  };
  // The common input of the frames of one poll.
  struct Poll {
    const BurstContext& at;
    const PortView& port;
    PortIndex index;
    FrameStart expected_prefix;  // how nearly every frame begins
    bool routes_v4;              // of untagged frames; false: Linux does
    PacketOrigin untagged;       // of a packet behind a plain Ethernet header
    DataBurst& data;
    InnerBurst& inner;
    UsualDatagram usual{};
    std::uint32_t receiver = 0;  // of the message taken last: its session is under way
  };
  // A UDP datagram with its IP header, somewhere in a packet.
  struct Datagram {
    rte_mbuf* packet;
    const std::uint8_t* l3;
    bool v6;
    std::uint8_t tos;
    const UdpHeader* udp;
    Bytes message;
  };

  bool take_usual(Poll& poll, rte_mbuf* packet);
  static void note_usual(const std::uint8_t* frame, InterfaceId interface_id, UsualDatagram& usual);
  bool classify_fast(Poll& poll, rte_mbuf* packet);
  // Kept out of line: rare, and they would take the usual frame's registers.
  [[gnu::noinline]] void classify_slow(const Poll& poll, rte_mbuf* packet);
  void classify_v4(const Poll& poll, rte_mbuf* packet, const EthernetView& frame);
  void classify_v6(const Poll& poll, rte_mbuf* packet, const EthernetView& frame);
  void queue_for_route(const Poll& poll, rte_mbuf* packet, const EthernetView& frame, std::size_t length,
                       bool v6);
  void leave_local(const Poll& poll, rte_mbuf* packet, const EthernetView& frame, std::size_t length,
                   bool v6);
  bool take_datagram(const BurstContext& at, Datagram datagram, DataBurst& data);
  void take_message(const BurstContext& at, InterfaceId interface_id, const Datagram& datagram,
                    DataBurst& data);
  [[gnu::noinline]] void post_handshake(const BurstContext& at, InterfaceId interface_id, Datagram datagram);

  Core& core_;
  Egress& egress_;
  std::uint32_t handshakes_left_ = 0;  // of this loop
};

}  // namespace wg::dataplane
