// ChaCha20 (RFC 8439 section 2.4) in AVX-512: groups of 16 lanes, and where their keystream goes.
//
// A lane computes one block of keystream for any packet under any key. A group is 16 lanes held as 16 rows,
// row = state word, column = lane, so that a quarter round is the same 12 instructions for all lanes:
//
//                       lane 0      lane 1      lane 2    ...  lane 15
//     row  0 .. 3       "expand 32-byte k"  (the same everywhere)
//     row  4 .. 11      key of the packet the lane works for
//     row 12            block counter       0: one-time Poly1305 key, 1 ..: payload
//     row 13            0
//     row 14, 15        message counter of the packet, low and high 32 bits
//
// Three kinds of groups keep the lanes full whatever the burst looks like:
//
//     block zero   lane = packet; rows 0..7 of the result are the one-time keys of 16 packets
//     full         16 consecutive blocks of one packet; key and counters by broadcast
//     mixed        a lane list (packet, block): the remainders of all packets, densely packed
//
// Two groups run at once (generate_chacha_rounds.py). Rows become blocks by a transposition in registers.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "chacha20_rounds_avx512.h"  // generated in the build directory
#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/poly1305_lanes_avx512.h"

namespace wg::crypto::avx512 {

constexpr int kLanes = 16;
constexpr int kBlock = 64;

struct alignas(64) Rows {
  std::uint32_t row[16][kLanes];
};

struct GroupPair {
  Rows group[2];
};

// Lanes of block-zero and mixed groups, 16 per group. Room for a whole burst's block zeros, 15 remainders per
// packet, the padding of both, and the overhang of the vector stores that write the list.
constexpr int kMaxLanes = kBatchSize + 15 * kBatchSize + 16 + 32;

struct LaneList {
  std::uint8_t packet[kMaxLanes];
  std::uint16_t block[kMaxLanes];
  int size;
};

constexpr std::uint32_t kConstants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

WG_INLINE Vec all32(std::uint32_t value) {
  return _mm512_set1_epi32(static_cast<int>(value));
}

WG_INLINE void set_constant_rows(GroupPair& pair) {
  for (Rows& rows : pair.group) {
    for (int word = 0; word < 4; ++word) store(rows.row[word], all32(kConstants[word]));
    store(rows.row[13], _mm512_setzero_si512());
  }
}

// 16 rows to 16 blocks (or back).
WG_INLINE void transpose(Vec* x) {
  Vec t[16];
  for (int i = 0; i < 16; i += 4) {
    const Vec a = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    const Vec b = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    const Vec c = _mm512_unpacklo_epi32(x[i + 2], x[i + 3]);
    const Vec d = _mm512_unpackhi_epi32(x[i + 2], x[i + 3]);
    t[i] = _mm512_unpacklo_epi64(a, c);
    t[i + 1] = _mm512_unpackhi_epi64(a, c);
    t[i + 2] = _mm512_unpacklo_epi64(b, d);
    t[i + 3] = _mm512_unpackhi_epi64(b, d);
  }
  for (int i = 0; i < 4; ++i) {
    const Vec a = _mm512_shuffle_i64x2(t[i], t[4 + i], 0x44);
    const Vec b = _mm512_shuffle_i64x2(t[i], t[4 + i], 0xee);
    const Vec c = _mm512_shuffle_i64x2(t[8 + i], t[12 + i], 0x44);
    const Vec d = _mm512_shuffle_i64x2(t[8 + i], t[12 + i], 0xee);
    x[i] = _mm512_shuffle_i64x2(a, c, 0x88);
    x[4 + i] = _mm512_shuffle_i64x2(a, c, 0xdd);
    x[8 + i] = _mm512_shuffle_i64x2(b, d, 0x88);
    x[12 + i] = _mm512_shuffle_i64x2(b, d, 0xdd);
  }
}

WG_INLINE void load_blocks_of(const Rows& keystream, Vec* blocks) {
  for (int i = 0; i < 16; ++i) blocks[i] = load(keystream.row[i]);
  transpose(blocks);
}

// ---- Setting up the state

// 16 consecutive blocks of one packet.
WG_INLINE void build_full(Rows& rows, const Batch& batch, int packet, std::uint32_t first_block) {
  const Vec lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (int word = 0; word < 8; ++word) {
    std::uint32_t key_word;
    __builtin_memcpy(&key_word, batch.key[packet] + 4 * word, sizeof key_word);
    store(rows.row[4 + word], all32(key_word));
  }
  store(rows.row[12], _mm512_add_epi32(all32(first_block), lane));
  store(rows.row[14], all32(batch.counter_low[packet]));
  store(rows.row[15], all32(batch.counter_high[packet]));
}

// Column of each lane's packet out of a 32-entry column of the batch.
WG_INLINE Vec pick(const std::uint32_t* column, Vec packets) {
  return _mm512_permutex2var_epi32(load(column), packets, load(column + 16));
}

WG_INLINE Vec packets_of(const LaneList& lanes, int first) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(lanes.packet + first)));
}
WG_INLINE Vec blocks_of(const LaneList& lanes, int first) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(lanes.block + first)));
}

// Keys of the lanes first .. first + 15 into rows 4 .. 11: two keys to a vector, then a transposition of 16 x
// 8 words. The pairs are chosen so that its last step finds lanes in order.
WG_INLINE void gather_keys(Rows& rows, const Batch& batch, const std::uint8_t* packet) {
  constexpr int kLower[8] = {0, 1, 2, 3, 8, 9, 10, 11};
  Vec pair[8], t[8];
  for (int i = 0; i < 8; ++i) {
    const auto* low = reinterpret_cast<const __m256i*>(batch.key[packet[kLower[i]]]);
    const auto* high = reinterpret_cast<const __m256i*>(batch.key[packet[kLower[i] + 4]]);
    pair[i] =
        _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(low)), _mm256_loadu_si256(high), 1);
  }
  for (int half = 0; half < 8; half += 4) {
    const Vec a = _mm512_unpacklo_epi32(pair[half], pair[half + 1]);
    const Vec b = _mm512_unpackhi_epi32(pair[half], pair[half + 1]);
    const Vec c = _mm512_unpacklo_epi32(pair[half + 2], pair[half + 3]);
    const Vec d = _mm512_unpackhi_epi32(pair[half + 2], pair[half + 3]);
    t[half] = _mm512_unpacklo_epi64(a, c);
    t[half + 1] = _mm512_unpackhi_epi64(a, c);
    t[half + 2] = _mm512_unpacklo_epi64(b, d);
    t[half + 3] = _mm512_unpackhi_epi64(b, d);
  }
  for (int word = 0; word < 4; ++word) {
    store(rows.row[4 + word], _mm512_shuffle_i64x2(t[word], t[4 + word], 0x88));
    store(rows.row[8 + word], _mm512_shuffle_i64x2(t[word], t[4 + word], 0xdd));
  }
}

WG_INLINE void build_listed(Rows& rows, const Batch& batch, const LaneList& lanes, int first) {
  gather_keys(rows, batch, lanes.packet + first);
  const Vec packets = packets_of(lanes, first);
  store(rows.row[12], blocks_of(lanes, first));
  store(rows.row[14], pick(batch.counter_low, packets));
  store(rows.row[15], pick(batch.counter_high, packets));
}

// ---- Using the keystream

// Lane of a block-zero group -> packet, relative to the group's first packet. In this order the 32-bit halves
// of r and s, unpacked to 64 bits, leave packets 0..7 and 8..15 in two vectors in order: what Poly1305 wants.
alignas(16) constexpr std::uint8_t kBlockZeroPacket[kLanes] = {0, 1, 8,  9,  2, 3, 10, 11,
                                                               4, 5, 12, 13, 6, 7, 14, 15};

WG_INLINE void keep_one_time_keys(const Rows& keystream, OneTimeKeys* keys) {
  const auto unpack = [&](int word, std::uint64_t* first, std::uint64_t* second) {
    const Vec low = load(keystream.row[word]);
    const Vec high = load(keystream.row[word + 1]);
    store(first, _mm512_unpacklo_epi32(low, high));
    store(second, _mm512_unpackhi_epi32(low, high));
  };
  unpack(0, keys[0].r_low, keys[1].r_low);
  unpack(2, keys[0].r_high, keys[1].r_high);
  unpack(4, keys[0].pad_low, keys[1].pad_low);
  unpack(6, keys[0].pad_high, keys[1].pad_high);
}

WG_INLINE void xor_block(std::uint8_t* data, Vec keystream) {
  store(data, _mm512_xor_si512(load(data), keystream));
}

WG_INLINE void xor_part(std::uint8_t* data, Vec keystream, __mmask64 bytes) {
  const Vec text = _mm512_maskz_loadu_epi8(bytes, data);
  _mm512_mask_storeu_epi8(data, bytes, _mm512_xor_si512(text, keystream));
}

// `left` payload bytes from `data` on, of which this group covers up to 1024; only the last lane may be
// partial.
WG_INLINE void xor_full(const Rows& keystream, std::uint8_t* data, std::uint64_t left) {
  Vec blocks[kLanes];
  load_blocks_of(keystream, blocks);
  for (int i = 0; i < kLanes - 1; ++i) xor_block(data + kBlock * i, blocks[i]);
  constexpr std::uint64_t kBeforeLast = kBlock * (kLanes - 1);
  const auto in_last = static_cast<unsigned>(left - kBeforeLast < kBlock ? left - kBeforeLast : kBlock);
  xor_part(data + kBeforeLast, blocks[kLanes - 1], _bzhi_u64(~0ull, in_last));
}

WG_INLINE void xor_mixed(const Rows& keystream, const Batch& batch, const LaneList& lanes, int first) {
  // Payload bytes of each lane's block: 64, less in the last block of a packet, none in the padding of the
  // list.
  const Vec packets = packets_of(lanes, first);
  const Vec offset = _mm512_slli_epi32(_mm512_sub_epi32(blocks_of(lanes, first), all32(1)), 6);
  const Vec left = _mm512_sub_epi32(pick(batch.length32, packets), offset);
  const int used = lanes.size - first < kLanes ? lanes.size - first : kLanes;
  const auto used_lanes = static_cast<__mmask16>(0xffffu >> (kLanes - used));
  alignas(64) std::uint32_t bytes[kLanes];
  alignas(64) std::uint32_t offsets[kLanes];
  store(bytes, _mm512_maskz_min_epu32(used_lanes, left, all32(kBlock)));
  store(offsets, _mm512_maskz_mov_epi32(used_lanes, offset));

  Vec blocks[kLanes];
  load_blocks_of(keystream, blocks);
  for (int i = 0; i < kLanes; ++i) {
    xor_part(batch.data[lanes.packet[first + i]] + offsets[i], blocks[i], _bzhi_u64(~0ull, bytes[i]));
  }
}

// ---- Running groups

struct Group {
  enum Kind : std::uint8_t { kBlockZero, kMixed, kFull } kind;
  std::uint8_t packet;  // kFull: position in the batch; kBlockZero: first of 16 positions
  std::uint16_t first;  // kFull: first block; otherwise: first entry in the lane list
};

// Two full groups per KiB of the longest packet, and the groups of the lane list.
constexpr int kMaxGroups = kBatchSize * 64 + kMaxLanes / kLanes + 1;

struct GroupList {
  Group group[kMaxGroups];
  int size;
};

struct ChachaWork {
  GroupPair state[2];
  GroupPair keystream[2];
  LaneList lanes;
  GroupList groups;
  OneTimeKeys keys[kBatchSize / kPolyLanes];
};

WG_INLINE void build(Rows& rows, const ChachaWork& work, const Batch& batch, Group group) {
  if (group.kind == Group::kFull) {
    build_full(rows, batch, group.packet, group.first);
  } else {
    build_listed(rows, batch, work.lanes, group.first);
  }
}

WG_INLINE void use(const Rows& keystream, ChachaWork& work, const Batch& batch, Group group) {
  if (group.kind == Group::kFull) {
    const std::uint64_t offset = std::uint64_t{kBlock} * (group.first - 1u);
    xor_full(keystream, batch.data[group.packet] + offset, batch.length[group.packet] - offset);
  } else if (group.kind == Group::kMixed) {
    xor_mixed(keystream, batch, work.lanes, group.first);
  } else {
    keep_one_time_keys(keystream, work.keys + group.packet / kPolyLanes);
  }
}

// Groups begin .. end - 1 of the list, in pairs. The keystream of a pair is used after the rounds of the next
// pair have been issued, so its transpositions fill the gaps where those rounds drain.
[[gnu::noinline]] inline void run_groups(ChachaWork& work, const Batch& batch, int begin, int end) {
  if (begin == end) return;
  for (GroupPair& pair : work.state) set_constant_rows(pair);
  const Group* group = work.groups.group;
  int slot = 0;
  int pending = 0;  // groups whose keystream in the other slot is not used yet
  for (int i = begin; i < end; i += 2) {
    GroupPair& state = work.state[slot];
    const int size = end - i < 2 ? 1 : 2;
    for (int g = 0; g < size; ++g) build(state.group[g], work, batch, group[i + g]);
    if (size == 2) {
      rounds_of_two_groups(&state, &work.keystream[slot]);
    } else {
      rounds_of_one_group(&state, &work.keystream[slot]);
    }
    for (int g = 0; g < pending; ++g) use(work.keystream[slot ^ 1].group[g], work, batch, group[i - 2 + g]);
    pending = size;
    slot ^= 1;
  }
  for (int g = 0; g < pending; ++g) {
    use(work.keystream[slot ^ 1].group[g], work, batch, group[end - pending + g]);
  }
}

}  // namespace wg::crypto::avx512
