// Connection tracking as Linux reports it (ctnetlink, over libnetfilter_conntrack): events, dumps, and the
// few attributes of an entry that the gateway changes. Control thread only; the sockets stay in the network
// namespace in which they were opened.
//
// No request waits for an answer. An update causes an event like every change, if the kernel makes events for
// that entry at all; such an event is `ours`.
#pragma once

#include <libmnl/libmnl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "control/kernel/types.h"
#include "dataplane/base/clocks.h"
#include "dataplane/flow/flow.h"

namespace wg::control {

using dataplane::FlowTuple;

// A connection of TCP or UDP.
struct ConntrackEntry {
  FlowTuple original, reply;
  std::uint32_t id = 0;
  std::uint32_t mark = 0;
  WholeSeconds timeout{0};   // until it expires
  std::uint32_t status = 0;  // IPS_* of nf_conntrack_common.h
  std::uint16_t zone = 0;
  std::optional<std::uint8_t> tcp_state;  // TCP_CONNTRACK_*; nullopt: the message does not say
  bool liberal = false;                   // windows are not checked, in both directions
  bool has_helper = false;
  bool adjusts_sequence = false;  // sequence numbers differ between the two sides
};

// Members without a value stay as they are.
struct ConntrackUpdate {
  FlowTuple original;  // which entry
  bool liberal = false;
  std::optional<WholeSeconds> timeout;  // from now
  std::uint32_t clear_mark = 0;         // bits
};

// The requests of a follower of connection tracking; an interface, so that tests need no kernel.
class ConntrackRequests {
 public:
  virtual ~ConntrackRequests() = default;
  virtual void update(const ConntrackUpdate& update) = 0;
  // All entries with these mark bits, by ConntrackSink::dumped(). One at a time: until dump_ended().
  virtual void start_dump(std::uint32_t mark) = 0;
};

class ConntrackSink {
 public:
  virtual ~ConntrackSink() = default;
  virtual void updated(const ConntrackEntry& entry, bool ours) = 0;
  virtual void destroyed(const ConntrackEntry& entry) = 0;
  virtual void dumped(const ConntrackEntry& entry) = 0;
  virtual void dump_ended() = 0;
  virtual void rules_changed() = 0;  // a new generation of nftables
  virtual void lost() = 0;           // events did not fit into the socket's buffer
};

class Conntrack final : public ConntrackRequests {
 public:
  // Throws std::system_error when the kernel refuses the sockets.
  Conntrack();
  ~Conntrack() override;

  void update(const ConntrackUpdate& update) override;
  void start_dump(std::uint32_t mark) override;
  // Sends what update() has gathered.
  void flush();

  // Readable: call receive().
  [[nodiscard]] std::vector<int> descriptors() const;
  // Reads some of what has arrived; epoll reports the rest.
  void receive(ConntrackSink& sink);

 private:
  struct Closer {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };
  using Socket = std::unique_ptr<mnl_socket, Closer>;

  [[nodiscard]] static Socket open(unsigned groups);
  bool receive_events(ConntrackSink& sink);  // false: more may wait
  void receive_dump(ConntrackSink& sink);
  void discard_errors();
  void take_event(const nlmsghdr* message, ConntrackSink& sink) const;
  void send_gathered();

  Socket events_, requests_, dumps_;
  bool dumping_ = false;
  std::vector<char> received_;
  std::vector<char> gathered_;  // updates, one netlink message after the other
};

// nullopt: neither TCP nor UDP, or incomplete.
[[nodiscard]] std::optional<ConntrackEntry> parse_conntrack(const nlmsghdr* message);

// The entry that has this tuple in either direction, as a packet has it. By a socket of its own, which the
// kernel answers at once. nullopt: there is none, or the kernel refuses.
[[nodiscard]] std::optional<ConntrackEntry> find_conntrack(const FlowTuple& tuple);

// Seconds that an established connection may be silent: the kernel's parameters in this namespace.
struct ConntrackTimeouts {
  WholeSeconds tcp{432'000};
  WholeSeconds udp{120};
};
[[nodiscard]] ConntrackTimeouts conntrack_timeouts();
// How many entries there are, of all kinds. 0 as well when nothing needs connection tracking.
[[nodiscard]] std::uint64_t conntrack_count();

}  // namespace wg::control
