#include "control/kernel/conntrack.h"

#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack_tcp.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "control/kernel/sysctl.h"

namespace wg::control {

namespace {

constexpr std::size_t kReceiveBytes = 64u << 10;
constexpr int kEventBuffer = 16 << 20;  // of the socket: about 50 000 events
constexpr std::size_t kReadsPerCall = 64;
constexpr std::size_t kGatheredMax = 32u << 10;
constexpr std::size_t kUpdateMax = 512;
constexpr std::size_t kAnswerMax = 4096;  // one entry

struct Destroy {
  void operator()(nf_conntrack* entry) const { nfct_destroy(entry); }
};
using Object = std::unique_ptr<nf_conntrack, Destroy>;

struct Close {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using Socket = std::unique_ptr<mnl_socket, Close>;

// linux/netfilter/nfnetlink.h; the header of that name which libnetfilter_conntrack brings is older than
// these.
constexpr unsigned kNftablesGroup = 7, kNftablesSubsystem = 10;

constexpr unsigned group(unsigned number) {
  return 1u << (number - 1);
}

std::uint32_t number(const nf_conntrack* ct, nf_conntrack_attr attribute) {
  return nfct_attr_is_set(ct, attribute) > 0 ? nfct_get_attr_u32(ct, attribute) : 0;
}

struct TupleAttributes {
  nf_conntrack_attr source4, destination4, source6, destination6, source_port, destination_port;
};
constexpr TupleAttributes kOriginalTuple{ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_SRC,
                                         ATTR_ORIG_IPV6_DST, ATTR_ORIG_PORT_SRC, ATTR_ORIG_PORT_DST};
constexpr TupleAttributes kReplyTuple{ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV4_DST, ATTR_REPL_IPV6_SRC,
                                      ATTR_REPL_IPV6_DST, ATTR_REPL_PORT_SRC, ATTR_REPL_PORT_DST};

bool read_tuple(const nf_conntrack* ct, const TupleAttributes& at, bool v6, FlowTuple& out) {
  const nf_conntrack_attr source = v6 ? at.source6 : at.source4;
  const nf_conntrack_attr destination = v6 ? at.destination6 : at.destination4;
  for (const nf_conntrack_attr attribute : {source, destination, at.source_port, at.destination_port}) {
    if (nfct_attr_is_set(ct, attribute) <= 0) return false;
  }
  const auto address = [&](nf_conntrack_attr attribute) {
    const void* bytes = nfct_get_attr(ct, attribute);
    return v6 ? IpAddress::from_v6(bytes) : IpAddress::from_v4(bytes);
  };
  out.source = address(source);
  out.destination = address(destination);
  out.source_port = ntohs(nfct_get_attr_u16(ct, at.source_port));
  out.destination_port = ntohs(nfct_get_attr_u16(ct, at.destination_port));
  return true;
}

bool is_liberal(const nf_conntrack* ct, nf_conntrack_attr attribute) {
  return nfct_attr_is_set(ct, attribute) > 0 &&
         (nfct_get_attr_u8(ct, attribute) & IP_CT_TCP_FLAG_BE_LIBERAL) != 0;
}

void write_tuple(nf_conntrack* ct, const FlowTuple& tuple) {
  const bool v6 = tuple.source.v6;
  nfct_set_attr_u8(ct, ATTR_ORIG_L3PROTO, v6 ? AF_INET6 : AF_INET);
  nfct_set_attr_u8(ct, ATTR_ORIG_L4PROTO, tuple.protocol);
  nfct_set_attr(ct, v6 ? ATTR_ORIG_IPV6_SRC : ATTR_ORIG_IPV4_SRC, tuple.source.bytes.data());
  nfct_set_attr(ct, v6 ? ATTR_ORIG_IPV6_DST : ATTR_ORIG_IPV4_DST, tuple.destination.bytes.data());
  nfct_set_attr_u16(ct, ATTR_ORIG_PORT_SRC, htons(tuple.source_port));
  nfct_set_attr_u16(ct, ATTR_ORIG_PORT_DST, htons(tuple.destination_port));
}

void write_liberal(nf_conntrack* ct) {
  for (const nf_conntrack_attr attribute :
       {ATTR_TCP_FLAGS_ORIG, ATTR_TCP_MASK_ORIG, ATTR_TCP_FLAGS_REPL, ATTR_TCP_MASK_REPL})
    nfct_set_attr_u8(ct, attribute, IP_CT_TCP_FLAG_BE_LIBERAL);
}

nlmsghdr* begin_request(void* buffer, std::uint16_t flags, std::uint8_t family, std::uint16_t type) {
  nlmsghdr* const header = mnl_nlmsg_put_header(buffer);
  header->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  auto* const extra = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  extra->nfgen_family = family;
  extra->version = NFNETLINK_V0;
  return header;
}

// Calls visit(message) for each complete message; false from it ends the walk.
template <class Visit>
void for_each_message(const char* bytes, std::size_t size, Visit visit) {
  int left = static_cast<int>(size);
  const auto* message = reinterpret_cast<const nlmsghdr*>(bytes);
  for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) visit(message);
}

WholeSeconds seconds_of(const char* path, WholeSeconds otherwise) {
  const auto text = read_sysctl(path);
  const unsigned long value = text ? std::strtoul(text->c_str(), nullptr, 10) : 0;
  return value != 0 ? WholeSeconds(value) : otherwise;
}

}  // namespace

std::optional<ConntrackEntry> parse_conntrack(const nlmsghdr* message) {
  const Object object(nfct_new());
  nf_conntrack* const ct = object.get();
  if (ct == nullptr || nfct_nlmsg_parse(message, ct) < 0) return std::nullopt;
  const std::uint8_t family = nfct_get_attr_u8(ct, ATTR_ORIG_L3PROTO);
  const std::uint8_t protocol = nfct_get_attr_u8(ct, ATTR_ORIG_L4PROTO);
  if ((family != AF_INET && family != AF_INET6) || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
    return std::nullopt;
  ConntrackEntry entry;
  entry.original.protocol = entry.reply.protocol = protocol;
  const bool v6 = family == AF_INET6;
  if (!read_tuple(ct, kOriginalTuple, v6, entry.original) || !read_tuple(ct, kReplyTuple, v6, entry.reply))
    return std::nullopt;
  entry.id = number(ct, ATTR_ID);
  entry.mark = number(ct, ATTR_MARK);
  entry.timeout = WholeSeconds(number(ct, ATTR_TIMEOUT));
  entry.status = number(ct, ATTR_STATUS);
  if (nfct_attr_is_set(ct, ATTR_ZONE) > 0) entry.zone = nfct_get_attr_u16(ct, ATTR_ZONE);
  if (nfct_attr_is_set(ct, ATTR_TCP_STATE) > 0) entry.tcp_state = nfct_get_attr_u8(ct, ATTR_TCP_STATE);
  entry.liberal = is_liberal(ct, ATTR_TCP_FLAGS_ORIG) && is_liberal(ct, ATTR_TCP_FLAGS_REPL);
  entry.has_helper = nfct_attr_is_set(ct, ATTR_HELPER_NAME) > 0;
  // An entry that a program has made (conntrackd) has these with the value 0.
  entry.adjusts_sequence = number(ct, ATTR_ORIG_NAT_SEQ_OFFSET_AFTER) != 0 ||
                           number(ct, ATTR_REPL_NAT_SEQ_OFFSET_AFTER) != 0 ||
                           number(ct, ATTR_SYNPROXY_ISN) != 0 || number(ct, ATTR_SYNPROXY_TSOFF) != 0;
  return entry;
}

std::optional<ConntrackEntry> find_conntrack(const FlowTuple& tuple) {
  const Object wanted(nfct_new());
  const Socket socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!wanted || !socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) return std::nullopt;
  write_tuple(wanted.get(), tuple);
  alignas(NLMSG_ALIGNTO) char message[kUpdateMax];
  nlmsghdr* const header = begin_request(message, 0, tuple.source.v6 ? AF_INET6 : AF_INET, IPCTNL_MSG_CT_GET);
  if (nfct_nlmsg_build(header, wanted.get()) < 0 ||
      mnl_socket_sendto(socket.get(), header, header->nlmsg_len) < 0)
    return std::nullopt;
  alignas(NLMSG_ALIGNTO) std::array<char, kAnswerMax> answer;
  const auto n = mnl_socket_recvfrom(socket.get(), answer.data(), answer.size());
  std::optional<ConntrackEntry> entry;
  for_each_message(answer.data(), n > 0 ? static_cast<std::size_t>(n) : 0, [&](const nlmsghdr* found) {
    if (found->nlmsg_type != NLMSG_ERROR) entry = parse_conntrack(found);
  });
  return entry;
}

ConntrackTimeouts conntrack_timeouts() {
  const ConntrackTimeouts defaults;
  return {seconds_of("net/netfilter/nf_conntrack_tcp_timeout_established", defaults.tcp),
          seconds_of("net/netfilter/nf_conntrack_udp_timeout_stream", defaults.udp)};
}

std::uint64_t conntrack_count() {
  const auto text = read_sysctl("net/netfilter/nf_conntrack_count");
  return text ? std::strtoull(text->c_str(), nullptr, 10) : 0;
}

Conntrack::Socket Conntrack::open(unsigned groups) {
  Socket socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket || mnl_socket_bind(socket.get(), groups, MNL_SOCKET_AUTOPID) < 0)
    throw std::system_error(errno, std::generic_category(), "connection tracking: netlink socket");
  return socket;
}

Conntrack::Conntrack()
    : events_(
          open(group(NFNLGRP_CONNTRACK_UPDATE) | group(NFNLGRP_CONNTRACK_DESTROY) | group(kNftablesGroup))),
      requests_(open(0)),
      dumps_(open(0)),
      received_(kReceiveBytes) {
  setsockopt(mnl_socket_get_fd(events_.get()), SOL_SOCKET, SO_RCVBUFFORCE, &kEventBuffer,
             sizeof kEventBuffer);
  gathered_.reserve(kGatheredMax + kUpdateMax);
}

Conntrack::~Conntrack() = default;

std::vector<int> Conntrack::descriptors() const {
  return {mnl_socket_get_fd(events_.get()), mnl_socket_get_fd(requests_.get()),
          mnl_socket_get_fd(dumps_.get())};
}

// ---------------------------------------------------------------- requests

void Conntrack::update(const ConntrackUpdate& update) {
  const Object object(nfct_new());
  if (!object) return;
  write_tuple(object.get(), update.original);
  if (update.liberal) write_liberal(object.get());
  if (update.timeout) nfct_set_attr_u32(object.get(), ATTR_TIMEOUT, update.timeout->count());
  alignas(NLMSG_ALIGNTO) char message[kUpdateMax];
  const std::uint8_t family = update.original.source.v6 ? AF_INET6 : AF_INET;
  nlmsghdr* const header = begin_request(message, 0, family, IPCTNL_MSG_CT_NEW);
  if (nfct_nlmsg_build(header, object.get()) < 0) return;
  if (update.clear_mark != 0) {
    mnl_attr_put_u32(header, CTA_MARK, 0);
    mnl_attr_put_u32(header, CTA_MARK_MASK, htonl(update.clear_mark));
  }
  gathered_.insert(gathered_.end(), message, message + NLMSG_ALIGN(header->nlmsg_len));
  if (gathered_.size() >= kGatheredMax) send_gathered();
}

void Conntrack::flush() {
  if (!gathered_.empty()) send_gathered();
}

// An update that the kernel does not take is like one of an entry that has gone: nothing is carried without
// the event that it causes, and a timeout is refreshed again.
void Conntrack::send_gathered() {
  static_cast<void>(mnl_socket_sendto(requests_.get(), gathered_.data(), gathered_.size()));
  gathered_.clear();
}

void Conntrack::start_dump(std::uint32_t mark) {
  alignas(NLMSG_ALIGNTO) char message[kUpdateMax];
  nlmsghdr* const header = begin_request(message, NLM_F_DUMP, AF_UNSPEC, IPCTNL_MSG_CT_GET);
  mnl_attr_put_u32(header, CTA_MARK, htonl(mark));
  mnl_attr_put_u32(header, CTA_MARK_MASK, htonl(mark));
  dumping_ = mnl_socket_sendto(dumps_.get(), header, header->nlmsg_len) >= 0;
}

// ---------------------------------------------------------------- what arrives

// A read of the dump has dozens of entries, and each may cause an update and so an event: more of it is read
// only when no event waits, or they would overflow the buffer, and a new dump begin, for ever.
void Conntrack::receive(ConntrackSink& sink) {
  if (receive_events(sink)) receive_dump(sink);
  discard_errors();
}

bool Conntrack::receive_events(ConntrackSink& sink) {
  for (std::size_t i = 0; i < kReadsPerCall; ++i) {
    const auto n = mnl_socket_recvfrom(events_.get(), received_.data(), received_.size());
    if (n < 0 && errno == ENOBUFS) {
      sink.lost();
      continue;
    }
    if (n <= 0) return true;
    for_each_message(received_.data(), static_cast<std::size_t>(n),
                     [&](const nlmsghdr* message) { take_event(message, sink); });
  }
  return false;
}

void Conntrack::take_event(const nlmsghdr* message, ConntrackSink& sink) const {
  const unsigned subsystem = NFNL_SUBSYS_ID(message->nlmsg_type), type = NFNL_MSG_TYPE(message->nlmsg_type);
  if (subsystem == kNftablesSubsystem && type == NFT_MSG_NEWGEN) return sink.rules_changed();
  if (subsystem != NFNL_SUBSYS_CTNETLINK) return;
  const auto entry = parse_conntrack(message);
  if (!entry) return;
  if (type == IPCTNL_MSG_CT_DELETE) return sink.destroyed(*entry);
  sink.updated(*entry, message->nlmsg_pid == mnl_socket_get_portid(requests_.get()));
}

void Conntrack::receive_dump(ConntrackSink& sink) {
  for (std::size_t i = 0; dumping_ && i < kReadsPerCall; ++i) {
    const auto n = mnl_socket_recvfrom(dumps_.get(), received_.data(), received_.size());
    if (n <= 0) return;
    for_each_message(received_.data(), static_cast<std::size_t>(n), [&](const nlmsghdr* message) {
      if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
        dumping_ = false;
      } else if (const auto entry = parse_conntrack(message)) {
        sink.dumped(*entry);
      }
    });
    if (!dumping_) return sink.dump_ended();
  }
}

// Refused updates whose entry has gone meanwhile.
void Conntrack::discard_errors() {
  for (std::size_t i = 0; i < kReadsPerCall; ++i) {
    if (mnl_socket_recvfrom(requests_.get(), received_.data(), received_.size()) <= 0) return;
  }
}

}  // namespace wg::control
