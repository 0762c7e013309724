// A packet that does not exist, told stage by stage: one row per way that it may go.
#include "control/api/explain_packet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/drop_reason.h"

namespace wg::control::test::explain_packet_test {
namespace {

using Change = std::function<void(PacketFacts&)>;

PacketSending to_branch() {
  PacketSending sending;
  sending.interface = "wg0";
  sending.peer = "branch";
  sending.peer_prefix = "192.168.2.0/24";
  sending.active = true;
  sending.endpoint = "198.51.100.7:51820";
  sending.port = "wan0";
  sending.path_mtu = 1500;
  sending.outer_size = 156;
  return sending;
}

// From the LAN to a site, which works.
PacketFacts from_lan() {
  PacketFacts facts;
  facts.packet.from = "lan0";
  facts.packet.source = *config::parse_address("192.168.1.9");
  facts.packet.destination = *config::parse_address("192.168.2.7");
  facts.packet.protocol = 6;
  facts.packet.source_port = UdpPort{5210};
  facts.packet.destination_port = UdpPort{443};
  facts.way = PacketWay::kInterface;
  facts.to = "wg0";
  facts.mtu = 1420;
  facts.sending = to_branch();
  RouteFacts& route = facts.linux_route;
  route.address = "192.168.2.7";
  route.routed = route.interface = route.interface_up = route.peer_active = true;
  route.prefix = route.peer_prefix = "192.168.2.0/24";
  route.link = route.peer_interface = "wg0";
  route.peer = "branch";
  return facts;
}

// From alice to a host of the LAN, which works.
PacketFacts from_alice() {
  PacketFacts facts;
  facts.from = PacketFacts::From::kInterface;
  facts.packet.from = "wg0";
  facts.packet.source = *config::parse_address("10.10.0.2");
  facts.packet.destination = *config::parse_address("192.168.1.9");
  facts.sender = facts.source_owner = "alice";
  facts.sender_active = true;
  facts.source_prefix = "10.10.0.2/32";
  facts.way = PacketWay::kPort;
  facts.to = "lan0";
  facts.next_hop = "02:00:00:00:00:09";
  facts.mtu = 1500;
  RouteFacts& route = facts.linux_route;
  route.address = "192.168.1.9";
  route.routed = route.port = true;
  route.prefix = "192.168.1.0/24";
  route.link = "lan0";
  return facts;
}

std::string story_of(const PacketExplanation& told) {
  std::string text;
  for (const PacketStep& step : told.steps) text += std::string(step.stage) + ": " + step.words + "\n";
  return text;
}

PacketExplanation told(PacketFacts facts, const Change& change) {
  if (change) change(facts);
  return explain_packet(facts);
}

TEST(ExplainPacket, FromThePortIntoATunnel) {
  const auto out = told(from_lan(), {});
  EXPECT_TRUE(out.ok);
  EXPECT_EQ(story_of(out),
            "received: lan0: 192.168.1.9:5210 > 192.168.2.7:443, TCP, 84 bytes\n"
            "routed: route 192.168.2.0/24 to interface wg0, MTU 1420\n"
            "peer: 192.168.2.0/24 is branch's\n"
            "sending: to 198.51.100.7:51820, 156 bytes with outer headers\n"
            "transmitted: wan0\n");
  EXPECT_EQ(out.verdict, "it leaves by port wan0, sealed for branch (198.51.100.7:51820).");
  EXPECT_TRUE(out.advice.empty());
}

TEST(ExplainPacket, FromAPeerToAHost) {
  const auto out = told(from_alice(), {});
  EXPECT_TRUE(out.ok);
  EXPECT_EQ(story_of(out),
            "session: alice: there is a session\n"
            "opened: wg0: 10.10.0.2 > 192.168.1.9, 84 bytes\n"
            "source: 10.10.0.2/32 is alice's\n"
            "routed: route 192.168.1.0/24 to port lan0, MTU 1500\n"
            "transmitted: lan0 to 02:00:00:00:00:09\n");
  EXPECT_EQ(out.verdict, "it leaves by port lan0 on the short cut.");
}

struct DropRow {
  const char* reason;
  PacketFacts facts;
  Change change;
  const char* why;
};

TEST(ExplainPacket, EveryDropSaysItsReasonInTheWordsOfTheList) {
  const DropRow rows[] = {
      {"port_down", from_lan(), [](auto& f) { f.port_up = false; }, "lan0 is down"},
      {"interface_down", from_lan(),
       [](auto& f) {
         f.destination_is_ours = true;
         f.listener = "wg0";
         f.listener_up = false;
       },
       "wg0 listens on that port and is down"},
      {"interface_down", from_alice(), [](auto& f) { f.interface_up = false; },
       "wg0 is down and takes no messages"},
      {"disallowed_source", from_alice(), [](auto& f) { f.sender.clear(), f.source_owner.clear(); },
       "no peer of wg0 has 10.10.0.2 in its allowed IPs"},
      {"disallowed_source", from_alice(), [](auto& f) { f.source_owner = "bob"; },
       "10.10.0.2 belongs to bob (10.10.0.2/32)"},
      {"disallowed_source", from_alice(), [](auto& f) { f.source_owner.clear(); },
       "10.10.0.2 is in no peer's allowed IPs"},
      {"martian_inner", from_alice(), [](auto& f) { f.martian_source = true; },
       "10.10.0.2 is a source that no peer may use"},
      {"hairpin_off", from_alice(),
       [](auto& f) {
         f.way = PacketWay::kHairpinOff;
         f.to = "wg0";
       },
       "from a peer of wg0 to another of it"},
      {"blackhole", from_alice(), [](auto& f) { f.way = PacketWay::kBlackhole; },
       "route 192.168.1.0/24 is a blackhole"},
      {"program_inside", from_lan(), [](auto& f) { f.sending->program = true; },
       "the inner side of wg0 is a program"},
      {"no_peer", from_lan(), [](auto& f) { f.sending->peer.clear(); },
       "no peer of wg0 has 192.168.2.7 in its allowed IPs"},
      {"no_endpoint", from_lan(), [](auto& f) { f.sending->endpoint.clear(); },
       "where branch is, is not known"},
      {"routing_loop", from_lan(), [](auto& f) { f.sending->loop = true; },
       "the route to 198.51.100.7:51820 leads into wg0"},
      {"port_down", from_lan(), [](auto& f) { f.sending->port_live = false; },
       "the port towards 198.51.100.7:51820 is down"},
      {"too_big", from_lan(), [](auto& f) { f.sending->mtu = 80; },
       "it is larger than the MTU of branch, 80, and its sender gets ICMP"},
      {"socket_send_failed", from_lan(),
       [](auto& f) {
         f.sending->port.clear();
         f.sending->routed = false;
         f.sending->why_socket = "there is no route to the endpoint";
       },
       "there is no route to 198.51.100.7:51820"}};
  for (const auto& row : rows) {
    const auto out = told(row.facts, row.change);
    EXPECT_FALSE(out.ok) << row.reason;
    EXPECT_EQ(out.drop_reason, row.reason);
    EXPECT_EQ(out.verdict, "the packet is dropped (" + std::string(row.reason) + "): " + row.why + ".");
    std::string words;
    for (std::size_t i = 0; i < dataplane::kDropReasons; ++i)
      if (row.reason == std::string(dataplane::kDropNames[i])) words = dataplane::kDropTexts[i];
    ASSERT_FALSE(out.steps.empty());
    EXPECT_EQ(out.steps.back().stage, "dropped");
    EXPECT_EQ(out.steps.back().words, std::string(row.reason) + ": " + words);
    EXPECT_FALSE(out.advice.empty() || out.advice.back().empty()) << row.reason;
  }
}

struct Row {
  const char* name;
  PacketFacts facts;
  Change change;
  bool ok;
  const char* step;  // is in the story
  const char* verdict;
};

// Each way to Linux, what Linux does then, and the other ends.
TEST(ExplainPacket, EachOtherWay) {
  const Row rows[] = {
      {"a VLAN of nobody", from_lan(), [](auto& f) { f.vlan_refused = "no VLAN device for 7 is up on lan0"; },
       true, "to_linux: Linux decides: no VLAN device for 7 is up on lan0",
       "it leaves by port wan0, sealed for branch (198.51.100.7:51820)."},
      {"forwarding: kernel", from_lan(), [](auto& f) { f.not_forwarded = "lan0 has `forwarding: kernel`"; },
       true, "from_linux: into wg0", "it leaves by port wan0, sealed for branch (198.51.100.7:51820)."},
      {"Linux does not forward", from_lan(),
       [](auto& f) { f.not_forwarded = f.linux_refuses = "net.ipv4.conf.lan0.forwarding is 0"; }, false,
       "linux: not forwarded: net.ipv4.conf.lan0.forwarding is 0",
       "Linux does not forward the packet: net.ipv4.conf.lan0.forwarding is 0."},
      {"our own source", from_lan(), [](auto& f) { f.source_is_ours = true; }, false,
       "to_linux: Linux decides: its source is an address of this machine",
       "Linux does not forward the packet: a packet with our own source address comes from outside."},
      {"our own destination", from_lan(),
       [](auto& f) {
         f.destination_is_ours = f.linux_route.local = true;
         f.linux_route.link = "lan0";
       },
       true, "to_linux: Linux decides: the destination is an address of this machine",
       "192.168.2.7 is an address of this machine (lan0)."},
      {"a message", from_lan(),
       [](auto& f) {
         f.destination_is_ours = true;
         f.listener = "wg0";
         f.endpoint_of = "alice";
       },
       true, "session: a message for wg0; alice is reached at that source",
       "it is a WireGuard message for wg0: a handshake goes to the control thread, data to the session that "
       "its receiver index names. What is inside is another packet."},
      {"flows", from_lan(), [](auto& f) { f.flows = true; }, true,
       "routed: `forwarding: flows`: workers carry it if Linux has accepted its connection",
       "it leaves by port wan0, sealed for branch (198.51.100.7:51820)."},
      {"a group", from_lan(), [](auto& f) { f.special = true; }, true,
       "to_linux: Linux decides: no router forwards from or to such an address",
       "it leaves by port wan0, sealed for branch (198.51.100.7:51820)."},
      {"TTL", from_lan(), [](auto& f) { f.packet.ttl = 1; }, false,
       "to_linux: Linux decides: its TTL ends here", "Linux answers the sender with ICMP: time exceeded."},
      {"larger than the way", from_lan(),
       [](auto& f) {
         f.packet.size = 1421;
         f.linux_mtu = 1420;
       },
       true,
       "linux: larger than the MTU of wg0, 1420: cut into fragments, or refused with ICMP when it must not "
       "be "
       "cut",
       "it leaves by port wan0, sealed for branch (198.51.100.7:51820)."},
      {"staged", from_lan(), [](auto& f) { f.sending->active = false; }, false,
       "staged: branch has no session: the packet waits for a handshake",
       "the packet waits, because branch has no session."},
      {"by the socket", from_lan(),
       [](auto& f) {
         f.sending->port.clear();
         f.sending->why_socket = "eth9, the way to the endpoint, is no port";
       },
       true, "to_kernel_socket: eth9, the way to the endpoint, is no port",
       "it leaves by the kernel's socket, sealed for branch (198.51.100.7:51820)."},
      {"fragments", from_lan(), [](auto& f) { f.sending->outer_size = 1532; }, true,
       "to_kernel_socket: larger than the MTU of the link, 1500: the kernel cuts it into fragments",
       "it leaves sealed for branch (198.51.100.7:51820), in fragments."},
      {"a program", from_alice(), [](auto& f) { f.program = true; }, true,
       "to_program: the inner side of wg0 is a program",
       "the program that is the inner side of wg0 gets it."},
      {"the program beside the peers", from_alice(), [](auto& f) { f.host = true; }, true,
       "from_program: the program behind wg0: 10.10.0.2 > 192.168.1.9, 84 bytes",
       "it leaves by port lan0 on the short cut."},
      {"to that program", from_lan(), [](auto& f) { f.sending->host = true; }, true,
       "to_program: 192.168.2.7 is an address of the program behind wg0", "the program behind wg0 gets it."},
      {"a peer without a session", from_alice(), [](auto& f) { f.sender_active = false; }, false,
       "session: alice: no session",
       "nothing comes from alice now, which has no session; else it leaves by port lan0 on the short cut."},
      {"nobody knows the way", from_alice(),
       [](auto& f) {
         f.way = PacketWay::kLinux;
         f.why_linux = "there is no route to the destination";
         f.linux_route.routed = false;
         f.linux_route.prefix.clear();
       },
       false, "to_linux: Linux decides: there is no route to the destination",
       "there is no route to 192.168.1.9."},
      {"Linux alone", from_alice(),
       [](auto& f) {
         f.way = PacketWay::kLinux;
         f.why_linux = "eth9 is neither a port nor a WireGuard interface";
         f.linux_route.port = false;
         f.linux_route.link = "eth9";
       },
       true, "to_linux: Linux decides: eth9 is neither a port nor a WireGuard interface",
       "192.168.1.9 leaves by eth9 on the link (route 192.168.1.0/24), which is no port of Linegate: Linux "
       "forwards it."},
      {"from this machine", from_lan(), [](auto& f) { f.from = PacketFacts::From::kLinux; }, true,
       "from_linux: 192.168.1.9:5210 > 192.168.2.7:443, TCP, 84 bytes",
       "it leaves by port wan0, sealed for branch (198.51.100.7:51820)."}};
  for (const auto& row : rows) {
    const auto out = told(row.facts, row.change);
    EXPECT_EQ(out.ok, row.ok) << row.name;
    EXPECT_NE(story_of(out).find(std::string(row.step) + "\n"), std::string::npos) << row.name << ":\n"
                                                                                   << story_of(out);
    EXPECT_EQ(out.verdict, row.verdict) << row.name;
    EXPECT_EQ(out.drop_reason, "") << row.name;
    EXPECT_TRUE(out.ok || !out.steps.empty()) << row.name;
  }
}

TEST(ExplainPacket, WhatIsNotLookedAtIsSaid) {
  const auto out = told(from_lan(), [](auto& f) {
    f.not_forwarded = "lan0 has `forwarding: kernel`";
    f.linux_unsure = true;
  });
  ASSERT_EQ(out.advice.size(), 2U);
  EXPECT_EQ(out.advice[0],
            "routing rules, several next hops or IPsec may lead it elsewhere: ip route get 192.168.2.7");
  EXPECT_EQ(out.advice[1], "rules of nftables and rp_filter are not looked at");
}

constexpr const char* kByLinux = "it leaves by port wan0, sealed for branch (198.51.100.7:51820).";

PacketConnection tcp(const char* port, const char* why_linux = "", const char* remedy = "") {
  return {std::string("tcp 192.168.1.9:") + port + " -> 192.168.2.7:443", why_linux, remedy};
}

TEST(ExplainPacket, AConnectionThatWorkersCarry) {
  const Change carried = [](auto& f) {
    f.flows = true;
    f.connections = {true, {tcp("5210")}, 1, 0, true};
  };
  const auto out = told(from_lan(), carried);
  EXPECT_TRUE(out.ok);
  EXPECT_EQ(out.verdict, "workers carry it: Linux has accepted its connection.");
  EXPECT_NE(
      story_of(out).find("`forwarding: flows`: tcp 192.168.1.9:5210 -> 192.168.2.7:443, which workers carry"),
      std::string::npos);
  const auto last = told(from_lan(), [&](auto& f) {
    carried(f);
    f.packet.ttl = 1;
  });
  EXPECT_FALSE(last.ok);
  EXPECT_NE(story_of(last).find("to_linux: Linux decides: its TTL ends here"), std::string::npos);
}

TEST(ExplainPacket, AConnectionOfLinuxHasAReasonAndARemedy) {
  const auto out = told(from_lan(), [](auto& f) {
    f.flows = true;
    f.connections = {true, {tcp("5210", "no rule has set the mark", "let a rule set it")}, 0, 1, true};
  });
  EXPECT_EQ(out.verdict, kByLinux);
  EXPECT_NE(story_of(out).find(
                "to_linux: Linux decides: workers do not carry its connection: no rule has set the mark"),
            std::string::npos)
      << story_of(out);
  EXPECT_EQ(std::count(out.advice.begin(), out.advice.end(), "let a rule set it"), 1);
}

TEST(ExplainPacket, SeveralConnectionsOfTheAddresses) {
  const auto out = told(from_lan(), [](auto& f) {
    f.flows = true;
    f.connections = {
        false, {tcp("1", "it closes", "wait"), tcp("2", "it closes", "wait"), tcp("3")}, 5, 2, false};
  });
  const std::string story = story_of(out);
  EXPECT_NE(story.find("tcp 192.168.1.9:2 -> 192.168.2.7:443 is Linux's: it closes"), std::string::npos)
      << story;
  EXPECT_NE(story.find("Linux decides: of its connections 2 are Linux's, workers carry 5"), std::string::npos)
      << story;
  EXPECT_EQ(std::count(out.advice.begin(), out.advice.end(), "wait"), 1);
  EXPECT_EQ(std::count(out.advice.begin(), out.advice.end(),
                       "not all connections were looked at: name PROTOCOL, PORT and --source-port"),
            1);
}

TEST(ExplainPacket, NoConnectionAndOtherProtocolsWithFlows) {
  const auto reason = [](bool exact, bool complete, std::uint8_t protocol) {
    const auto out = told(from_lan(), [&](auto& f) {
      f.flows = true;
      f.packet.protocol = protocol;
      f.connections.exact = exact;
      f.connections.complete = complete;
    });
    const std::string story = story_of(out), mark = "Linux decides: ";
    const auto at = story.find(mark);
    return at == std::string::npos ? story
                                   : story.substr(at + mark.size(), story.find('\n', at) - at - mark.size());
  };
  EXPECT_EQ(reason(true, true, 6), "its connection is new");
  EXPECT_EQ(reason(false, true, 0), "its connection is new, or no rule has marked it");
  EXPECT_EQ(reason(false, false, 17),
            "none of the connections that were looked at is its, and not all of them were");
  EXPECT_EQ(reason(false, true, 1), "with `forwarding: flows` workers carry TCP and UDP alone");
}

TEST(ExplainPacket, IPv6AndOtherProtocolsAreNamed) {
  const auto first = [](std::uint8_t protocol) {
    PacketFacts facts = from_lan();
    facts.packet.source = *config::parse_address("fd00::9");
    facts.packet.destination = *config::parse_address("fd00:2::7");
    facts.packet.protocol = protocol;
    facts.packet.vlan = 7;
    return explain_packet(facts).steps.at(0).words;
  };
  EXPECT_EQ(first(17), "lan0, VLAN 7: [fd00::9]:5210 > [fd00:2::7]:443, UDP, 84 bytes");
  EXPECT_NE(first(58).find(", ICMPv6, "), std::string::npos);
  EXPECT_NE(first(47).find(", protocol 47, "), std::string::npos);
}

}  // namespace
}  // namespace wg::control::test::explain_packet_test
