// Live changes under traffic: no packet of a peer that does not change is ever lost, and what is refused
// changes nothing.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>

#include "tests/daemon/live_gateway.h"
#include "tests/daemon/load.h"
#include "tests/daemon/observe.h"
#include "tests/daemon/remotes.h"
#include "tests/daemon/sandbox.h"
#include "tests/daemon/yaml.h"

namespace wg::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr unsigned kPollEvery = 32;        // of the worker's polls bring packets: others share the machine
constexpr std::uint16_t kElsewhere = 999;  // where remotes were before they roamed
constexpr auto kRehandshake = 100s;        // well before REKEY_AFTER_TIME

void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

// A gateway with live sessions of `count` remotes.
class Traffic {
 public:
  // `file_port`: the port of the remotes in the file.
  explicit Traffic(std::size_t count, std::uint16_t file_port = kRemotePort)
      : remotes_(count, gateway_key()), all_(count), file_port_(file_port) {
    std::iota(all_.begin(), all_.end(), 0);
    gateway_ = std::make_unique<LiveGateway>(file({}));
    add_neighbours();
    load_ = std::make_unique<Load>(remotes_);
    begin();
  }
  ~Traffic() { load_.reset(); }

  // The remotes' peers and `more` peer lines, `ports` and `interfaces` added at their places.
  std::string file(const std::string& more, const std::string& ports = {},
                   const std::string& interfaces = {}) {
    GatewayText text;
    text.memory_mb = 128;
    for (const std::size_t i : all_) {
      text.peers += peer_line({"peer" + std::to_string(i), remotes_[i].public_key(),
                               dotted(remotes_[i].outer()) + ":" + std::to_string(file_port_),
                               dotted(remotes_[i].inner()) + "/32", 0, ""});
    }
    text.peers += more + interfaces;
    std::string yaml = gateway_yaml(text);
    yaml.insert(yaml.find("  wan:"), ports);
    return yaml;
  }
  LiveGateway& gateway() { return *gateway_; }

  void begin() {
    require(load_->bring_up(all_, 60s) == all_.size(), "not all sessions came up");
    load_->confirm(all_);
    static_cast<void>(load_->take_tally());
    load_->start(all_, kPollEvery);
    begun_ = Clock::now();
  }
  // Throws when a packet was lost since begin(); goes on with new sessions when the old ones grow old.
  void check(bool last) {
    if (!last && Clock::now() - begun_ < kRehandshake) return;
    load_->stop();
    const Tally tally = load_->take_tally();
    packets_ += tally.sent();
    require(tally.sent() > all_.size() * 20, "too little traffic: " + std::to_string(tally.sent()));
    require(tally.lost() == 0, std::to_string(tally.lost_in()) + " packets from and " +
                                   std::to_string(tally.lost_out()) + " to remotes lost of " +
                                   std::to_string(tally.sent()) + gateway_->call("show.drops").dump());
    require(tally.reordered == 0, std::to_string(tally.reordered) + " packets out of order");
    if (!last) begin();
  }
  [[nodiscard]] std::uint64_t packets() const { return packets_; }
  // Peers' latest handshakes: that the very sessions are still there.
  std::string sessions() { return shell("wg show wg0 latest-handshakes | sort"); }

 private:
  Remotes remotes_;
  std::vector<std::size_t> all_;
  std::uint16_t file_port_;
  std::unique_ptr<LiveGateway> gateway_;
  std::unique_ptr<Load> load_;
  Clock::time_point begun_;
  std::uint64_t packets_ = 0;
};

std::string guest(std::size_t number, unsigned keepalive = 0) {
  return peer_line({"guest" + std::to_string(number), idle_public_key(number), "",
                    dotted(0x0ac00000u + static_cast<std::uint32_t>(number % 50'000)) + "/32", keepalive,
                    ""});
}

// The second writer: wg(8) sets and syncs while the other reloads.
class WgWriter {
 public:
  WgWriter() : thread_([this] { run(); }) {}
  ~WgWriter() {
    stop_ = true;
    thread_.join();
  }
  std::string failure() {
    stop_ = true;
    while (!ended_) std::this_thread::sleep_for(10ms);
    return failure_;
  }
  [[nodiscard]] int sets() const { return sets_; }

 private:
  void run() {
    try {
      for (int i = 0; !stop_; ++i) {
        shell("wg set wg0 peer " + idle_public_key(90'000 + static_cast<std::size_t>(i % 40)) +
              (i % 3 == 2 ? " remove" : " allowed-ips 172.16.9." + std::to_string(i % 40) + "/32"));
        if (i % 25 == 0) storm();
        ++sets_;
        std::this_thread::sleep_for(50ms);
      }
    } catch (const std::exception& error) {
      failure_ = error.what();
    }
    ended_ = true;
  }
  void storm() {
    shell("umask 077; wg showconf wg0 > /run/lab/sync.conf");
    for (int i = 0; i < 10 && !stop_; ++i) shell("wg syncconf wg0 /run/lab/sync.conf");
  }

  std::atomic<bool> stop_{false}, ended_{false};
  std::atomic<int> sets_{0};
  std::string failure_;
  std::thread thread_;
};

std::chrono::seconds soak_seconds() {
  const char* wanted = std::getenv("SOAK_SECONDS");
  return std::chrono::seconds(wanted == nullptr ? 60 : std::strtol(wanted, nullptr, 10));
}

std::string soak(std::chrono::seconds time) {
  Traffic traffic(100);
  WgWriter writer;
  const auto from = Clock::now();
  std::size_t reloads = 0, memory = 0;
  while (Clock::now() - from < time) {
    const auto due = Clock::now() + 100ms;
    std::string guests;
    for (std::size_t i = 0; i < 20; ++i) guests += guest(reloads * 5 + i, i % 2 == 0 ? 25 : 0);
    const LiveGateway::Reloaded reloaded = traffic.gateway().reload(traffic.file(guests));
    require(reloaded.ok, "reload refused: " + reloaded.error);
    ++reloads;
    traffic.check(false);
    if (memory == 0 && Clock::now() - from > time / 3) memory = resident_bytes() >> 20;
    std::this_thread::sleep_until(due);
  }
  const std::size_t grown = resident_bytes() >> 20;
  require(writer.failure().empty(), "wg: " + writer.failure());
  traffic.check(true);
  require(grown <= memory + 8,
          "memory grew from " + std::to_string(memory) + " to " + std::to_string(grown) + " MB");
  return std::to_string(reloads) + " reloads, " + std::to_string(writer.sets()) + " wg sets, " +
         std::to_string(traffic.packets()) + " packets, 0 lost, " + std::to_string(memory) + " -> " +
         std::to_string(grown) + " MB";
}

TEST(Soak, TwoWritersLoseNothing) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  try {
    std::printf("%s\n", in_sandbox([] { return soak(soak_seconds()); },
                                   static_cast<unsigned>(soak_seconds().count()) * 2 + 60)
                            .c_str());
  } catch (const std::exception& error) {
    FAIL() << error.what();
  }
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  require(at != std::string::npos, "no '" + what + "' in the file");
  return text.replace(at, what.size(), with);
}

// A listen port that another process uses.
class TakenPort {
 public:
  explicit TakenPort(std::uint16_t port) : fd_(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    require(bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
            "cannot take a port");
  }
  ~TakenPort() { close(fd_); }
  TakenPort(const TakenPort&) = delete;
  TakenPort& operator=(const TakenPort&) = delete;

 private:
  int fd_;
};

std::string bad_files() {
  Traffic traffic(50, kElsewhere);
  const TakenPort taken(51999);
  shell("ip tuntap add wg9 mode tun");
  const std::string good = traffic.file(guest(1));
  require(traffic.gateway().reload(good).ok, "the good file is refused");

  // The other changes of the faulty file.
  const auto with_changes = [](const std::string& file) { return replaced(file, ":999\"", ":998\""); };
  const std::string changed = with_changes(traffic.file(guest(1, 25) + guest(2)));
  const std::string wg9 =
      "  wg9:\n    private_key: \"" + base64(gateway_key()) + "\"\n    listen_port: 51830\n    peers: []\n";
  std::vector<std::pair<std::string, std::string>> files{
      {"no key", replaced(changed, "public_key: \"", "public_key: \"AAAA")},
      {"unknown word", replaced(changed, "allowed_ips:", "allowed_ip:")},
      {"prefix twice", changed.substr(0, changed.find("control:")) +
                           replaced(guest(3), dotted(0x0ac00003u), dotted(0x0ac00001u)) +
                           changed.substr(changed.find("control:"))},
      {"listen port taken", replaced(changed, "listen_port: 51820", "listen_port: 51999")},
      {"netdev name taken", with_changes(traffic.file(guest(1, 25) + guest(2), {}, wg9))},
      {"device missing",
       with_changes(traffic.file(guest(1, 25), "  extra: { device: \"net_af_packet9,iface=nosuch\" }\n"))},
      {"no such driver", with_changes(traffic.file(guest(1, 25), "  extra: { device: \"net_nosuch0\" }\n"))},
      {"gateway is ourselves", replaced(changed, "gateway: 10.20.0.2", "gateway: 10.20.0.1")},
      {"empty", ""},
  };
  std::mt19937 random(7);
  for (int i = 0; i < 20; ++i) {  // cut within quotation marks: nothing of that is a whole file
    std::size_t cut = random() % changed.size();
    while (std::count(changed.begin(), changed.begin() + static_cast<std::ptrdiff_t>(cut), '"') % 2 == 0)
      --cut;
    files.emplace_back("cut at " + std::to_string(cut), changed.substr(0, cut));
  }
  const std::string before = observe(traffic.gateway()), sessions = traffic.sessions();
  for (const auto& [what, text] : files) {
    const LiveGateway::Reloaded reloaded = traffic.gateway().reload(text);
    require(!reloaded.ok, what + ": was applied");
    require(!reloaded.error.empty(), what + ": refused without a word");
    const std::string differs = difference(before, observe(traffic.gateway()));
    require(differs.empty(), what + " (" + reloaded.error + ") changed something:\n" + differs);
    require(traffic.sessions() == sessions, what + ": sessions changed");
  }
  traffic.check(true);
  require(traffic.gateway().reload(changed).ok, "the good file is refused afterwards");
  return std::to_string(files.size()) + " files refused, " + std::to_string(traffic.packets()) +
         " packets, 0 lost";
}

TEST(Reload, RefusedFilesChangeNothing) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  try {
    std::printf("%s\n", in_sandbox(bad_files, 120).c_str());
  } catch (const std::exception& error) {
    FAIL() << error.what();
  }
}

std::string permanent_neighbour() {
  Traffic traffic(5);
  std::this_thread::sleep_for(17s);  // the gateway refreshes neighbours every 15 s
  traffic.check(true);
  return shell("ip neigh show dev wan");
}

// The kernel drops a permanent entry when it is asked to resolve it.
TEST(Neighbours, PermanentOnesStay) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  try {
    EXPECT_NE(in_sandbox(permanent_neighbour, 100).find("PERMANENT"), std::string::npos);
  } catch (const std::exception& error) {
    FAIL() << error.what();
  }
}

}  // namespace
}  // namespace wg::test
