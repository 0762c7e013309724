// Engines against a hostile network, invariants I1 to I10 asserted after each step.
//
// SIM_SEED=n runs one seed, SIM_STEPS=n changes the number of steps; a failing seed is printed and repeats.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "world.h"

namespace wg::noise::sim {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

Totals run(std::uint64_t seed, std::uint32_t nodes, std::uint64_t steps) {
  SimulatedNetwork world(seed, nodes);
  std::uint64_t step = 0;
  try {
    for (; step < steps; ++step) world.step();
    world.heal_and_check();
  } catch (const Violation& violation) {
    ADD_FAILURE() << violation.what() << " (SIM_SEED=" << seed << ", " << nodes << " nodes, step " << step
                  << ", after: " << world.last_action() << ")";
  }
  const Totals& t = world.totals();
  std::printf(
      "simulation seed=%lu nodes=%u steps=%lu hours=%.1f sealed=%lu opened=%lu delivered=%lu sessions=%lu "
      "cookies=%lu restarts=%lu replayed=%lu\n",
      seed, nodes, step, std::chrono::duration<double, std::ratio<3600>>(t.simulated).count(), t.sealed,
      t.opened, t.delivered, t.sessions, t.cookies, t.restarts, t.replayed);
  return t;
}

// The history must contain what it claims to test.
void expect_rich(const Totals& t, std::uint64_t steps) {
  EXPECT_GT(t.sessions, steps / 200);
  EXPECT_GT(t.delivered, steps / 4);
  EXPECT_GT(t.restarts, steps / 1000);
  EXPECT_GT(t.cookies, steps / 10'000);
  EXPECT_GT(t.replayed, steps / 20);
}

const std::uint64_t kSteps = from_environment("SIM_STEPS", 100'000);

TEST(Simulation, TwoEngines) {
  expect_rich(run(from_environment("SIM_SEED", 1), 2, kSteps), kSteps);
}

TEST(Simulation, FourEngines) {
  expect_rich(run(from_environment("SIM_SEED", 2), 4, kSteps), kSteps);
}

TEST(Simulation, RandomSeed) {
  const std::uint64_t seed = from_environment("SIM_SEED", std::random_device{}());
  run(seed, 2 + static_cast<std::uint32_t>(seed % 3), kSteps / 2);
}

TEST(Simulation, OneSeedGivesOneHistory) {
  const Totals one = run(7, 3, 2000);
  const Totals two = run(7, 3, 2000);
  EXPECT_EQ(one.sealed, two.sealed);
  EXPECT_EQ(one.opened, two.opened);
  EXPECT_EQ(one.simulated, two.simulated);
}

}  // namespace
}  // namespace wg::noise::sim
