// The AVX2 variant of the burst AEAD: groups of 8 lanes for ChaCha20, one at a time, and Poly1305 in the
// shadow of their rounds (shadow_avx2.h).
//
// Sealing: the blocks of a packet, of which block 0 is the one-time key, are cut into groups of 8. The first
// blocks % 8 of each packet are left over; those of all packets are packed densely into mixed groups. So a
// packet is complete after its last full group, and is queued for Poly1305 there:
//
//     rounds      mixed 0..3 | full 0 | full 1   | full 2   | full 3   | mixed 4..7 | full 4
//     Poly1305                        | packet 0 | packet 1 | packet 2 | packet 3   |
//
// Opening: the one-time keys of all packets come first, in groups of 8 packets, and each group queues its
// packets. A payload is decrypted in place, so not before Poly1305 has read it; the keystream of at most one
// group waits for that.
//
// Small batches: the keystream of a few blocks goes to a buffer, by rows (chacha20_rows_avx2.h) where they
// are faster than a group; two packets at a time are authenticated without a queue.
//
// Residual secrets: every part of the scratch that held secrets is wiped at the end of a batch. Registers and
// spill slots may keep one-time values of the last packets until the next burst.
//
// This file is compiled with AVX2 flags, so it must not instantiate an inline function of the standard
// library (aead_batch.h).
#include <immintrin.h>

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/aead_scratch.h"
#include "dataplane/crypto/aead_variants.h"
#include "dataplane/crypto/chacha20_avx2.h"
#include "dataplane/crypto/chacha20_rows_avx2.h"
#include "dataplane/crypto/poly1305_scalar.h"
#include "dataplane/crypto/shadow_avx2.h"

namespace wg::crypto::avx2 {
namespace {

constexpr int kSmallBatch = 8;      // packets
constexpr int kSmallBlocks = 16;    // blocks whose keystream is kept
constexpr int kSparePart = kLanes;  // where unused lanes go

struct Work {
  Kernel kernel;
  Batch batch;  // the columns of 32 bits are not used
  alignas(32) std::uint64_t counter[kBatchSize];
  LaneList lanes;
  int lanes_end[kBatchSize];  // packet -> end of its lanes
  alignas(64) std::uint8_t block_zero[kBatchSize][kBlock];
  alignas(64) std::uint8_t part[kLanes + 1][kBlock];  // keystream that cannot go to the payload
  TagColumns tags;
  // Small batches:
  alignas(64) std::uint8_t blocks[kSmallBlocks + kLanes][kBlock];  // keystream
  int blocks_used;
  int first_block[kSmallBatch];  // packet -> its block 0 in `blocks`
};

// ---- The batch

constexpr std::uint32_t kLong = 256;

// Sealing ends with Poly1305 of the last packet and opening begins with that of the first. No rounds run at
// the same time, so these packets should be short.
enum class Order { kLongFirst, kShortFirst };

void set_order(const AeadOp* ops, int count, Order order, std::uint8_t* positions) {
  std::uint8_t others[kBatchSize];
  int firsts = 0, rest = 0;
  for (int i = 0; i < count; ++i) {
    const bool first = (ops[i].length >= kLong) == (order == Order::kLongFirst);
    positions[firsts] = others[rest] = static_cast<std::uint8_t>(i);
    firsts += first;
    rest += !first;
  }
  for (int i = 0; i < rest; ++i) positions[firsts + i] = others[i];
}

void fill_batch(Work& work, const AeadOp* ops, int count, Order order) {
  Batch& batch = work.batch;
  batch.count = count;
  set_order(ops, count, order, batch.order);
  for (int i = 0; i < count; ++i) {
    const AeadOp& op = ops[batch.order[i]];
    batch.data[i] = op.data;
    batch.length[i] = op.length;
    batch.key[i] = op.key;
    work.counter[i] = op.counter;
  }
}

void wipe(void* memory, std::size_t size) {
  auto* p = static_cast<std::uint8_t*>(memory);
  for (std::size_t i = 0; i < size; i += 32) store(p + i, _mm256_setzero_si256());
  asm volatile("" : : "r"(memory) : "memory");  // keeps the compiler from dropping the stores as dead
}

void wipe_kernel(Kernel& kernel) {
  wipe(kernel.state[4], sizeof kernel.state[0] * 8);
  wipe(kernel.saved[8], sizeof kernel.saved[0] * 8);
}

void start_batch(Work& work, const AeadOp* ops, int count, Order order) {
  fill_batch(work, ops, count, order);
  reset_chains(work.kernel);
  wipe(work.block_zero, kBlock * static_cast<std::size_t>(count));  // keystream is XORed to it
}

void wipe_batch(Work& work) {
  const auto count = static_cast<std::size_t>(work.batch.count);
  wipe_kernel(work.kernel);
  wipe(work.kernel.chain, sizeof work.kernel.chain);
  wipe(work.kernel.message, sizeof(Message) * count);
  wipe(work.block_zero, kBlock * count);
  wipe(work.part[kSparePart], kBlock);
}

// ---- ChaCha20

// A block of keystream that cannot go to the payload at once: the block is the last and partly filled, or
// Poly1305 has not read the payload yet.
struct Part {
  std::uint8_t* data;
  std::uint64_t size;
};

// Whether Poly1305 still has to read the payloads before they are changed.
enum class Payloads { kFree, kQueued };

std::uint8_t* empty_part(Work& work, int index) {
  wipe(work.part[index], kBlock);
  return work.part[index];
}

WG_INLINE void finish_part(Work& work, int index, const Part& part) {
  if (part.size >= kBlock) {
    xor_half(part.data, load(work.part[index]));
    xor_half(part.data + 32, load(work.part[index] + 32));
  } else {
    xor_bytes(part.data, work.part[index], part.size);
  }
  wipe(work.part[index], kBlock);
}

// Does eight blocks of a packet. Only the last may be partly filled.
WG_INLINE void run_full_group(Work& work, int packet, int first_block) {
  Kernel& kernel = work.kernel;
  std::uint8_t* const payload = work.batch.data[packet];
  for (int i = 0; i < kLanes; ++i) {
    const int block = first_block + i;
    kernel.target[i] = block == 0 ? work.block_zero[packet] : payload + kBlock * (block - 1);
  }
  const int last = first_block + kLanes - 1;
  const std::uint64_t before_last = static_cast<std::uint64_t>(kBlock * (last - 1));
  const std::uint64_t left = work.batch.length[packet] - before_last;
  if (left >= kBlock) {
    run_group(kernel);
  } else {
    kernel.target[kLanes - 1] = empty_part(work, 0);
    run_group(kernel);
    finish_part(work, 0, {payload + before_last, left});
  }
}

// Does the same for a payload that Poly1305 still reads: its keystream waits in parts.
void run_full_group_early(Work& work, int packet, int first_block) {
  const std::uint64_t offset = static_cast<std::uint64_t>(kBlock * (first_block - 1));
  const std::uint64_t left = work.batch.length[packet] - offset;
  for (int i = 0; i < kLanes; ++i) work.kernel.target[i] = empty_part(work, i);
  run_group(work.kernel);
  finish_messages(work.kernel, packet);
  for (int i = 0; i < kLanes; ++i) {
    const auto at = static_cast<std::uint64_t>(kBlock * i);
    finish_part(work, i, {work.batch.data[packet] + offset + at, left - at});
  }
}

// Does blocks first .. end - 1 of a packet, a multiple of 8.
void run_full_groups(Work& work, Payloads payloads, int packet, int first, int end) {
  if (first == end) return;
  set_full_rows(work.kernel, work.batch.key[packet], work.counter[packet], static_cast<std::uint32_t>(first));
  const bool early = payloads == Payloads::kQueued && !is_done(work.kernel, packet);
  early ? run_full_group_early(work, packet, first) : run_full_group(work, packet, first);
  while ((first += kLanes) < end) {
    advance_full_rows(work.kernel);
    run_full_group(work, packet, first);
  }
}

// Lists the blocks of each packet, from `first_block` on, that are left over.
void list_lanes(Work& work, int first_block) {
  LaneList& lanes = work.lanes;
  lanes.size = 0;
  for (int packet = 0; packet < work.batch.count; ++packet) {
    const int blocks = chacha_blocks(work.batch.length[packet]) + 1 - first_block;
    append_lanes(lanes, packet, first_block, blocks % kLanes);
    work.lanes_end[packet] = lanes.size;
  }
  append_lanes(lanes, 0, 0, 0);  // valid values behind the end, for the unused lanes of the last group
}

// Does up to eight lanes of the list from `first` on. Returns where the next group begins.
WG_INLINE int run_mixed_group(Work& work, Payloads payloads, int first) {
  const std::uint8_t* packets = work.lanes.packet + first;
  const std::uint16_t* blocks = work.lanes.block + first;
  const int used = work.lanes.size - first < kLanes ? work.lanes.size - first : kLanes;
  Part parts[kLanes];
  int part_count = 0;
  for (int i = 0; i < used; ++i) {
    const int packet = packets[i];
    const std::int64_t offset = kBlock * (blocks[i] - 1);  // of block 0, which is never partly filled: -64
    const auto left =
        static_cast<std::uint64_t>(static_cast<std::int64_t>(work.batch.length[packet]) - offset);
    std::uint8_t* const target = blocks[i] == 0 ? work.block_zero[packet] : work.batch.data[packet] + offset;
    work.kernel.target[i] = target;
    if (left >= kBlock && (payloads == Payloads::kFree || is_done(work.kernel, packet))) continue;
    parts[part_count] = {target, left};
    work.kernel.target[i] = empty_part(work, part_count++);
  }
  for (int i = used; i < kLanes; ++i) work.kernel.target[i] = work.part[kSparePart];
  set_mixed_rows(work.kernel, work.batch.key, work.counter, packets, blocks);
  run_group(work.kernel);
  if (payloads == Payloads::kQueued) finish_messages(work.kernel, packets[used - 1]);
  for (int i = 0; i < part_count; ++i) finish_part(work, i, parts[i]);
  return first + used;
}

// ---- Poly1305

OneTimeKey one_time_key(const std::uint8_t* block_zero) {
  OneTimeKey key;
  __builtin_memcpy(&key, block_zero, sizeof key);
  return key;
}

WG_INLINE void queue_packet(Work& work, int packet) {
  queue_message(work.kernel, work.batch.data[packet], work.batch.length[packet],
                one_time_key(work.block_zero[packet]));
}

void keep_tag(Work& work, int packet, const Tag128& tag) {
  work.tags.low[packet] = tag.low;
  work.tags.high[packet] = tag.high;
}

void finish_queue(Work& work) {
  finish_messages(work.kernel, work.batch.count - 1);
  for (int i = 0; i < work.batch.count; ++i) {
    const OneTimeKey key = one_time_key(work.block_zero[i]);
    keep_tag(work, i, scalar_poly1305::finish(work.kernel.message[i].sum, key.pad_low, key.pad_high));
  }
}

// ---- A batch

void seal_batch(Work& work, AeadOp* ops, int count) {
  start_batch(work, ops, count, Order::kLongFirst);
  list_lanes(work, 0);
  int lane = 0;
  for (int packet = 0; packet < count; ++packet) {
    while (lane < work.lanes_end[packet]) lane = run_mixed_group(work, Payloads::kFree, lane);
    const int blocks = 1 + chacha_blocks(work.batch.length[packet]);
    run_full_groups(work, Payloads::kFree, packet, blocks % kLanes, blocks);
    queue_packet(work, packet);
  }
  finish_queue(work);
  write_tags(work.batch, work.tags);
  wipe_batch(work);
}

void derive_one_time_keys(Work& work, int first, int count) {
  constexpr std::uint16_t kZeros[kLanes] = {};
  std::uint8_t packets[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    packets[i] = static_cast<std::uint8_t>(i < count ? first + i : first);
    work.kernel.target[i] = i < count ? work.block_zero[first + i] : work.part[kSparePart];
  }
  set_mixed_rows(work.kernel, work.batch.key, work.counter, packets, kZeros);
  run_group(work.kernel);
}

void decrypt_batch(Work& work) {
  list_lanes(work, 1);
  int lane = 0;
  for (int packet = 0; packet < work.batch.count; ++packet) {
    while (lane < work.lanes_end[packet]) lane = run_mixed_group(work, Payloads::kQueued, lane);
    const int blocks = chacha_blocks(work.batch.length[packet]);
    run_full_groups(work, Payloads::kQueued, packet, 1 + blocks % kLanes, 1 + blocks);
  }
}

std::size_t open_batch(Work& work, AeadOp* ops, int count) {
  start_batch(work, ops, count, Order::kShortFirst);
  for (int first = 0; first < count; first += kLanes) {
    const int used = count - first < kLanes ? count - first : kLanes;
    derive_one_time_keys(work, first, used);
    for (int i = 0; i < used; ++i) queue_packet(work, first + i);
  }
  decrypt_batch(work);
  finish_queue(work);
  const std::size_t authentic = check_tags(work.batch, work.tags, ops);
  wipe_batch(work);
  return authentic;
}

// ---- A small batch: the keystream of the packets' first blocks is kept until it is used

// How many blocks of a packet have their keystream kept: all of a short packet, and of a longer one those
// that are left over, block 0 among them. A packet alone counts as short up to two runs of rows.
int kept_blocks(std::uint64_t length, int count) {
  const int blocks = 1 + chacha_blocks(length);
  return blocks <= (count == 1 ? 2 * kRowBlocks : kLanes) ? blocks : (blocks - 1) % kLanes + 1;
}

// Packets with full groups form a small batch only while they are too few to fill the shadow.
constexpr int kFewToSeal = 2, kFewToOpen = 4;

bool is_small(const AeadOp* ops, int count, int few) {
  if (count > kSmallBatch) return false;
  int kept = 0, blocks = 0;
  for (int i = 0; i < count; ++i) {
    kept += kept_blocks(ops[i].length, count);
    blocks += 1 + chacha_blocks(ops[i].length);
  }
  return kept <= kSmallBlocks && (kept == blocks || count <= few);
}

// Makes the keystream of lanes first .. first + 7 of the list.
void small_group(Work& work, int first) {
  for (int i = 0; i < kLanes; ++i) work.kernel.target[i] = work.blocks[first + i];
  set_mixed_rows(work.kernel, work.batch.key, work.counter, work.lanes.packet + first,
                 work.lanes.block + first);
  keystream_group(work.kernel);
}

template <int kSets>
void small_rows(Work& work, int first) {
  keystream_of_rows<kSets>(work.blocks[first], work.batch.key, work.counter, work.lanes.packet + first,
                           work.lanes.block + first);
}

// Measured on Sapphire Rapids: one set takes 0.46, two 0.68, three 0.83 of a group's time.
int small_step(Work& work, int first, int left) {
  if (left <= 2) {
    small_rows<1>(work, first);
    return 2;
  }
  if (left <= 4) {
    small_rows<2>(work, first);
    return 4;
  }
  if (left <= 6 || (left > 8 && left <= 12)) {
    small_rows<3>(work, first);
    return 6;
  }
  small_group(work, first);
  return kLanes;
}

void prepare_small(Work& work, const AeadOp* ops, int count) {
  fill_batch(work, ops, count, Order::kShortFirst);
  LaneList& lanes = work.lanes;
  lanes.size = 0;
  for (int packet = 0; packet < count; ++packet) {
    work.first_block[packet] = lanes.size;
    const int blocks = kept_blocks(work.batch.length[packet], count);
    append_lanes(lanes, packet, 0, blocks < kLanes ? blocks : kLanes);
    if (blocks > kLanes) append_lanes(lanes, packet, kLanes, blocks - kLanes);
  }
  append_lanes(lanes, 0, 0, 0);
  int lane = 0;
  while (lane < lanes.size) lane += small_step(work, lane, lanes.size - lane);
  work.blocks_used = lane;
}

void small_crypt(Work& work) {
  for (int packet = 0; packet < work.batch.count; ++packet) {
    std::uint8_t* data = work.batch.data[packet];
    const std::uint64_t length = work.batch.length[packet];
    const int kept = kept_blocks(length, work.batch.count);
    const std::uint64_t kept_bytes = static_cast<std::uint64_t>(kBlock * (kept - 1));
    std::uint64_t left = length < kept_bytes ? length : kept_bytes;
    const std::uint8_t* keystream = work.blocks[work.first_block[packet] + 1];
    for (; left >= 32; left -= 32, data += 32, keystream += 32) xor_half(data, load(keystream));
    xor_bytes(data, keystream, left);
    const int blocks = 1 + chacha_blocks(length);
    if (kept == blocks) continue;
    reset_chains(work.kernel);
    run_full_groups(work, Payloads::kFree, packet, kept, blocks);
  }
}

// Computes the tags of two neighbours together, the shorter first.
void small_tags(Work& work) {
  const Batch& batch = work.batch;
  const auto key_of = [&](int packet) { return one_time_key(work.blocks[work.first_block[packet]]); };
  int i = 0;
  for (; i + 1 < batch.count; i += 2) {
    const int longer = batch.length[i] > batch.length[i + 1] ? i : i + 1, shorter = 2 * i + 1 - longer;
    const scalar_poly1305::TwoTags two =
        scalar_poly1305::tag_two(batch.data[shorter], batch.length[shorter], key_of(shorter),
                                 batch.data[longer], batch.length[longer], key_of(longer));
    keep_tag(work, shorter, two.first);
    keep_tag(work, longer, two.second);
  }
  if (i < batch.count) keep_tag(work, i, scalar_poly1305::tag(batch.data[i], batch.length[i], key_of(i)));
}

void wipe_small(Work& work) {
  wipe_kernel(work.kernel);
  wipe(work.blocks, kBlock * static_cast<std::size_t>(work.blocks_used));
}

void seal_small(Work& work, AeadOp* ops, int count) {
  prepare_small(work, ops, count);
  small_crypt(work);
  small_tags(work);
  write_tags(work.batch, work.tags);
  wipe_small(work);
}

std::size_t open_small(Work& work, AeadOp* ops, int count) {
  prepare_small(work, ops, count);
  small_tags(work);
  const std::size_t authentic = check_tags(work.batch, work.tags, ops);
  small_crypt(work);
  wipe_small(work);
  return authentic;
}

// ---- A burst

void seal(AeadScratch& scratch, std::span<AeadOp> ops) noexcept {
  Work& work = scratch.as<Work>();
  set_constant_rows(work.kernel);
  AeadOp* op = ops.data();
  for (std::size_t left = ops.size(); left > 0;) {
    const int count = static_cast<int>(left < kBatchSize ? left : kBatchSize);
    is_small(op, count, kFewToSeal) ? seal_small(work, op, count) : seal_batch(work, op, count);
    op += count;
    left -= static_cast<std::size_t>(count);
  }
}

std::size_t open(AeadScratch& scratch, std::span<AeadOp> ops) noexcept {
  Work& work = scratch.as<Work>();
  set_constant_rows(work.kernel);
  AeadOp* op = ops.data();
  std::size_t authentic = 0;
  for (std::size_t left = ops.size(); left > 0;) {
    const int count = static_cast<int>(left < kBatchSize ? left : kBatchSize);
    authentic += is_small(op, count, kFewToOpen) ? open_small(work, op, count) : open_batch(work, op, count);
    op += count;
    left -= static_cast<std::size_t>(count);
  }
  return authentic;
}

}  // namespace
}  // namespace wg::crypto::avx2

namespace wg::crypto {
const AeadEngine kAeadAvx2 = {"avx2", avx2::seal, avx2::open};
}  // namespace wg::crypto
