// The AVX-512 + IFMA52 variant of the burst AEAD: start reading here.
//
// A burst is cut into batches of up to 32 packets, sorted by length (aead_batch.h). The steps of a batch:
//
//     packets            A (2 blocks)   B (5)   C (39)   D (1) ...             any lengths, any keys
//
//     one-time keys      | A0 B0 C0 D0 . . . . . . . . . . . . |               block 0 of 16 packets: a group
//     whole KiBs         | C1 C2 C3 C4 C5 ...             C16 |               16 blocks of one packet:
//                        | C17 C18 ...                    C32 |               a group
//     remainders         | A1 A2 B1 B2 B3 B4 B5 C33 ... C39 D1 . |             densely packed: a group
//                            |
//                            |  two groups at a time, 32 registers             chacha20_avx512.h
//                            v
//     keystream          XORed into the payloads during the rounds of the next two groups,
//                        block 0 kept as Poly1305 keys
//
//     tags               lane = packet, eight packets to a vector, or other kernels where those
//                        are faster                                          poly1305_tags_avx512.h
//
// seal() runs them in that order. open() needs the tags before the payload changes: it runs the block-zero
// groups first, then the tags, then the rest. Bursts of up to eight packets whose keystream fits 32 blocks
// would leave most lanes idle. They take one pass for everything (small_batch below) in rows of four blocks
// (chacha20_rows_avx512.h).
//
// Residual secrets: the scratch is private to a worker. The parts that held secrets (session keys in state
// rows, keystream, one-time keys) are wiped at the end of every call. Registers and spill slots on the stack
// may still hold one-time Poly1305 values and keystream of the last packets. Those are useless for any other
// packet, whose counter differs, and the next burst overwrites them. Session keys are never spilled: they
// pass from the key table to the state rows in registers, and the rounds are assembly without stack.
//
// This file is compiled with AVX-512 flags, so it must not instantiate a function template or inline function
// of the standard library with external linkage: the linker could give the AVX-512 copy to the whole program.
#include <immintrin.h>

#include <cstddef>

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/aead_scratch.h"
#include "dataplane/crypto/aead_variants.h"
#include "dataplane/crypto/chacha20_avx512.h"
#include "dataplane/crypto/chacha20_rows_avx512.h"
#include "dataplane/crypto/poly1305_tags_avx512.h"

namespace wg::crypto::avx512 {
namespace {

constexpr int kSmallBatch = 8;    // packets
constexpr int kSmallBlocks = 32;  // blocks of keystream, the one-time keys included

struct Work {
  Batch batch;
  ChachaWork chacha;
  TagColumns tags;
  alignas(64) std::uint8_t keystream[kSmallBlocks][kBlock];  // small batches
  int first_block[kSmallBatch];  // small batches: packet -> its block 0 in keystream; the kept blocks follow
};

// ---- The batch

// Computes every packet's position in order of length, equal lengths in order of arrival, by comparing each
// packet with all others, 32 at a time.
void sort_by_length(const AeadOp* ops, int count, std::uint8_t* order) {
  alignas(64) std::uint32_t sort_key[kBatchSize];
  store(sort_key, all32(0xffffffff));
  store(sort_key + 16, all32(0xffffffff));
  for (int i = 0; i < count; ++i) sort_key[i] = ops[i].length << 8 | static_cast<std::uint32_t>(i);
  const Vec low = load(sort_key);
  const Vec high = load(sort_key + 16);
  for (int i = 0; i < count; ++i) {
    const Vec own = all32(sort_key[i]);
    const int smaller = __builtin_popcount(_mm512_cmplt_epu32_mask(low, own)) +
                        __builtin_popcount(_mm512_cmplt_epu32_mask(high, own));
    order[smaller] = static_cast<std::uint8_t>(i);
  }
}

void set_order(const AeadOp* ops, int count, std::uint8_t* order) {
  std::uint32_t differences = 0;
  for (int i = 1; i < count; ++i) differences |= ops[i].length ^ ops[0].length;
  if (differences != 0) return sort_by_length(ops, count, order);
  for (int i = 0; i < count; ++i) order[i] = static_cast<std::uint8_t>(i);
}

// Writes four operations to the columns by transposing four rows of four 64-bit words.
WG_INLINE void set_four_packets(Batch& batch, int position, const AeadOp* const (&op)[4]) {
  static_assert(sizeof(AeadOp) == 32 && offsetof(AeadOp, data) == 0 && offsetof(AeadOp, key) == 8 &&
                offsetof(AeadOp, counter) == 16 && offsetof(AeadOp, length) == 24);
  const auto row = [&](int i) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(op[i])); };
  const __m256i a = row(0), b = row(1), c = row(2), d = row(3);
  const __m256i even_ab = _mm256_unpacklo_epi64(a, b), odd_ab = _mm256_unpackhi_epi64(a, b);
  const __m256i even_cd = _mm256_unpacklo_epi64(c, d), odd_cd = _mm256_unpackhi_epi64(c, d);
  const __m256i data = _mm256_permute2x128_si256(even_ab, even_cd, 0x20);
  const __m256i key = _mm256_permute2x128_si256(odd_ab, odd_cd, 0x20);
  const __m256i counter = _mm256_permute2x128_si256(even_ab, even_cd, 0x31);
  const __m256i length = _mm256_permute2x128_si256(odd_ab, odd_cd, 0x31);  // beside `authentic`
  const auto put = [position](auto* column, __m256i value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(column + position), value);
  };
  const auto put_halves = [position](std::uint32_t* column, __m256i value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(column + position), _mm256_cvtepi64_epi32(value));
  };
  put(batch.data, data);
  put(batch.key, key);
  put(batch.length, _mm256_and_si256(length, _mm256_set1_epi64x(0xffffffff)));
  put_halves(batch.length32, length);
  put_halves(batch.counter_low, counter);
  put_halves(batch.counter_high, _mm256_srli_epi64(counter, 32));
}

// Fills the batch and repeats the last packet up to a whole number of groups of `multiple` lanes, 1 or a
// multiple of 4.
void fill_batch(Batch& batch, const AeadOp* ops, int count, int multiple) {
  batch.count = count;
  set_order(ops, count, batch.order);
  if (multiple == 1) return set_packet(batch, 0, ops[0]);
  const auto op = [&](int position) { return &ops[batch.order[position < count ? position : count - 1]]; };
  for (int i = 0; i < count || i % multiple != 0; i += 4) {
    set_four_packets(batch, i, {op(i), op(i + 1), op(i + 2), op(i + 3)});
  }
}

// ---- ChaCha20: the groups of a batch

void append_group(GroupList& groups, Group::Kind kind, int packet, int first) {
  groups.group[groups.size++] = {kind, static_cast<std::uint8_t>(packet), static_cast<std::uint16_t>(first)};
}

void plan_block_zero(ChachaWork& work, int count) {
  LaneList& lanes = work.lanes;
  for (int i = 0; i < count; i += kLanes) {
    store(lanes.lane + i, _mm512_add_epi32(load(kBlockZeroLanes), all32(lane_of(0, i, 0))));
    append_group(work.groups, Group::kBlockZero, i, i);
    lanes.size = i + kLanes;
  }
}

// Appends `count` < 16 consecutive blocks of a packet, the last of them `last`; always writes 16 entries.
WG_INLINE void append_lanes(LaneList& lanes, int packet, int first_block, int count, std::uint32_t last) {
  const Vec step = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  std::uint32_t* lane = lanes.lane + lanes.size;
  store(lane, _mm512_add_epi32(all32(lane_of(kWholeBlock, packet, first_block)), step));
  lane[count - 1] = lane_of(last, packet, first_block + count - 1);
  lanes.size += count;
}

WG_INLINE void pad_lanes(LaneList& lanes) {
  store(lanes.lane + lanes.size, all32(lane_of(kNoBlock, 0, 0)));
}

void plan_payload(ChachaWork& work, const Batch& batch) {
  LaneList& lanes = work.lanes;
  const int first_lane = lanes.size;
  for (int packet = 0; packet < batch.count; ++packet) {
    const int blocks = chacha_blocks(batch.length[packet]);
    int block = 0;
    for (; block + kLanes <= blocks; block += kLanes)
      append_group(work.groups, Group::kFull, packet, 1 + block);
    if (block == blocks) continue;
    const std::uint32_t last = batch.length[packet] % kBlock == 0 ? kWholeBlock : kPartialBlock;
    append_lanes(lanes, packet, 1 + block, blocks - block, last);
  }
  pad_lanes(lanes);
  for (int i = first_lane; i < lanes.size; i += kLanes) append_group(work.groups, Group::kMixed, 0, i);
}

// ---- Wiping

// Wipes with stores that the compiler may not drop as dead.
WG_INLINE void wipe(void* memory, std::size_t size) {
  auto* p = static_cast<std::uint8_t*>(memory);
  const Vec zero = _mm512_setzero_si512();
  for (std::size_t i = 0; i < size; i += 64) _mm512_store_si512(p + i, zero);
  asm volatile("" : : "r"(memory) : "memory");
}

void wipe_keystream(ChachaWork& work) {
  for (GroupPair& pair : work.state) wipe(pair.row[4], sizeof pair.row[0] * 8);
  wipe(work.keystream, sizeof work.keystream);
  wipe(work.no_block, sizeof work.no_block);
}

void wipe_one_time_keys(Work& work) {
  wipe(work.chacha.keys, sizeof work.chacha.keys);
}

// ---- A batch

void seal_batch(Work& work, AeadOp* ops, int count) {
  fill_batch(work.batch, ops, count, kLanes);
  work.chacha.groups.size = 0;
  plan_block_zero(work.chacha, count);
  plan_payload(work.chacha, work.batch);
  run_groups(work.chacha, work.batch, 0, work.chacha.groups.size);
  wipe_keystream(work.chacha);
  compute_tags(work.batch, work.chacha.keys, work.tags);
  write_tags(work.batch, work.tags);
  wipe_one_time_keys(work);
}

std::size_t open_batch(Work& work, AeadOp* ops, int count) {
  fill_batch(work.batch, ops, count, kLanes);
  work.chacha.groups.size = 0;
  plan_block_zero(work.chacha, count);
  const int block_zero_groups = work.chacha.groups.size;
  run_groups(work.chacha, work.batch, 0, block_zero_groups);
  compute_tags(work.batch, work.chacha.keys, work.tags);
  const std::size_t authentic = check_tags(work.batch, work.tags, ops);
  plan_payload(work.chacha, work.batch);
  run_groups(work.chacha, work.batch, block_zero_groups, work.chacha.groups.size);
  wipe_keystream(work.chacha);
  wipe_one_time_keys(work);
  return authentic;
}

// ---- A small batch: block 0 and the remainder of every packet in one pass, kept as keystream until it is
// used

// The number of payload blocks in the single pass. When not all fit, run_groups takes the whole groups of 16
// before them.
int kept_blocks(std::uint64_t length, bool keep_all) {
  const int blocks = chacha_blocks(length);
  return keep_all ? blocks : blocks % kLanes;
}

struct SmallPlan {
  bool fits;
  bool keep_all;
};

SmallPlan plan_small(const AeadOp* ops, int count) {
  int every = count, remainders = count;
  for (int i = 0; i < count; ++i) {
    every += kept_blocks(ops[i].length, true);
    remainders += kept_blocks(ops[i].length, false);
  }
  return {remainders <= kSmallBlocks || every <= kSmallBlocks, every <= kSmallBlocks};
}

void list_small(Work& work, bool keep_all) {
  LaneList& lanes = work.chacha.lanes;
  lanes.size = 0;
  work.chacha.groups.size = 0;
  for (int packet = 0; packet < work.batch.count; ++packet) {
    const int blocks = chacha_blocks(work.batch.length[packet]);
    const int kept = kept_blocks(work.batch.length[packet], keep_all);
    work.first_block[packet] = lanes.size;
    append_lanes(lanes, packet, 0, 1, kWholeBlock);
    for (int i = 0; i < kept; i += kLanes) {
      append_lanes(lanes, packet, 1 + blocks - kept + i, kept - i < kLanes ? kept - i : kLanes, kWholeBlock);
    }
    for (int block = 0; block < blocks - kept; block += kLanes) {
      append_group(work.chacha.groups, Group::kFull, packet, 1 + block);
    }
  }
  pad_lanes(lanes);
}

void small_keystream(Work& work) {
  const LaneList& lanes = work.chacha.lanes;
  if (lanes.size <= kMaxRowBlocks && work.batch.count == 1 && work.chacha.groups.size == 0) {
    return consecutive_keystream(work.keystream[0], work.batch, lanes.size);
  }
  if (lanes.size <= kMaxRowBlocks) return keystream_of_rows(work.keystream[0], work.batch, lanes);

  GroupPair& state = work.chacha.state[0];
  for (int g = 0; g < 2; ++g) {
    gather_keys(state, g, work.batch, lanes.lane + kLanes * g);
    set_counters(state, g, work.batch, load(lanes.lane + kLanes * g));
  }
  rounds_of_two_groups(&state, &work.chacha.keystream[0]);
  for (int g = 0; g < 2; ++g) {
    Vec blocks[kLanes];
    load_blocks_of(work.chacha.keystream[0], g, blocks);
    for (int i = 0; i < kLanes; ++i) store(work.keystream[kLanes * g + i], blocks[i]);
  }
}

OneTimeKey small_one_time_key(const Work& work, int packet) {
  OneTimeKey key;
  __builtin_memcpy(&key, work.keystream[work.first_block[packet]], sizeof key);
  return key;
}

// Copies the one-time keys from the kept keystream into columns for the lane kernels. Idle lanes repeat the
// last packet.
void small_tags_in_lanes(Work& work) {
  OneTimeKeys& columns = work.chacha.keys[0];
  for (int i = 0; i < kPolyLanes; ++i) {
    const OneTimeKey key = small_one_time_key(work, i < work.batch.count ? i : work.batch.count - 1);
    columns.r_low[i] = key.r_low;
    columns.r_high[i] = key.r_high;
    columns.pad_low[i] = key.pad_low;
    columns.pad_high[i] = key.pad_high;
  }
  tag_groups(work.batch, 0, work.chacha.keys, work.tags);
  wipe(&columns, sizeof columns);
}

void small_tags(Work& work) {
  if (!better_alone(work.batch, 0, work.batch.count)) return small_tags_in_lanes(work);
  const auto key_of = [&](int packet) { return small_one_time_key(work, packet); };
  tag_alone(work.batch, 0, work.batch.count, key_of, work.tags);
}

void small_xor(Work& work, bool keep_all) {
  for (int packet = 0; packet < work.batch.count; ++packet) {
    std::uint64_t left = work.batch.length[packet];
    std::uint8_t* data = work.batch.data[packet];
    const std::uint8_t* keystream = work.keystream[work.first_block[packet] + 1];
    const int kept = kept_blocks(left, keep_all);
    if (kept == 0) continue;
    const auto before = static_cast<std::uint64_t>(chacha_blocks(left) - kept) * kBlock;
    data += before;
    left -= before;
    for (; left >= kBlock; left -= kBlock, data += kBlock, keystream += kBlock)
      xor_block(data, load(keystream));
    if (left != 0) xor_part(data, load(keystream), _bzhi_u64(~0ull, static_cast<unsigned>(left)));
  }
}

void wipe_small(Work& work) {
  const int listed = work.chacha.lanes.size;
  const int blocks = listed <= kMaxRowBlocks ? (listed + 1) / 2 * 2 : kSmallBlocks;  // idle lanes included
  wipe(work.keystream, static_cast<std::size_t>(blocks) * kBlock);
  if (listed > kMaxRowBlocks || work.chacha.groups.size != 0) wipe_keystream(work.chacha);
}

// Prefetches the payloads, which are needed only after their keystream. It requests no more lines than the
// processor can track; the hardware prefetcher fetches the rest of a long payload.
void prefetch_payloads(const Batch& batch) {
  const std::uint64_t longest = (batch.count == 1 ? 24 : 12) * kBlock;
  for (int packet = 0; packet < batch.count; ++packet) {
    const std::uint64_t end = batch.length[packet] + kAeadTagSize;
    for (std::uint64_t i = 0; i < (end < longest ? end : longest); i += kBlock) {
      _mm_prefetch(reinterpret_cast<const char*>(batch.data[packet] + i), _MM_HINT_T0);
    }
  }
}

void seal_small(Work& work, AeadOp* ops, int count, bool keep_all) {
  fill_batch(work.batch, ops, count, count == 1 ? 1 : kPolyLanes);
  prefetch_payloads(work.batch);
  list_small(work, keep_all);
  small_keystream(work);
  run_groups(work.chacha, work.batch, 0, work.chacha.groups.size);
  small_xor(work, keep_all);
  small_tags(work);
  write_tags(work.batch, work.tags);
  wipe_small(work);
}

std::size_t open_small(Work& work, AeadOp* ops, int count, bool keep_all) {
  fill_batch(work.batch, ops, count, count == 1 ? 1 : kPolyLanes);
  prefetch_payloads(work.batch);
  list_small(work, keep_all);
  small_keystream(work);
  small_tags(work);
  const std::size_t authentic = check_tags(work.batch, work.tags, ops);
  small_xor(work, keep_all);
  run_groups(work.chacha, work.batch, 0, work.chacha.groups.size);
  wipe_small(work);
  return authentic;
}

// ---- A burst

std::size_t open_part(Work& work, AeadOp* ops, int count) {
  if (count <= kSmallBatch) {
    const SmallPlan plan = plan_small(ops, count);
    if (plan.fits) return open_small(work, ops, count, plan.keep_all);
  }
  return open_batch(work, ops, count);
}

void seal_part(Work& work, AeadOp* ops, int count) {
  if (count <= kSmallBatch) {
    const SmallPlan plan = plan_small(ops, count);
    if (plan.fits) return seal_small(work, ops, count, plan.keep_all);
  }
  seal_batch(work, ops, count);
}

void seal(AeadScratch& scratch, std::span<AeadOp> ops) noexcept {
  Work& work = scratch.as<Work>();
  AeadOp* op = ops.data();
  for (std::size_t left = ops.size(); left > 0;) {
    const std::size_t count = left < kBatchSize ? left : kBatchSize;
    seal_part(work, op, static_cast<int>(count));
    op += count;
    left -= count;
  }
}

std::size_t open(AeadScratch& scratch, std::span<AeadOp> ops) noexcept {
  Work& work = scratch.as<Work>();
  AeadOp* op = ops.data();
  std::size_t authentic = 0;
  for (std::size_t left = ops.size(); left > 0;) {
    const std::size_t count = left < kBatchSize ? left : kBatchSize;
    authentic += open_part(work, op, static_cast<int>(count));
    op += count;
    left -= count;
  }
  return authentic;
}

}  // namespace
}  // namespace wg::crypto::avx512

namespace wg::crypto {
const AeadEngine kAeadAvx512 = {"avx512", avx512::seal, avx512::open};
}  // namespace wg::crypto
