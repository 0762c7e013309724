// Whatever the gateway has to do beside forwarding, it does not do it on a worker's CPU.
#include <gtest/gtest.h>

#include "dataplane/eal.h"
#include "tests/daemon/live_gateway.h"
#include "tests/daemon/own_threads.h"
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

}  // namespace
}  // namespace wg::test
