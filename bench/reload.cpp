// What a reload costs the traffic: the whole daemon with real sessions of 10 000 peers under full load in
// both directions, files that differ by 1 %, then files of 100 000 peers. Every packet is counted.
//
// worst_stall_us: the longest time a packet had to wait for the worker, in loops during which the worker kept
// its core (on a machine at rest: all); ran_worst_us: in all loops, without the times the machine had given
// the core to others, but with what that costs afterwards; wall_*: with those times. Interrupts and a
// hypervisor are in all of them: the line still=1 shows them without a reload. applied_ms: diff and apply;
// control_cpu_ms: what that and the answer took of a core; total_ms: with the file.
//   reload [--routes] [--peers N] [--big N]     --routes: every allowed IP is a route in the kernel
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <thread>

#include "tests/daemon/live_gateway.h"
#include "tests/daemon/load.h"
#include "tests/daemon/remotes.h"
#include "tests/daemon/sandbox.h"
#include "tests/daemon/yaml.h"

namespace {

using namespace wg::test;
using namespace std::chrono_literals;

struct Options {
  bool routes = false;
  std::size_t peers = 10'000, big = 100'000;
};

constexpr std::size_t kGuestShare = 100;  // 1 % of the peers come and go and have no session
constexpr int kRepeats = 15;

double ms(std::chrono::microseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

// Peers [0, remotes) have sessions; the others only take part in the file.
class Files {
 public:
  Files(const Options& options, Remotes& remotes) : options_(options), remotes_(remotes) {}

  // `version` decides about every hundredth peer; about all with `all`. `guests`: which peers without a
  // session.
  std::string text(std::size_t version, bool all, std::size_t first_guest, std::size_t guests) {
    GatewayText out;
    if (options_.routes) out.wg0 = "    addresses: [10.128.0.1/32]\n";
    for (std::size_t i = 0; i < remotes_.size(); ++i)
      out.peers += remote(i, all || i % 100 == 0 ? version : 0);
    for (std::size_t i = 0; i < guests; ++i) {
      const std::size_t number = first_guest + i;
      out.peers += peer_line({"guest" + std::to_string(number), idle_public_key(number), "",
                              dotted(0x0ac00000u + static_cast<std::uint32_t>(number)) + "/32",
                              all ? 20 + static_cast<unsigned>(version % 2) : 0, ""});
    }
    return gateway_yaml(out);
  }

 private:
  std::string remote(std::size_t i, std::size_t version) {
    const Remote& remote = remotes_[i];
    PeerLine line{"peer" + std::to_string(i),
                  remote.public_key(),
                  dotted(remote.outer()) + ":" + std::to_string(kRemotePort),
                  dotted(remote.inner()) + "/32",
                  0,
                  ""};
    if (version % 2 != 0) {
      switch (i / 100 % 4) {
        case 0:
          line.keepalive = 25;
          break;
        case 1:
          line.allowed += ", " + dotted(0xac100000u + static_cast<std::uint32_t>(i)) + "/32";
          break;
        case 2:
          line.name += "-renamed";
          break;
        default:
          line.more = ", mtu: 1400";
      }
    }
    return peer_line(line);
  }

  const Options& options_;
  Remotes& remotes_;
};

void print_stalls(const LoopTimes& times) {
  std::printf(
      " worst_stall_us=%zu p999_us=%zu over_100us=%llu ran_worst_us=%zu wall_p999_us=%zu wall_worst_us=%zu "
      "loops=%llu\n",
      LoopTimes::largest(times.own), LoopTimes::quantile(times.own, 0.999),
      static_cast<unsigned long long>(LoopTimes::above(times.own, 100)), LoopTimes::largest(times.ran),
      LoopTimes::quantile(times.wall, 0.999), LoopTimes::largest(times.wall),
      static_cast<unsigned long long>(times.loops));
  std::fflush(stdout);
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        remotes_(options.peers - options.peers / kGuestShare, gateway_key()),
        files_(options_, remotes_),
        gateway_(files_.text(0, false, 0, options.peers / kGuestShare)) {
    add_neighbours();
    load_ = std::make_unique<Load>(remotes_);
    all_.resize(remotes_.size());
    std::iota(all_.begin(), all_.end(), 0);
  }

  void run() {
    const auto from = std::chrono::steady_clock::now();
    const std::size_t up = load_->bring_up(all_, 60s);
    std::printf("sessions peers=%zu up=%zu seconds=%.2f\n", all_.size(), up,
                std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count());
    load_->confirm(all_);
    measure_still();
    small_reloads();
    big_reloads();
    load_.reset();
  }

 private:
  void begin() {
    static_cast<void>(load_->take_tally());
    static_cast<void>(load_->take_times());
    load_->start(all_);
    std::this_thread::sleep_for(100ms);
  }
  Tally end() {
    std::this_thread::sleep_for(100ms);
    load_->stop();
    return load_->take_tally();
  }

  void measure_still() {
    begin();
    const auto from = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(3s);
    const double us =
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - from).count();
    const Tally tally = end();
    std::printf("reload still=1 peers=%zu mpps=%.2f lost=%lld", options_.peers,
                static_cast<double>(tally.sent()) / us, static_cast<long long>(tally.lost()));
    print_stalls(load_->take_times());
  }

  void one(const std::string& text, const char* what) {
    write_file(kFile, text);
    begin();
    const LiveGateway::Reloaded reloaded = gateway_.reload();
    const Tally tally = end();
    report(what, reloaded.changes, {reloaded}, tally);
  }

  void report(const char* what, std::size_t changed, std::vector<LiveGateway::Reloaded> all,
              const Tally& tally) {
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.applied < b.applied; });
    for (const auto& reloaded : all)
      if (!reloaded.ok) std::printf("reload refused: %s\n", reloaded.error.c_str());
    std::printf("reload peers=%s changed=%zu lost=%lld applied_ms=%.1f", what, changed,
                static_cast<long long>(tally.lost()), ms(all[all.size() / 2].applied));
    if (all.size() > 1) std::printf(" applied_max_ms=%.1f", ms(all.back().applied));
    std::printf(" control_cpu_ms=%.1f total_ms=%.0f reordered=%llu packets=%llu", ms(all[all.size() / 2].ran),
                ms(all[all.size() / 2].total), static_cast<unsigned long long>(tally.reordered),
                static_cast<unsigned long long>(tally.sent()));
    print_stalls(load_->take_times());
    if (tally.lost() != 0) print_drops();
  }

  void print_drops() {
    const wg::control::Json answer = gateway_.call("show.drops");
    for (const auto& drop : answer["drops"]) {
      if (drop.value("count", std::uint64_t{0}) != 0)
        std::printf("drop %s=%llu\n", drop["name"].get<std::string>().c_str(),
                    drop["count"].get<unsigned long long>());
    }
  }

  // 1 % of the peers: most change in place, some go and others come.
  void small_reloads() {
    const std::size_t guests = options_.peers / kGuestShare;
    std::vector<LiveGateway::Reloaded> all;
    begin();
    for (int i = 1; i <= kRepeats; ++i) {
      const std::size_t come = guests / 20;
      all.push_back(gateway_.reload(
          files_.text(static_cast<std::size_t>(i), false, come * static_cast<std::size_t>(i), guests)));
    }
    const Tally tally = end();
    report(std::to_string(options_.peers).c_str(), all.front().changes, all, tally);
  }

  void big_reloads() {
    if (options_.big <= remotes_.size()) return;
    const std::string what = std::to_string(options_.big);
    const std::size_t guests = options_.big - remotes_.size();
    one(files_.text(0, false, 0, guests), what.c_str());
    one(files_.text(0, false, 0, guests), what.c_str());
    one(files_.text(1, true, 0, guests), what.c_str());
    one(files_.text(1, true, 1'000'000, guests), what.c_str());
    one(files_.text(0, false, 0, 0), what.c_str());
  }

  Options options_;
  Remotes remotes_;
  Files files_;
  LiveGateway gateway_;
  std::unique_ptr<Load> load_;
  std::vector<std::size_t> all_;
};

}  // namespace

int main(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(words[i], "--routes") == 0) options.routes = true;
    if (std::strcmp(words[i], "--peers") == 0 && i + 1 < count)
      options.peers = std::strtoul(words[++i], nullptr, 10);
    if (std::strcmp(words[i], "--big") == 0 && i + 1 < count)
      options.big = std::strtoul(words[++i], nullptr, 10);
  }
  if (!may_make_namespaces()) {
    std::puts("reload: skipped, network namespaces and TUN devices need root");
    return 0;
  }
  try {
    enter_sandbox();
    Bench(options).run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reload: %s\n", error.what());
    return 1;
  }
  return 0;
}
