// TUN and TAP against the running kernel: two network namespaces, one interface in each, a forwarding thread
// between them. The kernel's own TCP and UDP are the judges: contents, order and checksum error counters.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "dataplane/io/link_speed.h"
#include "dataplane/io/tun.h"
#include "tests/unit/io/mbufs.h"
#include "tests/unit/io/namespace.h"

namespace wg::dataplane::tun_kernel_test {
namespace {

using namespace test;
using namespace std::chrono_literals;

constexpr int kUdpSegment = 103;  // UDP_SEGMENT of linux/udp.h

bool can_make_interfaces() {
  return ::geteuid() == 0 && ::access("/dev/net/tun", R_OK | W_OK) == 0 && Namespace().usable();
}
constexpr const char* kWhyNot = "needs root, /dev/net/tun and network namespaces";

struct Case {
  bool tap;
  bool vnet;
  bool v6;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << (c.tap ? "tap" : "tun") << (c.vnet ? " vnet" : " plain") << (c.v6 ? " v6" : " v4");
}

struct Ipv6Request {  // in6_ifreq, whose header clashes with netinet/in.h
  in6_addr address;
  std::uint32_t prefix;
  int ifindex;
};

class Kernel : public ::testing::TestWithParam<Case> {
 protected:
  struct Side {
    Namespace space;
    std::unique_ptr<KernelInterface> interface;
    TunCounters counters;
    DropCounters drops;
  };

  void SetUp() override {
    if (!can_make_interfaces()) GTEST_SKIP() << kWhyNot;
    pool_ = std::make_unique<MbufPool>();
    for (std::uint8_t i = 0; i < 2; ++i) sides_[i].space.run([&] { bring_up(sides_[i], i + 1); });
    if (!HasFatalFailure()) forwarder_ = std::thread([this] { forward(); });
  }
  void TearDown() override {
    stop_ = true;
    if (forwarder_.joinable()) forwarder_.join();
  }

  static void bring_up(Side& side, std::uint8_t host) {
    const Case& c = GetParam();
    const TunOptions options{"lg%d", 1, c.vnet};
    if (c.tap) {
      side.interface = std::make_unique<TapDevice>(options, MacAddress{2, 0, 0, 0, 0, host});
    } else {
      side.interface = std::make_unique<TunDevice>(options);
    }
    const std::string& name = side.interface->name();
    std::ofstream("/proc/sys/net/ipv6/conf/" + name + "/accept_dad") << 0;
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    const sockaddr_in address{AF_INET, 0, {htonl(0x0a070000u | host)}, {}};
    const sockaddr_in mask{AF_INET, 0, {htonl(0xffffff00u)}, {}};
    std::memcpy(&request.ifr_addr, &address, sizeof address);
    ASSERT_EQ(::ioctl(socket, SIOCSIFADDR, &request), 0);
    std::memcpy(&request.ifr_addr, &mask, sizeof mask);
    ASSERT_EQ(::ioctl(socket, SIOCSIFNETMASK, &request), 0);
    request.ifr_mtu = 1420;
    ASSERT_EQ(::ioctl(socket, SIOCSIFMTU, &request), 0);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    ASSERT_EQ(::ioctl(socket, SIOCSIFFLAGS, &request), 0);
    if (c.v6) add_v6(host, static_cast<int>(side.interface->ifindex()));
    ::close(socket);
  }
  static void add_v6(std::uint8_t host, int ifindex) {
    const int socket = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    Ipv6Request request{{}, 64, ifindex};
    request.address.s6_addr[0] = 0xfd;
    request.address.s6_addr[15] = host;
    ASSERT_EQ(::ioctl(socket, SIOCSIFADDR, &request), 0) << std::strerror(errno);
    ::close(socket);
  }

  // Small and changing budgets, so that super-packets are cut across calls.
  void forward() {
    std::mt19937 random(251);
    std::array<rte_mbuf*, 64> burst;
    while (!stop_) {
      bool idle = true;
      for (std::size_t i = 0; i < 2; ++i) {
        Side& from = sides_[i];
        Side& to = sides_[1 - i];
        const std::size_t budget = 1 + random() % burst.size();
        const std::size_t n = from.interface->queue(0).read_burst(pool_->get(), burst.data(), budget,
                                                                  {from.counters, from.drops});
        to.interface->queue(0).write_burst(burst.data(), n, to.counters);
        idle = idle && n == 0;
      }
      if (idle) std::this_thread::sleep_for(20us);
    }
  }
  void stop_forwarding() {
    stop_ = true;
    forwarder_.join();
  }

  static std::pair<sockaddr_storage, socklen_t> address_of(std::uint8_t host, std::uint16_t port) {
    sockaddr_storage storage{};
    if (GetParam().v6) {
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(port);
      address.sin6_addr.s6_addr[0] = 0xfd;
      address.sin6_addr.s6_addr[15] = host;
      std::memcpy(&storage, &address, sizeof address);
      return {storage, sizeof address};
    }
    const sockaddr_in address{AF_INET, htons(port), {htonl(0x0a070000u | host)}, {}};
    std::memcpy(&storage, &address, sizeof address);
    return {storage, sizeof address};
  }
  // Blocking calls give up after 5 s.
  static int open_socket(int type) {
    const int fd = ::socket(GetParam().v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
    const timeval patience{5, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
  }
  // A fresh IPv6 address becomes usable a little later.
  template <typename Call>
  static void insist(Call call) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    int result = call();
    while (result != 0 && errno == EADDRNOTAVAIL && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(5ms);
      result = call();
    }
    EXPECT_EQ(result, 0) << std::strerror(errno);
  }
  static int bound_socket(int type, std::uint8_t host) {
    const int fd = open_socket(type);
    const auto [address, size] = address_of(host, 5201);
    insist([&, &at = address, n = size] { return ::bind(fd, reinterpret_cast<const sockaddr*>(&at), n); });
    return fd;
  }
  static int connected_socket(int type, std::uint8_t host) {
    const int fd = open_socket(type);
    const auto [address, size] = address_of(host, 5201);
    insist([&, &at = address, n = size] { return ::connect(fd, reinterpret_cast<const sockaddr*>(&at), n); });
    return fd;
  }

  // Counters named by protocol and column in /proc/net/snmp, where every checksum error is seen.
  static std::uint64_t snmp(const Side& side, const std::string& protocol, const std::string& column) {
    std::uint64_t value = ~std::uint64_t{0};
    side.space.run([&] {
      std::ifstream file("/proc/thread-self/net/snmp");
      std::string names, values, name, word;
      while (std::getline(file, names) && std::getline(file, values)) {
        if (names.rfind(protocol + ":", 0) != 0) continue;
        std::istringstream n(names), v(values);
        while (n >> name && v >> word) {
          if (name == column) value = std::stoull(word);
        }
      }
    });
    return value;
  }

  void expect_clean() const {
    for (const Side& side : sides_) {
      EXPECT_EQ(snmp(side, "Tcp", "InCsumErrors"), 0u);
      EXPECT_EQ(snmp(side, "Udp", "InCsumErrors"), 0u);
      EXPECT_EQ(snmp(side, "Ip", "InHdrErrors"), 0u);
      EXPECT_EQ(side.drops.get(DropReason::read_malformed), 0u);
      EXPECT_EQ(side.drops.get(DropReason::read_too_long), 0u);
      EXPECT_EQ(side.counters.read_errors.get(), 0u);
      EXPECT_EQ(side.counters.read_no_mbuf.get(), 0u);
      EXPECT_EQ(side.counters.write_errors.get(), 0u);
    }
  }

  std::unique_ptr<MbufPool> pool_;
  std::array<Side, 2> sides_;
  std::thread forwarder_;
  std::atomic<bool> stop_{false};
};

void send_pattern(int fd, std::size_t size) {
  const Octets bytes = pattern(251 * 400, 0);
  for (std::size_t sent = 0; sent < size;) {
    const std::size_t at = sent % 251;
    const ssize_t n = ::send(fd, bytes.data() + at, std::min(bytes.size() - at, size - sent), MSG_NOSIGNAL);
    ASSERT_GT(n, 0) << std::strerror(errno);
    sent += static_cast<std::size_t>(n);
  }
  ::shutdown(fd, SHUT_WR);
}

void expect_pattern(int fd, std::size_t size) {
  const Octets expected = pattern(1 << 17, 0);
  Octets buffer(1 << 16);
  std::size_t got = 0;
  for (ssize_t n = 0; (n = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0;
       got += static_cast<std::size_t>(n)) {
    ASSERT_EQ(0, std::memcmp(buffer.data(), expected.data() + got % 251, static_cast<std::size_t>(n))) << got;
  }
  ASSERT_EQ(got, size);
}

TEST_P(Kernel, TcpBothWays) {
  constexpr std::size_t kSize = 16 << 20;
  int listener = -1, near = -1;
  sides_[1].space.run([&] {
    listener = bound_socket(SOCK_STREAM, 2);
    ASSERT_EQ(::listen(listener, 1), 0);
  });
  sides_[0].space.run([&] { near = connected_socket(SOCK_STREAM, 2); });
  const int far = ::accept(listener, nullptr, nullptr);
  ASSERT_GE(far, 0);
  std::thread there([&] { send_pattern(near, kSize); });
  std::thread back([&] { send_pattern(far, kSize); });
  std::thread reader([&] { expect_pattern(near, kSize); });
  expect_pattern(far, kSize);
  there.join();
  back.join();
  reader.join();
  for (const int fd : {listener, near, far}) ::close(fd);
  stop_forwarding();
  expect_clean();
  for (const Side& side : sides_) {
    EXPECT_GT(side.counters.read_bytes.get(), kSize);
    EXPECT_EQ(side.counters.read_super_packets.get() > 100, GetParam().vnet);
    EXPECT_EQ(side.counters.write_super_packets.get() > 100, GetParam().vnet);
  }
}

TEST_P(Kernel, UdpDatagramsKeepTheirSizes) {
  constexpr std::size_t kBursts = 20, kSegment = 1200, kTail = 77, kPerBurst = 40;
  int receiver = -1, sender = -1;
  sides_[1].space.run([&] {
    receiver = bound_socket(SOCK_DGRAM, 2);
    const int room = 8 << 20;
    ::setsockopt(receiver, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  });
  const int segment = kSegment;
  sides_[0].space.run([&] {
    sender = connected_socket(SOCK_DGRAM, 2);
    ASSERT_EQ(::setsockopt(sender, IPPROTO_UDP, kUdpSegment, &segment, sizeof segment), 0);
  });
  Octets buffer(65536);
  for (std::size_t burst = 0; burst < kBursts; ++burst) {
    const Octets bytes = pattern(kSegment * kPerBurst + kTail, burst);
    ASSERT_EQ(::send(sender, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    for (std::size_t at = 0; at < bytes.size(); at += kSegment) {
      const std::size_t size = std::min(kSegment, bytes.size() - at);
      ASSERT_EQ(::recv(receiver, buffer.data(), buffer.size(), 0), static_cast<ssize_t>(size))
          << burst << " " << at;
      ASSERT_EQ(0, std::memcmp(buffer.data(), bytes.data() + at, size));
    }
  }
  ::close(sender);
  ::close(receiver);
  stop_forwarding();
  expect_clean();
  const bool super = sides_[0].interface->offloads().udp;
  EXPECT_EQ(sides_[0].counters.read_super_packets.get() >= kBursts, super);
  EXPECT_EQ(sides_[1].counters.write_super_packets.get() >= kBursts, super);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Kernel,
                         ::testing::Values(Case{false, true, false}, Case{false, true, true},
                                           Case{false, false, false}, Case{true, true, false},
                                           Case{true, true, true}, Case{true, false, true}));

// --- construction

class Construction : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_make_interfaces()) GTEST_SKIP() << kWhyNot;
  }
  // The message of the error, empty when there is none.
  static std::string error_of(const TunOptions& options) {
    try {
      const TunDevice device(options);
    } catch (const TunError& error) {
      return error.what();
    }
    return "";
  }
  Namespace space_;
};

TEST_F(Construction, TakesTheIfindexThatIsAskedFor) {
  space_.run([] {
    TunOptions options;
    options.name = "lgindex0";
    options.queues = 2;
    options.ifindex = 0x40001234;
    const TunDevice device(options);
    EXPECT_EQ(device.ifindex(), 0x40001234U);
    options.name = "lgindex1";
    EXPECT_NE(error_of(options), "");  // it is taken
    EXPECT_EQ(::if_nametoindex("lgindex1"), 0U);
  });
}

TEST_F(Construction, NamesTheInterface) {
  space_.run([] {
    const TunDevice first({"lgtest%d"}), second({"lgtest%d"});
    EXPECT_EQ(first.name(), "lgtest0");
    EXPECT_EQ(second.name(), "lgtest1");
    EXPECT_EQ(first.ifindex(), ::if_nametoindex("lgtest0"));
    EXPECT_NE(first.ifindex(), second.ifindex());
  });
}

TEST_F(Construction, DisappearsWithTheObject) {
  space_.run([] {
    { const TunDevice device({"gone"}); }
    EXPECT_EQ(::if_nametoindex("gone"), 0u);
    EXPECT_EQ(error_of({"gone"}), "");
  });
}

TEST_F(Construction, ManyQueues) {
  space_.run([] {
    for (const std::size_t queues : {1u, 2u, 16u}) {
      TapDevice device({"many%d", queues}, {2, 0, 0, 0, 0, 9});
      EXPECT_EQ(device.queue_count(), queues);
      EXPECT_TRUE(device.offloads().vnet && device.offloads().tcp);
      EXPECT_NE(device.queue(0).fd(), -1);
    }
  });
}

// As a second process would.
TEST_F(Construction, AnotherQueueCanAttachEvenToADeviceWithOne) {
  space_.run([] {
    const TunDevice tun({"later0"});
    const TapDevice tap({"later1"}, {2, 0, 0, 0, 0, 9});
    for (const auto& [name, kind] : {std::pair("later0", IFF_TUN), std::pair("later1", IFF_TAP)}) {
      const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
      ifreq request{};
      std::strcpy(request.ifr_name, name);
      request.ifr_flags = static_cast<short>(kind | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
      EXPECT_EQ(::ioctl(fd, TUNSETIFF, &request), 0) << name << ": " << std::strerror(errno);
      ::close(fd);
    }
  });
}

TEST_F(Construction, UdpSuperPacketsSinceLinux62) {
  utsname system;
  ASSERT_EQ(::uname(&system), 0);
  int major = 0, minor = 0;
  ASSERT_EQ(std::sscanf(system.release, "%d.%d", &major, &minor), 2);
  space_.run([&] {
    const TunDevice device({"uso%d"}), plain({"uso%d", 1, false});
    EXPECT_EQ(device.offloads().udp, major > 6 || (major == 6 && minor >= 2));
    EXPECT_FALSE(plain.offloads().vnet || plain.offloads().tcp || plain.offloads().udp);
  });
}

TEST_F(Construction, TapHasTheGivenAddress) {
  space_.run([] {
    const MacAddress mac{2, 1, 2, 3, 4, 5};
    TapDevice device({"port%d"}, mac);
    ifreq request{};
    device.name().copy(request.ifr_name, IFNAMSIZ - 1);
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::ioctl(socket, SIOCGIFHWADDR, &request), 0);
    EXPECT_EQ(0, std::memcmp(request.ifr_hwaddr.sa_data, mac.data(), 6));
    ::close(socket);
    EXPECT_THROW(TapDevice({"bad%d"}, {1, 0, 0, 0, 0, 1}), TunError);  // a multicast address
  });
}

TEST_F(Construction, TapShowsTheGivenSpeed) {
  space_.run([] {
    const TapDevice device({"fast%d"}, {2, 1, 2, 3, 4, 5});
    for (const std::uint32_t mbps : {2500U, 0U, 100'000U}) {
      const auto set = set_link_speed(device.name(), mbps);
      ASSERT_TRUE(set) << set.error().text;
      EXPECT_EQ(link_speed(device.name()), mbps);
    }
    EXPECT_EQ(link_speed("nothere"), 0U);
    EXPECT_FALSE(set_link_speed("nothere", 10));
  });
}

TEST_F(Construction, ErrorsSayWhatIsWrong) {
  space_.run([] {
    const TunDevice taken({"taken", 2});
    EXPECT_EQ(error_of({"taken", 2}), "interface taken: the name is taken by another interface");
    EXPECT_EQ(error_of({"lo"}), "interface lo: the name is taken by another interface");
    EXPECT_EQ(error_of({"sixteencharsname"}),
              "interface sixteencharsname: the name must have 1 to 15 characters");
    EXPECT_EQ(error_of({""}), "interface : the name must have 1 to 15 characters");
    EXPECT_EQ(error_of({"none", 0}), "interface none: needs at least one queue");
    EXPECT_NE(error_of({"a/b"}).find("interface a/b: cannot create it: "), std::string::npos);
  });
}

TEST_F(Construction, NoPermission) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        if (::setresuid(65534, 65534, 65534) != 0) std::exit(1);
        std::fputs(error_of({"mine"}).c_str(), stderr);
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), "interface mine: no permission to (create it|open)");
}

}  // namespace
}  // namespace wg::dataplane::tun_kernel_test
