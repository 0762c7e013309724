#include "control/kernel/firewall.h"

// First: the headers of the kernel leave to it what both define.
#include <netinet/in.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
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
    case NFPROTO_NETDEV:
      return "netdev";
    default:
      return {};
  }
}

struct Hook {
  std::optional<std::uint32_t> number;
  std::vector<std::string> links;
};

void read_hook(const nlattr* attribute, Hook& hook) {
  switch (mnl_attr_get_type(attribute)) {
    case NFTA_HOOK_HOOKNUM:
      if (mnl_attr_get_payload_len(attribute) < 4) return;
      std::uint32_t value;
      std::memcpy(&value, mnl_attr_get_payload(attribute), sizeof value);
      hook.number = ntohl(value);
      return;
    case NFTA_HOOK_DEV:
      hook.links.push_back(text_of(attribute));
      return;
    case NFTA_HOOK_DEVS:
      hook.links.clear();  // the one above is the first of them
      for_each_attribute(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute),
                         [&](const nlattr* link) { hook.links.push_back(text_of(link)); });
      return;
    default:
      return;
  }
}

// Empty: packets on the short cut would not come by it, or it is for this machine's own.
std::string hook_name(const FirewallChain& chain, const std::string& type, std::uint32_t hook) {
  if (chain.family == "netdev") return hook == NF_NETDEV_INGRESS ? "ingress" : "egress";
  switch (hook) {
    case NF_INET_PRE_ROUTING:
      return type == "nat" ? "nat" : "prerouting";
    case NF_INET_FORWARD:
      return "forward";
    case NF_INET_POST_ROUTING:
      return type == "nat" ? "nat" : "postrouting";
    case NF_INET_INGRESS:
      return "ingress";
    default:
      return {};
  }
}

// The disciplines that the kernel itself puts on a link have no handle.
Expected<> dump_tc(std::vector<FirewallChain>& chains) {
  NetlinkSocket socket;
  NetlinkMessage request(RTM_GETQDISC, 0);
  request.extra<tcmsg>();
  const auto take = [&](const nlmsghdr* message) {
    const auto* tc = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(message));
    if (mnl_nlmsg_get_payload_len(message) < sizeof *tc || tc->tcm_handle == 0 ||
        (tc->tcm_parent != TC_H_ROOT && tc->tcm_parent != TC_H_INGRESS))
      return;
    char name[IF_NAMESIZE] = {};
    if (if_indextoname(static_cast<unsigned>(tc->tcm_ifindex), name) == nullptr) return;
    for_each_attribute(message, sizeof *tc, [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) == TCA_KIND)
        chains.push_back({text_of(attribute), std::string("of ") + name, "", "tc", {name}});
    });
  };
  return socket.dump(request, take);
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
    if (table == "raw" || table == "mangle") chains.push_back({family, table, "", "prerouting"});
  }
}

}  // namespace

std::optional<FirewallChain> parse_chain(const nlmsghdr* message) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(nfgenmsg)) return std::nullopt;
  FirewallChain chain;
  chain.family = family_name(static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message))->nfgen_family);
  Hook hook;
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
        for_each_attribute(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute),
                           [&](const nlattr* part) { read_hook(part, hook); });
        break;
      default:
        break;
    }
  });
  if (!hook.number || chain.family.empty() || chain.name.empty()) return std::nullopt;
  chain.hook = hook_name(chain, type, *hook.number);
  if (chain.hook.empty()) return std::nullopt;
  chain.links = std::move(hook.links);
  return chain;
}

std::vector<FirewallChain> chains_beside_short_cut(const IsOurs& ours) {
  std::vector<FirewallChain> chains;
  dump_nftables(chains);
  // The next look shows what this one missed.
  static_cast<void>(catch_refusal([&chains] { return dump_tc(chains); }));
  std::erase_if(chains, [&](const FirewallChain& chain) {
    return !chain.links.empty() && std::none_of(chain.links.begin(), chain.links.end(), ours);
  });
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
             (!chain.name.empty()  ? " " + chain.name
              : chain.hook == "tc" ? ""
                                   : " of iptables");
  }
  if (chains.size() > kNamedMax) names += ", and " + std::to_string(chains.size() - kNamedMax) + " more";
  const std::string others = between_ports ? ", those between ports with `port_to_port` among them," : "";
  return "packets on the short cut" + others + " do not pass the firewall and tc of Linux (" + names +
         "); `forwarding: kernel` of a port or an interface leaves its packets to Linux";
}

}  // namespace wg::control
