// A scenario: frames in, frames, drops and events out. play() runs the real worker and compares every byte,
// every drop counter and every event, and that no packet buffer is lost (each received one is transmitted,
// punted, staged or freed).
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/worker_world/world.h"

namespace wg::test {

struct Frame {
  dataplane::PortIndex port;
  Octets bytes;
  std::size_t segments = 1;
};

struct Scenario {
  std::string name;
  std::vector<Frame> in;
  std::vector<Frame> out = {};
  std::map<std::string, std::uint64_t> drops = {};
  std::vector<EventType> events = {};
  std::size_t handshakes = 0;
  std::function<void(WorkerWorld&)> given = {};
  std::function<void(WorkerWorld&)> then = {};
  dataplane::WorkerOptions options = {};
};

void play(const Scenario& scenario);
// Of a world that has been watched from the begin: its trace tells each of these drops, and no other.
void expect_told(WorkerWorld& world, const std::map<std::string, std::uint64_t>& drops);
// The drop reasons that a trace has told in a scenario so far.
std::set<std::string>& told_reasons();
std::string hex(const Octets& bytes);
std::ostream& operator<<(std::ostream& out, const Scenario& scenario);

// Inner packets: UDP with `size` bytes of IP packet in all.
Packet inner4(const std::string& from, const std::string& to, std::size_t size = 64);
Packet inner6(const std::string& from, const std::string& to, std::size_t size = 96);
// The IP packet as a frame to, or from, the host on the LAN.
Octets frame_to_host(const Octets& ip);
Octets frame_from_host(const Octets& ip);

}  // namespace wg::test

// Runs every row of the table `rows()` as its own test.
#define SCENARIOS(suite, rows)                                                                               \
  class suite : public ::testing::TestWithParam<::wg::test::Scenario> {};                                    \
  TEST_P(suite, Plays) {                                                                                     \
    ::wg::test::play(GetParam());                                                                            \
  }                                                                                                          \
  INSTANTIATE_TEST_SUITE_P(Table, suite, ::testing::ValuesIn(rows()),                                        \
                           [](const ::testing::TestParamInfo<::wg::test::Scenario>& row) {                   \
                             std::string name = row.param.name;                                              \
                             for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_'; \
                             return name;                                                                    \
                           })
