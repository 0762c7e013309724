// Random administration: after each burst of random commands the mirror must equal a fresh dump and agree
// with the kernel on where packets go.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <initializer_list>
#include <vector>

#include "tests/unit/kernel/mirror_oracle.h"
#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

class Administrator {
 public:
  explicit Administrator(unsigned seed) : random_(seed) {}

  std::string command() {
    switch (below(20)) {
      case 0:
        return "link set " + link() + pick({" up", " down"});
      case 1:
        return "link set " + peer_link() + pick({" up", " down"});
      case 2:
        return "addr " + pick({"add ", "del "}) + address(false) + " dev " + link();
      case 3:
        return "addr " + pick({"add ", "del "}) + address(true) + " dev " + link() + " nodad";
      case 4:
        return nexthop_object();
      case 5:
        return below(4) ? "link set " + link() + " mtu " + pick({"1300", "1500", "1400"}) : replace_link();
      default:
        return route(below(2) == 1);
    }
  }
  IpAddress destination(bool v6) {
    const std::string low = std::to_string(below(4));
    return v6 ? ip("fd0" + low + "::" + std::to_string(below(4)) + ":" + std::to_string(below(3)))
              : ip("10." + low + "." + std::to_string(below(4)) + "." + std::to_string(below(3)));
  }

 private:
  unsigned below(std::size_t n) { return static_cast<unsigned>(random_() % n); }
  std::string pick(std::initializer_list<const char*> words) { return words.begin()[below(words.size())]; }
  std::string link() { return "v" + std::to_string(below(3)); }
  std::string peer_link() { return "w" + std::to_string(below(3)); }
  std::string replace_link() {
    const std::string n = std::to_string(below(3));
    return "link del v" + n + "\nlink add v" + n + " type veth peer name w" + n + "\nlink set v" + n +
           " up\nlink set w" + n + " up";
  }
  std::string address(bool v6) {
    const std::string low = std::to_string(below(3));
    return v6 ? "fd0" + low + "::" + pick({"1/64", "5/64", "1:1/112", "9/128"})
              : "10." + low + pick({".0.1/24", ".0.5/24", ".1.1/24", ".0.9/32", ".0.1/16"});
  }
  std::string gateway(bool v6) {
    return v6 ? "fd0" + std::to_string(below(3)) + "::" + pick({"2", "3"})
              : "10." + std::to_string(below(3)) + pick({".0.2", ".0.3", ".1.2"});
  }
  std::string prefix(bool v6) {
    if (below(8) == 0) return v6 ? "::/0" : "0.0.0.0/0";
    const std::string low = std::to_string(below(4)), third = std::to_string(below(3));
    return v6 ? "fd0" + low + pick({"::/16", "::/48", "::/64"})
              : "10." + low + pick({".0.0/16", ".1.0/24", ".0.0/24", ".0.2/32", ".0.0/14"});
  }
  std::string target(bool v6) {
    switch (below(6)) {
      case 0:
        return " dev " + link();
      case 1:
      case 2:
        return " via " + gateway(v6);
      case 3:
        return " nexthop via " + gateway(v6) + " nexthop via " + gateway(v6);
      case 4:
        return " via " + gateway(v6) + " dev " + link() + " onlink";
      default:
        return " nhid " + std::to_string(below(3) + (v6 ? 10 : 1));
    }
  }
  std::string route(bool v6) {
    const std::string metric = below(2) ? " metric " + std::to_string(below(3) + 1) : "";
    const std::string table = below(5) == 0 ? " table " + pick({"77", "253", "1000"}) : "";
    if (below(4) == 0) return "route del " + prefix(v6) + metric + table;
    std::string verb = pick({"add ", "add ", "replace ", "append ", "prepend ", "change "});
    // Kernels combine an IPv6 unreachable route with a gateway of the same metric in ways of no practical
    // use.
    const std::string reject_metric = v6 ? " metric 9" : metric;
    if (below(5) == 0)
      return "route " + verb + pick({"blackhole ", "unreachable ", "prohibit ", "throw "}) + prefix(v6) +
             reject_metric + table;
    std::string line = "route " + verb + prefix(v6) + metric + table;
    if (!v6 && below(10) == 0) line += " tos 0x10";
    const std::string to = target(v6);
    // Each nexthop of an IPv6 multipath route has metrics of its own, of which the kernel shows the first's.
    const bool may_merge = v6 && to.find("via") != std::string::npos;
    if (below(5) == 0 && !may_merge) line += " mtu " + pick({"1280", "1350", "9000"});
    if (below(6) == 0 && !may_merge) {
      line += " src " +
              (v6 ? "fd0" + std::to_string(below(3)) + "::5" : "10." + std::to_string(below(3)) + ".0.5");
    }
    return line + to;
  }
  std::string nexthop_object() {
    const bool v6 = below(2) == 1;
    const std::string id = std::to_string(below(3) + (v6 ? 10 : 1));
    if (below(3) == 0) return "nexthop del id " + id;
    if (id == "3") return "nexthop replace id 3 group 1/2";
    return "nexthop replace id " + id + " via " + gateway(v6) + " dev " + link();
  }

  std::mt19937 random_;
};

void administer(const std::string& commands) {
  FILE* ip = popen("ip -force -batch - >/dev/null 2>&1", "w");  // refusals are part of the game
  ASSERT_NE(ip, nullptr);
  fputs(commands.c_str(), ip);
  pclose(ip);
}

constexpr int kBurst = 30, kRounds = 20;

// How the mirror follows: what a call of process() does, and whether the kernel has room for all messages.
struct Way {
  unsigned seed;
  Pace pace;
  bool overflows;
};

class MirrorRandom : public NamespaceTest, public ::testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    for (const char* n : {"0", "1", "2"}) {
      const std::string i = n;
      shell("ip link add v" + i + " type veth peer name w" + i + " && ip link set v" + i +
            " up && ip link set w" + i + " up");
      shell("ip addr add 10." + i + ".0.1/24 dev v" + i + " && ip -6 addr add fd0" + i + "::1/64 dev v" + i +
            " nodad");
    }
    shell("ip rule add fwmark 7 table 77; ip -6 rule add fwmark 7 table 77");
  }
};

// With the least of steps the mirror is in the middle of something at nearly every message.
void administer_meanwhile(const std::string& commands, NetlinkMirror& mirror, Pace pace) {
  if (pace == Pace::kAtOnce) return administer(commands);
  auto administered = std::async(std::launch::async, [&commands] { administer(commands); });
  while (administered.wait_for(std::chrono::microseconds(20)) != std::future_status::ready)
    mirror.process({});
}

TEST_P(MirrorRandom, EqualsAFreshDumpAndAgreesWithTheKernel) {
  MirrorOptions options;
  if (GetParam().overflows) options.receive_buffer = 4096;
  NetlinkMirror mirror(options);
  Administrator administrator(GetParam().seed);
  unsigned found = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::string commands;
    for (int i = 0; i < kBurst; ++i) commands += administrator.command() + "\n";
    administer_meanwhile(commands, mirror, GetParam().pace);
    const std::string at = "round " + std::to_string(round) + " of seed " + std::to_string(GetParam().seed);
    ASSERT_EQ(follow_until_fresh(mirror, GetParam().pace), "") << at << "\n" << commands;
    // The kernel's work queues may still have something to say.
    EXPECT_TRUE(follow_until(mirror, [&] { return !mirror.has_unread(); })) << at;
    for (int i = 0; i < 60; ++i) {
      const auto to = administrator.destination(i % 2 == 1);
      const ResolveKey key{i % 4 == 0 ? 7u : 0u, 0};
      const std::string differs = disagreement(mirror, to, key);
      ASSERT_EQ(differs, "") << at << " mark " << key.fwmark << "\n" << commands;
      found += mirror.resolve(to, key).type == RTN_UNICAST;
    }
  }
  EXPECT_GT(found, 50u);  // the comparison was about something
  EXPECT_GE(mirror.resyncs(), GetParam().overflows ? std::uint64_t{kRounds / 4} : 0u);
}

std::vector<Way> ways(Pace pace, bool overflows) {
  std::vector<Way> all;
  for (unsigned seed = 1; seed < 9; ++seed) all.push_back({seed, pace, overflows});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Seeds, MirrorRandom, ::testing::ValuesIn(ways(Pace::kAtOnce, false)));
INSTANTIATE_TEST_SUITE_P(InSteps, MirrorRandom, ::testing::ValuesIn(ways(Pace::kLeast, false)));
INSTANTIATE_TEST_SUITE_P(InStepsWithOverflows, MirrorRandom, ::testing::ValuesIn(ways(Pace::kLeast, true)));

}  // namespace
}  // namespace wg::control
