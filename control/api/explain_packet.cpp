#include "control/api/explain_packet.h"

#include <algorithm>
#include <array>
#include <utility>

#include "control/api/drop_advice.h"
#include "control/api/explain_route.h"
#include "dataplane/drop_reason.h"

namespace wg::control {
namespace {

using dataplane::DropReason;
using Kind = PacketFacts::From;

constexpr std::uint8_t kIcmp4 = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58;

std::string name_of_protocol(std::uint8_t protocol) {
  switch (protocol) {
    case 0:
      return "";
    case kIcmp4:
      return ", ICMP";
    case kTcp:
      return ", TCP";
    case kUdp:
      return ", UDP";
    case kIcmp6:
      return ", ICMPv6";
    default:
      return ", protocol " + std::to_string(protocol);
  }
}

std::string end_of(const config::Address& address, UdpPort port) {
  const std::string text = config::to_string(address);
  if (port == kAnyPort) return text;
  return (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(number_of(port));
}

std::string bytes(std::uint32_t count) {
  return std::to_string(count) + " bytes";
}

// "10.10.0.2:5210 > 192.168.1.9:443, TCP, 84 bytes"
std::string summary_of(const PacketQuery& packet) {
  return end_of(packet.source, packet.source_port) + " > " +
         end_of(packet.destination, packet.destination_port) + name_of_protocol(packet.protocol) + ", " +
         bytes(packet.size);
}

// One packet's life. Each stage adds its step, and the last one the verdict.
class Story {
 public:
  explicit Story(const PacketFacts& facts) : facts_(facts), packet_(facts.packet) {}

  PacketExplanation tell() && {
    switch (facts_.from) {
      case Kind::kPort:
        from_port();
        break;
      case Kind::kInterface:
        from_peer();
        break;
      case Kind::kLinux:
        step("from_linux", summary_of(packet_));
        routed_by_linux();
        break;
    }
    return std::move(out_);
  }

 private:
  void step(std::string_view stage, std::string words) { out_.steps.push_back({stage, std::move(words)}); }
  void advise(std::string text) { out_.advice.push_back(std::move(text)); }

  void end(bool ok, std::string verdict) {
    out_.ok = ok && !no_sender_;
    out_.verdict = std::move(verdict);
    if (no_sender_)
      out_.verdict =
          "nothing comes from " + facts_.sender + " now, which has no session; else " + out_.verdict;
  }

  void drop(DropReason reason, const std::string& why) {
    const auto index = static_cast<std::size_t>(reason);
    out_.drop_reason = dataplane::kDropNames[index];
    step("dropped", out_.drop_reason + ": " + dataplane::kDropTexts[index]);
    end(false, "the packet is dropped (" + out_.drop_reason + "): " + why + ".");
    advise(std::string(drop_advice(out_.drop_reason)));
  }

  // ---------------------------------------------------------------- where it comes in

  void from_port() {
    const std::string tag = packet_.vlan ? ", VLAN " + std::to_string(*packet_.vlan) : "";
    step("received", packet_.from + tag + ": " + summary_of(packet_));
    if (!facts_.port_up) return drop(DropReason::port_down, packet_.from + " is down");
    if (!facts_.vlan_refused.empty()) return to_linux(facts_.vlan_refused);
    if (facts_.destination_is_ours && !facts_.listener.empty()) return for_listener();
    if (facts_.flows && facts_.not_forwarded.empty()) return by_flows();
    if (facts_.destination_is_ours) return to_linux("the destination is an address of this machine");
    if (!facts_.not_forwarded.empty()) return to_linux(facts_.not_forwarded);
    if (facts_.source_is_ours) return to_linux("its source is an address of this machine");
    route();
  }

  void for_listener() {
    if (!facts_.listener_up)
      return drop(DropReason::interface_down, facts_.listener + " listens on that port and is down");
    const std::string who =
        facts_.endpoint_of.empty() ? "" : "; " + facts_.endpoint_of + " is reached at that source";
    step("session", "a message for " + facts_.listener + who);
    end(true, "it is a WireGuard message for " + facts_.listener +
                  ": a handshake goes to the control thread, data to the session that its receiver index "
                  "names. What is inside is another packet.");
    advise("linegate explain packet " + facts_.listener + " SOURCE DESTINATION tells about what is inside");
  }

  void from_peer() {
    if (!facts_.interface_up)
      return drop(DropReason::interface_down, packet_.from + " is down and takes no messages");
    if (facts_.host) return from_host();
    if (facts_.sender.empty()) {
      step("opened", packet_.from + ": " + summary_of(packet_));
      return disallowed("no peer of " + packet_.from + " has " + config::to_string(packet_.source) +
                        " in its allowed IPs");
    }
    step("session", facts_.sender + (facts_.sender_active ? ": there is a session" : ": no session"));
    if (!facts_.sender_active) {
      no_sender_ = true;
      advise("nothing can come from " + facts_.sender + " now: linegate explain peer " + facts_.sender);
    }
    step("opened", packet_.from + ": " + summary_of(packet_));
    if (facts_.source_owner != facts_.sender)
      return disallowed(config::to_string(packet_.source) +
                        (facts_.source_owner.empty()
                             ? " is in no peer's allowed IPs"
                             : " belongs to " + facts_.source_owner + " (" + facts_.source_prefix + ")"));
    step("source", facts_.source_prefix + " is " + facts_.sender + "'s");
    if (facts_.martian_source) return martian("no peer");
    if (facts_.program) {
      step("to_program", "the inner side of " + packet_.from + " is a program");
      return end(true, "the program that is the inner side of " + packet_.from + " gets it.");
    }
    forward();
  }

  void from_host() {
    step("from_program", "the program behind " + packet_.from + ": " + summary_of(packet_));
    if (facts_.martian_source) return martian("no program");
    forward();
  }

  void martian(const std::string& who) {
    drop(DropReason::martian_inner,
         config::to_string(packet_.source) + " is a source that " + who + " may use");
  }

  void forward() {
    if (facts_.flows && facts_.not_forwarded.empty()) return by_flows();
    if (!facts_.not_forwarded.empty()) return to_linux(facts_.not_forwarded);
    route();
  }

  void disallowed(const std::string& why) { drop(DropReason::disallowed_source, why); }

  // ---------------------------------------------------------------- the workers' route

  void route() {
    if (facts_.special) return to_linux("no router forwards from or to such an address");
    switch (facts_.way) {
      case PacketWay::kLinux:
        return to_linux(facts_.why_linux);
      case PacketWay::kHairpinOff:
        step("routed", "back into " + facts_.to + ", where hairpin is off");
        return drop(DropReason::hairpin_off, "from a peer of " + facts_.to + " to another of it");
      case PacketWay::kBlackhole:
        step("routed", "a blackhole route");
        return drop(DropReason::blackhole, "route " + facts_.linux_route.prefix + " is a blackhole");
      case PacketWay::kPort:
      case PacketWay::kInterface:
        break;
    }
    const bool port = facts_.way == PacketWay::kPort;
    step("routed",
         route_prefix() + (port ? "to port " : "to interface ") + facts_.to + mtu_words(facts_.mtu));
    if (packet_.ttl <= 1) return to_linux("its TTL ends here");
    if (facts_.mtu != 0 && packet_.size > facts_.mtu)
      return to_linux("it is larger than the MTU of its way, " + std::to_string(facts_.mtu));
    if (!port) return facts_.sending ? send() : to_linux(facts_.to + " is gone");
    step("transmitted", facts_.to + (facts_.next_hop.empty() ? "" : " to " + facts_.next_hop));
    end(true, "it leaves by port " + facts_.to + " on the short cut.");
  }

  [[nodiscard]] std::string route_prefix() const {
    return facts_.linux_route.prefix.empty() ? "" : "route " + facts_.linux_route.prefix + " ";
  }

  static std::string mtu_words(std::uint16_t mtu) { return mtu == 0 ? "" : ", MTU " + std::to_string(mtu); }

  void by_flows() {
    const PacketConnections& found = facts_.connections;
    if (packet_.protocol != 0 && packet_.protocol != kTcp && packet_.protocol != kUdp)
      return to_linux("with `forwarding: flows` workers carry TCP and UDP alone");
    if (found.named.empty()) return of_no_connection();
    for (const PacketConnection& one : found.named)
      step("routed", "`forwarding: flows`: " + one.words +
                         (one.why_linux.empty() ? ", which workers carry" : " is Linux's: " + one.why_linux));
    if (!found.complete) advise("not all connections were looked at: name PROTOCOL, PORT and --source-port");
    if (found.with_linux == 0) return carried();
    advise_remedies();
    to_linux(found.with_linux == 1 && found.carried == 0
                 ? "workers do not carry its connection: " + found.named.front().why_linux
                 : "of its connections " + std::to_string(found.with_linux) + " are Linux's, workers carry " +
                       std::to_string(found.carried));
  }

  void of_no_connection() {
    step("routed", "`forwarding: flows`: workers carry it if Linux has accepted its connection");
    advise("linegate show flows --address " + config::to_string(packet_.source) +
           " lists connections that workers carry");
    if (facts_.connections.exact) return to_linux("its connection is new");
    advise("PROTOCOL, PORT and --source-port name one connection; then one without the mark is found too");
    to_linux(facts_.connections.complete
                 ? "its connection is new, or no rule has marked it"
                 : "none of the connections that were looked at is its, and not all of them were");
  }

  void advise_remedies() {
    for (const PacketConnection& one : facts_.connections.named) {
      const auto& known = out_.advice;
      if (!one.remedy.empty() && std::find(known.begin(), known.end(), one.remedy) == known.end())
        advise(one.remedy);
    }
  }

  // The route and the addresses are those of the connection, and not of the packet as it comes in.
  void carried() {
    if (packet_.ttl <= 1) return to_linux("its TTL ends here");
    advise("what opens or closes TCP, and fragments, are Linux's all the same");
    end(true, "workers carry it: Linux has accepted its connection.");
  }

  // ---------------------------------------------------------------- Linux

  void to_linux(const std::string& why) {
    step("to_linux", why.empty() ? "Linux decides: no short cut" : "Linux decides: " + why);
    const bool local = facts_.linux_route.local;
    if (!local && facts_.source_is_ours && facts_.from == Kind::kPort)
      return refused_by_linux("a packet with our own source address comes from outside");
    if (!local && !facts_.linux_refuses.empty()) return refused_by_linux(facts_.linux_refuses);
    if (!local && packet_.ttl <= 1) {
      step("linux", "its TTL ends here: Linux answers with ICMP, time exceeded");
      return end(false, "Linux answers the sender with ICMP: time exceeded.");
    }
    routed_by_linux();
  }

  void refused_by_linux(const std::string& why) {
    step("linux", "not forwarded: " + why);
    end(false, "Linux does not forward the packet: " + why + ".");
  }

  // Only links and routes: nftables is not asked about a packet that does not exist.
  void routed_by_linux() {
    const RouteExplanation route = explain_route(facts_.linux_route);
    step("linux", route.verdict);
    if (facts_.linux_unsure)
      advise("routing rules, several next hops or IPsec may lead it elsewhere: ip route get " +
             config::to_string(packet_.destination));
    const RouteFacts& way = facts_.linux_route;
    if (way.routed && !way.local) advise("rules of nftables and rp_filter are not looked at");
    if (way.routed && !way.local && facts_.linux_mtu != 0 && packet_.size > facts_.linux_mtu)
      step("linux", "larger than the MTU of " + way.link + ", " + std::to_string(facts_.linux_mtu) +
                        ": cut into fragments, or refused with ICMP when it must not be cut");
    if (way.routed && !way.local && way.interface && way.interface_up && facts_.sending) {
      step("from_linux", "into " + facts_.sending->interface);
      return send();
    }
    out_.advice.insert(out_.advice.end(), route.advice.begin(), route.advice.end());
    if (way.routed && way.port && !way.local) step("transmitted", way.link);
    end(route.ok, route.verdict);
  }

  // ---------------------------------------------------------------- into a tunnel

  void send() {
    const PacketSending& sending = *facts_.sending;
    const std::string destination = config::to_string(packet_.destination);
    if (sending.program)
      return drop(DropReason::program_inside, "the inner side of " + sending.interface + " is a program");
    if (sending.host) {
      step("to_program", destination + " is an address of the program behind " + sending.interface);
      return end(true, "the program behind " + sending.interface + " gets it.");
    }
    if (sending.peer.empty())
      return drop(DropReason::no_peer,
                  "no peer of " + sending.interface + " has " + destination + " in its allowed IPs");
    step("peer", sending.peer_prefix + " is " + sending.peer + "'s");
    if (sending.endpoint.empty())
      return drop(DropReason::no_endpoint, "where " + sending.peer + " is, is not known");
    if (sending.loop)
      return drop(DropReason::routing_loop,
                  "the route to " + sending.endpoint + " leads into " + sending.interface);
    if (!sending.port_live)
      return drop(DropReason::port_down, "the port towards " + sending.endpoint + " is down");
    if (sending.mtu != 0 && packet_.size > sending.mtu) return larger_than_peer(sending);
    if (!sending.active) return wait(sending);
    leave(sending);
  }

  void larger_than_peer(const PacketSending& sending) {
    const std::string what =
        "it is larger than the MTU of " + sending.peer + ", " + std::to_string(sending.mtu);
    if (packet_.destination.is_v4()) advise("IPv4 without DF is cut into fragments instead, and arrives");
    drop(DropReason::too_big, what + ", and its sender gets ICMP");
  }

  void wait(const PacketSending& sending) {
    step("staged", sending.peer + " has no session: the packet waits for a handshake");
    end(false, "the packet waits, because " + sending.peer + " has no session.");
    advise("linegate explain peer " + sending.peer);
  }

  void leave(const PacketSending& sending) {
    step("sending", "to " + sending.endpoint + ", " + bytes(sending.outer_size) + " with outer headers");
    const std::string sealed = "sealed for " + sending.peer + " (" + sending.endpoint + ")";
    if (sending.path_mtu != 0 && sending.outer_size > sending.path_mtu) {
      step("to_kernel_socket", "larger than the MTU of the link, " + std::to_string(sending.path_mtu) +
                                   ": the kernel cuts it into fragments");
      advise("lower the `mtu` of " + sending.interface +
             " or of the peer: fragments are slow, and often lost");
      return end(true, "it leaves " + sealed + ", in fragments.");
    }
    if (sending.port.empty()) {
      step("to_kernel_socket", sending.why_socket);
      if (!sending.routed)
        return drop(DropReason::socket_send_failed, "there is no route to " + sending.endpoint);
      return end(true, "it leaves by the kernel's socket, " + sealed + ".");
    }
    step("transmitted", sending.port);
    end(true, "it leaves by port " + sending.port + ", " + sealed + ".");
  }

  const PacketFacts& facts_;
  const PacketQuery& packet_;
  PacketExplanation out_;
  bool no_sender_ = false;  // the peer that would send it has no session
};

}  // namespace

PacketExplanation explain_packet(const PacketFacts& facts) {
  return Story(facts).tell();
}

}  // namespace wg::control
