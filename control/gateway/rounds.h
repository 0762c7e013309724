// The rounds of the control thread: sleep until something is due, then take what the workers have posted, let
// the engines and the flows advance, and publish what changed. Each of these has a share of a round's time
// (control/round_times.h); what is left over is done in the next.
#pragma once

#include <chrono>
#include <cstddef>

#include "control/flows/flow_service.h"
#include "control/gateway/objects.h"
#include "control/gateway/packet_watch.h"
#include "control/loop/event_loop.h"
#include "control/noise/handshake_pace.h"
#include "control/services.h"

namespace wg::control {

class Rounds {
 public:
  Rounds(Services& services, Objects& objects, FlowService& flows, PacketWatch& packets)
      : services_(services), objects_(objects), flows_(flows), packets_(packets) {}

  // One round: the callbacks of descriptors and timers among it.
  void run_once();
  // Once the workers have stopped: packets that wait in a mailbox go back to their pool.
  void empty_mailboxes();

 private:
  [[nodiscard]] std::chrono::nanoseconds sleep_time(bool gather);
  void advance();
  void follow_linux(EventLoop::Clock::time_point until);
  void release_ports();  // numbers of those that have gone, when nothing leads to them
  std::size_t drain_mailboxes(EventLoop::Clock::time_point until);  // returns how many handshake messages
  // From the interface that begins the round.
  template <class Step>
  void for_interfaces(const Step& step);
  void on_event(const dataplane::Event& event);

  Services& services_;
  Objects& objects_;
  FlowService& flows_;
  PacketWatch& packets_;
  noise::HandshakePace pace_;
  bool flows_unfinished_ = false;
  bool records_wait_ = false;  // records of watched packets
  unsigned unread_ = 0;        // rounds in a row in which the mirror is behind
  std::size_t first_ = 0;      // which interface and worker begins the present round
};

}  // namespace wg::control
