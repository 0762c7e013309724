#include "dataplane/io/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/io/file_descriptor.h"
#include "dataplane/io/super_packets.h"

namespace wg::dataplane {
namespace {

// Linux 6.2; older headers lack them.
constexpr unsigned kTunUso4 = 0x20, kTunUso6 = 0x40;
constexpr unsigned kTunTso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

[[noreturn]] void fail(const std::string& name, const std::string& reason) {
  throw TunError("interface " + name + ": " + reason);
}

std::string error_text(int error) {
  return std::string(": ") + std::strerror(error);
}

FileDescriptor open_clone_device(const std::string& name) {
  FileDescriptor fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (fd.get() >= 0) return fd;
  const int error = errno;
  if (error == ENOENT || error == ENODEV || error == ENXIO) {
    fail(name, "there is no /dev/net/tun (load the kernel module tun)");
  }
  if (error == EACCES || error == EPERM) fail(name, "no permission to open /dev/net/tun");
  fail(name, "cannot open /dev/net/tun" + error_text(error));
}

ifreq request_for(const std::string& name) {
  ifreq request{};
  if (name.empty() || name.size() >= IFNAMSIZ) {
    fail(name, "the name must have 1 to " + std::to_string(IFNAMSIZ - 1) + " characters");
  }
  std::memcpy(request.ifr_name, name.data(), name.size());
  return request;
}

// Attaches fd as one queue and returns the interface's name. Only the first queue may create.
std::string attach_queue(int fd, const std::string& name, int flags) {
  ifreq request = request_for(name);
  request.ifr_flags = static_cast<short>(flags);
  if (::ioctl(fd, TUNSETIFF, &request) == 0) return request.ifr_name;
  const int error = errno;
  if (error == EPERM) fail(name, "no permission to create it (CAP_NET_ADMIN is needed)");
  if (error == EBUSY || ::if_nametoindex(name.c_str()) != 0) {
    fail(name, "the name is taken by another interface");
  }
  fail(name, "cannot create it" + error_text(error));
}

// The ifindex of the interface that attach_queue() creates next.
void choose_index(int fd, const std::string& name, unsigned ifindex) {
  if (::ioctl(fd, TUNSETIFINDEX, &ifindex) != 0) fail(name, "cannot choose its ifindex" + error_text(errno));
}

TunOffloads set_offloads(int fd, bool vnet) {
  if (!vnet) return {};
  const auto accepted = [fd](unsigned offloads) { return ::ioctl(fd, TUNSETOFFLOAD, offloads) == 0; };
  if (accepted(kTunTso | kTunUso4 | kTunUso6)) return {true, true, true};
  if (accepted(kTunTso)) return {true, true, false};
  return {true, false, false};
}

}  // namespace

// --- start-up

KernelInterface::KernelInterface(const TunOptions& options, Framing framing) : name_(options.name) {
  if (options.queues == 0) fail(name_, "needs at least one queue");
  // Multi-queue even with one queue: the kernel fixes this at the creation, and without it no second process
  // could ever attach.
  const int kind = (framing == Framing::kIp ? IFF_TUN : IFF_TAP) | IFF_NO_PI | IFF_MULTI_QUEUE |
                   (options.vnet ? IFF_VNET_HDR : 0);
  for (std::size_t i = 0; i < options.queues; ++i) {
    FileDescriptor fd = open_clone_device(name_);
    if (i == 0 && options.ifindex != 0) choose_index(fd.get(), name_, options.ifindex);
    name_ = attach_queue(fd.get(), name_, i == 0 ? kind | IFF_TUN_EXCL : kind);
    if (i == 0) offloads_ = set_offloads(fd.get(), options.vnet);
    auto queue = std::make_unique<TunQueue>(fd.get(), framing, offloads_);
    fd.release();
    queues_.push_back(std::move(queue));
  }
  ifindex_ = ::if_nametoindex(name_.c_str());
  if (ifindex_ == 0) fail(name_, "disappeared while it was being created");
}

TapDevice::TapDevice(const TunOptions& options, const MacAddress& mac)
    : KernelInterface(options, Framing::kEthernet) {
  ifreq request = request_for(name());
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, mac.data(), mac.size());
  if (::ioctl(queue(0).fd(), SIOCSIFHWADDR, &request) != 0) {
    fail(name(), "cannot set its MAC address" + error_text(errno));
  }
}

Expected<> TapDevice::set_carrier(bool present) {
  int value = present ? 1 : 0;
  if (::ioctl(queue(0).fd(), TUNSETCARRIER, &value) == 0) return {};
  return Refusal::from_errno(errno, "setting the carrier of " + name());
}

TunQueue::TunQueue(int fd, Framing framing, TunOffloads offloads)
    : fd_(fd),
      offloads_(offloads),
      framing_(framing),
      coalescer_(framing, offloads.tcp, offloads.udp),
      super_packet_(std::make_unique<std::uint8_t[]>(kSuperBufferSize)) {}

TunQueue::~TunQueue() {
  ::close(fd_);
}

// --- kernel to us

std::size_t TunQueue::read_burst(rte_mempool* pool, rte_mbuf** out, std::size_t n,
                                 const QueueCounters& counters) {
  std::size_t count = take_segments(splitter_, pool, out, n, counters);
  for (std::size_t calls = 0; calls < n && count < n && !splitter_.pending(); ++calls) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
    if (mbuf == nullptr) {
      counters.queue.read_no_mbuf.add(1);
      break;
    }
    const ReadOutcome outcome = read_one(mbuf, counters);
    if (outcome == ReadOutcome::kPacket) {
      out[count++] = mbuf;
      continue;
    }
    rte_pktmbuf_free(mbuf);
    if (outcome == ReadOutcome::kStop) break;
    if (outcome == ReadOutcome::kSuperPacket) {
      count += take_segments(splitter_, pool, out + count, n - count, counters);
    }
  }
  counters.queue.read_packets.add(count);
  return count;
}

// One read. A packet lands in the mbuf; only what exceeds its room goes to the buffer, behind a gap as large
// as that room, so that a super-packet is whole after copying its front.
TunQueue::ReadOutcome TunQueue::read_one(rte_mbuf* mbuf, const QueueCounters& counters) {
  VnetHeader vnet{};
  const std::size_t room = rte_pktmbuf_tailroom(mbuf);
  const std::size_t front = std::min(room, kSuperBufferSize);
  const std::array<iovec, 3> pieces{iovec{&vnet, sizeof vnet}, iovec{rte_pktmbuf_mtod(mbuf, void*), room},
                                    iovec{super_packet_.get() + front, kSuperBufferSize - front}};
  const int skip = offloads_.vnet ? 0 : 1;
  const ssize_t got = ::readv(fd_, pieces.data() + skip, static_cast<int>(pieces.size()) - skip);
  if (got < 0) {
    if (errno != EAGAIN && errno != EINTR) counters.queue.read_errors.add(1);
    return ReadOutcome::kStop;
  }
  counters.queue.read_calls.add(1);
  const std::size_t prefix = offloads_.vnet ? sizeof vnet : 0;
  const auto total = static_cast<std::size_t>(got);
  if (total <= prefix) {
    counters.drop_read(DropReason::read_malformed);
    return ReadOutcome::kDropped;
  }
  const std::size_t size = total - prefix;
  return vnet.gso_type == VnetHeader::kNone ? accept_packet(vnet, mbuf, size, counters)
                                            : accept_super_packet(vnet, mbuf, size, counters);
}

TunQueue::ReadOutcome TunQueue::accept_packet(const VnetHeader& vnet, rte_mbuf* mbuf, std::size_t size,
                                              const QueueCounters& counters) {
  if (size > rte_pktmbuf_tailroom(mbuf)) {
    counters.drop_read(DropReason::read_too_long);
    return ReadOutcome::kDropped;
  }
  const MutableBytes packet{rte_pktmbuf_mtod(mbuf, std::uint8_t*), size};
  if ((vnet.flags & VnetHeader::kNeedsChecksum) != 0 && !complete_checksum(vnet, packet)) {
    counters.drop_read(DropReason::read_malformed);
    return ReadOutcome::kDropped;
  }
  finish_mbuf(mbuf, size, counters);
  return ReadOutcome::kPacket;
}

TunQueue::ReadOutcome TunQueue::accept_super_packet(const VnetHeader& vnet, rte_mbuf* mbuf, std::size_t size,
                                                    const QueueCounters& counters) {
  const std::size_t room = rte_pktmbuf_tailroom(mbuf);
  std::memcpy(super_packet_.get(), rte_pktmbuf_mtod(mbuf, std::uint8_t*), std::min(room, size));
  if (size > kSuperBufferSize || !splitter_.load(vnet, Bytes{super_packet_.get(), size}, framing_)) {
    counters.drop_read(DropReason::read_malformed);
    return ReadOutcome::kDropped;
  }
  counters.queue.read_super_packets.add(1);
  return ReadOutcome::kSuperPacket;
}

// --- us to kernel

std::size_t TunQueue::write_burst(rte_mbuf** in, std::size_t n, TunCounters& counters) {
  std::size_t accepted = 0;
  for (std::size_t done = 0; done < n; done += Coalescer::kMaxPackets) {
    accepted += write_chunk(in + done, std::min(n - done, Coalescer::kMaxPackets), counters);
  }
  counters.write_packets.add(accepted);
  rte_pktmbuf_free_bulk(in, static_cast<unsigned>(n));
  return accepted;
}

std::size_t TunQueue::write_chunk(rte_mbuf** in, std::size_t n, TunCounters& counters) {
  std::array<MutableBytes, Coalescer::kMaxPackets> packets;
  for (std::size_t i = 0; i < n; ++i) packets[i] = own_bytes(in[i]);
  std::size_t accepted = 0;
  for (const Coalescer::Group& group : coalescer_.plan({packets.data(), n})) {
    accepted += write_group(in, group, counters);
  }
  return accepted;
}

// One write of one packet or super-packet; returns the packets it stood for, or 0 when dropped.
std::size_t TunQueue::write_group(rte_mbuf** in, const Coalescer::Group& group, TunCounters& counters) {
  if (in[group.first]->nb_segs > kMaxMbufSegments) {
    counters.write_errors.add(1);
    return 0;
  }
  std::array<iovec, 1 + kMaxGroupPieces> pieces;
  VnetHeader vnet = coalescer_.seal(group);
  pieces[0] = {&vnet, sizeof vnet};
  const GatheredGroup gathered = gather(coalescer_, in, group, &pieces[1]);
  const std::size_t skip = offloads_.vnet ? 0 : 1;
  counters.write_calls.add(1);
  if (::writev(fd_, &pieces[skip], static_cast<int>(1 + gathered.pieces - skip)) < 0) {
    const bool full = errno == EAGAIN || errno == ENOBUFS || errno == EINTR;
    (full ? counters.write_full : counters.write_errors).add(group.segments);
    return 0;
  }
  counters.write_bytes.add(gathered.bytes);
  counters.write_super_packets.add(group.segments > 1 ? 1 : 0);
  return group.segments;
}

}  // namespace wg::dataplane
