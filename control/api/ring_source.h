// Requests about rings: a program becomes the inner side of an interface, or a host behind it, by memory that
// it shares with the workers (dataplane/io/program_ring.h). Only the control socket offers it.
//
// Contract: every method is called on the control thread, never blocks and never throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/address.h"
#include "dataplane/base/expected.h"

namespace wg::control {

struct RingRequest {
  std::string interface;
  std::uint32_t slots = 0;                        // 0: the gateway's choice
  std::vector<config::InterfaceAddress> sources;  // prefixes; empty: the interface's own addresses
  bool routed = false;                            // beside the peers; it must name its sources
  bool offloads = false;  // a virtio-net header in front of each packet, super-packets
  bool join_udp = false;  // of UDP too, towards the program
  std::int64_t pid = 0;   // who asks; 0: not known
};

// The program's view of its ring, and its descriptors: the memory, then a socket for each queue.
struct RingOffer {
  std::size_t queues = 0, bytes = 0;
  std::uint32_t slots = 0, slot_bytes = 0, mtu = 0;
  bool routed = false, offloads = false;
  std::vector<int> descriptors;  // whoever takes the offer closes them
};

// The program is at the interface until its destruction.
class RingSession {
 public:
  virtual ~RingSession() = default;
  virtual RingOffer take_offer() = 0;  // once
  // The program has mapped the memory: from now on packets go to it and come from it.
  virtual Expected<> start() = 0;
};

class RingSource {
 public:
  // Called when the ring has ended by itself; `reason` for people.
  using OnEnd = std::function<void(const std::string& reason)>;

  virtual ~RingSource() = default;
  // ENOENT: no such interface. EBUSY: it has a ring, or there are too many. EINVAL: too large, or no sources.
  virtual Expected<std::unique_ptr<RingSession>> open_ring(const RingRequest& request, OnEnd on_end) = 0;
};

}  // namespace wg::control
