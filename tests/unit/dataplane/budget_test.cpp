// What packets of people without a key can make a worker do: the rows of docs/security.md that name
// unit_dataplane.
#include "tests/budget/table.h"

#include <chrono>

#include "tests/unit/dataplane/scenario.h"

namespace wg::test::budget_test {
namespace {

using namespace dataplane;

const Octets kHi = inner4("10.10.0.2", "192.168.1.5");

// A session that no peer has, while control waits for peers from before the start.
Measured stray_reports() {
  WorkerWorld w;
  w.interface(kWg0).report_strays = true;
  std::uint64_t reported = 0;
  for (int i = 0; i < 5000; ++i) {
    Octets message = message_from(kAlice, 0, kHi);
    message.at(4) = 0x99;
    w.arrive(kWan, outer_from(kAlice, message));
    w.loop();
    reported += w.events().size();
    w.advance_clock(std::chrono::microseconds(200));
  }
  return {reported, w.worker().counters().strays_withheld.get()};
}

Measured handshake_messages() {
  WorkerWorld w;
  Octets message(148, 0);
  message[0] = 1;
  std::uint64_t last = 0;
  for (int loop = 0; loop < 8; ++loop) {  // what quiet loops have saved up is used up by then
    for (int i = 0; i < 32; ++i) w.arrive(kWan, outer_from(kAlice, message));
    const std::uint64_t before = w.worker().counters().handshakes_posted.get();
    w.loop();
    last = w.worker().counters().handshakes_posted.get() - before;
    w.handshakes();
  }
  return {last, w.drops()["handshake_budget"]};
}

Measured icmp_errors() {
  WorkerWorld w;
  const Octets refused = frame_from_host(inner4("192.168.1.5", "10.10.0.99"));
  const auto answers_of = [&](std::chrono::milliseconds time) {
    std::uint64_t answers = 0;
    for (std::int64_t ms = 0; ms < time.count(); ++ms) {
      for (int i = 0; i < 3; ++i) w.arrive(kLan, refused);
      w.loop();
      answers += w.transmitted(kLan).size();
      w.advance_clock(std::chrono::milliseconds(1));
    }
    return answers;
  };
  answers_of(std::chrono::milliseconds(100));  // the burst
  return {answers_of(std::chrono::seconds(1)), w.worker().counters().icmp_suppressed.get()};
}

TEST(Budget, EveryRowOfTheWorkerIsMeasured) {
  check_budget(std::string(LINEGATE_SOURCE_DIR) + "/docs/security.md", "unit_dataplane",
               {{"stray_reports", stray_reports},
                {"handshake_messages", handshake_messages},
                {"icmp_errors", icmp_errors}});
}

}  // namespace
}  // namespace wg::test::budget_test
