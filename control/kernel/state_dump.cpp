#include "control/kernel/state_dump.h"

#include <linux/fib_rules.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <sys/socket.h>

#include <cerrno>
#include <iterator>
#include <utility>

namespace wg::control {
namespace {

constexpr int kAttempts = 3;

struct Part {
  std::uint16_t type;
  std::uint8_t family;
};
constexpr Part kParts[] = {
    {RTM_GETLINK, AF_UNSPEC},  {RTM_GETNEXTHOP, AF_UNSPEC}, {RTM_GETADDR, AF_INET},
    {RTM_GETRULE, AF_INET},    {RTM_GETROUTE, AF_INET},     {RTM_GETNEIGH, AF_INET},
    {RTM_GETNETCONF, AF_INET}, {RTM_GETADDR, AF_INET6},     {RTM_GETRULE, AF_INET6},
    {RTM_GETROUTE, AF_INET6},  {RTM_GETNEIGH, AF_INET6},    {RTM_GETNETCONF, AF_INET6},
};

// The header that a dump request of this type has, with its family.
void put_dump_header(NetlinkMessage& message, const Part& part) {
  switch (part.type) {
    case RTM_GETLINK:
      message.extra<ifinfomsg>()->ifi_family = part.family;
      break;
    case RTM_GETADDR:
      message.extra<ifaddrmsg>()->ifa_family = part.family;
      break;
    case RTM_GETRULE:
      message.extra<fib_rule_hdr>()->family = part.family;
      break;
    case RTM_GETROUTE:
      message.extra<rtmsg>()->rtm_family = part.family;
      break;
    case RTM_GETNETCONF:
      message.extra<netconfmsg>()->ncm_family = part.family;
      break;
    case RTM_GETNEIGH:
      message.extra<ndmsg>()->ndm_family = part.family;
      break;
    default:
      message.extra<nhmsg>()->nh_family = part.family;
      break;
  }
}

}  // namespace

void StateDump::begin() {
  state_ = std::make_unique<KernelState>(changes_);
  part_ = 0;
  attempt_ = 0;
  ask();
}

// A part that the kernel does not know (nexthop objects before 5.3, IPv6) stays empty.
void StateDump::ask() {
  for (; part_ < std::size(kParts); next_part()) {
    NetlinkMessage message(kParts[part_].type, 0);
    put_dump_header(message, kParts[part_]);
    if (socket_.begin_dump(message)) return;
  }
}

void StateDump::next_part() {
  ++part_;
  attempt_ = 0;
}

// A dump that the kernel reports as interrupted is retried a few times. After that the notifications queued
// in the monitor complete it: a busy routing daemon may never leave a gap that is long enough.
std::unique_ptr<KernelState> StateDump::read_some() {
  if (part_ < std::size(kParts)) {
    const auto over = socket_.read_dump([this](const nlmsghdr* message) { state_->take(message); });
    if (!over) return nullptr;
    if (*over || over->error().code != EINTR || ++attempt_ == kAttempts) next_part();
    ask();
  }
  if (part_ < std::size(kParts)) return nullptr;
  state_->end_of_dump();
  return std::move(state_);
}

}  // namespace wg::control
