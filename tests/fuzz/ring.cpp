// The input is what a program writes into the memory that it shares: words, lengths, and the begin of packets
// with the headers of super-packets. The gateway's ends must stay within the memory and in their place, and
// what they give must fit.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "dataplane/io/program_offloads.h"
#include "dataplane/ring/ring_ends.h"
#include "tests/fuzz/input.h"

namespace {

using wg::fuzz::Input;
using wg::fuzz::require;

using namespace wg::dataplane;

constexpr std::uint32_t kSlots = 2, kSteps = 32;

// Of exactly this size: aligned_alloc() wants a multiple of the page.
std::uint8_t* allocate(std::size_t bytes) {
  void* memory = nullptr;
  require(posix_memalign(&memory, RING_PAGE, bytes) == 0);
  return static_cast<std::uint8_t*>(memory);
}

// One way of a queue, in memory of the heap, so that AddressSanitizer sees a step beyond it.
class Memory {
 public:
  explicit Memory(std::uint32_t slot_bytes)
      : slot_bytes_(slot_bytes), bytes_(allocate(ring_bytes(kSlots, slot_bytes)), &std::free) {
    std::memset(bytes_.get(), 0, ring_bytes(kSlots, slot_bytes));
  }
  std::uint8_t* get() { return bytes_.get(); }
  ring_words& words() { return *reinterpret_cast<ring_words*>(bytes_.get()); }
  // A length and the begin of a packet; the word that the program owns, near the truth or far from it.
  void write(Input& input, std::uint32_t& word) {
    const auto slot = input.take<std::uint8_t>() % kSlots;
    const auto kind = input.take<std::uint8_t>();
    auto* const lengths = reinterpret_cast<std::uint32_t*>(bytes_.get() + RING_LENGTHS_OFFSET);
    lengths[slot] = (kind & 1) != 0 ? input.take<std::uint16_t>() : input.take<std::uint32_t>();
    const auto begin = input.take_bytes(10 + 80);
    std::copy(begin.begin(), begin.end(),
              bytes_.get() + ring_slots_offset(kSlots) + std::size_t{slot} * slot_bytes_);
    word = (kind & 2) != 0 ? input.take<std::uint32_t>() : word + input.take<std::uint8_t>() % (kSlots + 2);
  }

 private:
  const std::uint32_t slot_bytes_;
  std::unique_ptr<std::uint8_t, decltype(&std::free)> bytes_;
};

void read_all(RingReader& reader, ProgramOffloads* offloads) {
  std::vector<std::uint8_t> to(1600);
  std::uint32_t there = reader.available();
  require(there <= kSlots);
  for (std::size_t i = 0; i < 64 && (there != 0 || (offloads != nullptr && offloads->pending())); ++i) {
    const bool pending = offloads != nullptr && offloads->pending();
    if (!pending) --there;
    const std::size_t length = offloads != nullptr ? offloads->take(reader, to) : reader.take(to);
    require(length <= to.size());
  }
  [[maybe_unused]] const bool wake = reader.finish();
}

void write_all(RingWriter& writer, bool with_header) {
  std::uint8_t packet[100] = {0x45};
  const std::uint32_t room = writer.room();
  require(room <= kSlots);
  for (std::uint32_t i = 0; i < room; ++i) {
    const iovec piece{packet, sizeof packet};
    if (with_header) {
      ProgramOffloads::put(writer, {}, {&piece, 1});
    } else {
      writer.put(packet);
    }
  }
  [[maybe_unused]] const bool wake = writer.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const bool with_header = (input.take<std::uint8_t>() & 1) != 0;
  const std::uint32_t slot_bytes = with_header ? ProgramOffloads::kSlotBytes : 2048;
  Memory in(slot_bytes), out(slot_bytes);
  RingReader reader(in.get(), kSlots, slot_bytes);
  RingWriter writer(out.get(), kSlots, slot_bytes);
  ProgramOffloads offloads(true);
  for (std::uint32_t step = 0; step < kSteps && !input.empty(); ++step) {
    in.write(input, in.words().produced);
    out.write(input, out.words().consumed);
    read_all(reader, with_header ? &offloads : nullptr);
    write_all(writer, with_header);
  }
  return 0;
}
