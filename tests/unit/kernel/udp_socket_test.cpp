#include "control/kernel/udp_socket.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>

#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

const std::vector<std::uint8_t> kHello = {'h', 'e', 'l', 'l', 'o'};

struct Received {
  std::vector<std::uint8_t> bytes;
  Endpoint remote;
  Endpoint local;
  std::uint32_t ifindex;
  std::uint8_t tos;
};

std::vector<Received> receive(UdpSocket& socket, bool v6, std::size_t count, int patience_ms = 1000) {
  std::vector<Received> all;
  while (all.size() < count) {
    pollfd readable{socket.fd(v6), POLLIN, 0};
    if (poll(&readable, 1, patience_ms) != 1) break;
    socket.receive(v6, 64, [&](const ReceivedDatagram& d) {
      all.push_back({{d.bytes.begin(), d.bytes.end()}, d.remote, d.local, d.ifindex, d.tos});
    });
  }
  return all;
}

class Udp : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    shell("ip addr add 10.0.0.1/32 dev lo && ip addr add 10.0.0.2/32 dev lo");
    shell("ip addr add fd00::1/128 dev lo && ip addr add fd00::2/128 dev lo");
    ASSERT_TRUE(a.open({}));
    ASSERT_TRUE(b.open({}));
  }
  // Sends from a to b's `to`, returns what b saw.
  SendResult send(const char* to, const char* from, std::uint8_t tos = 0) {
    Datagram datagram;
    datagram.to = {ip(to), b.port(), 0};
    if (*from) datagram.from.address = ip(from);
    datagram.tos = tos;
    datagram.bytes = kHello;
    return a.send(datagram);
  }
  UdpSocket a, b;
};

TEST_F(Udp, BothFamiliesShareARandomPort) {
  EXPECT_NE(a.port(), kAnyPort);
  EXPECT_NE(a.port(), b.port());
  for (const bool v6 : {false, true}) {
    sockaddr_in6 bound{};
    socklen_t size = sizeof bound;
    ASSERT_EQ(getsockname(a.fd(v6), reinterpret_cast<sockaddr*>(&bound), &size), 0);
    EXPECT_EQ(ntohs(bound.sin6_port), number_of(a.port()));  // same offset in both families
  }
}

TEST_F(Udp, ATakenPortIsReportedAndNothingStaysOpen) {
  UdpSocket second;
  UdpSocketOptions same;
  same.port = a.port();
  const auto result = second.open(same);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, EADDRINUSE);
  EXPECT_EQ(result.error().text,
            "UDP port " + std::to_string(number_of(a.port())) + " (IPv4): Address already in use");
  EXPECT_FALSE(second.is_open());
  EXPECT_EQ(second.port(), kAnyPort);
  // Taken in IPv6 only: also refused, and IPv4 is given back.
  const int v6 = socket(AF_INET6, SOCK_DGRAM, 0);
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(7777);
  const int on = 1;
  ASSERT_EQ(setsockopt(v6, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
  ASSERT_EQ(bind(v6, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  same.port = UdpPort{7777};
  EXPECT_EQ(second.open(same).error().text, "UDP port 7777 (IPv6): Address already in use");
  ::close(v6);
  EXPECT_TRUE(second.open(same));
  a.close();
  b.close();
  EXPECT_EQ(second.port(), UdpPort{7777});
}

TEST_F(Udp, ARandomPortIsTriedAgainWhenIpv6HasIt) {
  // All but 40 ports of a small range are taken in IPv6, none in IPv4.
  shell("echo 40000 40079 > /proc/sys/net/ipv4/ip_local_port_range");
  std::vector<int> taken;
  for (std::uint16_t port = 40000; port < 40040; ++port) {
    const int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    const int on = 1;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(port);
    ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    taken.push_back(fd);
  }
  for (int i = 0; i < 20; ++i) {
    UdpSocket socket;
    ASSERT_TRUE(socket.open({}));
    EXPECT_GE(number_of(socket.port()), 40040);
  }
  for (const int fd : taken) ::close(fd);
}

TEST_F(Udp, SendsFromTheAddressAskedFor) {
  for (const char* from : {"10.0.0.1", "10.0.0.2", "127.0.0.1"}) {
    EXPECT_EQ(send("10.0.0.1", from, 0x88).outcome, SendOutcome::kSent);
    const auto got = receive(b, false, 1);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].remote, (Endpoint{ip(from), a.port(), 0}));
    EXPECT_EQ(got[0].local, (Endpoint{ip("10.0.0.1"), b.port(), 0}));
    EXPECT_EQ(got[0].ifindex, 1u);
    EXPECT_EQ(got[0].tos, 0x88);
    EXPECT_EQ(got[0].bytes, kHello);
  }
  for (const char* from : {"fd00::1", "fd00::2", "::1"}) {
    EXPECT_EQ(send("fd00::2", from, 0x8b).outcome, SendOutcome::kSent);
    const auto got = receive(b, true, 1);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].remote, (Endpoint{ip(from), a.port(), 0}));
    EXPECT_EQ(got[0].local, (Endpoint{ip("fd00::2"), b.port(), 0}));
    EXPECT_EQ(got[0].tos, 0x8b);
  }
}

TEST_F(Udp, ARemovedSourceIsReportedAndReplaced) {
  EXPECT_EQ(send("10.0.0.1", "10.0.0.2").outcome, SendOutcome::kSent);
  EXPECT_EQ(send("fd00::1", "fd00::2").outcome, SendOutcome::kSent);
  receive(b, false, 1);
  receive(b, true, 1);
  shell("ip addr del 10.0.0.2/32 dev lo && ip addr del fd00::2/128 dev lo");
  EXPECT_EQ(send("10.0.0.1", "10.0.0.2").outcome, SendOutcome::kSentFromElsewhere);
  EXPECT_EQ(send("fd00::1", "fd00::2").outcome, SendOutcome::kSentFromElsewhere);
  auto got = receive(b, false, 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].remote.address, ip("10.0.0.1"));
  got = receive(b, true, 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].remote.address, ip("fd00::1"));
}

TEST_F(Udp, ASourceOfTheOtherFamilyIsNotUsed) {
  EXPECT_EQ(send("10.0.0.1", "fd00::2").outcome, SendOutcome::kSent);
  EXPECT_EQ(receive(b, false, 1).size(), 1u);
}

TEST_F(Udp, IcmpErrorsDoNotSurface) {
  const UdpPort closed = b.port();
  b.close();
  Datagram datagram;
  datagram.bytes = kHello;
  for (const char* to : {"10.0.0.1", "fd00::1"}) {
    datagram.to = {ip(to), closed, 0};
    for (int i = 0; i < 5; ++i) EXPECT_EQ(a.send(datagram).outcome, SendOutcome::kSent);
  }
  EXPECT_EQ(receive(a, false, 1, 50).size(), 0u);
  EXPECT_EQ(receive(a, true, 1, 50).size(), 0u);
  ASSERT_TRUE(b.open({}));
  EXPECT_EQ(send("10.0.0.1", "").outcome, SendOutcome::kSent);
  EXPECT_EQ(receive(b, false, 1).size(), 1u);
}

TEST_F(Udp, UnreachableReportsTheReason) {
  Datagram datagram;
  datagram.to = {ip("203.0.113.1"), UdpPort{9}, 0};
  datagram.bytes = kHello;
  auto result = a.send(datagram);
  EXPECT_EQ(result.outcome, SendOutcome::kFailed);
  EXPECT_EQ(result.error, ENETUNREACH);
  a.close();
  EXPECT_EQ(a.send(datagram).outcome, SendOutcome::kNoSocket);
}

TEST_F(Udp, BatchesKeepOrderAndReportEach) {
  std::vector<std::vector<std::uint8_t>> payloads;
  for (std::uint8_t i = 0; i < 200; ++i) payloads.push_back({i, 1, 2, 3});
  std::vector<Datagram> batch(200);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    batch[i].to = {ip("10.0.0.1"), b.port(), 0};
    batch[i].from.address = ip("10.0.0.2");
    batch[i].bytes = payloads[i];
  }
  batch[50].to.address = ip("203.0.113.1");   // no route
  batch[120].from.address = ip("10.0.0.77");  // never was ours
  batch[160].to.address = ip("fd00::1");      // another family in the middle
  batch[160].from.address = ip("fd00::2");
  std::vector<SendResult> results(batch.size());
  EXPECT_EQ(a.send_batch(batch, results), 199u);
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto expected = i == 50    ? SendOutcome::kFailed
                          : i == 120 ? SendOutcome::kSentFromElsewhere
                                     : SendOutcome::kSent;
    EXPECT_EQ(results[i].outcome, expected) << i;
  }
  const auto got = receive(b, false, 198);
  ASSERT_EQ(got.size(), 198u);
  std::size_t at = 0;
  for (std::uint8_t i = 0; i < 200; ++i) {
    if (i == 50 || i == 160) continue;
    EXPECT_EQ(got[at++].bytes[0], i);
  }
  EXPECT_EQ(receive(b, true, 1).at(0).bytes[0], 160);
}

TEST_F(Udp, TheLongestDatagramPasses) {
  const std::vector<std::uint8_t> longest(65507, 0x5a);
  Datagram datagram;
  datagram.to = {ip("10.0.0.1"), b.port(), 0};
  datagram.bytes = longest;
  EXPECT_TRUE(a.send(datagram).sent());
  const auto got = receive(b, false, 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].bytes, longest);
  const std::vector<std::uint8_t> too_long(65508, 0);
  datagram.bytes = too_long;
  EXPECT_EQ(a.send(datagram).error, EMSGSIZE);
}

TEST_F(Udp, TheVisitorMayCloseTheSocket) {
  for (int i = 0; i < 5; ++i) send("10.0.0.1", "");
  int visits = 0;
  pollfd readable{b.fd(false), POLLIN, 0};
  ASSERT_EQ(poll(&readable, 1, 1000), 1);
  b.receive(false, 64, [&](const ReceivedDatagram&) {
    ++visits;
    b.close();
  });
  EXPECT_EQ(visits, 1);
  EXPECT_EQ(b.receive(false, 64, [](const ReceivedDatagram&) {}), 0u);
}

TEST_F(Udp, FwmarkChangesLive) {
  shell("ip rule add fwmark 7 blackhole && ip -6 rule add fwmark 7 blackhole");
  shell("ip rule add pref 1 lookup local && ip rule del pref 0; ip rule add pref 0 fwmark 7 blackhole");
  EXPECT_TRUE(send("10.0.0.1", "").sent());
  EXPECT_TRUE(a.set_fwmark(7));
  EXPECT_FALSE(send("10.0.0.1", "").sent());
  EXPECT_TRUE(a.set_fwmark(0));
  EXPECT_TRUE(send("10.0.0.1", "").sent());
  UdpSocketOptions marked;
  marked.fwmark = 7;
  ASSERT_TRUE(a.open(marked));
  EXPECT_FALSE(send("10.0.0.1", "").sent());
}

TEST_F(Udp, MovesWithItsDescriptors) {
  const auto port = a.port();
  UdpSocket moved = std::move(a);
  EXPECT_FALSE(a.is_open());
  EXPECT_EQ(moved.port(), port);
  a = std::move(moved);
  EXPECT_TRUE(send("10.0.0.1", "").sent());
  EXPECT_EQ(receive(b, false, 1).size(), 1u);
}

// Two links to a second namespace, so that datagrams come in by either.
class UdpLinks : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    name = "linegate_kernel_" + std::to_string(getpid());
    shell("ip netns add " + name);
    for (int i = 0; i < 2; ++i) {
      const std::string n = std::to_string(i);
      shell("ip link add near" + n + " type veth peer name far" + n + " netns " + name);
      shell("ip addr add 10.0." + n + ".1/24 dev near" + n + " && ip link set near" + n + " up");
      shell("ip -6 addr add fd0" + n + "::1/64 dev near" + n + " nodad");
      shell("ip -n " + name + " addr add 10.0." + n + ".2/24 dev far" + n);
      shell("ip -n " + name + " -6 addr add fd0" + n + "::2/64 dev far" + n + " nodad");
      shell("ip -n " + name + " link set far" + n + " up");
    }
    ASSERT_TRUE(socket.open({}));
  }
  void TearDown() override {
    if (!name.empty()) shell("ip netns del " + name);
  }
  void poke(const std::string& address) {
    shell("ip netns exec " + name + " bash -c 'echo hello > /dev/udp/" + address + "/" +
          std::to_string(number_of(socket.port())) + "'");
  }
  // Which links delivered when a datagram came over each.
  std::set<std::uint32_t> links_heard(bool v6) {
    for (int i = 0; i < 2; ++i)
      poke(v6 ? "fd0" + std::to_string(i) + "::1" : "10.0." + std::to_string(i) + ".1");
    std::set<std::uint32_t> links;
    for (const auto& datagram : receive(socket, v6, 2, 300)) links.insert(datagram.ifindex);
    return links;
  }
  std::string name;
  UdpSocket socket;
};

TEST_F(UdpLinks, TheFilterDropsByLink) {
  const auto near0 = ifindex_of("near0"), near1 = ifindex_of("near1");
  const std::set<std::uint32_t> both = {near0, near1};
  // Neighbours are resolved first, so that nothing waits for them below.
  for (const bool v6 : {false, true}) EXPECT_EQ(links_heard(v6), both);
  const std::vector<std::uint32_t> first = {9999, near0};
  ASSERT_TRUE(socket.drop_from_links(first));
  for (const bool v6 : {false, true}) EXPECT_EQ(links_heard(v6), std::set{near1});
  // A reopened socket keeps the filter.
  ASSERT_TRUE(socket.open({}));
  EXPECT_EQ(links_heard(false), std::set{near1});
  ASSERT_TRUE(socket.drop_from_links({}));
  ASSERT_TRUE(socket.drop_from_links({}));
  for (const bool v6 : {false, true}) EXPECT_EQ(links_heard(v6), both);
  std::vector<std::uint32_t> many(UdpSocket::kMaxFilteredLinks, 7777);
  many.back() = near1;
  ASSERT_TRUE(socket.drop_from_links(many));
  EXPECT_EQ(links_heard(false), std::set{near0});
  many.push_back(1);
  EXPECT_EQ(socket.drop_from_links(many).error().code, E2BIG);
}

TEST_F(UdpLinks, BigDatagramsLeaveInFragments) {
  UdpSocket other;
  ASSERT_TRUE(other.open({}));
  const std::vector<std::uint8_t> bytes(4000, 1);
  Datagram datagram;
  datagram.bytes = bytes;
  for (const char* to : {"10.0.0.2", "fd00::2"}) {
    datagram.to = {ip(to), UdpPort{9}, 0};
    EXPECT_EQ(socket.send(datagram).outcome, SendOutcome::kSent) << to;
  }
}

}  // namespace
}  // namespace wg::control
