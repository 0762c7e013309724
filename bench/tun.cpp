// The exception path alone: two TUNs in two network namespaces that this process creates, one thread that
// forwards between them, iperf3 at both ends. Packets are split after the read and joined before the write,
// as in a gateway, but nothing is encrypted.
//   plain  one packet per system call
//   vnet   super-packets
// The modes take turns; each figure is the median of the rounds. Needs root and iperf3.
//   tun [seconds per run] [rounds]
// First comes our part of the work in memory, without the kernel: splitting one super-packet and joining it
// again. tun stage=split segments=45 bytes=1400 clocks_per_packet=... tun mode=vnet traffic=tcp gbps=...
// forward_ns_per_packet=... packets_per_read=... packets_per_write=... ...
#include <fcntl.h>
#include <poll.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/io/tun.h"
#include "dataplane/packet/checksum.h"

namespace {

using namespace wg::dataplane;
using namespace std::chrono_literals;

constexpr std::size_t kBurst = 64;

class Namespace {
 public:
  Namespace() {
    std::thread([this] {
      if (::unshare(CLONE_NEWNET) == 0) fd_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    }).join();
    if (fd_ < 0) throw TunError("cannot make a network namespace (root is needed)");
  }
  ~Namespace() { ::close(fd_); }
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;
  // Processes started by `body` live in the namespace as well.
  template <typename Body>
  void run(Body body) const {
    std::thread([&] {
      if (::setns(fd_, CLONE_NEWNET) == 0) body();
    }).join();
  }

 private:
  int fd_ = -1;
};

struct Traffic {
  const char* name;
  const char* client_options;
};
constexpr std::array<Traffic, 3> kTraffic{Traffic{"tcp", ""}, Traffic{"tcp4", "-P 4"},
                                          Traffic{"udp1360", "-u -b 0 -l 1360"}};

struct Result {
  double gbps = 0;
  double ns_per_packet = 0;  // CPU time of the forwarding thread
  double packets_per_read = 0;
  double packets_per_write = 0;
  double dropped = 0;
};

struct Side {
  Namespace space;
  std::unique_ptr<TunDevice> tun;
  TunCounters counters;
  DropCounters drops;
};

void shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) throw TunError("failed: " + command);
}

void pin(int core) {
  if (std::thread::hardware_concurrency() < 2) return;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<unsigned>(core), &cores);
  sched_setaffinity(0, sizeof cores, &cores);
}

class Lab {
 public:
  Lab(rte_mempool* pool, bool vnet) : pool_(pool) {
    for (std::size_t i = 0; i < 2; ++i) {
      Side& side = sides_[i];
      side.space.run([&] {
        side.tun = std::make_unique<TunDevice>(TunOptions{"lg%d", 1, vnet});
        const std::string& name = side.tun->name();
        shell("ip address add 10.7.0." + std::to_string(i + 1) + "/24 dev " + name);
        shell("ip link set " + name + " mtu 1420 up");
      });
    }
    forwarder_ = std::thread([this] { forward(); });
  }
  ~Lab() {
    stop_ = true;
    if (forwarder_.joinable()) forwarder_.join();
  }
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  Result run(const Traffic& traffic, int seconds) {
    const std::string limit = "timeout " + std::to_string(seconds + 5);
    FILE* server = nullptr;
    sides_[1].space.run([&] { server = ::popen((limit + " iperf3 -s -1 >/dev/null 2>&1").c_str(), "r"); });
    std::this_thread::sleep_for(300ms);
    std::string text;
    sides_[0].space.run([&] {
      FILE* client = ::popen(
          (limit + " iperf3 -J -c 10.7.0.2 -t " + std::to_string(seconds) + " " + traffic.client_options)
              .c_str(),
          "r");
      std::array<char, 4096> buffer;
      for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), client)) > 0;)
        text.append(buffer.data(), n);
      ::pclose(client);
    });
    ::pclose(server);
    stop_ = true;
    forwarder_.join();
    return result(text);
  }

 private:
  // Sleeps only when it is idle, so that its CPU time is the cost of the packets.
  void forward() {
    pin(1);
    std::array<rte_mbuf*, kBurst> burst;
    while (!stop_) {
      std::size_t moved = 0;
      for (std::size_t i = 0; i < 2; ++i) {
        const std::size_t n = sides_[i].tun->queue(0).read_burst(pool_, burst.data(), kBurst,
                                                                 {sides_[i].counters, sides_[i].drops});
        if (n != 0) sides_[1 - i].tun->queue(0).write_burst(burst.data(), n, sides_[1 - i].counters);
        moved += n;
      }
      if (moved != 0) continue;
      std::array<pollfd, 2> ready{pollfd{sides_[0].tun->queue(0).fd(), POLLIN, 0},
                                  pollfd{sides_[1].tun->queue(0).fd(), POLLIN, 0}};
      ::poll(ready.data(), ready.size(), 100);
    }
    timespec used;
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    cpu_ns_ = static_cast<double>(used.tv_sec) * 1e9 + static_cast<double>(used.tv_nsec);
  }

  [[nodiscard]] Result result(const std::string& text) const {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded() || json.contains("error")) throw TunError("iperf3 failed: " + text);
    const auto& end = json.at("end");
    Result r;
    if (end.contains("sum_received")) {
      r.gbps = end.at("sum_received").at("bits_per_second").get<double>() / 1e9;
    } else {
      const auto& sum = end.at("sum");
      r.gbps =
          sum.at("bits_per_second").get<double>() * (1 - sum.at("lost_percent").get<double>() / 100) / 1e9;
    }
    double packets = 0, reads = 0, written = 0, writes = 0;
    for (const Side& side : sides_) {
      const TunCounters& c = side.counters;
      packets += static_cast<double>(c.read_packets.get());
      reads += static_cast<double>(c.read_calls.get());
      written += static_cast<double>(c.write_packets.get());
      writes += static_cast<double>(c.write_calls.get());
      r.dropped += static_cast<double>(c.write_full.get() + c.write_errors.get() + c.read_dropped.get());
    }
    r.ns_per_packet = cpu_ns_ / packets;
    r.packets_per_read = packets / reads;
    r.packets_per_write = written / writes;
    return r;
  }

  rte_mempool* pool_;
  std::array<Side, 2> sides_;
  std::thread forwarder_;
  std::atomic<bool> stop_{false};
  double cpu_ns_ = 0;
};

template <typename Field>
double median(const std::vector<Result>& results, Field field) {
  std::vector<double> values;
  for (const Result& r : results) values.push_back(r.*field);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// One TCP super-packet of `segments` times 1400 bytes of IP packet, as the kernel delivers it.
std::vector<std::uint8_t> super_packet(std::size_t segments, VnetHeader* vnet) {
  constexpr std::size_t kHeaders = kIpv4HeaderSize + kTcpHeaderSize, kPayload = 1400 - kHeaders;
  std::vector<std::uint8_t> bytes(kHeaders + segments * kPayload);
  for (std::size_t i = kHeaders; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i % 251);
  auto* ip = header_at<Ipv4Header>(bytes.data());
  ip->version_ihl = 0x45;
  ip->fragment = Be16{Ipv4Header::kDontFragment};
  ip->ttl = 64;
  ip->protocol = ip_protocol::kTcp;
  ip->source = {10, 7, 0, 1};
  ip->destination = {10, 7, 0, 2};
  auto* tcp = header_at<TcpHeader>(bytes.data() + kIpv4HeaderSize);
  tcp->offset_reserved = 0x50;
  tcp->flags = TcpHeader::kAck;
  const auto length = static_cast<std::uint32_t>(bytes.size() - kIpv4HeaderSize);
  tcp->checksum = Be16::from_native(checksum_fold(pseudo_header(*ip, ip_protocol::kTcp, length)));
  *vnet = {VnetHeader::kNeedsChecksum, VnetHeader::kTcp4, kHeaders, kPayload, kIpv4HeaderSize, 16};
  return bytes;
}

void measure_stages() {
  constexpr std::size_t kSegments = 45, kRoom = 2048, kRepeats = 4001;
  VnetHeader vnet;
  const auto super = super_packet(kSegments, &vnet);
  std::vector<std::uint8_t> room(kSegments * kRoom);
  std::array<MutableBytes, kSegments> packets;
  Coalescer coalescer(Framing::kIp, true, true);
  std::vector<std::uint64_t> split_clocks, join_clocks;
  for (std::size_t repeat = 0; repeat < kRepeats; ++repeat) {
    const std::uint64_t start = rte_rdtsc();
    Splitter splitter;
    if (!splitter.load(vnet, super, Framing::kIp)) throw TunError("the super-packet was refused");
    for (std::size_t i = 0; splitter.pending(); ++i) {
      std::uint8_t* to = room.data() + i * kRoom;
      packets[i] = {to, splitter.next(to)};
    }
    const std::uint64_t middle = rte_rdtsc();
    const auto groups = coalescer.plan(packets);
    const VnetHeader joined = coalescer.seal(groups[0]);
    const std::uint64_t end = rte_rdtsc();
    if (groups.size() != 1 || joined.gso_size != vnet.gso_size)
      throw TunError("the segments were not joined");
    split_clocks.push_back(middle - start);
    join_clocks.push_back(end - middle);
  }
  for (auto* clocks : {&split_clocks, &join_clocks}) {
    std::nth_element(clocks->begin(), clocks->begin() + kRepeats / 2, clocks->end());
    std::printf("tun stage=%s segments=%zu bytes=1400 clocks_per_packet=%.0f\n",
                clocks == &split_clocks ? "split" : "join", kSegments,
                static_cast<double>((*clocks)[kRepeats / 2]) / kSegments);
  }
}

rte_mempool* start_eal() {
  cpu_set_t cores;
  sched_getaffinity(0, sizeof cores, &cores);
  std::array<std::string, 9> words{"tun",         "--no-huge",      "-m",
                                   "64",          "--no-pci",       "--iova-mode=va",
                                   "--no-shconf", "--no-telemetry", "--log-level=*:error"};
  std::array<char*, words.size()> arguments;
  for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = words[i].data();
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) return nullptr;
  sched_setaffinity(0, sizeof cores, &cores);
  return rte_pktmbuf_pool_create("bench", 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
}

void compare(rte_mempool* pool, int seconds, int rounds) {
  for (const Traffic& traffic : kTraffic) {
    std::map<bool, std::vector<Result>> results;
    for (int round = 0; round < rounds; ++round) {
      for (const bool vnet : {false, true}) results[vnet].push_back(Lab(pool, vnet).run(traffic, seconds));
    }
    for (const bool vnet : {false, true}) {
      const auto& r = results[vnet];
      std::printf(
          "tun mode=%s traffic=%s gbps=%.2f forward_ns_per_packet=%.0f packets_per_read=%.1f "
          "packets_per_write=%.1f dropped=%.0f times_plain=%.1f\n",
          vnet ? "vnet" : "plain", traffic.name, median(r, &Result::gbps), median(r, &Result::ns_per_packet),
          median(r, &Result::packets_per_read), median(r, &Result::packets_per_write),
          median(r, &Result::dropped), median(r, &Result::gbps) / median(results[false], &Result::gbps));
      std::fflush(stdout);
    }
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const int seconds = argc > 1 ? std::atoi(argv[1]) : 1;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
  rte_mempool* pool = start_eal();
  if (pool == nullptr) return 1;
  pin(0);
  measure_stages();
  compare(pool, std::max(seconds, 1), std::max(rounds, 1));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "tun: %s\n", error.what());
  return 1;
}
