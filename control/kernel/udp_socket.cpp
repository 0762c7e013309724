#include "control/kernel/udp_socket.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace wg::control {
namespace {

constexpr std::size_t kReceiveBatch = 16;
constexpr std::size_t kSendBatch = 64;
constexpr std::size_t kDatagramBytes = 65536;  // upper bound of a UDP datagram
constexpr int kPortAttempts = 100;

// Space for the packet information of either family and for the TOS byte, which the kernel expects as an int.
constexpr std::size_t kControlBytes = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int));
struct alignas(cmsghdr) Control {
  std::array<char, kControlBytes> bytes;
};

socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage* out) {
  std::memset(out, 0, sizeof *out);
  if (endpoint.address.v6) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(out);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(number_of(endpoint.port));
    v6->sin6_scope_id = endpoint.scope;
    std::memcpy(&v6->sin6_addr, endpoint.address.bytes.data(), sizeof v6->sin6_addr);
    return sizeof *v6;
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(out);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(number_of(endpoint.port));
  std::memcpy(&v4->sin_addr, endpoint.address.bytes.data(), sizeof v4->sin_addr);
  return sizeof *v4;
}

Endpoint to_endpoint(const sockaddr_storage& from) {
  if (from.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
    return {IpAddress::from_v6(&v6.sin6_addr), UdpPort{ntohs(v6.sin6_port)}, v6.sin6_scope_id};
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
  return {IpAddress::from_v4(&v4.sin_addr), UdpPort{ntohs(v4.sin_port)}, 0};
}

Expected<> set_option(int fd, int level, int name, int value, const char* what) {
  if (setsockopt(fd, level, name, &value, sizeof value) == 0) return {};
  return Refusal::from_errno(errno, what);
}

// The forced variant may exceed the system's limit but needs CAP_NET_ADMIN. Without it the limit is enough.
void set_buffer(int fd, int forced, int ordinary, int bytes) {
  if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) == 0) return;
  setsockopt(fd, SOL_SOCKET, ordinary, &bytes, sizeof bytes);
}

// Clears DF and allows local fragmentation, as the kernel's WireGuard does. IP_RECVERR stays off: an ICMP
// error can be forged by anyone, so it must not surface as a socket error.
Expected<> set_family_options(int fd, bool v6) {
  const int level = v6 ? int{IPPROTO_IPV6} : int{IPPROTO_IP};
  if (v6) {
    if (auto only = set_option(fd, level, IPV6_V6ONLY, 1, "setting IPV6_V6ONLY"); !only) return only;
  }
  const int discover = v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER;
  const int never = v6 ? IPV6_PMTUDISC_DONT : IP_PMTUDISC_DONT;
  if (auto df = set_option(fd, level, discover, never, "clearing DF"); !df) return df;
  if (auto tos = set_option(fd, level, v6 ? IPV6_RECVTCLASS : IP_RECVTOS, 1, "asking for the TOS"); !tos)
    return tos;
  return set_option(fd, level, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1, "asking for packet information");
}

Expected<> bind_any(int fd, bool v6, UdpPort port) {
  Endpoint any;
  any.address.v6 = v6;
  any.port = port;
  sockaddr_storage address;
  const socklen_t size = to_sockaddr(any, &address);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return {};
  return Refusal::from_errno(errno,
                             "UDP port " + std::to_string(number_of(port)) + (v6 ? " (IPv6)" : " (IPv4)"));
}

UdpPort bound_port(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return to_endpoint(address).port;
}

// ---- control messages

template <class T>
void append_control(msghdr* message, int level, int type, const T& value) {
  auto* at = reinterpret_cast<cmsghdr*>(static_cast<char*>(message->msg_control) + message->msg_controllen);
  at->cmsg_level = level;
  at->cmsg_type = type;
  at->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(at), &value, sizeof value);
  message->msg_controllen += CMSG_SPACE(sizeof value);
}

void append_source(msghdr* message, const LocalSource& from) {
  if (from.address.v6) {
    in6_pktinfo source{};
    std::memcpy(&source.ipi6_addr, from.address.bytes.data(), sizeof source.ipi6_addr);
    // For other addresses the routing table chooses the link.
    if (is_link_local(from.address)) source.ipi6_ifindex = from.ifindex;
    append_control(message, IPPROTO_IPV6, IPV6_PKTINFO, source);
  } else {
    in_pktinfo source{};
    std::memcpy(&source.ipi_spec_dst, from.address.bytes.data(), sizeof source.ipi_spec_dst);
    append_control(message, IPPROTO_IP, IP_PKTINFO, source);
  }
}

bool has_source(const Datagram& datagram) {
  return !datagram.from.address.is_zero() && datagram.from.address.v6 == datagram.to.address.v6;
}

// One datagram in the form that sendmsg takes. Its parts must outlive the call.
struct Outgoing {
  sockaddr_storage to;
  iovec bytes;
  Control control;
};

void fill(msghdr* message, Outgoing* parts, const Datagram& datagram, bool with_source) {
  std::memset(message, 0, sizeof *message);
  message->msg_name = &parts->to;
  message->msg_namelen = to_sockaddr(datagram.to, &parts->to);
  parts->bytes = {const_cast<std::uint8_t*>(datagram.bytes.data()), datagram.bytes.size()};
  message->msg_iov = &parts->bytes;
  message->msg_iovlen = 1;
  parts->control.bytes.fill(0);
  message->msg_control = parts->control.bytes.data();
  if (with_source) append_source(message, datagram.from);
  const bool v6 = datagram.to.address.v6;
  append_control(message, v6 ? int{IPPROTO_IPV6} : int{IPPROTO_IP}, v6 ? IPV6_TCLASS : IP_TOS,
                 int{datagram.tos});
}

// Returns the errno of one sendmsg. It first clears an error that an earlier ICMP message left on the socket.
int send_one(int fd, const Datagram& datagram, bool with_source) {
  msghdr message;
  Outgoing parts;
  fill(&message, &parts, datagram, with_source);
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR && errno != ECONNREFUSED) return errno;
  }
  return errno;
}

SendResult to_send_result(int error, SendOutcome when_sent) {
  switch (error) {
    case 0:
      return {when_sent, 0};
    case EAGAIN:
    case ENOBUFS:
      return {SendOutcome::kBusy, error};
    default:
      return {SendOutcome::kFailed, error};
  }
}

// The errors for a source that is not a local address: EINVAL, and for IPv4 ENETUNREACH since Linux 6.x.
bool may_be_the_source(int error) {
  return error == EINVAL || error == ENETUNREACH || error == EADDRNOTAVAIL;
}

SendResult send_with_fallback(int fd, const Datagram& datagram) {
  const bool with_source = has_source(datagram);
  const int error = send_one(fd, datagram, with_source);
  if (!with_source || !may_be_the_source(error)) return to_send_result(error, SendOutcome::kSent);
  return to_send_result(send_one(fd, datagram, false), SendOutcome::kSentFromElsewhere);
}

void read_control(msghdr* message, ReceivedDatagram* out) {
  for (cmsghdr* at = CMSG_FIRSTHDR(message); at != nullptr; at = CMSG_NXTHDR(message, at)) {
    if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(at), sizeof info);
      out->local.address = IpAddress::from_v4(&info.ipi_spec_dst);
      out->ifindex = static_cast<std::uint32_t>(info.ipi_ifindex);
    } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(at), sizeof info);
      out->local.address = IpAddress::from_v6(&info.ipi6_addr);
      out->ifindex = info.ipi6_ifindex;
      if (is_link_local(out->local.address)) out->local.scope = info.ipi6_ifindex;
    } else if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TOS) {
      out->tos = *CMSG_DATA(at);
    } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_TCLASS) {
      int tos;
      std::memcpy(&tos, CMSG_DATA(at), sizeof tos);
      out->tos = static_cast<std::uint8_t>(tos);
    }
  }
}

// Classic BPF: drops datagrams that arrived by one of the links, and accepts all others whole.
std::vector<sock_filter> link_filter(std::span<const std::uint32_t> ifindexes) {
  std::vector<sock_filter> program;
  program.push_back(
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_IFINDEX)));
  for (const std::uint32_t ifindex : ifindexes) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ifindex, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, ~0u));
  return program;
}

}  // namespace

struct UdpSocket::Buffers {
  std::array<std::array<std::uint8_t, kDatagramBytes>, kReceiveBatch> bytes;
  std::array<sockaddr_storage, kReceiveBatch> from;
  std::array<iovec, kReceiveBatch> vectors;
  std::array<Control, kReceiveBatch> controls;
  std::array<mmsghdr, kReceiveBatch> messages;

  void prepare(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      vectors[i] = {bytes[i].data(), bytes[i].size()};
      messages[i] = {};
      messages[i].msg_hdr = {
          &from[i], sizeof from[i], &vectors[i], 1, controls[i].bytes.data(), kControlBytes, 0};
    }
  }
};

UdpSocket::UdpSocket() = default;
UdpSocket::~UdpSocket() {
  close();
}

UdpSocket::UdpSocket(UdpSocket&& other) noexcept {
  *this = std::move(other);
}

UdpSocket& UdpSocket::operator=(UdpSocket&& other) noexcept {
  std::swap(fds_, other.fds_);
  std::swap(port_, other.port_);
  std::swap(filtered_links_, other.filtered_links_);
  std::swap(buffers_, other.buffers_);
  return *this;
}

bool UdpSocket::is_open() const {
  return fds_[0] >= 0 || fds_[1] >= 0;
}
int UdpSocket::fd(bool v6) const {
  return fds_[v6 ? 1 : 0];
}

void UdpSocket::close() {
  for (int& fd : fds_) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  port_ = kAnyPort;
}

Expected<> UdpSocket::open(const UdpSocketOptions& options) {
  // The buffers are left uninitialized on purpose: pages that no datagram reaches are never touched.
  if (!buffers_) buffers_.reset(new Buffers);
  Expected<> result;
  for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
    close();
    result = bind_both(options);
    // A random port that was free for IPv4 may be in use for IPv6.
    if (result || options.port != kAnyPort || result.error().code != EADDRINUSE) break;
  }
  if (!result) close();
  return result;
}

Expected<> UdpSocket::bind_both(const UdpSocketOptions& options) {
  if (auto v4 = open_family(false, options.port, options); !v4) return v4;
  port_ = bound_port(fds_[0]);
  auto v6 = open_family(true, port_, options);
  if (!v6 && v6.error().code == EAFNOSUPPORT) return {};
  return v6;
}

Expected<> UdpSocket::open_family(bool v6, UdpPort port, const UdpSocketOptions& options) {
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
  if (fd < 0)
    return Refusal::from_errno(errno, v6 ? "opening an IPv6 UDP socket" : "opening an IPv4 UDP socket");
  fds_[v6 ? 1 : 0] = fd;
  set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options.receive_buffer);
  set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options.send_buffer);
  if (auto family = set_family_options(fd, v6); !family) return family;
  if (options.fwmark != 0) {
    if (auto mark =
            set_option(fd, SOL_SOCKET, SO_MARK, static_cast<int>(options.fwmark), "setting the fwmark");
        !mark) {
      return mark;
    }
  }
  if (auto filter = attach_filter(fd); !filter) return filter;
  return bind_any(fd, v6, port);
}

Expected<> UdpSocket::set_fwmark(std::uint32_t fwmark) {
  for (const int fd : fds_) {
    if (fd < 0) continue;
    if (auto mark = set_option(fd, SOL_SOCKET, SO_MARK, static_cast<int>(fwmark), "setting the fwmark");
        !mark) {
      return mark;
    }
  }
  return {};
}

Expected<> UdpSocket::attach_filter(int fd) const {
  if (filtered_links_.empty()) {
    int unused = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) == 0 || errno == ENOENT) {
      return {};
    }
    return Refusal::from_errno(errno, "removing the socket filter");
  }
  auto program = link_filter(filtered_links_);
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0) return {};
  return Refusal::from_errno(errno, "attaching the socket filter");
}

Expected<> UdpSocket::drop_from_links(std::span<const std::uint32_t> ifindexes) {
  if (ifindexes.size() > kMaxFilteredLinks) return Refusal::from_errno(E2BIG, "attaching the socket filter");
  filtered_links_.assign(ifindexes.begin(), ifindexes.end());
  for (const int fd : fds_) {
    if (fd < 0) continue;
    if (auto attached = attach_filter(fd); !attached) return attached;
  }
  return {};
}

std::size_t UdpSocket::receive(bool v6, std::size_t limit, const DatagramVisitor& visit) {
  const int fd = fds_[v6 ? 1 : 0];
  std::size_t total = 0;
  // A receive reports each ICMP error once, and the next receive continues. The bound limits a storm of them.
  int errors_left = 16;
  while (fd >= 0 && fds_[v6 ? 1 : 0] == fd && total < limit) {
    const std::size_t wanted = std::min(kReceiveBatch, limit - total);
    buffers_->prepare(wanted);
    const int got =
        recvmmsg(fd, buffers_->messages.data(), static_cast<unsigned>(wanted), MSG_DONTWAIT, nullptr);
    if (got < 0) {
      if (errno == EAGAIN || --errors_left == 0) break;
      continue;
    }
    for (int i = 0; i < got && fds_[v6 ? 1 : 0] == fd; ++i) {
      const auto at = static_cast<std::size_t>(i);
      ReceivedDatagram datagram;
      datagram.bytes = {buffers_->bytes[at].data(), buffers_->messages[at].msg_len};
      datagram.remote = to_endpoint(buffers_->from[at]);
      datagram.local.port = port_;
      read_control(&buffers_->messages[at].msg_hdr, &datagram);
      ++total;
      visit(datagram);
    }
    if (static_cast<std::size_t>(got) < wanted) break;
  }
  return total;
}

SendResult UdpSocket::send(const Datagram& datagram) {
  const int fd = fds_[datagram.to.address.v6 ? 1 : 0];
  if (fd < 0) return {SendOutcome::kNoSocket, EAFNOSUPPORT};
  return send_with_fallback(fd, datagram);
}

// sendmmsg stops at the first datagram that fails and does not report its error, so that one is sent alone.
std::size_t UdpSocket::send_run(int fd, std::span<const Datagram> run, std::span<SendResult> results) {
  std::array<mmsghdr, kSendBatch> messages;
  std::array<Outgoing, kSendBatch> parts;
  std::size_t sent = 0;
  for (std::size_t i = 0; i < run.size(); ++i) {
    messages[i].msg_len = 0;
    fill(&messages[i].msg_hdr, &parts[i], run[i], has_source(run[i]));
  }
  for (std::size_t at = 0; at < run.size();) {
    const int got =
        sendmmsg(fd, &messages[at], static_cast<unsigned>(run.size() - at), MSG_DONTWAIT | MSG_NOSIGNAL);
    for (int i = 0; i < got; ++i) results[at++] = {};
    sent += static_cast<std::size_t>(std::max(got, 0));
    if (at == run.size()) break;
    results[at] = send_with_fallback(fd, run[at]);
    sent += results[at].sent() ? 1 : 0;
    ++at;
  }
  return sent;
}

std::size_t UdpSocket::send_batch(std::span<const Datagram> datagrams, std::span<SendResult> results) {
  std::size_t sent = 0;
  for (std::size_t at = 0; at < datagrams.size();) {
    const bool v6 = datagrams[at].to.address.v6;
    std::size_t count = 1;
    while (count < kSendBatch && at + count < datagrams.size() && datagrams[at + count].to.address.v6 == v6)
      ++count;
    const int fd = fds_[v6 ? 1 : 0];
    const auto outcomes = results.subspan(at, count);
    if (fd < 0) {
      std::fill(outcomes.begin(), outcomes.end(), SendResult{SendOutcome::kNoSocket, EAFNOSUPPORT});
    } else {
      sent += send_run(fd, datagrams.subspan(at, count), outcomes);
    }
    at += count;
  }
  return sent;
}

}  // namespace wg::control
