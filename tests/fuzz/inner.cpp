// What a peer can put inside: any plaintext, authentically sealed, through the worker's receive path after
// the tag.
//
// An input is one byte each for the peer, the outer TOS and the padding, then the plaintext.
#include <sodium.h>

#include <cstdlib>

#include "tests/worker_world/world.h"

namespace {

using namespace wg::test;

void must(bool holds) {
  if (!holds) std::abort();
}

std::uint64_t sum(const std::map<std::string, std::uint64_t>& counters) {
  std::uint64_t n = 0;
  for (const auto& [name, count] : counters) n += count;
  return n;
}

// I3: what leaves towards the LAN has its sender's address, is exactly as long as it says, and carries what
// was sealed.
void check_delivered(const Octets& frame, const Octets& plain, const TestPeer& peer) {
  must(frame.size() >= 14 + 20);
  const bool v6 = frame[14] >> 4 == 6;
  must(v6 || frame[14] >> 4 == 4);
  const std::size_t length = v6 ? 40u + get16(frame, 18) : get16(frame, 16);
  must(frame.size() == 14 + length);
  must(slice(frame, v6 ? 22 : 26, v6 ? 38 : 30) == address(v6 ? peer.inside6 : peer.inside4));
  const std::size_t header = v6 ? 40 : (frame[14] & 15) * 4u;
  must(slice(frame, 14 + header, frame.size()) == slice(plain, header, length));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static WorkerWorld w;
  if (size < 3) return 0;
  const TestPeer& peer = data[0] % 3 == 0 ? kAlice : data[0] % 3 == 1 ? kBob : kCarol;
  const std::uint8_t tos = data[1];
  const Octets plain(data + 3, data + std::min<std::size_t>(size, 3 + 1500));
  const std::size_t padded = data[2] % 2 == 0 ? kPadTo16 : plain.size();
  w.set_session(peer, {});
  const auto before = w.drops();
  const auto keepalives = w.worker().counters().keepalives_received.get();
  w.arrive(kWan, outer_from(peer, message_from(peer, 0, plain, padded), tos));
  w.loop();
  const auto lan = w.transmitted(kLan), wan = w.transmitted(kWan);
  const std::uint64_t dropped = sum(w.drops()) - sum(before);
  // I8: delivered, passed on to a peer, a keepalive, or dropped for a reason.
  must(lan.size() + wan.size() + dropped + (w.worker().counters().keepalives_received.get() - keepalives) >=
       1);
  must(lan.size() <= 1);
  for (const auto& frame : lan) check_delivered(frame, plain, peer);
  must(w.handshakes().empty());
  w.events();
  must(w.missing_buffers() == 0);
  // Whatever it was, it was authentic: the counter is used up.
  const std::uint64_t replayed_before = w.drops()["replayed"];
  w.arrive(kWan, outer_from(peer, message_from(peer, 0, plain, padded), tos));
  w.loop();
  must(w.transmitted(kLan).empty());
  must(w.drops()["replayed"] == replayed_before + 1);
  w.transmitted(kWan);
  w.events();
  must(w.missing_buffers() == 0);
  return 0;
}
