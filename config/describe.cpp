// Actions in words, for `linegate reload --dry-run`, `linegate diff` and the log.
#include "config/describe_values.h"
#include "config/diff.h"
#include "config/scalars.h"

namespace wg::config {
namespace {

std::string on_off(bool on) {
  return on ? "on" : "off";
}

std::string number_or(const auto& value, std::string_view otherwise) {
  return value ? std::to_string(*value) : std::string(otherwise);
}

std::string words_of_keepalive(std::chrono::seconds interval) {
  return interval.count() == 0 ? "off" : std::to_string(interval.count()) + " s";
}

std::string peer(const PeerName& ref) {
  return ref.interface + ": peer " + printable(ref.label) + ": ";
}

std::string group_words(const std::string& group) {
  return group.empty() ? "none" : group;
}

std::string list_of(const auto& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + to_string(value);
  return text.empty() ? "none" : text;
}

std::string in_quotes_or_none(const std::string& text) {
  return text.empty() ? "none" : quoted(text);
}

std::string facts_of(const Peer& peer) {
  std::string text;
  if (!peer.allowed_ips.empty()) text += ", allowed IPs " + list_of(peer.allowed_ips);
  if (peer.endpoint) text += ", endpoint " + to_string(*peer.endpoint);
  if (peer.persistent_keepalive.count() != 0)
    text += ", keepalive " + words_of_keepalive(peer.persistent_keepalive);
  return text + (peer.preshared_key ? ", with a preshared key" : "");
}

struct Describe {
  std::string operator()(const NeedsRestart& a) const {
    return "needs a restart: " + a.key + " from " + in_quotes_or_none(a.from) + " to " +
           in_quotes_or_none(a.to);
  }
  template <class Owner>
  std::string operator()(const ChangeSettings<Owner>& a) const {
    std::string text;
    const auto rows = settings_of<Owner>();
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (a.rows.has(i))
        text += (text.empty() ? "" : ", ") + std::string(rows[i].words) + " " + rows[i].value_words(a.value);
    return a.name + ": " + text;
  }
  std::string operator()(const SetMetrics& a) const {
    return "control: metrics " + (a.listen ? "at " + to_string(*a.listen) : "off") + ", per peer " +
           on_off(a.per_peer);
  }
  std::string operator()(const SetControlSocket& a) const {
    return "control: socket " + a.path + ", admin group " + group_words(a.admin_group) + ", read group " +
           group_words(a.read_group);
  }

  std::string operator()(const AddPort& a) const {
    return a.port + ": add the port on " + quoted(a.value.device.text);
  }
  std::string operator()(const RemovePort& a) const { return a.port + ": remove the port"; }
  std::string operator()(const AddPortAddress& a) const {
    return a.port + ": add address " + to_string(a.address);
  }
  std::string operator()(const RemovePortAddress& a) const {
    return a.port + ": remove address " + to_string(a.address);
  }
  std::string operator()(const SetPortGateways& a) const {
    return a.port + ": gateway " + list_of(a.gateways);
  }
  std::string operator()(const SetPortMtu& a) const { return a.port + ": mtu " + std::to_string(a.mtu); }

  std::string operator()(const AddInterface& a) const {
    return a.interface + ": add the interface" +
           (a.value.listen_port != kAnyPort
                ? ", listen port " + std::to_string(number_of(a.value.listen_port))
                : "");
  }
  std::string operator()(const RemoveInterface& a) const {
    return a.interface + ": remove the interface and its " + counted(a.peers, "peer");
  }
  std::string operator()(const SetInterfaceEnabled& a) const {
    return a.interface + (a.enabled ? ": up" : ": down, wiping its session keys");
  }
  std::string operator()(const SetInterfaceKey& a) const {
    if (!a.key) return a.interface + ": remove the private key";
    return a.interface + ": change the private key; the public key becomes " +
           to_string(public_key_of(*a.key));
  }
  std::string operator()(const SetListenPort& a) const {
    return a.interface + ": listen port " + (a.port == kAnyPort ? "any" : std::to_string(number_of(a.port)));
  }
  std::string operator()(const SetFwmark& a) const {
    return a.interface + ": fwmark " + (a.fwmark == 0 ? "off" : std::to_string(a.fwmark));
  }
  std::string operator()(const AddInterfaceAddress& a) const {
    return a.interface + ": add address " + to_string(a.address);
  }
  std::string operator()(const RemoveInterfaceAddress& a) const {
    return a.interface + ": remove address " + to_string(a.address);
  }
  std::string operator()(const SetInterfaceMtu& a) const {
    return a.interface + ": mtu " + number_or(a.mtu, "auto");
  }
  std::string operator()(const SetRoutes& a) const {
    return a.interface + ": routes " + std::string(to_string(a.routes)) + ", table " +
           number_or(a.table, "main");
  }

  std::string operator()(const KeepPrefix& a) const {
    return a.interface + ": keep " + to_string(a.prefix) + " unreachable, no peer has it";
  }
  std::string operator()(const ForgetPrefix& a) const {
    return a.interface + ": no longer keep " + to_string(a.prefix) + " unreachable";
  }

  std::string operator()(const AddPeer& a) const { return peer(a.peer) + "add" + facts_of(a.value); }
  std::string operator()(const RemovePeer& a) const { return peer(a.peer) + "remove"; }
  std::string operator()(const SetPeerName& a) const {
    return peer(a.peer) + "name " + in_quotes_or_none(a.name);
  }
  std::string operator()(const SetPeerEndpoint& a) const {
    return peer(a.peer) + (a.endpoint ? "endpoint " + to_string(*a.endpoint) : "no configured endpoint");
  }
  std::string operator()(const SetPresharedKey& a) const {
    return peer(a.peer) + (a.key ? "set the preshared key" : "remove the preshared key");
  }
  std::string operator()(const SetKeepalive& a) const {
    return peer(a.peer) + "keepalive " + words_of_keepalive(a.interval);
  }
  std::string operator()(const SetPeerMtu& a) const {
    return peer(a.peer) + "mtu " + number_or(a.mtu, "as the interface");
  }
  std::string operator()(const AddAllowedIp& a) const { return peer(a.peer) + "add " + to_string(a.prefix); }
  std::string operator()(const MoveAllowedIp& a) const {
    return peer(a.to) + "takes " + to_string(a.prefix) + " from " + printable(a.from.label);
  }
  std::string operator()(const RemoveAllowedIp& a) const {
    return peer(a.peer) + "remove " + to_string(a.prefix);
  }
};

}  // namespace

std::string words_of(const Workers& workers) {
  if (workers.lcores.empty()) return std::to_string(workers.count);
  std::string text;
  for (const unsigned lcore : workers.lcores) text += (text.empty() ? "" : ", ") + std::to_string(lcore);
  return "[" + text + "]";
}

std::string words_of(const std::vector<std::string>& arguments) {
  std::string text;
  for (const auto& argument : arguments) text += (text.empty() ? "" : " ") + argument;
  return text;
}

std::string counted(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string describe(const Action& action) {
  return std::visit(Describe{}, action);
}

std::string describe(const Plan& plan) {
  if (plan.empty()) return "nothing to change\n";
  std::string text;
  for (const Action& action : plan.actions) text += describe(action) + "\n";
  return text;
}

}  // namespace wg::config
