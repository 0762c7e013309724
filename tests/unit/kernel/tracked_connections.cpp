#include "tests/unit/kernel/tracked_connections.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace wg::test {

using dataplane::FlowTuple;
using dataplane::IpAddress;

namespace {

constexpr std::uint32_t kFirstHost = 0x0a000001;  // 10.0.0.1
constexpr std::uint32_t kServer = 0xc6120001;     // 198.18.0.1
constexpr std::uint32_t kPortsOfHost = 1000, kFirstPort = 10'000;
constexpr std::uint32_t kTimeout = 100'000;  // seconds
constexpr std::size_t kMessageMax = 512, kSentAtOnce = 32u << 10;

struct Destroy {
  void operator()(nf_conntrack* entry) const { nfct_destroy(entry); }
};
struct Close {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using Socket = std::unique_ptr<mnl_socket, Close>;

Socket open_socket() {
  Socket socket(mnl_socket_open(NETLINK_NETFILTER));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0)
    throw std::runtime_error("connection tracking: no netlink socket");
  return socket;
}

IpAddress ipv4(std::uint32_t host_order) {
  const std::uint32_t bytes = htonl(host_order);
  return IpAddress::from_v4(&bytes);
}

void write(nf_conntrack* ct, const FlowTuple& tuple, std::uint32_t mark) {
  std::uint32_t source, destination;
  std::copy_n(tuple.source.bytes.data(), sizeof source, reinterpret_cast<std::uint8_t*>(&source));
  std::copy_n(tuple.destination.bytes.data(), sizeof destination,
              reinterpret_cast<std::uint8_t*>(&destination));
  nfct_set_attr_u8(ct, ATTR_L3PROTO, AF_INET);
  nfct_set_attr_u8(ct, ATTR_L4PROTO, IPPROTO_TCP);
  nfct_set_attr_u32(ct, ATTR_IPV4_SRC, source);
  nfct_set_attr_u32(ct, ATTR_IPV4_DST, destination);
  nfct_set_attr_u16(ct, ATTR_PORT_SRC, htons(tuple.source_port));
  nfct_set_attr_u16(ct, ATTR_PORT_DST, htons(tuple.destination_port));
  nfct_setobjopt(ct, NFCT_SOPT_SETUP_REPLY);
  nfct_set_attr_u8(ct, ATTR_TCP_STATE, TCP_CONNTRACK_ESTABLISHED);
  nfct_set_attr_u32(ct, ATTR_STATUS, IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED);
  nfct_set_attr_u32(ct, ATTR_TIMEOUT, kTimeout);
  nfct_set_attr_u32(ct, ATTR_MARK, mark);
}

nlmsghdr* begin(void* buffer, std::uint16_t type, std::uint16_t flags) {
  nlmsghdr* const header = mnl_nlmsg_put_header(buffer);
  header->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  auto* const extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  extra->nfgen_family = AF_INET;
  extra->version = NFNETLINK_V0;
  return header;
}

void append(std::vector<char>& messages, std::uint32_t number, std::uint32_t mark) {
  alignas(NLMSG_ALIGNTO) char buffer[kMessageMax];
  nlmsghdr* const header = begin(buffer, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL);
  const std::unique_ptr<nf_conntrack, Destroy> entry(nfct_new());
  if (!entry) throw std::bad_alloc();
  write(entry.get(), tracked_connection(number), mark);
  if (nfct_nlmsg_build(header, entry.get()) < 0) throw std::runtime_error("connection tracking: no message");
  messages.insert(messages.end(), buffer, buffer + NLMSG_ALIGN(header->nlmsg_len));
}

// The kernel answers before the call returns, and only what it refuses.
void send(mnl_socket* socket, std::vector<char>& messages) {
  if (mnl_socket_sendto(socket, messages.data(), messages.size()) < 0)
    throw std::runtime_error("connection tracking: a request was not sent");
  messages.clear();
  char answer[kMessageMax];
  const auto n = recv(mnl_socket_get_fd(socket), answer, sizeof answer, MSG_DONTWAIT);
  if (n > 0) throw std::runtime_error("connection tracking: the kernel refuses an entry");
}

}  // namespace

FlowTuple tracked_connection(std::uint32_t number) {
  return {ipv4(kFirstHost + number / kPortsOfHost), ipv4(kServer),
          static_cast<std::uint16_t>(kFirstPort + number % kPortsOfHost), 443, IPPROTO_TCP};
}

void make_tracked_connections(std::uint32_t count, std::uint32_t mark) {
  const Socket socket = open_socket();
  std::vector<char> messages;
  for (std::uint32_t i = 0; i < count; ++i) {
    append(messages, i, mark);
    if (messages.size() >= kSentAtOnce) send(socket.get(), messages);
  }
  if (!messages.empty()) send(socket.get(), messages);
}

void flush_tracked_connections() {
  const Socket socket = open_socket();
  std::vector<char> message(kMessageMax);
  message.resize(begin(message.data(), IPCTNL_MSG_CT_DELETE, 0)->nlmsg_len);
  send(socket.get(), message);
}

}  // namespace wg::test
