// The kernel's sockets on a WireGuard listen port, one per family. They send handshakes and receive the
// datagrams that take the exception path. Non-blocking; owned by the control thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "control/kernel/types.h"
#include "dataplane/base/expected.h"

namespace wg::control {

struct UdpSocketOptions {
  UdpPort port = kAnyPort;  // the same for both families
  std::uint32_t fwmark = 0;
  int receive_buffer = 4 << 20;  // bytes
  int send_buffer = 4 << 20;
};

// The source of a datagram (sticky source). It applies only while it is an address of this machine.
struct LocalSource {
  IpAddress address;          // zero: the kernel chooses
  std::uint32_t ifindex = 0;  // used for IPv6 link-local only

  friend bool operator==(const LocalSource&, const LocalSource&) = default;
};

struct Datagram {
  Endpoint to;
  LocalSource from;
  std::uint8_t tos = 0;  // DSCP and ECN; TTL from the route, DF clear
  std::span<const std::uint8_t> bytes;
};

enum class SendOutcome : std::uint8_t {
  kSent,
  kSentFromElsewhere,  // sent, but the sticky source is no longer an address of this machine: forget it
  kBusy,               // send buffer full: dropped
  kNoSocket,           // no socket of this family
  kFailed,             // errno in `error`: no route, unreachable, denied by a firewall
};

struct SendResult {
  SendOutcome outcome = SendOutcome::kSent;
  int error = 0;
  [[nodiscard]] bool sent() const {
    return outcome == SendOutcome::kSent || outcome == SendOutcome::kSentFromElsewhere;
  }
};

// A datagram from recvmmsg. `bytes` are valid only during the visit.
struct ReceivedDatagram {
  std::span<const std::uint8_t> bytes;
  Endpoint remote;
  Endpoint local;  // its destination, an address and port of ours: the sticky source for the answer
  std::uint32_t ifindex = 0;  // the link by which it arrived
  std::uint8_t tos = 0;       // its DSCP and ECN

  [[nodiscard]] LocalSource source() const { return {local.address, ifindex}; }
};

// The visitor may close or reopen the socket, which ends the visit of further datagrams.
using DatagramVisitor = std::function<void(const ReceivedDatagram&)>;

class UdpSocket {
 public:
  UdpSocket();
  ~UdpSocket();
  UdpSocket(UdpSocket&&) noexcept;
  UdpSocket& operator=(UdpSocket&&) noexcept;

  // Binds both families (the kernel may lack IPv6). A failure leaves nothing open: "UDP port 51820 (IPv4):
  // Address already in use".
  Expected<> open(const UdpSocketOptions& options);
  void close();
  [[nodiscard]] bool is_open() const;
  [[nodiscard]] UdpPort port() const { return port_; }
  // The descriptor for epoll; -1: no socket of this family.
  [[nodiscard]] int fd(bool v6) const;

  Expected<> set_fwmark(std::uint32_t fwmark);
  // Drops datagrams that arrive by these links in the kernel, because workers deliver them already. An empty
  // list removes the filter. At most kMaxFilteredLinks links.
  Expected<> drop_from_links(std::span<const std::uint32_t> ifindexes);
  static constexpr std::size_t kMaxFilteredLinks = 500;

  // Receives at most `limit` datagrams of one family; returns how many. ICMP errors do not surface.
  std::size_t receive(bool v6, std::size_t limit, const DatagramVisitor& visit);

  SendResult send(const Datagram& datagram);
  // Sends many datagrams in order; `results` has one element per datagram. Returns the number sent.
  std::size_t send_batch(std::span<const Datagram> datagrams, std::span<SendResult> results);

 private:
  struct Buffers;
  Expected<> bind_both(const UdpSocketOptions& options);
  Expected<> open_family(bool v6, UdpPort port, const UdpSocketOptions& options);
  Expected<> attach_filter(int fd) const;
  std::size_t send_run(int fd, std::span<const Datagram> run, std::span<SendResult> results);

  int fds_[2] = {-1, -1};  // IPv4, IPv6
  UdpPort port_ = kAnyPort;
  std::vector<std::uint32_t> filtered_links_;  // applied to sockets opened later, too
  std::unique_ptr<Buffers> buffers_;
};

}  // namespace wg::control
