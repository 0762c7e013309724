#include "control/cli/mtu_probe.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace wg::control::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kIp4 = 20, kIp6 = 40, kEcho = 8;

Expected<> forbid_fragments(int fd, bool v6) {
  const int level = v6 ? int{IPPROTO_IPV6} : int{IPPROTO_IP};
  const int probe = v6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE;
  if (setsockopt(fd, level, v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &probe, sizeof probe) == 0) return {};
  return Refusal::from_errno(errno, "setting DF");
}

Expected<> connect_to(int fd, const config::Address& to) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  std::memcpy(&v4.sin_addr, to.bytes.data(), sizeof v4.sin_addr);
  std::memcpy(&v6.sin6_addr, to.bytes.data(), sizeof v6.sin6_addr);
  const int done = to.is_v4() ? connect(fd, reinterpret_cast<sockaddr*>(&v4), sizeof v4)
                              : connect(fd, reinterpret_cast<sockaddr*>(&v6), sizeof v6);
  if (done == 0) return {};
  return Refusal::from_errno(errno, "no way to " + config::to_string(to));
}

std::uint16_t own_id() {
  return static_cast<std::uint16_t>(getpid());
}

// RFC 1071. Of ICMPv6 the kernel computes it.
std::uint16_t checksum_of(const std::vector<std::uint8_t>& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void put16(std::vector<std::uint8_t>& bytes, std::size_t at, std::uint16_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

std::vector<std::uint8_t> echo_request(std::size_t size, std::uint16_t sequence, bool v6) {
  std::vector<std::uint8_t> message(size);
  message[0] = v6 ? 128 : 8;
  put16(message, 4, own_id());
  put16(message, 6, sequence);
  if (!v6) put16(message, 2, checksum_of(message));
  return message;
}

}  // namespace

MtuProbe probe_mtu(std::size_t least, std::size_t wanted, const std::function<bool(std::size_t)>& answered) {
  MtuProbe probe{answered(least), least, wanted};
  if (!probe.answers) return probe;
  if (answered(wanted)) {
    probe.largest = wanted;
    return probe;
  }
  std::size_t lost = wanted;
  while (lost - probe.largest > 1) {
    const std::size_t middle = probe.largest + (lost - probe.largest) / 2;
    (answered(middle) ? probe.largest : lost) = middle;
  }
  return probe;
}

Expected<EchoSocket> EchoSocket::open(const config::Address& to) {
  const bool v6 = !to.is_v4();
  const int protocol = v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP};
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) return Refusal::from_errno(errno, "sending echo requests");
  EchoSocket echo(fd, v6);
  if (Expected<> set = forbid_fragments(fd, v6); !set) return set.error();
  if (Expected<> connected = connect_to(fd, to); !connected) return connected.error();
  return echo;
}

EchoSocket::~EchoSocket() {
  if (fd_ >= 0) close(fd_);
}

EchoSocket::EchoSocket(EchoSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), v6_(other.v6_), sequence_(other.sequence_) {}

std::size_t EchoSocket::least() const {
  return (v6_ ? kIp6 : kIp4) + kEcho;
}

bool EchoSocket::is_answer(const std::uint8_t* bytes, std::size_t length) const {
  std::size_t at = 0;
  if (!v6_) at = length == 0 ? 0 : std::size_t{4} * (bytes[0] & 15);
  if (length < at + kEcho || bytes[at] != (v6_ ? 129 : 0)) return false;
  const auto word = [&](std::size_t i) { return static_cast<std::uint16_t>(bytes[i] << 8 | bytes[i + 1]); };
  return word(at + 4) == own_id() && word(at + 6) == sequence_;
}

bool EchoSocket::answered(std::size_t size, std::chrono::milliseconds patience) {
  const auto message = echo_request(std::max(size, least()) - (v6_ ? kIp6 : kIp4), ++sequence_, v6_);
  if (send(fd_, message.data(), message.size(), MSG_NOSIGNAL) < 0) return false;
  const auto until = Clock::now() + patience;
  std::array<std::uint8_t, 65536> bytes;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    pollfd readable{fd_, POLLIN, 0};
    if (left.count() <= 0 || poll(&readable, 1, static_cast<int>(left.count())) <= 0) return false;
    const auto got = recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got > 0 && is_answer(bytes.data(), static_cast<std::size_t>(got))) return true;
  }
}

}  // namespace wg::control::cli
