// Floods a WireGuard port from a network interface, past the sender's own stack, at a steady rate:
//
//   flood INTERFACE TO_MAC ADDRESS PORT PUBLIC_KEY KIND RATE SECONDS
//
//   junk       random bytes of random lengths and types
//   bad_mac1   initiations in all but their mac1
//   mac1       valid mac1, from 198.18.0.0/16: possible for anyone who knows the public key
//   mac2       valid mac2, from our own address, after obtaining a cookie: possible for one compromised
//   machine neutral-K  frames of kind K to another MAC address: what the port refuses before all else, the
//   yardstick of K
//
// RATE is per second; 0: as fast as it goes. IPv4. Prints kind=… sent=… refused=… pps=…, `refused` by our own
// interface, and "begun" on stderr when everything is prepared.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sodium.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "control/noise/cookie.h"
#include "control/noise/messages.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"

namespace {

using namespace wg::dataplane;
using namespace wg::noise;
using Message = std::vector<std::uint8_t>;

constexpr std::size_t kFrames = 4096;  // distinct ones, sent in turn
constexpr std::size_t kAtOnce = 64;
constexpr std::uint64_t kTick = 100'000;  // nanoseconds
constexpr std::uint16_t kOwnPort = 40404;

[[noreturn]] void give_up(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::uint64_t clock_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_nsec);
}

struct Target {
  std::string interface;
  MacAddress to_mac{};
  MacAddress own_mac{};
  std::array<std::uint8_t, 4> address{};
  std::array<std::uint8_t, 4> own_address{};
  std::uint16_t port = 0;
  PublicKey key{};
};

// ---- messages

Message random_bytes(std::size_t size) {
  Message m(size);
  randombytes_buf(m.data(), m.size());
  return m;
}

Message initiation() {
  Message m = random_bytes(sizeof(InitiationMessage));
  std::copy_n(header_of(kInitiation).type.begin(), 4, m.begin());
  return m;
}

Message junk() {
  Message m = random_bytes(randombytes_uniform(1400));
  if (m.size() < 4 || randombytes_uniform(4) == 0) return m;
  const std::size_t lengths[] = {148, 92, 64, m.size(), 32 + m.size() % 1200};
  const std::uint32_t type = 1 + randombytes_uniform(4);
  m = random_bytes(lengths[randombytes_uniform(5)]);
  m[0] = static_cast<std::uint8_t>(type);
  m[1] = m[2] = m[3] = 0;
  return m;
}

// Asks for a cookie until there is one: a target that is not under load answers no unknown host, so
// we make the load ourselves.
void fetch_cookie(const Target& target, CookieJar& jar) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  sockaddr_in own{}, to{};
  own.sin_family = to.sin_family = AF_INET;
  own.sin_port = htons(kOwnPort);
  to.sin_port = htons(target.port);
  std::memcpy(&own.sin_addr, target.own_address.data(), 4);
  std::memcpy(&to.sin_addr, target.address.data(), 4);
  if (bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof own) != 0) give_up("bind");
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) give_up("connect");
  CookieJar crowd;
  crowd.set_public_key(target.key);
  for (const std::uint64_t end = clock_ns() + 20'000'000'000; clock_ns() < end;) {
    for (int i = 0; i < 3000; ++i) {
      Message m = initiation();
      crowd.add_macs(m, wg::BootClock::now());
      if (send(fd, m.data(), m.size(), 0) < 0) usleep(100);
    }
    Message last = initiation();
    jar.add_macs(last, wg::BootClock::now());
    send(fd, last.data(), last.size(), 0);
    pollfd ready{fd, POLLIN, 0};
    for (const std::uint64_t wait = clock_ns() + 300'000'000; clock_ns() < wait;) {
      poll(&ready, 1, 50);
      std::uint8_t bytes[256];
      while (recv(fd, bytes, sizeof bytes, 0) == sizeof(CookieReplyMessage)) {
        if (!jar.consume_reply(message_as<CookieReplyMessage>({bytes, sizeof(CookieReplyMessage)}),
                               wg::BootClock::now())) {
          close(fd);
          usleep(1'500'000);  // the burst above is not part of the flood, so let its effects pass first
          return;
        }
      }
    }
  }
  throw std::runtime_error("no cookie within 20 s");
}

// ---- frames

Message frame(const Target& target, const MacAddress& to, const std::array<std::uint8_t, 4>& from,
              std::uint16_t from_port, const Message& message) {
  constexpr std::size_t kHeaders = kEthernetHeaderSize + kIpv4HeaderSize + kUdpHeaderSize;
  Message out(kHeaders);
  auto* ethernet = header_at<EthernetHeader>(out.data());
  ethernet->destination = to;
  ethernet->source = target.own_mac;
  ethernet->type = Be16{ether_type::kIpv4};
  auto* ip = header_at<Ipv4Header>(out.data() + kEthernetHeaderSize);
  const auto udp_length = static_cast<std::uint16_t>(kUdpHeaderSize + message.size());
  ip->version_ihl = 0x45;
  ip->total_length = Be16{static_cast<std::uint16_t>(kIpv4HeaderSize + udp_length)};
  ip->ttl = 64;
  ip->protocol = ip_protocol::kUdp;
  std::memcpy(ip->source.data(), from.data(), 4);
  std::memcpy(ip->destination.data(), target.address.data(), 4);
  ip->checksum = checksum_finish(checksum_add(0, {out.data() + kEthernetHeaderSize, kIpv4HeaderSize}));
  auto* udp = header_at<UdpHeader>(out.data() + kEthernetHeaderSize + kIpv4HeaderSize);
  udp->source_port = Be16{from_port};
  udp->destination_port = Be16{target.port};
  udp->length = Be16{udp_length};  // no checksum: legal in IPv4
  out.insert(out.end(), message.begin(), message.end());
  return out;
}

constexpr std::string_view kNeutral = "neutral-";

std::vector<Message> frames(const Target& target, const std::string& wanted) {
  const bool neutral = wanted.starts_with(kNeutral);
  const std::string kind = neutral ? wanted.substr(kNeutral.size()) : wanted;
  if (kind != "junk" && kind != "bad_mac1" && kind != "mac1" && kind != "mac2")
    throw std::runtime_error("no such kind: " + wanted);
  CookieJar jar;
  jar.set_public_key(target.key);
  if (kind == "mac2" && !neutral) fetch_cookie(target, jar);
  MacAddress elsewhere = target.to_mac;
  elsewhere[5] ^= 0x55;
  std::vector<Message> out;
  for (std::size_t i = 0; i < kFrames; ++i) {
    const bool own = kind == "mac2";
    const std::array<std::uint8_t, 4> spoofed{198, 18, static_cast<std::uint8_t>(i >> 8),
                                              static_cast<std::uint8_t>(i)};
    Message m = kind == "junk" ? junk() : initiation();
    if (kind == "mac1" || kind == "mac2") jar.add_macs(m, wg::BootClock::now());
    out.push_back(frame(target, neutral ? elsewhere : target.to_mac, own ? target.own_address : spoofed,
                        own ? kOwnPort : static_cast<std::uint16_t>(1024 + randombytes_uniform(60'000)), m));
  }
  return out;
}

// ---- sending

int open_wire(Target& target) {
  const int fd = socket(AF_PACKET, SOCK_RAW, 0);  // protocol 0: sends only
  if (fd < 0) give_up("AF_PACKET");
  ifreq request{};
  std::strncpy(request.ifr_name, target.interface.c_str(), IFNAMSIZ - 1);
  if (ioctl(fd, SIOCGIFHWADDR, &request) != 0) give_up(target.interface);
  std::memcpy(target.own_mac.data(), request.ifr_hwaddr.sa_data, 6);
  const int udp = socket(AF_INET, SOCK_DGRAM, 0);
  if (ioctl(udp, SIOCGIFADDR, &request) != 0) give_up("address of " + target.interface);
  std::memcpy(target.own_address.data(), request.ifr_addr.sa_data + 2, 4);
  close(udp);
  sockaddr_ll link{};
  link.sll_family = AF_PACKET;
  link.sll_ifindex = static_cast<int>(if_nametoindex(target.interface.c_str()));
  if (bind(fd, reinterpret_cast<sockaddr*>(&link), sizeof link) != 0) give_up("bind to the wire");
  const int on = 1;
  setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
  return fd;
}

struct Sent {
  std::uint64_t frames = 0;
  std::uint64_t refused = 0;
};

// The next `n` frames; what the interface does not take is counted and passed over.
void send_some(int fd, std::vector<Message>& all, std::size_t n, Sent& sent) {
  mmsghdr messages[kAtOnce];
  iovec pieces[kAtOnce];
  while (n > 0) {
    const std::size_t now = std::min(n, kAtOnce);
    for (std::size_t i = 0; i < now; ++i) {
      Message& m = all[(sent.frames + sent.refused + i) % all.size()];
      pieces[i] = {m.data(), m.size()};
      messages[i] = {};
      messages[i].msg_hdr.msg_iov = &pieces[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int took = sendmmsg(fd, messages, static_cast<unsigned>(now), 0);
    if (took > 0) {
      sent.frames += static_cast<std::size_t>(took);
      n -= static_cast<std::size_t>(took);
    } else {
      ++sent.refused;
      --n;
    }
  }
}

// A sender that was off its core catches up for at most 5 ms, because a flood is steady and not one burst.
Sent flood(int fd, std::vector<Message>& all, double rate, double seconds) {
  Sent sent;
  const std::uint64_t begin = clock_ns();
  const auto end = begin + static_cast<std::uint64_t>(seconds * 1e9);
  double allowance = 0;
  for (std::uint64_t last = begin; last < end;) {
    if (rate == 0) {
      send_some(fd, all, kAtOnce, sent);
      last = clock_ns();
      continue;
    }
    const std::uint64_t next = last + kTick;
    timespec until{static_cast<time_t>(next / 1'000'000'000), static_cast<long>(next % 1'000'000'000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
    const std::uint64_t now = clock_ns();
    allowance = std::min(allowance + rate * static_cast<double>(now - last) / 1e9, rate * 0.005 + 1);
    last = now;
    const auto n = static_cast<std::size_t>(allowance);
    send_some(fd, all, n, sent);
    allowance -= static_cast<double>(n);
  }
  return sent;
}

int run(char** a) {
  Target target;
  target.interface = a[1];
  if (std::sscanf(a[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &target.to_mac[0], &target.to_mac[1],
                  &target.to_mac[2], &target.to_mac[3], &target.to_mac[4], &target.to_mac[5]) != 6)
    throw std::runtime_error("not a MAC address");
  if (inet_pton(AF_INET, a[3], target.address.data()) != 1) throw std::runtime_error("not an IPv4 address");
  target.port = static_cast<std::uint16_t>(std::atoi(a[4]));
  std::size_t length = 0;
  if (sodium_base642bin(target.key.data(), target.key.size(), a[5], std::strlen(a[5]), nullptr, &length,
                        nullptr, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      length != target.key.size())
    throw std::runtime_error("not a public key");
  const std::string kind = a[6];
  const int fd = open_wire(target);
  std::vector<Message> all = frames(target, kind);
  std::fputs("begun\n", stderr);
  const std::uint64_t begin = clock_ns();
  const Sent sent = flood(fd, all, std::atof(a[7]), std::atof(a[8]));
  const double took = static_cast<double>(clock_ns() - begin) / 1e9;
  std::printf("kind=%s sent=%llu refused=%llu pps=%.0f\n", kind.c_str(),
              static_cast<unsigned long long>(sent.frames), static_cast<unsigned long long>(sent.refused),
              static_cast<double>(sent.frames) / took);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9 || sodium_init() < 0) {
    std::fputs("usage: flood INTERFACE TO_MAC ADDRESS PORT PUBLIC_KEY KIND RATE SECONDS\n", stderr);
    return 2;
  }
  try {
    return run(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "flood: %s\n", error.what());
    return 1;
  }
}
