#include "control/kernel/netlink_mirror.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace wg::control {
namespace {

constexpr std::size_t kReceiveBuffer = 64 * 1024;
// Between two looks at the clock.
constexpr std::size_t kRoutesAtOnce = 64, kFreedAtOnce = 64;
constexpr int kDiscardedAtOnce = 64;
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

}  // namespace

NetlinkMirror::NetlinkMirror(const MirrorOptions& options)
    : options_(options), monitor_(open_monitor(options)), buffer_(kReceiveBuffer), dump_(changes_) {
  dump_.begin();
  while (state_ == nullptr) state_ = dump_.read_some();
}

// The monitor is subscribed before the first dump, so that no change is lost between the two. A notification
// of something that the dump already contained is recognised as a repeat.
NetlinkMirror::Monitor NetlinkMirror::open_monitor(const MirrorOptions& options) {
  Monitor monitor(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!monitor || mnl_socket_bind(monitor.get(), 0, MNL_SOCKET_AUTOPID) != 0)
    fail("opening the rtnetlink monitor");
  const int bytes = static_cast<int>(options.receive_buffer), fd = mnl_socket_get_fd(monitor.get());
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  for (int group : kGroups) {
    if (mnl_socket_setsockopt(monitor.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
      fail("subscribing to rtnetlink");
    }
  }
  // Kernels before 5.3 lack nexthop objects, and a kernel may lack IPv6.
  for (int group : kOptionalGroups)
    mnl_socket_setsockopt(monitor.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group);
  return monitor;
}

bool NetlinkMirror::has_unread() const {
  pollfd monitor{mnl_socket_get_fd(monitor_.get()), POLLIN, 0};
  return is_behind() || poll(&monitor, 1, 0) > 0;
}

// Something is left that no descriptor tells of.
bool NetlinkMirror::is_behind() const {
  return stale() || discarding_ || dump_.goes_on() || state_->has_more_to_follow() ||
         mnl_nlmsg_ok(next_, left_);
}

// ---- step by step

bool NetlinkMirror::process(Clock::time_point until) {
  const std::size_t noted = changes_.size();
  for (std::size_t steps = 0; steps < options_.steps_per_process && do_some(); ++steps) {
    if (changes_.size() >= noted + options_.changes_per_process || Clock::now() >= until) break;
  }
  while (old_ != nullptr) {
    free_some();
    if (Clock::now() >= until) break;
  }
  readiness_.set_more_to_do(is_behind() || old_ != nullptr);
  return !changes_.empty();
}

// A message, or the like. False: nothing is left to do.
bool NetlinkMirror::do_some() {
  if (dump_.goes_on()) return read_dump();
  if (discarding_) return discard_some();
  if (stale()) return begin_resync();
  if (state_->has_more_to_follow()) {
    state_->follow_on(kRoutesAtOnce);
    return true;
  }
  if (!mnl_nlmsg_ok(next_, left_) && !read_datagram()) return false;
  if (!mnl_nlmsg_ok(next_, left_)) return true;
  state_->take(next_);
  next_ = mnl_nlmsg_next(next_, &left_);
  return true;
}

// False: there is none.
bool NetlinkMirror::read_datagram() {
  left_ = 0;
  const ssize_t got = mnl_socket_recvfrom(monitor_.get(), buffer_.data(), buffer_.size());
  if (got < 0) {
    overrun_ = errno != EAGAIN && errno != EINTR;
    return errno != EAGAIN;
  }
  next_ = reinterpret_cast<const nlmsghdr*>(buffer_.data());
  left_ = static_cast<int>(got);
  return true;
}

// ---- everything once more

void NetlinkMirror::resync() {
  while (old_ != nullptr) free_some();
  begin_resync();
  while (discarding_ || dump_.goes_on()) do_some();
}

// The state is used as it is until another one has been read. There are never three of them.
bool NetlinkMirror::begin_resync() {
  if (old_ != nullptr) {
    free_some();
    return true;
  }
  left_ = 0;
  discarding_ = true;
  overrun_ = false;
  return true;
}

// Queued messages are older than the dump that follows. After an overflow the kernel queues nothing more
// until all of it has been read, which also clears errors of the socket, ENOBUFS among them.
bool NetlinkMirror::discard_some() {
  for (int i = 0; i < kDiscardedAtOnce; ++i) {
    if (recv(mnl_socket_get_fd(monitor_.get()), buffer_.data(), 1, MSG_TRUNC) >= 0 || errno != EAGAIN)
      continue;
    discarding_ = false;
    dump_.begin();
    break;
  }
  return true;
}

bool NetlinkMirror::read_dump() {
  std::unique_ptr<KernelState> state = dump_.read_some();
  if (state == nullptr) return true;
  old_ = std::exchange(state_, std::move(state));
  ++resyncs_;
  changes_.clear();
  changes_.note(Resynced{});
  return true;
}

void NetlinkMirror::free_some() {
  if (!old_->free_some(kFreedAtOnce)) old_.reset();
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
