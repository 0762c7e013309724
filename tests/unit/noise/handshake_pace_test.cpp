// When the control thread enables its doorbell and when it lets handshake messages accumulate.
#include "control/noise/handshake_pace.h"

#include <gtest/gtest.h>

namespace wg::noise::test {
namespace {

constexpr std::chrono::nanoseconds kMs = std::chrono::milliseconds(1);

// Rounds as the loop has them: woken by each message, or after kGather. Returns how many in `seconds`.
struct Loop {
  HandshakePace pace;
  BootTime now{std::chrono::seconds(7)};
  std::size_t rounds = 0;
  std::size_t late = 0;  // messages that waited

  void run(std::chrono::nanoseconds period, unsigned messages) {
    BootTime next = now;
    for (unsigned taken = 0; taken < messages;) {
      if (pace.gather()) {
        now += HandshakePace::kGather;
      } else {
        now = std::max(now, next);
      }
      std::size_t n = 0;
      for (; next <= now && taken < messages; ++n, ++taken) {
        late += next < now ? 1 : 0;
        next += period;
      }
      pace.note(n, now);
      ++rounds;
    }
  }
};

TEST(HandshakePace, QuietTimesWaitForNothing) {
  Loop loop;
  loop.run(2 * kMs, 5000);  // 500 a second
  EXPECT_EQ(loop.late, 0u);
  EXPECT_EQ(loop.rounds, 5000u);
}

TEST(HandshakePace, FloodIsTakenOncePerMillisecond) {
  Loop loop;
  loop.run(kMs / 20, 20'000);  // 20 000 a second, one second long
  EXPECT_LE(loop.rounds, 100u + 1000u);
  EXPECT_GE(loop.rounds, 1000u);
}

TEST(HandshakePace, WhoFindsABatchDoesNotWait) {
  HandshakePace pace;
  pace.note(1000, BootTime(5 * kMs));
  EXPECT_FALSE(pace.gather()) << "there may be more at once";
  pace.note(HandshakePace::kBatch - 1, BootTime(5 * kMs));
  EXPECT_TRUE(pace.gather());
  pace.note(HandshakePace::kBatch, BootTime(5 * kMs));
  EXPECT_FALSE(pace.gather());
}

TEST(HandshakePace, EndsWithTheFlood) {
  Loop loop;
  loop.run(kMs / 20, 5000);
  EXPECT_TRUE(loop.pace.gather());
  loop.pace.note(0, loop.now + kMs);
  EXPECT_FALSE(loop.pace.gather()) << "nothing came while it waited";
  loop.pace.note(1, loop.now + 250 * kMs);
  loop.pace.note(1, loop.now + 450 * kMs);
  EXPECT_FALSE(loop.pace.gather()) << "windows long past do not count";
}

}  // namespace
}  // namespace wg::noise::test
