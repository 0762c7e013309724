#include "control/kernel/netlink_socket.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace wg::control {
namespace {

constexpr std::size_t kReceiveBuffer = 64 * 1024;  // the kernel fills up to 32 KiB per dump message
constexpr std::size_t kChunkBytes = 32 * 1024;
// All acknowledgements of a chunk wait in our receive queue until it is sent; each occupies about 1 KiB.
constexpr std::size_t kChunkMessages = 512;
constexpr int kSocketBuffer = 4 << 20;

void enlarge_receive_queue(int fd) {
  const int bytes = kSocketBuffer;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
}

std::string extended_words(const nlmsghdr* message) {
  if (!(message->nlmsg_flags & NLM_F_ACK_TLVS)) return {};
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
  std::size_t offset = sizeof(nlmsgerr);
  // Without NLM_F_CAPPED the kernel repeats the refused message before the attributes.
  if (!(message->nlmsg_flags & NLM_F_CAPPED)) offset += error->msg.nlmsg_len - sizeof(nlmsghdr);
  std::string words;
  for_each_attribute(message, offset, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) != NLMSGERR_ATTR_MSG) return;
    const auto* text = static_cast<const char*>(mnl_attr_get_payload(attribute));
    words.assign(text, strnlen(text, mnl_attr_get_payload_len(attribute)));
  });
  return words;
}

}  // namespace

Expected<> parse_acknowledgement(const nlmsghdr* message) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(nlmsgerr)) return Refusal{EBADMSG, {}};
  const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
  if (error->error == 0) return {};
  return Refusal{-error->error, extended_words(message)};
}

NetlinkMessage::NetlinkMessage(std::uint16_t type, std::uint16_t flags) {
  nlmsghdr* message = mnl_nlmsg_put_header(buffer_.data());
  message->nlmsg_type = type;
  message->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
}

void NetlinkMessage::reserve(std::size_t bytes) const {
  if (size() + bytes > kCapacity) std::abort();
}

void NetlinkMessage::put(std::uint16_t type, const void* value, std::size_t size) {
  reserve(MNL_ALIGN(size) + sizeof(nlattr));
  mnl_attr_put(header(), type, size, value);
}

nlattr* NetlinkMessage::begin_nested(std::uint16_t type) {
  reserve(sizeof(nlattr));
  return mnl_attr_nest_start(header(), type);
}

rtnexthop* NetlinkMessage::append_rtnexthop() {
  reserve(sizeof(rtnexthop));
  auto* hop = static_cast<rtnexthop*>(mnl_nlmsg_get_payload_tail(header()));
  header()->nlmsg_len += static_cast<std::uint32_t>(sizeof(rtnexthop));
  return hop;
}

void NetlinkMessage::close_rtnexthop(rtnexthop* hop) {
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header()));
  hop->rtnh_len = static_cast<std::uint16_t>(end - reinterpret_cast<const char*>(hop));
}

NetlinkSocket::NetlinkSocket()
    : socket_(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC)), buffer_(kReceiveBuffer) {
  if (!socket_ || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0) {
    throw std::system_error(errno, std::generic_category(), "opening an rtnetlink socket");
  }
  int on = 1;
  // Optional features of newer kernels: without them only error texts and filters are missing.
  mnl_socket_setsockopt(socket_.get(), NETLINK_EXT_ACK, &on, sizeof on);
  mnl_socket_setsockopt(socket_.get(), NETLINK_CAP_ACK, &on, sizeof on);
  mnl_socket_setsockopt(socket_.get(), NETLINK_GET_STRICT_CHK, &on, sizeof on);
  enlarge_receive_queue(mnl_socket_get_fd(socket_.get()));
}

Expected<> NetlinkSocket::send(NetlinkMessage& message) {
  message.header()->nlmsg_seq = ++sequence_;
  if (mnl_socket_sendto(socket_.get(), message.header(), message.size()) < 0) return Refusal{errno, {}};
  return {};
}

Expected<> NetlinkSocket::request(NetlinkMessage& message, const MessageVisitor& reply) {
  message.header()->nlmsg_flags |= NLM_F_ACK;
  if (auto sent = send(message); !sent) return sent;
  return receive(Until::kAck, reply);
}

Expected<> NetlinkSocket::query(NetlinkMessage& message, const MessageVisitor& reply) {
  if (auto sent = send(message); !sent) return sent;
  return receive(Until::kFirstReply, reply);
}

Expected<> NetlinkSocket::dump(NetlinkMessage& message, const MessageVisitor& visit) {
  if (auto begun = begin_dump(message); !begun) return begun;
  return receive(Until::kDumpEnd, visit);
}

Expected<> NetlinkSocket::begin_dump(NetlinkMessage& message) {
  message.header()->nlmsg_flags |= NLM_F_DUMP;
  interrupted_ = false;
  return send(message);
}

// Its first datagram is there when the request has been sent, and each next one when one has been read.
std::optional<Expected<>> NetlinkSocket::read_dump(const MessageVisitor& visit) {
  pollfd readable{mnl_socket_get_fd(socket_.get()), POLLIN, 0};
  if (poll(&readable, 1, 0) == 0) return std::nullopt;
  return receive_some(Until::kDumpEnd, visit);
}

Expected<> NetlinkSocket::receive(Until until, const MessageVisitor& visit) {
  while (true)
    if (auto over = receive_some(until, visit)) return *std::move(over);
}

// One datagram; nullopt: the answer goes on.
std::optional<Expected<>> NetlinkSocket::receive_some(Until until, const MessageVisitor& visit) {
  const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
  if (got < 0 && errno == EINTR) return std::nullopt;
  if (got < 0) return Refusal{errno, {}};
  int left = static_cast<int>(got);
  for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(m, left);
       m = mnl_nlmsg_next(m, &left)) {
    if (m->nlmsg_seq != sequence_) continue;  // the rest of an earlier, abandoned answer
    interrupted_ |= (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    if (m->nlmsg_type == NLMSG_ERROR) return parse_acknowledgement(m);
    if (m->nlmsg_type == NLMSG_DONE) return interrupted_ ? Refusal{EINTR, {}} : Expected<>();
    if (visit) visit(m);
    if (until == Until::kFirstReply) return Expected<>();
  }
  return std::nullopt;
}

Expected<> NetlinkSocket::send_chunk(const std::vector<char>& chunk) {
  if (mnl_socket_sendto(socket_.get(), chunk.data(), chunk.size()) < 0) return Refusal{errno, {}};
  return {};
}

Expected<> NetlinkSocket::count_acks(std::uint32_t first_sequence, std::size_t count, std::size_t base,
                                     const BatchFailure& failed) {
  std::size_t acknowledged = 0;
  while (acknowledged < count) {
    const ssize_t got = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Refusal{errno, {}};
    int left = static_cast<int>(got);
    for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      const std::uint32_t index = m->nlmsg_seq - first_sequence;
      if (m->nlmsg_type != NLMSG_ERROR || index >= count) continue;
      ++acknowledged;
      if (const auto result = parse_acknowledgement(m); !result) failed(base + index, result.error());
    }
  }
  return {};
}

Expected<> NetlinkSocket::batch(std::size_t count, const std::function<NetlinkMessage(std::size_t)>& build,
                                const BatchFailure& failed) {
  std::vector<char> chunk;
  chunk.reserve(kChunkBytes);
  for (std::size_t base = 0; base < count;) {
    chunk.clear();
    const std::uint32_t first_sequence = sequence_ + 1;
    std::size_t taken = 0;
    while (base + taken < count && taken < kChunkMessages) {
      NetlinkMessage message = build(base + taken);
      if (chunk.size() + message.size() > kChunkBytes && taken > 0) break;
      message.header()->nlmsg_flags |= NLM_F_ACK;
      message.header()->nlmsg_seq = ++sequence_;
      const auto* bytes = reinterpret_cast<const char*>(message.header());
      chunk.insert(chunk.end(), bytes, bytes + MNL_ALIGN(message.size()));
      ++taken;
    }
    if (auto sent = send_chunk(chunk); !sent) return sent;
    if (auto counted = count_acks(first_sequence, taken, base, failed); !counted) return counted;
    base += taken;
  }
  return {};
}

}  // namespace wg::control
