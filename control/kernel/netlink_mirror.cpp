#include "control/kernel/netlink_mirror.h"

#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace wg::control {
namespace {

constexpr std::size_t kReceiveBuffer = 64 * 1024;
constexpr int kDumpAttempts = 3;
constexpr std::size_t kMessagesPerLook = 32;  // at the clock
constexpr int kGroups[] = {RTNLGRP_LINK,       RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                           RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE};
constexpr int kOptionalGroups[] = {RTNLGRP_NEXTHOP, RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF};

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::uint8_t route_type_for(int error) {
  switch (error) {
    case EINVAL:
      return RTN_BLACKHOLE;
    case EACCES:
      return RTN_PROHIBIT;
    case EHOSTUNREACH:
      return RTN_UNREACHABLE;
    default:
      return RTN_UNSPEC;
  }
}

// The header that a dump request of this type has, with its family.
void put_dump_header(NetlinkMessage& message, std::uint16_t type, std::uint8_t family) {
  switch (type) {
    case RTM_GETLINK:
      message.extra<ifinfomsg>()->ifi_family = family;
      break;
    case RTM_GETADDR:
      message.extra<ifaddrmsg>()->ifa_family = family;
      break;
    case RTM_GETRULE:
      message.extra<fib_rule_hdr>()->family = family;
      break;
    case RTM_GETROUTE:
      message.extra<rtmsg>()->rtm_family = family;
      break;
    case RTM_GETNETCONF:
      message.extra<netconfmsg>()->ncm_family = family;
      break;
    case RTM_GETNEIGH:
      message.extra<ndmsg>()->ndm_family = family;
      break;
    default:
      message.extra<nhmsg>()->nh_family = family;
      break;
  }
}

}  // namespace

NetlinkMirror::NetlinkMirror(const MirrorOptions& options)
    : options_(options), buffer_(kReceiveBuffer), state_(changes_), lookup_(state_) {
  open_monitor();
  dump_all();
}

int NetlinkMirror::fd() const {
  return mnl_socket_get_fd(monitor_.get());
}

// The monitor is subscribed before the first dump, so that no change is lost between the two. A notification
// of something that the dump already contained is recognised as a repeat.
void NetlinkMirror::open_monitor() {
  monitor_.reset(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!monitor_ || mnl_socket_bind(monitor_.get(), 0, MNL_SOCKET_AUTOPID) != 0)
    fail("opening the rtnetlink monitor");
  const int bytes = static_cast<int>(options_.receive_buffer);
  if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) {
    setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  for (int group : kGroups) {
    if (mnl_socket_setsockopt(monitor_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
      fail("subscribing to rtnetlink");
    }
  }
  // Kernels before 5.3 lack nexthop objects, and a kernel may lack IPv6.
  for (int group : kOptionalGroups)
    mnl_socket_setsockopt(monitor_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group);
}

// ---- dumps

void NetlinkMirror::dump_all() {
  changes_.set_loading(true);
  state_.clear();
  dump(RTM_GETLINK, AF_UNSPEC);
  dump(RTM_GETNEXTHOP, AF_UNSPEC);
  for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    for (const std::uint16_t type : {RTM_GETADDR, RTM_GETRULE, RTM_GETROUTE, RTM_GETNEIGH, RTM_GETNETCONF})
      dump(type, family);
  }
  changes_.set_loading(false);
  overrun_ = false;
}

// A dump that the kernel reports as interrupted is retried a few times. After that the notifications queued
// in the monitor complete it: a busy routing daemon may never leave a gap that is long enough.
void NetlinkMirror::dump(std::uint16_t type, std::uint8_t family) {
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    NetlinkMessage message(type, 0);
    put_dump_header(message, type, family);
    const auto outcome = requests_.dump(message, [this](const nlmsghdr* reply) { state_.take(reply); });
    if (outcome || outcome.error().code != EINTR) return;
  }
}

void NetlinkMirror::resync() {
  discard_pending();
  dump_all();
  changes_.clear();
  changes_.note(Resynced{});
}

void NetlinkMirror::discard_pending() {
  // Reading also clears pending socket errors, ENOBUFS among them.
  for (int errors = 0; errors < 16;) {
    const ssize_t got = mnl_socket_recvfrom(monitor_.get(), buffer_.data(), buffer_.size());
    if (got >= 0) continue;
    if (errno == EAGAIN) return;
    ++errors;
  }
}

// ---- notifications

bool NetlinkMirror::process(Clock::time_point until) {
  drain(until);
  if (stale()) {
    ++resyncs_;
    resync();
  }
  return !changes_.empty();
}

bool NetlinkMirror::has_unread() const {
  pollfd monitor{fd(), POLLIN, 0};
  return poll(&monitor, 1, 0) > 0;
}

void NetlinkMirror::drain(Clock::time_point until) {
  std::size_t look_at = kMessagesPerLook;
  for (std::size_t messages = 0; messages < options_.messages_per_process && !stale();) {
    if (messages >= look_at) {
      if (Clock::now() >= until) return;
      look_at = messages + kMessagesPerLook;
    }
    const ssize_t got = mnl_socket_recvfrom(monitor_.get(), buffer_.data(), buffer_.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      overrun_ = errno != EAGAIN;
      return;
    }
    int left = static_cast<int>(got);
    for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      state_.take(m);
      ++messages;
    }
  }
}

// ---- the oracle

Resolved NetlinkMirror::kernel_route(const IpAddress& destination, const ResolveKey& key) {
  NetlinkMessage message(RTM_GETROUTE, 0);
  auto* header = message.extra<rtmsg>();
  header->rtm_family = static_cast<std::uint8_t>(destination.v6 ? AF_INET6 : AF_INET);
  header->rtm_dst_len = static_cast<std::uint8_t>(address_bits(destination));
  message.put_address(RTA_DST, destination);
  if (key.fwmark != 0) message.put_u32(RTA_MARK, key.fwmark);
  if (!key.source.is_zero()) {
    header->rtm_src_len = static_cast<std::uint8_t>(address_bits(destination));
    message.put_address(RTA_SRC, key.source);
  }
  if (key.protocol != 0) message.put_u8(RTA_IP_PROTO, key.protocol);
  if (key.source_port != kAnyPort) message.put_u16(RTA_SPORT, htons(number_of(key.source_port)));
  if (key.destination_port != kAnyPort) message.put_u16(RTA_DPORT, htons(number_of(key.destination_port)));
  Resolved result;
  const auto answered = requests_.query(message, [&](const nlmsghdr* reply) {
    const auto route = parse_route(reply);
    if (!route) return;
    result.type = route->forwarding.type;
    // The answer does not repeat a source that was asked for.
    result.source = route->forwarding.source.value_or(key.source);
    if (!route->forwarding.nexthops.empty()) {
      result.ifindex = route->forwarding.nexthops[0].ifindex;
      result.gateway = route->forwarding.nexthops[0].gateway;
    }
    const Link* out = link(result.ifindex);
    const std::uint32_t link_mtu = out == nullptr ? 0 : out->mtu;
    result.mtu = route->forwarding.mtu != 0 ? std::min(route->forwarding.mtu, link_mtu) : link_mtu;
  });
  if (!answered) result.type = route_type_for(answered.error().code);
  return result;
}

}  // namespace wg::control
