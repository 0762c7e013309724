// Whatever the gateway has to do beside forwarding, it does not do it on a worker's CPU.
#include <gtest/gtest.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

#include "control/privileges.h"
#include "dataplane/eal.h"
#include "tests/daemon/live_gateway.h"
#include "tests/daemon/own_threads.h"
#include "tests/daemon/remotes.h"
#include "tests/daemon/sandbox.h"
#include "tests/daemon/yaml.h"

namespace wg::test {
namespace {

using Cpus = std::vector<unsigned>;

TEST(Threads, ControlRunsWhereNoWorkerPolls) {
  using dataplane::control_cpus;
  EXPECT_EQ(control_cpus({0, 1, 2, 3}, {2, 3}), (Cpus{0, 1}));
  EXPECT_EQ(control_cpus({0, 1, 2, 3}, {1, 1}), (Cpus{0, 2, 3}));
  EXPECT_EQ(control_cpus({4, 7}, {7}), Cpus{4});
  EXPECT_EQ(control_cpus({0, 1}, {1, 0}), (Cpus{0, 1})) << "it must run somewhere";
  EXPECT_EQ(control_cpus({0}, {0}), Cpus{0});
}

std::string threads_beside_the_worker(unsigned worker) {
  LiveGateway gateway(gateway_yaml({}));
  std::string names;
  for (const std::string& name : own_threads_on(worker)) names += name + " ";
  return names;
}

TEST(Threads, NoneOfTheGatewaysMayTakeTheWorkersCpu) {
  if (!may_make_namespaces()) GTEST_SKIP() << "network namespaces need root";
  const Cpus cpus = dataplane::usable_cpus();
  if (cpus.size() < 2) GTEST_SKIP() << "one CPU is for all";
  EXPECT_EQ(in_sandbox([&] { return threads_beside_the_worker(cpus.back()); }, 60), "");
}

// An endpoint's name makes the control thread start those that resolve names.
std::string nice_values_of_the_gateway() {
  GatewayText text;
  text.peers = peer_line({"named", idle_public_key(0), "nowhere.invalid:51820", "10.192.0.1/32", 0, ""});
  LiveGateway gateway(gateway_yaml(text));
  std::string values;
  for (const auto& [value, threads] : nice_values())
    values += std::to_string(value) + (threads == 1 ? " once, " : " else, ");
  return values;
}

TEST(Threads, OnlyTheControlThreadGoesBeforeOtherPrograms) {
  if (!may_make_namespaces()) GTEST_SKIP() << "network namespaces need root";
  if (dataplane::usable_cpus().size() < 2) GTEST_SKIP() << "on one CPU a worker would wait for it";
  if (getpriority(PRIO_PROCESS, 0) != 0) GTEST_SKIP() << "the tests have a nice value of their own";
  EXPECT_EQ(in_sandbox(nice_values_of_the_gateway, 60), "-10 once, 0 else, ");
}

// What RestrictRealtime= of the unit refuses.
void refuse_realtime() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sched_setscheduler), 1,
                       SCMP_A1(SCMP_CMP_GT, SCHED_IDLE)) != 0 ||
      seccomp_load(filter) != 0)
    throw std::runtime_error("no seccomp filter");
  seccomp_release(filter);
}

TEST(Threads, TheControlThreadGoesBeforeOtherProgramsWithoutRightsToRealtime) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  const auto nice_value = [] {
    refuse_realtime();
    if (!control::go_before_other_programs()) return std::string(std::strerror(errno));
    return std::to_string(getpriority(PRIO_PROCESS, 0));
  };
  EXPECT_EQ(in_sandbox(nice_value, 60), "-10");
}

}  // namespace
}  // namespace wg::test
