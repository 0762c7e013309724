// The heap gives back memory in small steps, so that no thread pays for what another has destroyed.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "control/heap.h"

namespace wg::test {
namespace {

using Clock = std::chrono::steady_clock;

// Keeps the compiler from leaving out an allocation whose memory is not read.
void use(void* block) {
  asm volatile("" : : "r"(block) : "memory");
}

// What is measured is what a control thread does after a configuration has gone: it asks for a buffer.
Clock::duration a_buffer_after_many_small_blocks() {
  constexpr std::size_t kBlocks = 400'000, kBuffer = 20'000;
  std::vector<void*> blocks(kBlocks);
  for (std::size_t i = 0; i < kBlocks; ++i) use(blocks[i] = std::malloc(24 + i % 5 * 16));
  for (void* block : blocks) std::free(block);
  const auto asked = Clock::now();
  void* const buffer = std::malloc(kBuffer);
  use(buffer);
  const auto took = Clock::now() - asked;
  std::free(buffer);
  return took;
}

// The shortest of some: what the machine takes away comes once.
double shortest_ms() {
  Clock::duration shortest = Clock::duration::max();
  for (int i = 0; i < 5; ++i) shortest = std::min(shortest, a_buffer_after_many_small_blocks());
  return std::chrono::duration<double, std::milli>(shortest).count();
}

TEST(Heap, ABufferTakesNoLongerAfterManySmallBlocksHaveGone) {
  mallopt(M_MXFAST, 64 * sizeof(std::size_t) / 4);  // glibc's own, mallopt(3)
  const double put_aside = shortest_ms();
  control::free_in_small_steps();
  const double at_once = shortest_ms();
  std::printf("heap blocks=400000 put_aside_ms=%.3f at_once_ms=%.3f\n", put_aside, at_once);
  EXPECT_LT(at_once * 4, put_aside);
}

}  // namespace
}  // namespace wg::test
