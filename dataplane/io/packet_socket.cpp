// Opening packet sockets: only at start.
#include "dataplane/io/packet_socket.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace wg::dataplane {
namespace {

// Memory of super-packets on their way: about 300 of 64 KB in, 100 out.
constexpr int kReceiveMemory = 16 << 20, kSendMemory = 4 << 20;

[[noreturn]] void fail(const std::string& interface, const std::string& reason) {
  throw PacketSocketError("interface " + interface + ": " + reason);
}

std::string error_text(int error) {
  return std::string(": ") + std::strerror(error);
}

template <typename Value>
void set(int fd, int level, int option, const Value& value, const std::string& interface, const char* what) {
  if (::setsockopt(fd, level, option, &value, sizeof value) != 0)
    fail(interface, "the kernel refuses " + std::string(what) + " of a packet socket" + error_text(errno));
}

FileDescriptor open_socket(const std::string& interface) {
  FileDescriptor fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() >= 0) return fd;
  if (errno == EPERM || errno == EACCES)
    fail(interface, "no permission to open a packet socket (CAP_NET_RAW is needed)");
  fail(interface, "cannot open a packet socket" + error_text(errno));
}

// A filter that takes nothing: between bind and fanout each socket would get every frame.
void refuse_frames(int fd, const std::string& interface) {
  sock_filter refuse{BPF_RET | BPF_K, 0, 0, 0};
  set(fd, SOL_SOCKET, SO_ATTACH_FILTER, sock_fprog{1, &refuse}, interface, "a filter");
}

void accept_frames(int fd, const std::string& interface) {
  set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0, interface, "removing the filter");
}

void set_options(int fd, const std::string& interface) {
  set(fd, SOL_PACKET, PACKET_VERSION, int{TPACKET_V2}, interface, "PACKET_VERSION");
  set(fd, SOL_PACKET, PACKET_VNET_HDR, 1, interface, "PACKET_VNET_HDR");
  set(fd, SOL_PACKET, PACKET_COPY_THRESH, 1, interface, "PACKET_COPY_THRESH");
  set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, interface, "PACKET_IGNORE_OUTGOING (Linux 4.20 and later)");
  set(fd, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveMemory, interface, "SO_RCVBUFFORCE");
  set(fd, SOL_SOCKET, SO_SNDBUFFORCE, kSendMemory, interface, "SO_SNDBUFFORCE");
}

std::uint8_t* map_ring(int fd, const PacketRing& layout, const std::string& interface) {
  const tpacket_req request{static_cast<unsigned>(layout.block_size), static_cast<unsigned>(layout.blocks),
                            static_cast<unsigned>(layout.slot_size), static_cast<unsigned>(layout.slots())};
  set(fd, SOL_PACKET, PACKET_RX_RING, request, interface, "a receive ring");
  void* at = ::mmap(nullptr, layout.bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (at == MAP_FAILED) fail(interface, "cannot map the receive ring" + error_text(errno));
  return static_cast<std::uint8_t*>(at);
}

void bind_to(int fd, unsigned ifindex, const std::string& interface) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(ifindex);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail(interface, "cannot bind a packet socket to it" + error_text(errno));
}

void join_membership(int fd, unsigned ifindex, std::uint16_t type, const std::string& interface) {
  packet_mreq request{};
  request.mr_ifindex = static_cast<int>(ifindex);
  request.mr_type = type;
  set(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, request, interface, "PACKET_ADD_MEMBERSHIP");
}

// Spreads by flow, without PACKET_FANOUT_FLAG_DEFRAG: all fragments of a datagram have the hash of its
// addresses. A group does not inherit PACKET_IGNORE_OUTGOING.
constexpr unsigned kIgnoreOutgoing = 0x4000;  // PACKET_FANOUT_FLAG_IGNORE_OUTGOING of Linux 5.15
constexpr unsigned kFanout = PACKET_FANOUT_HASH | kIgnoreOutgoing;

int create_fanout(int fd, const std::string& interface) {
  constexpr unsigned kWanted = kFanout | PACKET_FANOUT_FLAG_UNIQUEID;
  set(fd, SOL_PACKET, PACKET_FANOUT, kWanted << 16, interface, "a fanout group");
  int group = 0;
  socklen_t size = sizeof group;
  if (::getsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, &size) != 0)
    fail(interface, "cannot read the fanout group" + error_text(errno));
  return group & 0xffff;
}

void join_fanout(int fd, int group, const std::string& interface) {
  set(fd, SOL_PACKET, PACKET_FANOUT, static_cast<unsigned>(group) | kFanout << 16, interface,
      "joining a fanout group");
}

MacAddress mac_of(int fd, const std::string& interface) {
  ifreq request{};
  std::memcpy(request.ifr_name, interface.data(), interface.size());
  if (::ioctl(fd, SIOCGIFHWADDR, &request) != 0)
    fail(interface, "cannot read its MAC address" + error_text(errno));
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER && request.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK)
    fail(interface, "is no Ethernet interface; a port needs one");
  MacAddress mac;
  std::memcpy(mac.data(), request.ifr_hwaddr.sa_data, mac.size());
  return mac;
}

}  // namespace

PacketSocket::Mapping::~Mapping() {
  if (address_ != nullptr) ::munmap(address_, size_);
}

PacketSocket::PacketSocket(const PacketSocketOptions& options) {
  if (options.interface.empty() || options.interface.size() >= IFNAMSIZ)
    fail(options.interface, "the name must have 1 to " + std::to_string(IFNAMSIZ - 1) + " characters");
  const unsigned ifindex = ::if_nametoindex(options.interface.c_str());
  if (ifindex == 0) fail(options.interface, "there is no network interface of that name");
  const PacketRing layout = PacketRing::for_mtu(options.mtu);
  for (std::uint16_t q = 0; q < options.queues; ++q) add_queue(options, layout, ifindex);
  const int first = queues_.front().queue->fd();
  mac_ = mac_of(first, options.interface);
  if (queues_.size() > 1) {
    const int group = create_fanout(first, options.interface);
    for (std::size_t q = 1; q < queues_.size(); ++q)
      join_fanout(queues_[q].queue->fd(), group, options.interface);
  }
  for (const Queue& queue : queues_) accept_frames(queue.queue->fd(), options.interface);
}

void PacketSocket::add_queue(const PacketSocketOptions& options, const PacketRing& layout, unsigned ifindex) {
  FileDescriptor fd = open_socket(options.interface);
  refuse_frames(fd.get(), options.interface);
  set_options(fd.get(), options.interface);
  Mapping ring(map_ring(fd.get(), layout, options.interface), layout.bytes());
  bind_to(fd.get(), ifindex, options.interface);
  join_membership(fd.get(), ifindex, PACKET_MR_ALLMULTI, options.interface);
  if (options.promiscuous) join_membership(fd.get(), ifindex, PACKET_MR_PROMISC, options.interface);
  auto queue = std::make_unique<PacketQueue>(std::move(fd), ring.address(), layout);
  queues_.push_back({std::move(ring), std::move(queue)});
}

std::uint64_t PacketSocket::lost() const noexcept {
  std::uint64_t sum = 0;
  for (const Queue& queue : queues_) sum += queue.queue->lost();
  return sum;
}

}  // namespace wg::dataplane
