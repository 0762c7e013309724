// ChaCha20 (RFC 8439 section 2.4) in AVX-512: groups of 16 lanes, and the paths of their keystream.
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
//     full         16 consecutive blocks of one packet
//     mixed        the remainders of all packets, densely packed: sixteen of a list of lanes
//
// Two groups run at once (generate_chacha_rounds.py). Their keystream is stored in elements of 64 bits, each
// a pair of words of one lane, and reaches the payload in one of two ways:
//
//     in the shadow    of the rounds of the following pair: general registers XOR element by element, while
//                      the vector units work on the rounds. They also copy the keys of the next pair to its
//                      state.
//     directly         for the last pair, which no pair follows: a transposition in registers, vector XOR
//
//     pair 0           set up      | rounds
//     pair 1                       |  keys     | rounds
//     pair 2                                   |  keys     | rounds
//     pair 0 again                 |           |  XOR      |
//     pair 1 again                                         |  XOR     ...
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "chacha20_rounds_avx512.h"  // generated in the build directory
#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/poly1305_lanes_avx512.h"

namespace wg::crypto::avx512 {

constexpr int kLanes = 16;
constexpr int kBlock = 64;

struct alignas(64) GroupPair {
  std::uint32_t row[16][2][kLanes];  // state word, group, lane; words 0 .. 3 and 13 are left out
};

// Words 2j and 2j + 1 of every lane are adjacent: element[j][half][group] holds lanes 4q + 2 half + b at
// 2q + b.
struct alignas(64) KeystreamPair {
  std::uint64_t element[8][2][2][8];
};

// A lane is block | index << 16. The lower five bits of the index are the packet, the others the use of the
// keystream.
constexpr std::uint32_t kWholeBlock = 0;             // XORed into the payload
constexpr std::uint32_t kPartialBlock = kBatchSize;  // the partly filled last block of the payload
constexpr std::uint32_t kNoBlock = 2 * kBatchSize;   // not XORed: block 0 of a packet, or an idle lane
constexpr std::uint32_t kIndices = 3 * kBatchSize;

WG_INLINE constexpr std::uint32_t lane_of(std::uint32_t kind, int packet, int block) {
  return (kind + static_cast<std::uint32_t>(packet)) << 16 | static_cast<std::uint32_t>(block);
}
WG_INLINE int packet_of(std::uint32_t lane) {
  return static_cast<int>(lane >> 16) % kBatchSize;
}
WG_INLINE int block_of(std::uint32_t lane) {
  return static_cast<int>(lane & 0xffff);
}

// Lanes of block-zero and mixed groups, 16 per group: space for a whole burst's block zeros, 15 remainders
// per packet, the padding of both, and the overhang of the vector stores that write the list.
constexpr int kMaxLanes = kBatchSize + 15 * kBatchSize + 16 + 32;

struct LaneList {
  std::uint32_t lane[kMaxLanes];
  int size;
};

WG_INLINE Vec all32(std::uint32_t value) {
  return _mm512_set1_epi32(static_cast<int>(value));
}

// Loads the keystream of a group as 16 blocks.
WG_INLINE void load_blocks_of(const KeystreamPair& keystream, int group, Vec* blocks) {
  Vec t[16];
  for (int i = 0; i < 4; ++i) {
    const auto half_of = [&](int element, int half) {
      return load(keystream.element[2 * i + element][half][group]);
    };
    const Vec a = half_of(0, 0), b = half_of(0, 1), c = half_of(1, 0), d = half_of(1, 1);
    t[4 * i] = _mm512_unpacklo_epi64(a, c);
    t[4 * i + 1] = _mm512_unpackhi_epi64(a, c);
    t[4 * i + 2] = _mm512_unpacklo_epi64(b, d);
    t[4 * i + 3] = _mm512_unpackhi_epi64(b, d);
  }
  for (int i = 0; i < 4; ++i) {
    const Vec a = _mm512_shuffle_i64x2(t[i], t[4 + i], 0x44);
    const Vec b = _mm512_shuffle_i64x2(t[i], t[4 + i], 0xee);
    const Vec c = _mm512_shuffle_i64x2(t[8 + i], t[12 + i], 0x44);
    const Vec d = _mm512_shuffle_i64x2(t[8 + i], t[12 + i], 0xee);
    blocks[i] = _mm512_shuffle_i64x2(a, c, 0x88);
    blocks[4 + i] = _mm512_shuffle_i64x2(a, c, 0xdd);
    blocks[8 + i] = _mm512_shuffle_i64x2(b, d, 0x88);
    blocks[12 + i] = _mm512_shuffle_i64x2(b, d, 0xdd);
  }
}

// ---- Setting up the state

// Selects each lane's packet from a 32-entry column of the batch.
WG_INLINE Vec pick(const std::uint32_t* column, Vec packets) {
  return _mm512_permutex2var_epi32(load(column), packets, load(column + 16));
}

// Gives all lanes the same key.
WG_INLINE void broadcast_key(GroupPair& pair, int group, const std::uint8_t* key) {
  for (int word = 0; word < 8; ++word) {
    std::uint32_t key_word;
    __builtin_memcpy(&key_word, key + 4 * word, sizeof key_word);
    store(pair.row[4 + word][group], all32(key_word));
  }
}

// Sets rows 12, 14 and 15.
WG_INLINE void set_counters(GroupPair& pair, int group, const Batch& batch, Vec lanes) {
  const Vec indices = _mm512_srli_epi32(lanes, 16);
  store(pair.row[12][group], _mm512_and_si512(lanes, all32(0xffff)));
  store(pair.row[14][group], pick(batch.counter_low, indices));
  store(pair.row[15][group], pick(batch.counter_high, indices));
}

// Loads 16 keys into rows 4 .. 11: two keys per vector, then a transposition of 16 x 8 words. The pairs are
// chosen so that the last step leaves the lanes in order.
WG_INLINE void gather_keys(GroupPair& pair, int group, const Batch& batch, const std::uint32_t* lanes) {
  constexpr int kLower[8] = {0, 1, 2, 3, 8, 9, 10, 11};
  Vec two[8], t[8];
  for (int i = 0; i < 8; ++i) {
    const auto key_of = [&](int lane) {
      return reinterpret_cast<const __m256i*>(batch.key[packet_of(lanes[lane])]);
    };
    const __m256i* low = key_of(kLower[i]);
    const __m256i* high = key_of(kLower[i] + 4);
    two[i] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256(low)), _mm256_loadu_si256(high), 1);
  }
  for (int half = 0; half < 8; half += 4) {
    const Vec a = _mm512_unpacklo_epi32(two[half], two[half + 1]);
    const Vec b = _mm512_unpackhi_epi32(two[half], two[half + 1]);
    const Vec c = _mm512_unpacklo_epi32(two[half + 2], two[half + 3]);
    const Vec d = _mm512_unpackhi_epi32(two[half + 2], two[half + 3]);
    t[half] = _mm512_unpacklo_epi64(a, c);
    t[half + 1] = _mm512_unpackhi_epi64(a, c);
    t[half + 2] = _mm512_unpacklo_epi64(b, d);
    t[half + 3] = _mm512_unpackhi_epi64(b, d);
  }
  for (int word = 0; word < 4; ++word) {
    store(pair.row[4 + word][group], _mm512_shuffle_i64x2(t[word], t[4 + word], 0x88));
    store(pair.row[8 + word][group], _mm512_shuffle_i64x2(t[word], t[4 + word], 0xdd));
  }
}

// ---- Using the keystream

// Lane of a block-zero group -> packet, relative to the group's first packet. In this order the 32-bit halves
// of r and s, unpacked to 64 bits, form two vectors with packets 0..7 and 8..15 in order, as Poly1305 needs.
alignas(64) constexpr std::uint32_t kBlockZeroLanes[kLanes] = {
    lane_of(kNoBlock, 0, 0), lane_of(kNoBlock, 1, 0), lane_of(kNoBlock, 8, 0),  lane_of(kNoBlock, 9, 0),
    lane_of(kNoBlock, 2, 0), lane_of(kNoBlock, 3, 0), lane_of(kNoBlock, 10, 0), lane_of(kNoBlock, 11, 0),
    lane_of(kNoBlock, 4, 0), lane_of(kNoBlock, 5, 0), lane_of(kNoBlock, 12, 0), lane_of(kNoBlock, 13, 0),
    lane_of(kNoBlock, 6, 0), lane_of(kNoBlock, 7, 0), lane_of(kNoBlock, 14, 0), lane_of(kNoBlock, 15, 0)};

WG_INLINE void keep_one_time_keys(const KeystreamPair& keystream, int group, OneTimeKeys* keys) {
  for (int half = 0; half < 2; ++half) {
    store(keys[half].r_low, load(keystream.element[0][half][group]));
    store(keys[half].r_high, load(keystream.element[1][half][group]));
    store(keys[half].pad_low, load(keystream.element[2][half][group]));
    store(keys[half].pad_high, load(keystream.element[3][half][group]));
  }
}

WG_INLINE void xor_block(std::uint8_t* data, Vec keystream) {
  store(data, _mm512_xor_si512(load(data), keystream));
}

WG_INLINE void xor_part(std::uint8_t* data, Vec keystream, __mmask64 bytes) {
  const Vec text = _mm512_maskz_loadu_epi8(bytes, data);
  _mm512_mask_storeu_epi8(data, bytes, _mm512_xor_si512(text, keystream));
}

// XORs `left` payload bytes from `data` on, of which a full group covers up to 1024. Only the last lane may
// be partial.
WG_INLINE void xor_full(const KeystreamPair& keystream, int group, std::uint8_t* data, std::uint64_t left) {
  Vec blocks[kLanes];
  load_blocks_of(keystream, group, blocks);
  for (int i = 0; i < kLanes - 1; ++i) xor_block(data + kBlock * i, blocks[i]);
  constexpr std::uint64_t kBeforeLast = kBlock * (kLanes - 1);
  const auto in_last = static_cast<unsigned>(left - kBeforeLast < kBlock ? left - kBeforeLast : kBlock);
  xor_part(data + kBeforeLast, blocks[kLanes - 1], _bzhi_u64(~0ull, in_last));
}

WG_INLINE void xor_listed(const KeystreamPair& keystream, int group, const Batch& batch,
                          const std::uint32_t* lanes) {
  const Vec lane = load(lanes);
  const Vec indices = _mm512_srli_epi32(lane, 16);
  // The payload bytes of each lane's block: 64, fewer in the last block of a packet, none without a payload.
  const Vec offset = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_and_si512(lane, all32(0xffff)), all32(1)), 6);
  const Vec left = _mm512_sub_epi32(pick(batch.length32, indices), offset);
  const __mmask16 used = _mm512_cmplt_epu32_mask(indices, all32(kNoBlock));
  alignas(64) std::uint32_t bytes[kLanes];
  alignas(64) std::uint32_t offsets[kLanes];
  store(bytes, _mm512_maskz_min_epu32(used, left, all32(kBlock)));
  store(offsets, _mm512_maskz_mov_epi32(used, offset));

  Vec blocks[kLanes];
  load_blocks_of(keystream, group, blocks);
  for (int i = 0; i < kLanes; ++i) {
    xor_part(batch.data[packet_of(lanes[i])] + offsets[i], blocks[i], _bzhi_u64(~0ull, bytes[i]));
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
  KeystreamPair keystream[2];
  LaneList lanes;
  GroupList groups;
  OneTimeKeys keys[kBatchSize / kPolyLanes];
  // The lanes of four consecutive pairs, group by group. They are set up before the rounds of the preceding
  // pair and read until the rounds of the following pair end.
  alignas(64) std::uint32_t lane[4][2][kLanes];
  // The destination of a lane that is XORed in the shadow of the rounds: target[index] + 64 * block. Only
  // whole blocks go there: the keystream of the partly filled last block of packet p is collected in
  // partial[p].
  alignas(64) std::uint8_t* target[kIndices];
  alignas(64) std::uint8_t partial[kBatchSize][kBlock];
  alignas(64) std::uint8_t no_block[kBlock];
};

WG_INLINE Vec lanes_of_group(const ChachaWork& work, const Batch& batch, Group group) {
  if (group.kind != Group::kFull) return load(work.lanes.lane + group.first);
  const Vec step = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const Vec lanes = _mm512_add_epi32(all32(lane_of(kWholeBlock, group.packet, group.first)), step);
  const bool whole = batch.length[group.packet] >= std::uint64_t{kBlock} * (group.first - 1u + kLanes);
  const Vec partial = all32(kPartialBlock << 16);
  return whole ? lanes : _mm512_mask_add_epi32(lanes, 1 << (kLanes - 1), lanes, partial);
}

// Sets the whole state of a pair except the keys.
WG_INLINE void set_up(ChachaWork& work, const Batch& batch, int pair, const Group* group, int size) {
  for (int g = 0; g < size; ++g) {
    const Vec lanes = lanes_of_group(work, batch, group[g]);
    store(work.lane[pair % 4][g], lanes);
    set_counters(work.state[pair % 2], g, batch, lanes);
  }
  if (size == 1) store(work.lane[pair % 4][1], all32(kNoBlock << 16));
}

// ---- ... in the shadow

WG_INLINE std::uint64_t in_last_block(const Batch& batch, int packet) {
  return batch.length[packet] % kBlock;
}

WG_INLINE Vec all_pointers(const std::uint8_t* address) {
  return all(reinterpret_cast<std::uint64_t>(address));
}

WG_INLINE void set_targets(ChachaWork& work, const Batch& batch) {
  const Vec step = _mm512_setr_epi64(0, 64, 128, 192, 256, 320, 384, 448);
  for (int i = 0; i < kBatchSize; i += 8) {
    const Vec blocks = _mm512_srli_epi64(add(load(batch.length + i), all(kBlock - 1)), 6);
    const Vec partial = add(all_pointers(work.partial[i]), step);
    store(work.target + kWholeBlock + i, _mm512_sub_epi64(load(batch.data + i), all(kBlock)));
    store(work.target + kPartialBlock + i, _mm512_sub_epi64(partial, _mm512_slli_epi64(blocks, 6)));
    store(work.target + kNoBlock + i, all_pointers(work.no_block));
  }
  for (int i = 0; i < batch.count; ++i) {
    if (in_last_block(batch, i) != 0) store(work.partial[i], _mm512_setzero_si512());
  }
}

WG_INLINE void xor_partial_blocks(ChachaWork& work, const Batch& batch) {
  for (int i = 0; i < batch.count; ++i) {
    const std::uint64_t bytes = in_last_block(batch, i);
    if (bytes == 0) continue;
    std::uint8_t* data = batch.data[i] + batch.length[i] - bytes;
    xor_part(data, load(work.partial[i]), _bzhi_u64(~0ull, static_cast<unsigned>(bytes)));
    store(work.partial[i], _mm512_setzero_si512());
  }
}

// ---- ... directly

WG_INLINE void set_keys(ChachaWork& work, const Batch& batch, int pair, int g, Group group) {
  GroupPair& state = work.state[pair % 2];
  if (group.kind == Group::kFull) return broadcast_key(state, g, batch.key[group.packet]);
  gather_keys(state, g, batch, work.lane[pair % 4][g]);
}

WG_INLINE void xor_group(ChachaWork& work, const Batch& batch, int pair, int g, Group group) {
  const KeystreamPair& keystream = work.keystream[pair % 2];
  if (group.kind == Group::kFull) {
    const std::uint64_t offset = std::uint64_t{kBlock} * (group.first - 1u);
    xor_full(keystream, g, batch.data[group.packet] + offset, batch.length[group.packet] - offset);
  } else if (group.kind == Group::kMixed) {
    xor_listed(keystream, g, batch, work.lane[pair % 4][g]);
  }
}

// ---- A run of groups

// Runs the rounds of a pair. In their shadow the preceding pair is XORed and the following pair gets its
// keys. A pair that is alone has neither.
WG_INLINE void run_pair(ChachaWork& work, const Batch& batch, int pair, int size, bool last) {
  const GroupPair* state = &work.state[pair % 2];
  KeystreamPair* keystream = &work.keystream[pair % 2];
  if (last && pair == 0) {
    return size == 2 ? rounds_of_two_groups(state, keystream) : rounds_of_one_group(state, keystream);
  }
  // Without a following pair the keys of this one are copied once more: the lanes of an earlier call would
  // refer to packets and keys that no longer exist.
  const std::uint32_t* behind = work.lane[(last ? pair : pair + 1) % 4][0];
  const Shadow shadow = {&work.keystream[(pair + 1) % 2],
                         work.lane[(pair + 3) % 4][0],
                         work.target,
                         &work.state[(pair + 1) % 2],
                         behind,
                         batch.key};
  if (size == 2) return rounds_of_two_groups_with_shadow(state, keystream, shadow);
  rounds_of_one_group_with_shadow(state, keystream, shadow);
}

// Runs groups begin .. end - 1 of the list, in pairs. Block-zero groups come first.
[[gnu::noinline]] inline void run_groups(ChachaWork& work, const Batch& batch, int begin, int end) {
  if (begin == end) return;
  const Group* group = work.groups.group + begin;
  const int count = end - begin;
  const int pairs = (count + 1) / 2;
  const auto size_of = [count](int pair) { return count - 2 * pair < 2 ? 1 : 2; };
  store(work.lane[3][0], all32(kNoBlock << 16));  // the first pair has no predecessor
  store(work.lane[3][1], all32(kNoBlock << 16));
  set_up(work, batch, 0, group, size_of(0));
  for (int g = 0; g < size_of(0); ++g) set_keys(work, batch, 0, g, group[g]);
  if (pairs > 1) set_targets(work, batch);

  for (int pair = 0; pair < pairs; ++pair) {
    if (pair + 1 < pairs) set_up(work, batch, pair + 1, group + 2 * (pair + 1), size_of(pair + 1));
    run_pair(work, batch, pair, size_of(pair), pair == pairs - 1);
    for (int i = 2 * pair; i < 2 * pair + size_of(pair) && group[i].kind == Group::kBlockZero; ++i) {
      keep_one_time_keys(work.keystream[pair % 2], i % 2, work.keys + group[i].packet / kPolyLanes);
    }
  }
  for (int i = 2 * (pairs - 1); i < count; ++i) xor_group(work, batch, pairs - 1, i % 2, group[i]);
  if (pairs > 1) xor_partial_blocks(work, batch);
}

}  // namespace wg::crypto::avx512
