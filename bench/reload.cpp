// What a reload costs the traffic: the whole daemon with real sessions of 10 000 peers under full load in
// both directions, files that differ by 1 %, then files of 100 000 peers. Every packet is counted.
//
// worst_stall_us: the longest time a packet had to wait for the worker, in loops during which the worker kept
// its core (on a machine at rest: all); ran_worst_us: in all loops, without the times the machine had given
// the core to others, but with what that costs afterwards; wall_*: with those times. Interrupts and a
// hypervisor are in all of them. So each change has a window beside it of the same length, in which nothing
// changes while another core reads the clock: *_without_change, and as jitter_* what the machine took from
// that core; and one more in which that core writes to memory as well, as a change does: *_beside_memory.
// applied_ms: diff and apply; control_cpu_ms: what that and the answer took of a core; total_ms: with the
// file.
//
// The last two lines say what must hold of 100 000 peers: the reloads' time, and the stalls. Of these, what
// Linegate has part in can be told apart in two ways: own_threads_on_worker_core, which are the threads that
// could take the worker's core away (their names follow; none may), and excess_*, how many more long loops of
// a million the changes have than the windows beside them, at most (95 %), and p that chance makes it so.
// linegates_part: yes, as_any_neighbours (more than alone, not more than beside a core that writes) or
// none_found.
//   reload [--routes] [--peers N] [--big N] [--rounds N] [--longs]
//     --routes: every allowed IP is a route in the kernel; --rounds: the large changes so many times, and the
//     sums of all; --longs: the longest loops one by one
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <numeric>
#include <thread>

#include "dataplane/eal.h"
#include "tests/daemon/live_gateway.h"
#include "tests/daemon/load.h"
#include "tests/daemon/own_threads.h"
#include "tests/daemon/paired_windows.h"
#include "tests/daemon/remotes.h"
#include "tests/daemon/sandbox.h"
#include "tests/daemon/yaml.h"

namespace {

using namespace wg::test;
using namespace std::chrono_literals;

struct Options {
  bool routes = false, longs = false;
  std::size_t peers = 10'000, big = 100'000, rounds = 3;
};

constexpr std::size_t kGuestShare = 100;  // 1 % of the peers come and go and have no session
constexpr int kRepeats = 15;
constexpr std::size_t kLongsPrinted = 5;
constexpr double kLongestReloadMs = 3000;
constexpr double kChance = 0.01;  // an excess less probable than this by chance is one

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

// Prints the longest loops first, with the breakdown of their time.
void print_longs(std::vector<LongLoop> longs) {
  std::sort(longs.begin(), longs.end(), [](const LongLoop& a, const LongLoop& b) { return a.wall > b.wall; });
  for (std::size_t i = 0; i < std::min(longs.size(), kLongsPrinted); ++i) {
    const LongLoop& l = longs[i];
    std::printf("long wall_us=%u ran_us=%u receive_us=%u send_us=%u rest_us=%u minor_faults=%u switches=%u\n",
                l.wall, l.ran, l.receive, l.send, l.rest, l.minor_faults, l.switches);
  }
}

void print_stalls(const LoopTimes& times) {
  std::printf(
      " worst_stall_us=%zu p999_us=%zu loops_over_100us=%llu ran_worst_us=%zu wall_p999_us=%zu "
      "wall_worst_us=%zu "
      "wall_over_100us=%llu minor_faults=%llu loops=%llu",
      LoopTimes::largest(times.own), LoopTimes::quantile(times.own, 0.999),
      static_cast<unsigned long long>(LoopTimes::above(times.own, kLongLoop)), LoopTimes::largest(times.ran),
      LoopTimes::quantile(times.wall, 0.999), LoopTimes::largest(times.wall),
      static_cast<unsigned long long>(LoopTimes::above(times.wall, kLongLoop)),
      static_cast<unsigned long long>(times.minor_faults), static_cast<unsigned long long>(times.loops));
}

// The control window of the same length: nothing changes while another core is as busy.
struct Control {
  LoopTimes times;
  Jitter jitter;
};

void print_window(const char* what, const LoopTimes& times) {
  std::printf(" worst_%s_us=%zu p999_%s_us=%zu loops_over_100us_%s=%llu loops_%s=%llu", what,
              LoopTimes::largest(times.own), what, LoopTimes::quantile(times.own, 0.999), what,
              static_cast<unsigned long long>(LoopTimes::above(times.own, kLongLoop)), what,
              static_cast<unsigned long long>(times.loops));
}

void print_control(const Control& control) {
  print_window("without_change", control.times);
  std::printf(" jitter_worst_us=%llu jitter_over_100us=%llu",
              static_cast<unsigned long long>(control.jitter.worst_us),
              static_cast<unsigned long long>(control.jitter.gaps));
}

// The stalls of one kind of window over all rounds.
struct Stalls {
  std::vector<std::size_t> worst;
  std::vector<std::uint64_t> over;
  std::vector<Window> windows;
  std::size_t wall_worst = 0;
  std::uint64_t loops = 0, wall_over = 0;

  void add(const LoopTimes& times) {
    worst.push_back(LoopTimes::largest(times.own));
    over.push_back(LoopTimes::above(times.own, kLongLoop));
    windows.push_back({over.back(), times.loops});
    wall_worst = std::max(wall_worst, LoopTimes::largest(times.wall));
    wall_over += LoopTimes::above(times.wall, kLongLoop);
    loops += times.loops;
  }
  void print(const char* what) {
    std::sort(worst.begin(), worst.end());
    std::sort(over.begin(), over.end());
    std::printf(
        " worst_median%s_us=%zu worst%s_us=%zu over_100us_median%s=%llu over_100us%s=%llu loops%s=%llu", what,
        worst[worst.size() / 2], what, worst.back(), what,
        static_cast<unsigned long long>(over[over.size() / 2]), what,
        static_cast<unsigned long long>(std::accumulate(over.begin(), over.end(), std::uint64_t{0})), what,
        static_cast<unsigned long long>(loops));
  }
};

// Prints one of the three kinds of windows of all large changes.
void print_all(const char* what, const Stalls& stalls) {
  const auto over = std::accumulate(stalls.over.begin(), stalls.over.end(), std::uint64_t{0});
  std::printf(" wall_worst%s_us=%zu wall_over_100us%s=%llu worst%s_us=%zu over_100us%s=%llu loops%s=%llu",
              what, stalls.wall_worst, what, static_cast<unsigned long long>(stalls.wall_over), what,
              stalls.worst.empty() ? 0 : *std::max_element(stalls.worst.begin(), stalls.worst.end()), what,
              static_cast<unsigned long long>(over), what, static_cast<unsigned long long>(stalls.loops));
}

void print_excess(const char* what, const Excess& excess) {
  std::printf(" excess_%s_per_million=%.0f at_most_%s=%.0f p_%s=%.4f", what, excess.per_million, what,
              excess.at_most, what, excess.p);
}

struct Windows {
  Stalls with, without, touching;  // of each as many
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        remotes_(options.peers - options.peers / kGuestShare, gateway_key()),
        files_(options_, remotes_),
        gateway_(files_.text(0, false, 0, options.peers / kGuestShare)) {
    keep_off(worker_core_);
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
    if (options_.rounds > 1) print_sums();
    if (options_.big > remotes_.size()) print_must();
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
    std::putchar('\n');
    std::fflush(stdout);
  }

  Control without_change(std::chrono::microseconds time, std::span<std::uint8_t> memory = {}) {
    begin();
    const Jitter jitter = spin(time, worker_core_, memory);
    static_cast<void>(end());
    return {load_->take_times(), jitter};
  }

  void one(const std::string& text, const char* kind) {
    write_file(kFile, text);
    begin();
    const LiveGateway::Reloaded reloaded = gateway_.reload();
    const Tally tally = end();
    times_ms_[kind].push_back(ms(reloaded.total));
    report(std::to_string(options_.big).c_str(), reloaded.changes, {reloaded}, tally, kind, &big_);
  }

  void report(const char* what, std::size_t changed, std::vector<LiveGateway::Reloaded> all,
              const Tally& tally, const char* kind, Windows* sum = nullptr) {
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.applied < b.applied; });
    for (const auto& reloaded : all)
      if (!reloaded.ok) std::printf("reload refused: %s\n", reloaded.error.c_str());
    std::printf("reload peers=%s changed=%zu lost=%lld applied_ms=%.1f", what, changed,
                static_cast<long long>(tally.lost()), ms(all[all.size() / 2].applied));
    if (all.size() > 1) std::printf(" applied_max_ms=%.1f", ms(all.back().applied));
    std::printf(" control_cpu_ms=%.1f total_ms=%.0f reordered=%llu packets=%llu", ms(all[all.size() / 2].ran),
                ms(all[all.size() / 2].total), static_cast<unsigned long long>(tally.reordered),
                static_cast<unsigned long long>(tally.sent()));
    const LoopTimes times = load_->take_times();
    std::chrono::microseconds time{0};
    for (const auto& reloaded : all) time += reloaded.total;
    const Control control = without_change(time);
    const Control touching = without_change(time, memory_);
    for (Windows* windows : {&kinds_[kind], sum}) {
      if (windows == nullptr) continue;
      windows->with.add(times);
      windows->without.add(control.times);
      windows->touching.add(touching.times);
    }
    print_stalls(times);
    print_control(control);
    print_window("beside_memory", touching.times);
    std::putchar('\n');
    if (options_.longs) {
      print_longs(times.longs);
      std::puts("without a change:");
      print_longs(control.times.longs);
    }
    std::fflush(stdout);
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

  // Reloads 1 % of the peers: most change in place, some are removed and others added.
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
    report(std::to_string(options_.peers).c_str(), all.front().changes, all, tally, "few");
  }

  void big_reloads() {
    if (options_.big <= remotes_.size()) return;
    const std::size_t guests = options_.big - remotes_.size();
    for (std::size_t round = 0; round < options_.rounds; ++round) {
      one(files_.text(0, false, 0, guests), "come");
      one(files_.text(0, false, 0, guests), "none");
      one(files_.text(1, true, 0, guests), "each");
      one(files_.text(1, true, 1'000'000, guests), "replace");
      one(files_.text(0, false, 0, 0), "leave");
    }
  }

  void print_sums() {
    for (auto& [kind, windows] : kinds_) {
      std::printf("stalls change=%s windows=%zu", kind.c_str(), windows.with.worst.size());
      windows.with.print("");
      windows.without.print("_without_change");
      windows.touching.print("_beside_memory");
      std::putchar('\n');
    }
  }

  void print_must() {
    double slowest = 0, worst = 0;  // of the kinds' medians; of all
    for (auto& [kind, times] : times_ms_) {
      std::sort(times.begin(), times.end());
      slowest = std::max(slowest, times[times.size() / 2]);
      worst = std::max(worst, times.back());
    }
    std::printf("must reload_ms=%.0f reload_worst_ms=%.0f limit_ms=%.0f met=%s\n", slowest, worst,
                kLongestReloadMs, slowest <= kLongestReloadMs ? "yes" : "no");
    const std::vector<std::string> beside = own_threads_on(worker_core_);
    const Excess without = excess(big_.with.windows, big_.without.windows);
    const Excess touching = excess(big_.with.windows, big_.touching.windows);
    const char* part = "none_found";
    if (without.p < kChance) part = "as_any_neighbours";
    if (!beside.empty() || (without.p < kChance && touching.p < kChance)) part = "yes";
    std::printf("must stall_us=%llu windows=%zu", static_cast<unsigned long long>(kLongLoop),
                big_.with.windows.size());
    print_all("", big_.with);
    print_all("_without_change", big_.without);
    print_all("_beside_memory", big_.touching);
    print_excess("without_change", without);
    print_excess("beside_memory", touching);
    std::printf(" own_threads_on_worker_core=%zu met=%s linegates_part=%s\n", beside.size(),
                big_.with.wall_over == 0 ? "yes" : "no", part);
    for (const std::string& name : beside) std::printf("may take the worker's core: %s\n", name.c_str());
  }

  Options options_;
  // One worker has the last of the cores (control/gateway/gateway.cpp).
  const unsigned worker_core_ = wg::dataplane::usable_cpus().back();
  Remotes remotes_;
  Files files_;
  LiveGateway gateway_;
  std::unique_ptr<Load> load_;
  std::vector<std::size_t> all_;
  std::vector<std::uint8_t> memory_ = std::vector<std::uint8_t>(std::size_t{64} << 20, 1);
  std::map<std::string, Windows> kinds_;  // by the kind of change
  Windows big_;                           // of all large ones
  std::map<std::string, std::vector<double>> times_ms_;
};

}  // namespace

int main(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(words[i], "--routes") == 0) options.routes = true;
    if (std::strcmp(words[i], "--peers") == 0 && i + 1 < count)
      options.peers = std::strtoul(words[++i], nullptr, 10);
    if (std::strcmp(words[i], "--longs") == 0) options.longs = true;
    if (std::strcmp(words[i], "--rounds") == 0 && i + 1 < count)
      options.rounds = std::strtoul(words[++i], nullptr, 10);
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
