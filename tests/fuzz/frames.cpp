// Whole frames through the real worker, classification to transmission, over ports in memory.
//
// An input is a list of records: operation, argument, length (two bytes), bytes. Some operations repair what
// stands in front of the code behind: MAC address, IPv4 header checksum, outer headers, key and counter.
#include <sodium.h>

#include <algorithm>
#include <cstdlib>

#include "tests/worker_world/world.h"

namespace {

using namespace wg::test;

void must(bool holds) {
  if (!holds) std::abort();
}

constexpr std::size_t kLongest = 1600;       // of a frame in one buffer
constexpr std::size_t kLongestChain = 6000;  // in several

enum Operation : std::uint8_t {
  kAnyFrame,
  kToUs,
  kMessage,
  kSealed,
  kFromHost,
  kChain,
  kTime,
  kPeer,
  kOperations
};

// The worker's tables cost more than an input, so there is one of them; sessions are renewed for each.
WorkerWorld& world() {
  static WorkerWorld w;
  return w;
}

const TestPeer& peer_of(std::uint8_t argument) {
  return argument % 3 == 0 ? kAlice : argument % 3 == 1 ? kBob : kCarol;
}

// Addressed to our port, with an IPv4 header checksum that holds where there is a header.
Octets repaired(Octets frame, wg::dataplane::PortIndex port, std::uint8_t argument) {
  if (frame.size() < 14) return frame;
  const Octets& mac = port == kWan ? kWanMac : kLanMac;
  std::copy(mac.begin(), mac.end(), frame.begin());
  if (argument % 4 == 0) return frame;
  const bool v6 = argument % 4 == 1;
  put16(frame, 12, v6 ? 0x86dd : 0x0800);
  if (v6 || frame.size() < 34) return frame;
  if (argument % 4 == 2) frame[14] = 0x45;
  put16(frame, 24, 0);
  put16(frame, 24, ~ones_sum(frame, 14, 34) & 0xffff);
  return frame;
}

struct Fuzzed {
  WorkerWorld& w = world();
  std::uint64_t counter = 0;
  std::size_t waiting = 0;  // frames on the wires that no loop has taken yet
  bool strangers_only = true;

  void arrive(wg::dataplane::PortIndex port, const Octets& frame, std::size_t segments = 1) {
    w.arrive(port, frame, segments);
    if (++waiting == 24) loop();
  }
  void loop() {
    waiting = 0;
    w.loop();
    w.loop();
    const auto wan = w.transmitted(kWan), lan = w.transmitted(kLan);
    // No host without a key gets an answer, or anything through.
    must(!strangers_only || (wan.empty() && lan.empty()));
    for (const auto& frame : wan) must(frame.size() >= 14 && frame.size() <= 14 + 9000);
    w.handshakes();
    w.events();
    must(w.missing_buffers() == 0);
  }
  void apply(Operation operation, std::uint8_t argument, Octets bytes) {
    const TestPeer& peer = peer_of(argument);
    const wg::dataplane::PortIndex port = argument & 0x80 ? kLan : kWan;
    if (operation != kMessage && operation != kTime) strangers_only = false;
    switch (operation) {
      case kAnyFrame:
        return arrive(port, bytes);
      case kToUs:
        return arrive(port, repaired(std::move(bytes), port, argument));
      case kMessage:
        return arrive(kWan, outer_from(peer, bytes, argument));
      case kSealed:
        return arrive(kWan, outer_from(peer, message_from(peer, counter++, bytes, bytes.size()), argument));
      case kFromHost:
        return arrive(kLan, repaired(slice(from_host().build(), 0, 14) + bytes, kLan, argument));
      case kChain:
        bytes.resize(std::min(bytes.size() * 4, kLongestChain), 0x45);
        return arrive(port, repaired(std::move(bytes), port, argument), 2 + argument % 8);
      case kTime:
        return w.advance_clock(std::chrono::milliseconds(argument) * 100);
      default:
        loop();
        if (argument & 0x10) return w.remove_session(peer);
        if (argument & 0x20) return w.set_session(peer, {.initiator = false, .confirmed = false});
        return w.set_session(
            peer, {.age = std::chrono::seconds(argument), .counter = argument & 0x40 ? ~0ull - 8200 : 0});
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Fuzzed fuzzed;
  for (const TestPeer* peer : {&kAlice, &kBob, &kCarol}) fuzzed.w.set_session(*peer, {});
  for (int records = 0; size >= 4 && records < 64; ++records) {
    const std::size_t length =
        std::min<std::size_t>({data[2] | static_cast<std::size_t>(data[3]) << 8, size - 4, kLongest});
    fuzzed.apply(static_cast<Operation>(data[0] % kOperations), data[1], {data + 4, data + 4 + length});
    data += 4 + length;
    size -= 4 + length;
  }
  fuzzed.loop();
  return 0;
}
