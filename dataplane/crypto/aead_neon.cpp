// The NEON variant of the burst AEAD: ChaCha20 in groups of 4 lanes, and Poly1305 in the shadow of their
// rounds.
//
// A lane is a block of ChaCha20. The whole blocks of a packet, four at a time, are full groups. What is left,
// block 0 (the one-time key) among it, are loose blocks. Those of all packets are packed densely into mixed
// groups, whose keystream is kept until the payload is changed.
//
// Poly1305 runs in general registers, which ChaCha20 does not use: between the rounds of a full group two
// blocks of another packet are absorbed (Shadow). It takes the packets in order: sealed ones once their
// ciphertext is complete, ones to open from the start, and each of these is finished before its payload is
// changed.
//
//     seal    loose | groups of packet 0 | groups of packet 1            | groups of packet 2
//                                        | Poly1305 of packet 0          | Poly1305 of packet 1
//     open    loose, Poly1305 of packet 0 | groups of packet 0           | groups of packet 1
//                                         | Poly1305 of packets 1, 2 ... |
//
// Residual secrets: every part of the scratch that held secrets is wiped at the end of a batch. Registers and
// spill slots may keep one-time values of the last packets until the next burst.
#include <arm_neon.h>

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/aead_scratch.h"
#include "dataplane/crypto/aead_variants.h"
#include "dataplane/crypto/poly1305_scalar.h"

namespace wg::crypto::neon {
namespace {

constexpr int kLanes = 4;
constexpr int kRows = 16;
constexpr int kBlock = 64;
constexpr int kMaxLoose = 5;  // of a packet: block 0, at most 3 whole ones, and the last, partly filled one
constexpr int kDoubleRounds = 10;
constexpr int kAbsorbed = 2;  // Poly1305 blocks per double round

using Row = uint32x4_t;

// Poly1305 of the batch's packets, one after the other.
struct Shadow {
  int packet;  // the one that is being absorbed
  int ready;   // packets before this one may be read
  scalar_poly1305::Sum sum;
  scalar_poly1305::Clamped r;
  const std::uint8_t* at;
  std::uint64_t left;  // whole blocks
};

struct Work {
  alignas(64) Row state[kRows];  // of the group
  Batch batch;                   // the columns of 32 bits are not used
  std::uint64_t counter[kBatchSize];
  Shadow shadow;
  TagColumns tags;
  int loose_end;                // of all packets
  int first_loose[kBatchSize];  // packet -> its block 0 in `loose`
  std::uint8_t lane_packet[kBatchSize * kMaxLoose + kLanes];
  std::uint32_t lane_block[kBatchSize * kMaxLoose + kLanes];
  alignas(64) std::uint8_t loose[kBatchSize * kMaxLoose + kLanes][kBlock];  // keystream
};

WG_INLINE uint8x16_t load(const std::uint8_t* from) {
  return vld1q_u8(from);
}
WG_INLINE void store(std::uint8_t* to, uint8x16_t value) {
  vst1q_u8(to, value);
}

void wipe(void* memory, std::size_t size) {
  __builtin_memset(memory, 0, size);
  asm volatile("" : : "r"(memory) : "memory");  // keeps the compiler from dropping the stores as dead
}

// ---- ChaCha20

template <int kBits>
WG_INLINE Row rotate(Row row) {
  if constexpr (kBits == 16) return vreinterpretq_u32_u16(vrev32q_u16(vreinterpretq_u16_u32(row)));
  if constexpr (kBits == 8) {
    const uint8x16_t from = {3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14};
    return vreinterpretq_u32_u8(vqtbl1q_u8(vreinterpretq_u8_u32(row), from));
  }
  return vsriq_n_u32(vshlq_n_u32(row, kBits), row, 32 - kBits);
}

// One step of four quarter rounds side by side: a += b, d = (d ^ a) <<< bits. a, b, c and d are rows 0, 4, 8
// and 12 and those after them; in a diagonal round they are shifted, and wrap around within their four.
template <int kBits, int kShiftB, int kShiftD>
WG_INLINE void add_xor_rotate(Row (&x)[kRows]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    Row& sum = x[i];
    Row& mixed = x[12 + (i + kShiftD) % 4];
    sum = vaddq_u32(sum, x[4 + (i + kShiftB) % 4]);
    mixed = rotate<kBits>(veorq_u32(mixed, sum));
  }
}
// The other half: c += d, b = (b ^ c) <<< bits.
template <int kBits, int kShiftB, int kShiftC, int kShiftD>
WG_INLINE void add_xor_rotate_back(Row (&x)[kRows]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    Row& sum = x[8 + (i + kShiftC) % 4];
    Row& mixed = x[4 + (i + kShiftB) % 4];
    sum = vaddq_u32(sum, x[12 + (i + kShiftD) % 4]);
    mixed = rotate<kBits>(veorq_u32(mixed, sum));
  }
}

template <int kB, int kC, int kD>  // how far the diagonal has moved
WG_INLINE void quarter_rounds(Row (&x)[kRows]) {
  add_xor_rotate<16, kB, kD>(x);
  add_xor_rotate_back<12, kB, kC, kD>(x);
  add_xor_rotate<8, kB, kD>(x);
  add_xor_rotate_back<7, kB, kC, kD>(x);
}

WG_INLINE void double_round(Row (&x)[kRows]) {
  quarter_rounds<0, 0, 0>(x);
  quarter_rounds<1, 2, 3>(x);
}

// Rows 4i .. 4i + 3 of four lanes become 16 bytes of each lane's block.
WG_INLINE void transpose(Row (&x)[4]) {
  const uint32x4x2_t even = vtrnq_u32(x[0], x[1]), odd = vtrnq_u32(x[2], x[3]);
  const auto wide = [](Row row) __attribute__((always_inline)) {
    return vreinterpretq_u64_u32(row);
  };
  x[0] = vreinterpretq_u32_u64(vtrn1q_u64(wide(even.val[0]), wide(odd.val[0])));
  x[1] = vreinterpretq_u32_u64(vtrn1q_u64(wide(even.val[1]), wide(odd.val[1])));
  x[2] = vreinterpretq_u32_u64(vtrn2q_u64(wide(even.val[0]), wide(odd.val[0])));
  x[3] = vreinterpretq_u32_u64(vtrn2q_u64(wide(even.val[1]), wide(odd.val[1])));
}

WG_INLINE void set_constants(Row (&state)[kRows]) {
  state[0] = vdupq_n_u32(0x61707865);  // "expand 32-byte k"
  state[1] = vdupq_n_u32(0x3320646e);
  state[2] = vdupq_n_u32(0x79622d32);
  state[3] = vdupq_n_u32(0x6b206574);
}

// Four blocks of one packet, from `block` on.
WG_INLINE void set_full(Work& work, int packet, std::uint32_t block) {
  Row(&state)[kRows] = work.state;
  const std::uint8_t* const key = work.batch.key[packet];
  const std::uint64_t counter = work.counter[packet];
  set_constants(state);
  const Row low = vreinterpretq_u32_u8(load(key)), high = vreinterpretq_u32_u8(load(key + 16));
  state[4] = vdupq_laneq_u32(low, 0);
  state[5] = vdupq_laneq_u32(low, 1);
  state[6] = vdupq_laneq_u32(low, 2);
  state[7] = vdupq_laneq_u32(low, 3);
  state[8] = vdupq_laneq_u32(high, 0);
  state[9] = vdupq_laneq_u32(high, 1);
  state[10] = vdupq_laneq_u32(high, 2);
  state[11] = vdupq_laneq_u32(high, 3);
  const Row lanes = {0, 1, 2, 3};
  state[12] = vaddq_u32(vdupq_n_u32(block), lanes);
  state[13] = vdupq_n_u32(0);
  state[14] = vdupq_n_u32(static_cast<std::uint32_t>(counter));
  state[15] = vdupq_n_u32(static_cast<std::uint32_t>(counter >> 32));
}

// Four lanes of the list, each with a key and a counter of its own.
WG_INLINE void set_mixed(Work& work, int first) {
  Row(&state)[kRows] = work.state;
  set_constants(state);
  Row low[kLanes], high[kLanes], last[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const int packet = work.lane_packet[first + i];
    const std::uint64_t counter = work.counter[packet];
    low[i] = vreinterpretq_u32_u8(load(work.batch.key[packet]));
    high[i] = vreinterpretq_u32_u8(load(work.batch.key[packet] + 16));
    last[i] = Row{work.lane_block[first + i], 0, static_cast<std::uint32_t>(counter),
                  static_cast<std::uint32_t>(counter >> 32)};
  }
  transpose(low);
  transpose(high);
  transpose(last);
  for (int i = 0; i < kLanes; ++i) {
    state[4 + i] = low[i];
    state[8 + i] = high[i];
    state[12 + i] = last[i];
  }
}

WG_INLINE void add_state(Row (&x)[kRows], const Row (&state)[kRows]) {
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) x[i] = vaddq_u32(x[i], state[i]);
}

// Calls put(lane, sixteenth, bytes) for each 16 bytes of keystream.
template <typename Put>
WG_INLINE void each_sixteenth(const Row (&x)[kRows], Put put) {
#pragma GCC unroll 4
  for (int quad = 0; quad < 4; ++quad) {
    Row rows[4] = {x[4 * quad], x[4 * quad + 1], x[4 * quad + 2], x[4 * quad + 3]};
    transpose(rows);
#pragma GCC unroll 4
    for (int lane = 0; lane < kLanes; ++lane) put(lane, quad, vreinterpretq_u8_u32(rows[lane]));
  }
}

// ---- Poly1305

OneTimeKey one_time_key(const Work& work, int packet) {
  OneTimeKey key;
  __builtin_memcpy(&key, work.loose[work.first_loose[packet]], sizeof key);
  return key;
}

void keep_tag(Work& work, int packet, const Tag128& tag) {
  work.tags.low[packet] = tag.low;
  work.tags.high[packet] = tag.high;
}

// Begins with the shadow's packet, when it may be read.
void begin_packet(Work& work) {
  Shadow& shadow = work.shadow;
  if (shadow.packet >= shadow.ready) return;
  shadow.sum = {0, 0, 0};
  shadow.r = scalar_poly1305::clamp(one_time_key(work, shadow.packet));
  shadow.at = work.batch.data[shadow.packet];
  shadow.left = work.batch.length[shadow.packet] / 16;
}

bool has_begun(const Work& work) {
  return work.shadow.at != nullptr;
}

void next_packet(Work& work, int count) {
  work.shadow.packet += count;
  work.shadow.at = nullptr;
  work.shadow.left = 0;
}

// Does the rest of the shadow's packet without rounds beside it.
void finish_packet(Work& work) {
  Shadow& shadow = work.shadow;
  if (!has_begun(work)) begin_packet(work);
  const std::uint8_t* const end = shadow.at + 16 * shadow.left;
  const scalar_poly1305::Sum sum = scalar_poly1305::absorb_whole(shadow.sum, shadow.at, end, shadow.r);
  keep_tag(work, shadow.packet,
           scalar_poly1305::finish_packet(sum, end, work.batch.length[shadow.packet], shadow.r,
                                          one_time_key(work, shadow.packet)));
  next_packet(work, 1);
}

// Two packets side by side, of which none has begun.
void finish_two(Work& work) {
  const Batch& batch = work.batch;
  const int first = work.shadow.packet;
  const int longer = batch.length[first] > batch.length[first + 1] ? first : first + 1;
  const int shorter = 2 * first + 1 - longer;
  const scalar_poly1305::TwoTags two =
      scalar_poly1305::tag_two(batch.data[shorter], batch.length[shorter], one_time_key(work, shorter),
                               batch.data[longer], batch.length[longer], one_time_key(work, longer));
  keep_tag(work, shorter, two.first);
  keep_tag(work, longer, two.second);
  next_packet(work, 2);
}

// Finishes packets up to this one, and perhaps one more.
void finish_through(Work& work, int packet) {
  while (work.shadow.packet <= packet) {
    const bool two = !has_begun(work) && work.shadow.packet + 1 < work.shadow.ready;
    two ? finish_two(work) : finish_packet(work);
  }
}

// Before a group: there should be something to absorb.
void prepare_shadow(Work& work) {
  if (has_begun(work) && work.shadow.left < kAbsorbed) finish_packet(work);
  if (!has_begun(work)) begin_packet(work);
}

// The rounds of a group, with Poly1305 blocks between them.
WG_INLINE void rounds_with_shadow(Row (&x)[kRows], Shadow& shadow) {
  scalar_poly1305::Sum sum = shadow.sum;
  const scalar_poly1305::Clamped r = shadow.r;
  const std::uint8_t* at = shadow.at;
  std::uint64_t pairs = shadow.left / kAbsorbed < kDoubleRounds ? shadow.left / kAbsorbed : kDoubleRounds;
  shadow.left -= kAbsorbed * pairs;
  for (int round = 0; round < kDoubleRounds; ++round) {
    double_round(x);
    if (pairs == 0) continue;
    sum = scalar_poly1305::absorb_whole(sum, at, at + 16 * kAbsorbed, r);
    at += 16 * kAbsorbed;
    --pairs;
  }
  shadow.sum = sum;
  shadow.at = at;
}

// ---- A batch

void add_lane(Work& work, int packet, std::uint32_t block) {
  work.lane_packet[work.loose_end] = static_cast<std::uint8_t>(packet);
  work.lane_block[work.loose_end++] = block;
}

std::uint32_t full_groups(std::uint64_t length) {
  return static_cast<std::uint32_t>(length / (kBlock * kLanes));
}

// Lists block 0 of each packet, and its blocks behind the last full group.
void list_loose(Work& work) {
  work.loose_end = 0;
  for (int packet = 0; packet < work.batch.count; ++packet) {
    work.first_loose[packet] = work.loose_end;
    add_lane(work, packet, 0);
    const std::uint64_t length = work.batch.length[packet];
    const auto blocks = static_cast<std::uint32_t>(chacha_blocks(length));
    for (std::uint32_t block = 1 + kLanes * full_groups(length); block <= blocks; ++block)
      add_lane(work, packet, block);
  }
  for (int i = 0; i < kLanes; ++i) {  // valid values for the unused lanes of the last group
    work.lane_packet[work.loose_end + i] = 0;
    work.lane_block[work.loose_end + i] = 0;
  }
}

void make_loose(Work& work, int first) {
  set_mixed(work, first);
  Row x[kRows];
  for (int i = 0; i < kRows; ++i) x[i] = work.state[i];
  for (int round = 0; round < kDoubleRounds; ++round) double_round(x);
  add_state(x, work.state);
  each_sixteenth(
      x, [&](int lane, int sixteenth, uint8x16_t bytes)
             __attribute__((always_inline)) { store(work.loose[first + lane] + 16 * sixteenth, bytes); });
}

void start_batch(Work& work, const AeadOp* ops, int count) {
  Batch& batch = work.batch;
  batch.count = count;
  for (int i = 0; i < count; ++i) {
    batch.data[i] = ops[i].data;
    batch.length[i] = ops[i].length;
    batch.key[i] = ops[i].key;
    batch.order[i] = static_cast<std::uint8_t>(i);
    work.counter[i] = ops[i].counter;
  }
  list_loose(work);
  for (int lane = 0; lane < work.loose_end; lane += kLanes) make_loose(work, lane);
  work.shadow = {};
}

void wipe_batch(Work& work) {
  wipe(work.loose, sizeof work.loose[0] * static_cast<std::size_t>(work.loose_end + kLanes));
  wipe(work.state, sizeof work.state);
  wipe(&work.shadow, sizeof work.shadow);
}

void run_full_group(Work& work, int packet, std::uint32_t group) {
  set_full(work, packet, 1 + group * kLanes);
  Row x[kRows];
  for (int i = 0; i < kRows; ++i) x[i] = work.state[i];
  prepare_shadow(work);
  rounds_with_shadow(x, work.shadow);
  add_state(x, work.state);
  std::uint8_t* const to = work.batch.data[packet] + std::size_t{group} * kLanes * kBlock;
  each_sixteenth(
      x, [to](int lane, int sixteenth, uint8x16_t bytes) __attribute__((always_inline)) {
        std::uint8_t* const at = to + kBlock * lane + 16 * sixteenth;
        store(at, veorq_u8(load(at), bytes));
      });
}

// The payload behind the last full group.
void crypt_rest(Work& work, int packet) {
  const std::uint64_t length = work.batch.length[packet];
  const std::uint64_t done = std::uint64_t{full_groups(length)} * kLanes * kBlock;
  std::uint8_t* data = work.batch.data[packet] + done;
  const std::uint8_t* keystream = work.loose[work.first_loose[packet] + 1];
  std::uint64_t left = length - done;
  for (; left >= 16; left -= 16, data += 16, keystream += 16)
    store(data, veorq_u8(load(data), load(keystream)));
  for (std::uint64_t i = 0; i < left; ++i) data[i] ^= keystream[i];
}

void crypt_packet(Work& work, int packet) {
  const std::uint32_t groups = full_groups(work.batch.length[packet]);
  for (std::uint32_t group = 0; group < groups; ++group) run_full_group(work, packet, group);
  crypt_rest(work, packet);
}

void seal_batch(Work& work, AeadOp* ops, int count) {
  start_batch(work, ops, count);
  for (int packet = 0; packet < count; ++packet) {
    crypt_packet(work, packet);
    work.shadow.ready = packet + 1;
  }
  finish_through(work, count - 1);
  write_tags(work.batch, work.tags);
  wipe_batch(work);
}

std::size_t open_batch(Work& work, AeadOp* ops, int count) {
  start_batch(work, ops, count);
  work.shadow.ready = count;
  for (int packet = 0; packet < count; ++packet) {
    finish_through(work, packet);
    crypt_packet(work, packet);
  }
  const std::size_t authentic = check_tags(work.batch, work.tags, ops);
  wipe_batch(work);
  return authentic;
}

// ---- A burst

void seal(AeadScratch& scratch, std::span<AeadOp> ops) noexcept {
  Work& work = scratch.as<Work>();
  for (std::size_t at = 0; at < ops.size(); at += kBatchSize) {
    const std::size_t left = ops.size() - at;
    seal_batch(work, ops.data() + at, static_cast<int>(left < kBatchSize ? left : kBatchSize));
  }
}

std::size_t open(AeadScratch& scratch, std::span<AeadOp> ops) noexcept {
  Work& work = scratch.as<Work>();
  std::size_t authentic = 0;
  for (std::size_t at = 0; at < ops.size(); at += kBatchSize) {
    const std::size_t left = ops.size() - at;
    authentic += open_batch(work, ops.data() + at, static_cast<int>(left < kBatchSize ? left : kBatchSize));
  }
  return authentic;
}

}  // namespace
}  // namespace wg::crypto::neon

namespace wg::crypto {
const AeadEngine kAeadNeon = {"neon", neon::seal, neon::open};
}  // namespace wg::crypto
