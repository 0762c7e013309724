#include "tests/unit/dataplane/scenario.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>

#include "tests/unit/dataplane/frame_difference.h"

namespace wg::test {

namespace {

Octets framed(const Octets& to, const Octets& from, const Octets& ip) {
  Octets ethernet = Packet().eth(to, from).build();
  put16(ethernet, 12, ip.at(0) >> 4 == 6 ? 0x86dd : 0x0800);
  return ethernet + ip;
}

void expect_frames(const std::vector<Octets>& expected, const std::vector<Octets>& got, const char* port) {
  EXPECT_EQ(got.size(), expected.size()) << port;
  for (std::size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
    const std::string difference = frame_difference(expected[i], got[i]);
    EXPECT_TRUE(difference.empty()) << port << " frame " << i << ": " << difference;
  }
}

// Which reasons say more than one packet at a time, or are counted where there is no packet.
bool has_packet(const std::string& reason) {
  return reason != "no_mbuf";
}

using Drops = std::map<std::string, std::uint64_t>;
Drops less(Drops all, const Drops& some) {
  for (const auto& [reason, count] : some) all[reason] -= count;
  std::erase_if(all, [](const auto& drop) { return drop.second == 0; });
  return all;
}

// Every drop is told by a record with its reason, and each packet of it is one that has been noted before.
void expect_told(const std::vector<WorkerWorld::Seen>& seen, std::map<std::string, std::uint64_t> drops) {
  std::map<std::string, std::uint64_t> told;
  for (const WorkerWorld::Seen& one : seen) {
    if (one.record.point != dataplane::WatchPoint::dropped) continue;
    ++told[dataplane::kDropNames[static_cast<std::size_t>(one.record.reason)]];
  }
  std::erase_if(drops, [](const auto& drop) { return !has_packet(drop.first); });
  std::erase_if(told, [](const auto& drop) { return !has_packet(drop.first); });
  EXPECT_EQ(told, drops);
  for (const auto& [reason, count] : told) told_reasons().insert(reason);
}

// Each frame that leaves has been recorded as it left.
void expect_recorded(const std::vector<WorkerWorld::Seen>& seen, dataplane::PortIndex port,
                     const std::vector<Octets>& frames) {
  std::vector<Octets> recorded;
  for (const WorkerWorld::Seen& one : seen) {
    if (one.record.point == dataplane::WatchPoint::transmitted && one.record.where == number_of(port))
      recorded.push_back(one.bytes);
  }
  EXPECT_GE(recorded.size(), frames.size());
  for (const Octets& frame : frames)
    EXPECT_NE(std::find(recorded.begin(), recorded.end(), frame), recorded.end()) << hex(frame);
}

}  // namespace

void expect_told(WorkerWorld& world, const std::map<std::string, std::uint64_t>& drops) {
  EXPECT_EQ(world.drops(), drops);
  expect_told(world.seen(), drops);
}

std::set<std::string>& told_reasons() {
  static std::set<std::string> reasons;
  return reasons;
}

std::string hex(const Octets& bytes) {
  static const char* digits = "0123456789abcdef";
  std::string out = std::to_string(bytes.size()) + ":";
  for (const std::uint8_t b : bytes) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

std::ostream& operator<<(std::ostream& out, const Scenario& scenario) {
  return out << scenario.name;
}

Packet inner4(const std::string& from, const std::string& to, std::size_t size) {
  return Packet().ip4(from, to).udp(1000, 2000).data(size - 28);
}

Packet inner6(const std::string& from, const std::string& to, std::size_t size) {
  return Packet().ip6(from, to).udp(1000, 2000).data(size - 48);
}

Octets frame_to_host(const Octets& ip) {
  return framed(kHostMac, kLanMac, ip);
}
Octets frame_from_host(const Octets& ip) {
  return framed(kLanMac, kHostMac, ip);
}

namespace {

// The same with and without a watch.
void play_once(const Scenario& scenario, bool watched) {
  WorkerWorld world(scenario.options);
  if (scenario.given) scenario.given(world);
  const auto unwatched = world.drops();  // before the watch
  if (watched) world.watch_everything();
  for (const Frame& frame : scenario.in) world.arrive(frame.port, frame.bytes, frame.segments);
  for (int i = 0; i < 64 && world.loop(); ++i) {
  }
  const auto seen = watched ? world.seen() : std::vector<WorkerWorld::Seen>();
  for (const dataplane::PortIndex port : {kWan, kLan}) {
    std::vector<Octets> expected;
    for (const Frame& frame : scenario.out) {
      if (frame.port == port) expected.push_back(frame.bytes);
    }
    expect_frames(expected, world.transmitted(port), port == kWan ? "wan" : "lan");
    if (watched) expect_recorded(seen, port, expected);
  }
  EXPECT_EQ(world.drops(), scenario.drops);
  if (watched) expect_told(seen, less(scenario.drops, unwatched));
  if (scenario.then) scenario.then(world);
  std::vector<int> events, expected;
  for (const WorkerWorld::Note& note : world.events()) events.push_back(static_cast<int>(note.event.type));
  for (const EventType type : scenario.events) expected.push_back(static_cast<int>(type));
  EXPECT_EQ(events, expected);
  EXPECT_EQ(world.handshakes().size(), scenario.handshakes);
  EXPECT_EQ(world.missing_buffers(), 0u);
}

}  // namespace

void play(const Scenario& scenario) {
  for (const bool watched : {false, true}) {
    SCOPED_TRACE(watched ? "watched" : "not watched");
    play_once(scenario, watched);
  }
}

}  // namespace wg::test
