#include "control/kernel/announcer.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>

namespace wg::control {
namespace {

constexpr std::size_t kSmallestFrame = 60;  // bytes, without the checksum

class FrameWriter {
 public:
  void bytes(std::span<const std::uint8_t> more) { frame_.insert(frame_.end(), more.begin(), more.end()); }
  void bytes(std::initializer_list<std::uint8_t> more) { frame_.insert(frame_.end(), more); }
  void ethernet(const MacAddress& to, const MacAddress& from, std::uint16_t type) {
    bytes(to);
    bytes(from);
    bytes({static_cast<std::uint8_t>(type >> 8), static_cast<std::uint8_t>(type & 0xff)});
  }
  std::vector<std::uint8_t> finish() {
    frame_.resize(std::max(frame_.size(), kSmallestFrame));
    return std::move(frame_);
  }
  [[nodiscard]] std::vector<std::uint8_t>& frame() { return frame_; }

 private:
  std::vector<std::uint8_t> frame_;
};

std::vector<std::uint8_t> gratuitous_arp(const MacAddress& mac, const IpAddress& address) {
  const std::span<const std::uint8_t> ip(address.bytes.data(), 4);
  FrameWriter out;
  out.ethernet({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, ETH_P_ARP);
  out.bytes({0, 1, 8, 0, 6, 4, 0, 1});  // Ethernet, IPv4, request
  out.bytes(mac);
  out.bytes(ip);
  out.bytes({0, 0, 0, 0, 0, 0});
  out.bytes(ip);
  return out.finish();
}

// RFC 4443 2.3: over a pseudo-header and the message.
std::uint16_t icmp6_checksum(std::span<const std::uint8_t> ip6) {
  std::uint32_t sum = 0;
  const auto add = [&sum](std::span<const std::uint8_t> bytes) {
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) sum += bytes[i] << 8 | bytes[i + 1];
  };
  add(ip6.subspan(8, 32));  // both addresses
  const auto message = ip6.subspan(40);
  add(message);
  sum += static_cast<std::uint32_t>(message.size()) + IPPROTO_ICMPV6;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

std::vector<std::uint8_t> unsolicited_advertisement(const Announcement& a) {
  constexpr std::uint8_t kRouter = 0x80, kOverride = 0x20, kMessage = 32;
  constexpr std::size_t kIp = sizeof(ether_header), kChecksum = kIp + 40 + 2;
  const std::array<std::uint8_t, 16> all_nodes{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  FrameWriter out;
  out.ethernet({0x33, 0x33, 0, 0, 0, 1}, a.mac, ETH_P_IPV6);
  out.bytes({0x60, 0, 0, 0, 0, kMessage, IPPROTO_ICMPV6, 255});
  out.bytes(a.address.bytes);
  out.bytes(all_nodes);
  const auto flags = static_cast<std::uint8_t>(kOverride | (a.is_router ? kRouter : 0));
  out.bytes({136, 0, 0, 0, flags, 0, 0, 0});
  out.bytes(a.address.bytes);
  out.bytes({2, 1});  // target link-layer address, 8 bytes
  out.bytes(a.mac);
  const std::uint16_t checksum = icmp6_checksum(std::span(out.frame()).subspan(kIp));
  out.frame()[kChecksum] = static_cast<std::uint8_t>(checksum >> 8);
  out.frame()[kChecksum + 1] = static_cast<std::uint8_t>(checksum & 0xff);
  return out.finish();
}

}  // namespace

std::vector<std::uint8_t> frame_of(const Announcement& announcement) {
  return announcement.address.v6 ? unsolicited_advertisement(announcement)
                                 : gratuitous_arp(announcement.mac, announcement.address);
}

Announcer::Announcer() : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  if (fd_ < 0) error_ = errno;
}

Announcer::~Announcer() {
  if (fd_ >= 0) ::close(fd_);
}

Expected<> Announcer::announce(const Announcement& announcement) {
  const std::string what = "announcing " + dataplane::to_string(announcement.address);
  if (fd_ < 0) return Refusal::from_errno(error_, what);
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(announcement.ifindex);
  to.sll_protocol = htons(announcement.address.v6 ? ETH_P_IPV6 : ETH_P_ARP);
  const auto frame = frame_of(announcement);
  const ssize_t sent =
      ::sendto(fd_, frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  if (sent < 0) return Refusal::from_errno(errno, what);
  return {};
}

}  // namespace wg::control
