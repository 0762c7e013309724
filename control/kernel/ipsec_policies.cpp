#include "control/kernel/ipsec_policies.h"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "control/kernel/netlink_socket.h"

namespace wg::control {
namespace {

constexpr std::size_t kBuffer = 32 * 1024;

int note_policy(const nlmsghdr* message, void* any) {
  if (is_packet_policy(message)) *static_cast<bool*>(any) = true;
  return MNL_CB_OK;
}

}  // namespace

bool is_packet_policy(const nlmsghdr* message) {
  if (message->nlmsg_type != XFRM_MSG_NEWPOLICY ||
      mnl_nlmsg_get_payload_len(message) < sizeof(xfrm_userpolicy_info))
    return false;
  xfrm_userpolicy_info policy;
  std::memcpy(&policy, mnl_nlmsg_get_payload(message), sizeof policy);
  return policy.dir < XFRM_POLICY_MAX;
}

void IpsecPolicies::Closer::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

IpsecPolicies::Socket IpsecPolicies::open(unsigned groups) {
  Socket socket(mnl_socket_open2(NETLINK_XFRM, SOCK_CLOEXEC | (groups != 0 ? SOCK_NONBLOCK : 0)));
  if (socket && mnl_socket_bind(socket.get(), groups, MNL_SOCKET_AUTOPID) != 0) socket.reset();
  return socket;
}

// The monitor listens before the first dump, so that nothing is missed between the two.
IpsecPolicies::IpsecPolicies() : monitor_(open(1u << (XFRMNLGRP_POLICY - 1))) {
  dump();
}

IpsecPolicies::~IpsecPolicies() = default;

int IpsecPolicies::fd() const {
  return monitor_ ? mnl_socket_get_fd(monitor_.get()) : -1;
}

void IpsecPolicies::process() {
  std::array<char, kBuffer> buffer;
  // An error (ENOBUFS) means that notifications were lost; the dump covers them too.
  for (int errors = 0; monitor_ && errors < 16;) {
    if (mnl_socket_recvfrom(monitor_.get(), buffer.data(), buffer.size()) >= 0) continue;
    if (errno == EAGAIN) break;
    ++errors;
  }
  dump();
}

void IpsecPolicies::dump() {
  any_ = false;
  const Socket socket = open(0);
  if (!socket) return;
  NetlinkMessage request(XFRM_MSG_GETPOLICY, NLM_F_REQUEST | NLM_F_DUMP);
  request.extra<xfrm_userpolicy_id>();
  if (mnl_socket_sendto(socket.get(), request.header(), request.size()) < 0) return;
  std::array<char, kBuffer> buffer;
  for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
    const ssize_t got = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (got <= 0) return;
    more = mnl_cb_run(buffer.data(), static_cast<std::size_t>(got), 0, 0, note_policy, &any_);
  }
}

}  // namespace wg::control
