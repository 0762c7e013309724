#include "bench/dataplane_learning.h"

#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "control/flows/flow_follower.h"
#include "control/kernel/conntrack.h"
#include "control/kernel/netlink_mirror.h"
#include "dataplane/flow/flow_table.h"
#include "tests/unit/kernel/tracked_connections.h"

namespace wg::bench {
namespace {

using namespace control;
using dataplane::FlowIngress;
using dataplane::FlowTable;
using dataplane::IpAddress;

constexpr std::uint32_t kMark = 0x40000000;
constexpr int kSilenceMs = 5000;

std::chrono::nanoseconds thread_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// As control/flows/flow_ways.cpp looks an address up, but for the question which peer has it.
class Ways {
 public:
  [[nodiscard]] FlowWay of(const IpAddress& address) const {
    if (!mirror_.rules_are_default(address.v6)) return {{}, FlowRefusal::policy_routing};
    const Resolved route = mirror_.resolve(address);
    const std::vector<Route>* routes = mirror_.routes().find(route.table, route.prefix);
    if (route.type != RTN_UNICAST || routes == nullptr) return {{}, FlowRefusal::no_route};
    return {FlowIngress::port(dataplane::PortIndex{0}, 0), FlowRefusal::kNone};
  }

 private:
  NetlinkMirror mirror_;
};

class Round {
 public:
  Round(const Ways& ways, std::uint32_t count, std::uint32_t capacity)
      : count_(count),
        table_(capacity, FlowTable::HashKey{1, 2, 3, 4, 5, 6},
               [](const std::function<void()>& free) { free(); }),
        follower_(
            table_, conntrack_, [&ways](const IpAddress& address) { return ways.of(address); }, kMark) {
    test::make_tracked_connections(count, kMark);
  }
  ~Round() { test::flush_tracked_connections(); }
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

  Learning learn() {
    const auto from = std::chrono::steady_clock::now();
    const auto cpu_from = thread_time();
    follower_.set_now(in_seconds(BootClock::now()));
    follower_.start();
    read_all();
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - from;
    const std::chrono::duration<double> own = thread_time() - cpu_from;
    const auto learnt = static_cast<double>(follower_.counts().taken_over);
    return {learnt / own.count(), learnt / wall.count()};
  }

 private:
  // A table in which each number is wanted refuses one or another, whose buckets are full.
  [[nodiscard]] bool all_learnt() const {
    return follower_.counts().taken_over + follower_.counts().refused_full >= count_;
  }
  [[nodiscard]] std::string first_reason() const {
    const auto& waiting = follower_.waiting();
    return waiting.empty() ? "none"
                           : kFlowRefusalTexts[static_cast<std::size_t>(waiting.begin()->second.reason)].text;
  }
  // As the gateway's loop does.
  void read_all() {
    std::vector<pollfd> fds;
    for (const int fd : conntrack_.descriptors()) fds.push_back({fd, POLLIN, 0});
    while (!all_learnt()) {
      if (poll(fds.data(), fds.size(), kSilenceMs) <= 0)
        throw std::runtime_error(
            "connection tracking falls silent: " + std::to_string(follower_.counts().taken_over) + " of " +
            std::to_string(count_) + " connections are learnt; with Linux: " + first_reason());
      conntrack_.receive(follower_);
      conntrack_.flush();
    }
  }

  const std::uint32_t count_;
  FlowTable table_;
  Conntrack conntrack_;
  FlowFollower follower_;
};

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

Learning measure(std::uint32_t count, std::uint32_t capacity, unsigned rounds) {
  if (std::system(
          "ip link set lo up && ip route add 10.0.0.0/8 dev lo && ip route add 198.18.0.0/15 dev lo") != 0)
    throw std::runtime_error("no routes");
  const Ways ways;
  std::vector<double> own, wall;
  for (unsigned i = 0; i < rounds; ++i) {
    const Learning one = Round(ways, count, capacity).learn();
    own.push_back(one.per_second);
    wall.push_back(one.per_wall_second);
  }
  return {median(own), median(wall)};
}

}  // namespace

// A namespace is its thread's, and ends with it.
std::optional<Learning> measure_learning(std::uint32_t count, std::uint32_t capacity, unsigned rounds) {
  std::optional<Learning> result;
  std::exception_ptr problem;
  std::thread([&] {
    if (unshare(CLONE_NEWNET) != 0) return;
    try {
      result = measure(count, capacity, rounds);
    } catch (...) {
      problem = std::current_exception();
    }
  }).join();
  if (problem) std::rethrow_exception(problem);
  return result;
}

}  // namespace wg::bench
