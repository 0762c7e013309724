// One rtnetlink socket over libmnl: requests with acknowledgement, dumps and batches. A socket stays in the
// network namespace in which it was opened. Not thread-safe; the control thread uses it.
#pragma once

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/kernel/types.h"
#include "dataplane/base/expected.h"

namespace wg::control {

// A netlink message under construction in its own buffer. Exceeding the capacity aborts the program, because
// every message built here has a known upper bound.
class NetlinkMessage {
 public:
  NetlinkMessage(std::uint16_t type, std::uint16_t flags);

  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(buffer_.data()); }
  [[nodiscard]] std::size_t size() const {
    return reinterpret_cast<const nlmsghdr*>(buffer_.data())->nlmsg_len;
  }
  // Appends a zeroed extra header (ifinfomsg, rtmsg, ...) right after the netlink header.
  template <class T>
  T* extra() {
    return static_cast<T*>(mnl_nlmsg_put_extra_header(header(), sizeof(T)));
  }
  void put(std::uint16_t type, const void* value, std::size_t size);
  void put_u8(std::uint16_t type, std::uint8_t value) { put(type, &value, sizeof value); }
  void put_u16(std::uint16_t type, std::uint16_t value) { put(type, &value, sizeof value); }
  void put_u32(std::uint16_t type, std::uint32_t value) { put(type, &value, sizeof value); }
  void put_address(std::uint16_t type, const IpAddress& address) {
    put(type, address.bytes.data(), address.v6 ? 16 : 4);
  }
  void put_string(std::uint16_t type, const std::string& value) {
    put(type, value.c_str(), value.size() + 1);
  }
  nlattr* begin_nested(std::uint16_t type);
  void end_nested(nlattr* nest) { mnl_attr_nest_end(header(), nest); }
  // Appends one rtnexthop of a multipath route inside the open nest.
  rtnexthop* append_rtnexthop();
  void close_rtnexthop(rtnexthop* hop);

 private:
  static constexpr std::size_t kCapacity = 2048;
  void reserve(std::size_t bytes) const;
  alignas(NLMSG_ALIGNTO) std::array<char, kCapacity> buffer_{};
};

// Calls visit(attribute) for each complete attribute in the bytes. A truncated attribute ends the walk.
template <class Visit>
void for_each_attribute(const void* bytes, std::size_t size, Visit visit) {
  const auto* at = static_cast<const char*>(bytes);
  while (size >= sizeof(nlattr)) {
    const auto* attribute = reinterpret_cast<const nlattr*>(at);
    if (attribute->nla_len < sizeof(nlattr) || attribute->nla_len > size) return;
    visit(attribute);
    const std::size_t step = MNL_ALIGN(std::size_t{attribute->nla_len});
    if (step >= size) return;
    at += step;
    size -= step;
  }
}
// Visits the attributes of a message after its extra header of `header` bytes.
template <class Visit>
void for_each_attribute(const nlmsghdr* message, std::size_t header, Visit visit) {
  const std::size_t offset = MNL_ALIGN(header);
  const std::size_t payload = mnl_nlmsg_get_payload_len(message);
  if (payload <= offset) return;
  for_each_attribute(
      static_cast<const void*>(static_cast<const char*>(mnl_nlmsg_get_payload(message)) + offset),
      payload - offset, visit);
}

using MessageVisitor = std::function<void(const nlmsghdr*)>;

class NetlinkSocket {
 public:
  // Throws std::system_error when the kernel refuses a socket.
  NetlinkSocket();

  // Sends one request and waits for its acknowledgement. The optional `reply` visits the messages before it.
  // The text of a refusal is the kernel's extended acknowledgement alone; the caller says what it attempted.
  Expected<> request(NetlinkMessage& message, const MessageVisitor& reply = {});
  // Sends one request whose answer is a single message instead of an acknowledgement.
  Expected<> query(NetlinkMessage& message, const MessageVisitor& reply);
  // Visits a whole dump. Error EINTR: the tables changed during the dump, so it may be incomplete.
  Expected<> dump(NetlinkMessage& message, const MessageVisitor& visit);
  // The same in steps, with no other request on this socket before the end. read_dump() visits the messages
  // of one datagram and does not wait for it; nullopt: there is more.
  Expected<> begin_dump(NetlinkMessage& message);
  std::optional<Expected<>> read_dump(const MessageVisitor& visit);

  // Sends many requests, as many per system call as fit, and counts their acknowledgements.
  // Calls `failed(index, refusal)` for each refused request.
  using BatchFailure = std::function<void(std::size_t index, const Refusal& refusal)>;
  Expected<> batch(std::size_t count, const std::function<NetlinkMessage(std::size_t)>& build,
                   const BatchFailure& failed);

 private:
  struct Closer {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };
  Expected<> send(NetlinkMessage& message);
  enum class Until { kAck, kFirstReply, kDumpEnd };
  Expected<> receive(Until until, const MessageVisitor& visit);
  std::optional<Expected<>> receive_some(Until until, const MessageVisitor& visit);
  Expected<> send_chunk(const std::vector<char>& chunk);
  Expected<> count_acks(std::uint32_t first_sequence, std::size_t count, std::size_t base,
                        const BatchFailure& failed);

  std::unique_ptr<mnl_socket, Closer> socket_;
  std::uint32_t sequence_ = 0;
  bool interrupted_ = false;  // the dump that is being read
  std::vector<char> buffer_;
};

// The content of an NLMSG_ERROR message: an acknowledgement, or the errno and the text of a refusal.
Expected<> parse_acknowledgement(const nlmsghdr* message);

}  // namespace wg::control
