// What workers note about packets: the ring, and what becomes of it.
#include <gtest/gtest.h>

#include <pcap/pcap.h>
#include <unistd.h>
#include <algorithm>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

#include "control/api/json.h"
#include "control/api/pcapng.h"
#include "control/watch/sink.h"
#include "dataplane/watch/watch.h"

namespace wg::control {
namespace {

using dataplane::DropReason;
using dataplane::WatchLink;
using dataplane::WatchPoint;
using dataplane::WatchRecord;
using dataplane::WatchRing;
using Octets = std::vector<std::uint8_t>;

constexpr std::size_t kSmallest = std::size_t{1} << 17;
using namespace std::chrono_literals;

WatchRecord record_of(std::uint64_t id, WatchPoint point, WatchLink link = WatchLink::kIp) {
  WatchRecord record;
  record.id = id;
  record.point = point;
  record.link = link;
  record.where = 0;
  record.peer = 3;
  record.session = 0x7f3a91c2;
  record.counter = 88121;
  record.length = 28;
  return record;
}

// 10.10.0.2:1000 > 192.168.1.9:2000, UDP without data.
Octets inner() {
  return {0x45, 0, 0,   28,  0, 0, 0, 0,    64, 17,   0, 0, 10, 10,
          0,    2, 192, 168, 1, 9, 3, 0xe8, 7,  0xd0, 0, 8, 0,  0};
}
Octets frame() {
  Octets bytes = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
  const Octets ip = inner();
  bytes.insert(bytes.end(), ip.begin(), ip.end());
  return bytes;
}

const WatchNames kNames{[](std::uint16_t index) { return "port" + std::to_string(index); },
                        [](std::uint16_t id) { return "wg" + std::to_string(id); },
                        [](std::uint32_t slot) { return slot == 3 ? "alice" : ""; }};

// ---------------------------------------------------------------- the ring

TEST(WatchRingTest, RecordsComeBackInOrderOverManyRounds) {
  WatchRing ring(kSmallest);
  std::uint64_t written = 0, read = 0;
  while (written < 20'000) {
    for (int i = 0; i < 7; ++i, ++written) {
      const Octets bytes(written * 37 % 1500, static_cast<std::uint8_t>(written));
      ASSERT_TRUE(ring.write(record_of(written, WatchPoint::received), bytes));
    }
    WatchRecord record;
    while (ring.peek(&record)) {
      EXPECT_EQ(record.id, read);
      const auto bytes = ring.packet(record);
      ASSERT_EQ(bytes.size(), read * 37 % 1500);
      for (const std::uint8_t byte : bytes) ASSERT_EQ(byte, static_cast<std::uint8_t>(read));
      ring.pop(record);
      ++read;
    }
  }
  EXPECT_EQ(read, written);
  EXPECT_EQ(ring.lost(), 0u);
}

// A whole ring at once would hold the control thread for tens of milliseconds.
TEST(WatchRingTest, ComesIntoMemoryAndIsWipedInPartsAndWorksMeanwhile) {
  WatchRing ring(4 * WatchRing::kPart);
  EXPECT_TRUE(ring.populate_more());
  const Octets bytes(100, 7);
  ASSERT_TRUE(ring.write(record_of(1, WatchPoint::received), bytes));
  unsigned parts = 2;
  while (ring.populate_more()) ++parts;
  EXPECT_EQ(parts, 4U);
  EXPECT_FALSE(ring.populate_more()) << "all of it is there";
  WatchRecord record;
  ASSERT_TRUE(ring.peek(&record));
  const auto packet = ring.packet(record);
  EXPECT_TRUE(std::equal(packet.begin(), packet.end(), bytes.begin(), bytes.end()));
  for (parts = 1; ring.discard_more(); ++parts) EXPECT_LT(parts, 4U);
  EXPECT_EQ(parts, 4U);
  EXPECT_EQ(std::count(packet.begin(), packet.end(), 0), 100) << "nothing of a packet is left";
}

TEST(WatchRingTest, WhatFindsNoRoomIsCountedAndTheRestStays) {
  WatchRing ring(kSmallest);
  const Octets bytes(1000, 7);
  std::uint64_t kept = 0;
  for (std::uint64_t i = 0; i < 1000; ++i)
    kept += ring.write(record_of(i, WatchPoint::received), bytes) ? 1 : 0;
  EXPECT_GT(kept, 100u);
  EXPECT_EQ(ring.lost(), 1000 - kept);
  WatchRecord record;
  std::uint64_t read = 0;
  for (; ring.peek(&record); ++read) {
    EXPECT_EQ(record.id, read);
    ring.pop(record);
  }
  EXPECT_EQ(read, kept);
  EXPECT_TRUE(ring.write(record_of(1, WatchPoint::received), bytes));
}

TEST(WatchRingTest, AWriterAndAReaderAtTheSameTime) {
  WatchRing ring(kSmallest);
  constexpr std::uint64_t kRecords = 50'000;
  std::thread writer([&ring] {
    for (std::uint64_t i = 0; i < kRecords;) {
      const Octets bytes(i % 300, static_cast<std::uint8_t>(i));
      if (ring.write(record_of(i, WatchPoint::received), bytes)) ++i;
    }
  });
  std::uint64_t read = 0;
  while (read < kRecords) {
    WatchRecord record;
    if (!ring.peek(&record)) continue;
    EXPECT_EQ(record.id, read);
    EXPECT_EQ(ring.packet(record).size(), read % 300);
    ring.pop(record);
    ++read;
  }
  writer.join();
}

// ---------------------------------------------------------------- filters

dataplane::WatchFilter compiled(const char* text) {
  dataplane::WatchFilter filter;
  filter.everything = false;
  const auto compile = [text](int link, std::vector<bpf_insn>& out) {
    pcap_t* pcap = pcap_open_dead(link, 65535);
    bpf_program program{};
    if (pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) == 0) {
      out.assign(program.bf_insns, program.bf_insns + program.bf_len);
      pcap_freecode(&program);
    }
    pcap_close(pcap);
  };
  compile(DLT_EN10MB, filter.ethernet);
  compile(DLT_RAW, filter.ip);
  return filter;
}

TEST(WatchFilterTest, JudgesFramesAndInnerPackets) {
  const auto filter = compiled("udp dst port 2000 and src host 10.10.0.2");
  EXPECT_TRUE(filter.matches(WatchLink::kEthernet, frame()));
  EXPECT_TRUE(filter.matches(WatchLink::kIp, inner()));
  EXPECT_FALSE(compiled("tcp").matches(WatchLink::kIp, inner()));
  EXPECT_FALSE(filter.matches(WatchLink::kNone, inner()));
  EXPECT_TRUE(dataplane::WatchFilter{}.matches(WatchLink::kNone, {}));
}

TEST(WatchFilterTest, WhatOneKindCannotHaveMatchesNoneOfIt) {
  const auto filter = compiled("ether host 02:00:00:00:00:02");
  EXPECT_TRUE(filter.matches(WatchLink::kEthernet, frame()));
  EXPECT_FALSE(filter.matches(WatchLink::kIp, inner()));
}

TEST(WatchFilterTest, PacketsOfEveryLengthAreReadWithinTheirBounds) {
  const auto filter = compiled("ip6 or (udp port 2000 and ip[28] = 1 and vlan 5)");
  for (std::size_t size = 0; size <= frame().size(); ++size) {
    const Octets whole = frame(), cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(filter.matches(WatchLink::kEthernet, cut));
    EXPECT_FALSE(filter.matches(WatchLink::kIp, cut));
  }
}

// ---------------------------------------------------------------- words

TEST(WatchWordsTest, EveryDropReasonIsToldInTheWordsOfTheList) {
  for (std::size_t i = 0; i < dataplane::kDropReasons; ++i) {
    WatchRecord record = record_of(1, WatchPoint::dropped);
    record.reason = static_cast<DropReason>(i);
    const std::string expected = std::string(dataplane::kDropNames[i]) + ": " + dataplane::kDropTexts[i];
    EXPECT_EQ(words_of(record, {}, kNames), expected);
    EXPECT_NE(comment_of(record, kNames).find("dropped: " + expected), std::string::npos);
  }
}

TEST(WatchWordsTest, NamesPacketsPeersAndRoutes) {
  const Octets ip = inner(), ethernet = frame();
  EXPECT_EQ(words_of(record_of(1, WatchPoint::opened), ip, kNames),
            "wg0: 10.10.0.2:1000 > 192.168.1.9:2000, UDP, 28 bytes; good");
  WatchRecord received = record_of(1, WatchPoint::received, WatchLink::kEthernet);
  received.length = 42;
  EXPECT_EQ(words_of(received, ethernet, kNames), "port0: 10.10.0.2:1000 > 192.168.1.9:2000, UDP, 42 bytes");
  WatchRecord session = record_of(1, WatchPoint::session);
  session.age_ms = 41'900;
  EXPECT_EQ(words_of(session, {}, kNames), "alice, session 7f3a91c2, 41 s old, counter 88121");
  WatchRecord routed = record_of(1, WatchPoint::routed);
  routed.route = dataplane::WatchRoute::kPort;
  routed.to = 1;
  routed.mtu = 1500;
  EXPECT_EQ(words_of(routed, {}, kNames), "to port port1, MTU 1500");
  EXPECT_EQ(comment_of(record_of(1, WatchPoint::opened), kNames), "alice, session 7f3a91c2, counter 88121");
}

TEST(WatchWordsTest, NoLengthOfAPacketIsReadBeyond) {
  const Octets whole = frame(), ip = inner();
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(summary_of(WatchLink::kEthernet,
                         Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), 42),
              "");
  for (std::size_t size = 0; size < ip.size(); ++size)
    EXPECT_NE(
        summary_of(WatchLink::kIp, Octets(ip.begin(), ip.begin() + static_cast<std::ptrdiff_t>(size)), 28),
        "");
}

// ---------------------------------------------------------------- files

std::string capture_of_a_pair() {
  CaptureSink sink(kNames, 0, "a test", true, true);
  WatchRecord outer = record_of(77, WatchPoint::received, WatchLink::kEthernet);
  outer.length = 42;
  sink.take(outer, frame(), WallTime(5s + 1ns));
  sink.take(record_of(77, WatchPoint::opened), inner(), WallTime(5s + 2ns));
  WatchRecord dropped = record_of(78, WatchPoint::dropped);
  dropped.reason = DropReason::replayed;
  sink.take(dropped, inner(), WallTime(5s + 3ns));
  sink.finish(WallTime(6s), 9);
  return sink.take_text();
}

// The blocks of a file by their type, read without the writer's code.
std::vector<std::pair<std::uint32_t, std::string>> blocks_of(const std::string& file) {
  std::vector<std::pair<std::uint32_t, std::string>> blocks;
  for (std::size_t at = 0; at < file.size();) {
    std::uint32_t head[2], tail;
    std::memcpy(head, file.data() + at, sizeof head);
    EXPECT_EQ(head[1] % 4, 0u);
    if (head[1] < 12 || at + head[1] > file.size()) return blocks;
    std::memcpy(&tail, file.data() + at + head[1] - 4, sizeof tail);
    EXPECT_EQ(tail, head[1]);
    blocks.emplace_back(head[0], file.substr(at, head[1]));
    at += head[1];
  }
  return blocks;
}

TEST(CaptureTest, AFileHasAnInterfacePerPlaceAndABlockPerPacket) {
  const auto blocks = blocks_of(capture_of_a_pair());
  std::vector<std::uint32_t> kinds;
  for (const auto& [kind, text] : blocks) kinds.push_back(kind);
  EXPECT_EQ(kinds, (std::vector<std::uint32_t>{0x0a0d0d0a, 1, 6, 1, 6, 6, 5}));
  EXPECT_NE(blocks[1].second.find("port0"), std::string::npos);
  EXPECT_NE(blocks[3].second.find("wg0"), std::string::npos);
  EXPECT_EQ(
      pcapng::comment_of(blocks[5].second),
      "alice, session 7f3a91c2, dropped: replayed: the counter was seen before or is older than the window");
  EXPECT_EQ(pcapng::statistics_of(blocks[6].second).lost, 9u);
  EXPECT_EQ(pcapng::statistics_of(blocks[6].second).captured, 3u);
}

TEST(CaptureTest, LimitsAndLinksAreKept) {
  CaptureSink one(kNames, 1, "", true, true);
  one.take(record_of(1, WatchPoint::opened), inner(), WallTime(1ns));
  EXPECT_TRUE(one.is_full());
  one.take(record_of(2, WatchPoint::opened), inner(), WallTime(2ns));
  EXPECT_EQ(blocks_of(one.take_text()).size(), 3u);  // the file's, the interface's, one packet's
  CaptureSink outer(kNames, 0, "", true, false);
  outer.take(record_of(1, WatchPoint::opened), inner(), WallTime(1ns));
  EXPECT_EQ(blocks_of(outer.take_text()).size(), 1u);
}

std::string output_of(const std::string& command) {
  std::FILE* const pipe = popen(command.c_str(), "r");
  std::string output;
  char text[4096];
  while (const std::size_t n = std::fread(text, 1, sizeof text, pipe)) output.append(text, n);
  pclose(pipe);
  return output;
}

TEST(CaptureTest, TsharkReadsNamesIdsDirectionsAndComments) {
  if (output_of("command -v tshark").empty()) GTEST_SKIP() << "tshark is not installed";
  const std::string path = "/tmp/linegate-watch-" + std::to_string(getpid()) + ".pcapng";
  std::ofstream(path, std::ios::binary) << capture_of_a_pair();
  const std::string read =
      output_of("tshark -r " + path +
                " -T fields -e frame.interface_name -e frame.packet_id -e frame.time_epoch "
                "-e ip.src -e udp.dstport -e frame.comment 2>/dev/null");
  unlink(path.c_str());
  EXPECT_EQ(read,
            "port0\t77\t5.000000001\t10.10.0.2\t2000\talice, session 7f3a91c2\n"
            "wg0\t77\t5.000000002\t10.10.0.2\t2000\talice, session 7f3a91c2, counter 88121\n"
            "wg0\t78\t5.000000003\t10.10.0.2\t2000\talice, session 7f3a91c2, dropped: replayed: "
            "the counter was seen before or is older than the window\n");
}

// ---------------------------------------------------------------- stories

TEST(TraceTest, AStoryEndsAfterItsPacketsEnd) {
  TraceSink sink(kNames, 0);
  sink.take(record_of(5, WatchPoint::received), inner(), WallTime(1s));
  sink.take(record_of(5, WatchPoint::transmitted), inner(), WallTime(1s + 1us));
  sink.passed(WallTime(1s + 1us));
  EXPECT_EQ(sink.take_text(), "");  // another piece may follow
  sink.passed(WallTime(1010ms));
  const Json line = Json::parse(sink.take_text());
  EXPECT_EQ(line["trace"]["number"], 1);
  ASSERT_EQ(line["trace"]["steps"].size(), 2u);
  EXPECT_EQ(line["trace"]["steps"][1]["stage"], "transmitted");
  EXPECT_EQ(line["trace"]["steps"][1]["ns"], 1000);
  sink.passed(WallTime(2s));
  EXPECT_EQ(sink.take_text(), "");
}

TEST(TraceTest, OneWithoutAnEndIsToldAfterAWhileAndTheLimitHolds) {
  TraceSink sink(kNames, 1);
  sink.take(record_of(5, WatchPoint::session), {}, WallTime(1s));
  sink.take(record_of(6, WatchPoint::session), {}, WallTime(1s));
  sink.passed(WallTime(1100ms));
  EXPECT_EQ(sink.take_text(), "");
  sink.passed(WallTime(1500ms));
  EXPECT_NE(sink.take_text(), "");
  EXPECT_TRUE(sink.is_full());
  sink.finish(WallTime(2s), 4);
  EXPECT_EQ(Json::parse(sink.take_text())["end"], (Json{{"packets", 1}, {"lost", 4}}));
}

}  // namespace
}  // namespace wg::control
