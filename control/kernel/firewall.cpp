#include "control/kernel/firewall.h"

// First: the headers of the kernel leave to it what both define.
#include <netinet/in.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>

#include "control/kernel/netlink_socket.h"

namespace wg::control {
namespace {

constexpr std::size_t kNamedMax = 4;  // chains that the sentence names

struct Closer {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};

std::string text_of(const nlattr* attribute) {
  const auto* chars = static_cast<const char*>(mnl_attr_get_payload(attribute));
  return {chars, strnlen(chars, mnl_attr_get_payload_len(attribute))};
}

std::string family_name(std::uint8_t family) {
  switch (family) {
    case NFPROTO_INET:
      return "inet";
    case NFPROTO_IPV4:
      return "ip";
    case NFPROTO_IPV6:
      return "ip6";
    default:
      return {};
  }
}

std::optional<std::uint32_t> hook_number(const nlattr* hook) {
  std::optional<std::uint32_t> number;
  for_each_attribute(
      mnl_attr_get_payload(hook), mnl_attr_get_payload_len(hook), [&](const nlattr* attribute) {
        if (mnl_attr_get_type(attribute) != NFTA_HOOK_HOOKNUM || mnl_attr_get_payload_len(attribute) < 4)
          return;
        std::uint32_t value;
        std::memcpy(&value, mnl_attr_get_payload(attribute), sizeof value);
        number = ntohl(value);
      });
  return number;
}

int collect_chain(const nlmsghdr* message, void* chains) {
  if (auto chain = parse_chain(message))
    static_cast<std::vector<FirewallChain>*>(chains)->push_back(std::move(*chain));
  return MNL_CB_OK;
}

void dump_nftables(std::vector<FirewallChain>& chains) {
  const std::unique_ptr<mnl_socket, Closer> socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0) return;
  NetlinkMessage request(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, NLM_F_REQUEST | NLM_F_DUMP);
  request.extra<nfgenmsg>()->nfgen_family = NFPROTO_UNSPEC;
  if (mnl_socket_sendto(socket.get(), request.header(), request.size()) < 0) return;
  std::array<char, 32 * 1024> buffer;
  for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
    const ssize_t got = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (got <= 0) return;
    more = mnl_cb_run(buffer.data(), static_cast<std::size_t>(got), 0, 0, collect_chain, &chains);
  }
}

// A table of legacy iptables is there once the program has been called.
void read_iptables(const char* path, const std::string& family, std::vector<FirewallChain>& chains) {
  std::ifstream names(path);
  for (std::string table; std::getline(names, table);) {
    if (table == "filter") chains.push_back({family, table, "", "forward"});
    if (table == "nat") chains.push_back({family, table, "", "nat"});
  }
}

}  // namespace

std::optional<FirewallChain> parse_chain(const nlmsghdr* message) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(nfgenmsg)) return std::nullopt;
  FirewallChain chain;
  chain.family = family_name(static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message))->nfgen_family);
  std::optional<std::uint32_t> hook;
  std::string type;
  for_each_attribute(message, sizeof(nfgenmsg), [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case NFTA_CHAIN_TABLE:
        chain.table = text_of(attribute);
        break;
      case NFTA_CHAIN_NAME:
        chain.name = text_of(attribute);
        break;
      case NFTA_CHAIN_TYPE:
        type = text_of(attribute);
        break;
      case NFTA_CHAIN_HOOK:
        hook = hook_number(attribute);
        break;
      default:
        break;
    }
  });
  if (!hook || chain.family.empty() || chain.name.empty()) return std::nullopt;
  const bool nat = type == "nat" && (*hook == NF_INET_PRE_ROUTING || *hook == NF_INET_POST_ROUTING);
  if (!nat && *hook != NF_INET_FORWARD) return std::nullopt;
  chain.hook = nat ? "nat" : "forward";
  return chain;
}

std::vector<FirewallChain> chains_beside_short_cut() {
  std::vector<FirewallChain> chains;
  dump_nftables(chains);
  read_iptables("/proc/net/ip_tables_names", "ip", chains);
  read_iptables("/proc/net/ip6_tables_names", "ip6", chains);
  return chains;
}

std::string firewall_warning(const std::vector<FirewallChain>& chains, bool between_ports) {
  if (chains.empty()) return {};
  std::string names;
  for (std::size_t i = 0; i < chains.size() && i < kNamedMax; ++i) {
    const FirewallChain& chain = chains[i];
    names += (i == 0 ? "" : ", ") + chain.hook + ": " + chain.family + " " + chain.table +
             (chain.name.empty() ? " of iptables" : " " + chain.name);
  }
  if (chains.size() > kNamedMax) names += ", and " + std::to_string(chains.size() - kNamedMax) + " more";
  const std::string others = between_ports ? ", those between ports with `port_to_port` among them," : "";
  return "packets on the short cut" + others + " do not pass the firewall's forward and nat chains (" +
         names + "); `forwarding: kernel` of a port or an interface leaves its packets to Linux";
}

}  // namespace wg::control
