// The two ends of bench/flows_tcp.sh where iperf3 cannot be used: requests of a few bytes, and datagrams of
// many connections at a steady rate.
//
//   flow_ends answer PORT
//       TCP and UDP: sends back what comes; of UDP only what begins with 'e'
//   flow_ends ask ADDRESS PORT CONNECTIONS BYTES SECONDS
//       TCP: each connection asks, and waits for the answer; prints requests=… per second
//   flow_ends learn ADDRESS PORT CONNECTIONS 0 SECONDS
//       UDP: ten datagrams a second of each, to be answered
//   flow_ends datagrams ADDRESS PORT CONNECTIONS RATE SECONDS
//       UDP: 64 bytes each, in turns over the connections, RATE per second or as fast as it goes; they begin
//       with 'd'; prints sent=…
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint16_t kFirstPort = 20000;
constexpr std::size_t kDatagram = 64, kBatch = 64;

int check(int result, const char* what) {
  if (result < 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
  return result;
}

sockaddr_in address_of(const char* text, int port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<std::uint16_t>(port));
  if (text != nullptr && inet_pton(AF_INET, text, &out.sin_addr) != 1) throw std::runtime_error("no address");
  return out;
}

const sockaddr* as_sockaddr(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

int bound(int type, int port) {
  const int fd = check(socket(AF_INET, type, 0), "socket");
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  const sockaddr_in own = address_of(nullptr, port);
  check(bind(fd, as_sockaddr(own), sizeof own), "bind");
  return fd;
}

void watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void send_at_once(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void answer_datagram(int udp) {
  std::array<char, 2048> buffer;
  sockaddr_in from{};
  socklen_t size = sizeof from;
  const ssize_t got =
      recvfrom(udp, buffer.data(), buffer.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &size);
  if (got > 0 && buffer[0] == 'e')
    sendto(udp, buffer.data(), static_cast<std::size_t>(got), 0, as_sockaddr(from), size);
}

void answer_stream(int fd) {
  std::array<char, 16384> buffer;
  const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
  if (got <= 0) {
    close(fd);
    return;
  }
  send(fd, buffer.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
}

int answer(int port) {
  const int tcp = bound(SOCK_STREAM, port), udp = bound(SOCK_DGRAM, port),
            epoll = check(epoll_create1(0), "epoll");
  check(listen(tcp, 1024), "listen");
  watch(epoll, tcp);
  watch(epoll, udp);
  std::puts("listening");
  std::fflush(stdout);
  std::array<epoll_event, 64> events;
  for (;;) {
    const int n = epoll_wait(epoll, events.data(), events.size(), -1);
    for (int i = 0; i < n; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == udp) {
        answer_datagram(udp);
      } else if (fd == tcp) {
        const int accepted = check(accept(tcp, nullptr, nullptr), "accept");
        send_at_once(accepted);
        watch(epoll, accepted);
      } else {
        answer_stream(fd);
      }
    }
  }
}

int ask(const sockaddr_in& server, int connections, std::size_t bytes, std::chrono::seconds time) {
  const int epoll = check(epoll_create1(0), "epoll");
  const std::vector<char> request(bytes, 'r');
  std::vector<int> sockets;
  for (int i = 0; i < connections; ++i) {
    const int fd = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
    check(connect(fd, as_sockaddr(server), sizeof server), "connect");
    send_at_once(fd);
    watch(epoll, fd);
    sockets.push_back(fd);
  }
  for (const int fd : sockets) send(fd, request.data(), bytes, 0);
  std::uint64_t answers = 0, after_start = 0;
  std::vector<char> buffer(bytes);
  std::array<epoll_event, 64> events;
  const Clock::time_point begun = Clock::now(), start = begun + std::chrono::seconds(1), end = start + time;
  for (Clock::time_point now = begun; now < end; now = Clock::now()) {
    const int n = epoll_wait(epoll, events.data(), events.size(), 100);
    for (int i = 0; i < n; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (recv(fd, buffer.data(), bytes, MSG_WAITALL) <= 0) continue;
      ++answers;
      send(fd, request.data(), bytes, MSG_NOSIGNAL);
    }
    if (now < start) after_start = answers;
  }
  const auto seconds = static_cast<std::uint64_t>(time.count());
  std::printf("requests=%llu\n", static_cast<unsigned long long>((answers - after_start) / seconds));
  return 0;
}

struct Datagram {
  iphdr ip{};
  udphdr udp{};
  std::array<char, kDatagram> payload{};
};

class Datagrams {
 public:
  Datagrams(const sockaddr_in& server, int connections)
      : server_(server), packets_(static_cast<std::size_t>(connections)) {
    raw_ = check(socket(AF_INET, SOCK_RAW, IPPROTO_RAW), "a raw socket (as root)");
    const int memory = 16 << 20;
    setsockopt(raw_, SOL_SOCKET, SO_SNDBUFFORCE, &memory, sizeof memory);
    for (std::size_t i = 0; i < packets_.size(); ++i) {
      const auto port = static_cast<std::uint16_t>(kFirstPort + i);
      bound(SOCK_DGRAM, port);  // takes the answers
      Datagram& packet = packets_[i];
      packet.ip.version = 4;
      packet.ip.ihl = 5;
      packet.ip.ttl = 64;
      packet.ip.protocol = IPPROTO_UDP;
      packet.ip.daddr = server.sin_addr.s_addr;
      packet.ip.tot_len = htons(sizeof packet);
      packet.udp.source = htons(port);
      packet.udp.dest = server.sin_port;
      packet.udp.len = htons(sizeof packet - sizeof packet.ip);
    }
    for (std::size_t i = 0; i < kBatch; ++i) {
      messages_[i].msg_hdr.msg_name = &server_;
      messages_[i].msg_hdr.msg_namelen = sizeof server_;
      messages_[i].msg_hdr.msg_iov = &pieces_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  void mark(char first) {
    for (Datagram& packet : packets_) packet.payload[0] = first;
  }

  // How many the kernel took.
  std::size_t send(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      pieces_[i] = {&packets_[next_], sizeof(Datagram)};
      next_ = next_ + 1 == packets_.size() ? 0 : next_ + 1;
    }
    const int sent = sendmmsg(raw_, messages_.data(), static_cast<unsigned>(count), 0);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }
  [[nodiscard]] std::size_t connections() const { return packets_.size(); }

 private:
  sockaddr_in server_;
  std::vector<Datagram> packets_;
  int raw_ = -1;
  std::size_t next_ = 0;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<iovec, kBatch> pieces_{};
};

void learn(Datagrams& out, std::chrono::seconds time) {
  out.mark('e');
  for (const Clock::time_point end = Clock::now() + time; Clock::now() < end;) {
    for (std::size_t i = 0; i < out.connections(); ++i) out.send(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

void datagrams(Datagrams& out, std::uint64_t rate, std::chrono::seconds time) {
  out.mark('d');
  std::uint64_t sent = 0;
  const Clock::time_point start = Clock::now();
  for (Clock::time_point now = start; now < start + time; now = Clock::now()) {
    const double seconds = std::chrono::duration<double>(now - start).count();
    const auto due = static_cast<std::uint64_t>(seconds * static_cast<double>(rate));
    if (due < sent + kBatch / 4) {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
      continue;
    }
    sent += out.send(std::min<std::uint64_t>(due - sent, kBatch));
  }
  std::printf("sent=%llu\n", static_cast<unsigned long long>(sent));
}

int run(int argc, char** argv) {
  const std::string_view what = argc > 2 ? argv[1] : "";
  if (what == "answer" && argc == 3) return answer(std::atoi(argv[2]));
  if (argc != 7) throw std::runtime_error("see the head of flow_ends.cpp");
  const sockaddr_in server = address_of(argv[2], std::atoi(argv[3]));
  const std::chrono::seconds time(std::atoi(argv[6]));
  if (what == "ask") return ask(server, std::atoi(argv[4]), std::strtoul(argv[5], nullptr, 10), time);
  Datagrams out(server, std::atoi(argv[4]));
  if (what == "learn") {
    learn(out, time);
  } else {
    datagrams(out, std::strtoull(argv[5], nullptr, 10), time);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "flow_ends: %s\n", error.what());
    return 1;
  }
}
