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
// Two groups run at once (generate_chacha_rounds.py). Their keystream is left in elements of 64 bits, a pair
// of words of one lane each, and reaches the payload on one of two ways:
//
//     in the shadow    of the rounds of the next pair: general registers XOR element by element, while the
//                      vector units work on the rounds. Costs next to nothing.
//     directly         for the last pair, which has no successor: a transposition in registers, vector XOR
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

// Words 2j and 2j + 1 of every lane side by side: element[j][half][group] holds lanes 4q + 2 half + b at
// 2q + b.
struct alignas(64) KeystreamPair {
  std::uint64_t element[8][2][2][8];
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

// Keystream of a group as 16 blocks.
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

// `left` payload bytes from `data` on, of which this group covers up to 1024; only the last lane may be
// partial.
WG_INLINE void xor_full(const KeystreamPair& keystream, int group, std::uint8_t* data, std::uint64_t left) {
  Vec blocks[kLanes];
  load_blocks_of(keystream, group, blocks);
  for (int i = 0; i < kLanes - 1; ++i) xor_block(data + kBlock * i, blocks[i]);
  constexpr std::uint64_t kBeforeLast = kBlock * (kLanes - 1);
  const auto in_last = static_cast<unsigned>(left - kBeforeLast < kBlock ? left - kBeforeLast : kBlock);
  xor_part(data + kBeforeLast, blocks[kLanes - 1], _bzhi_u64(~0ull, in_last));
}

// What the lanes of a mixed group cover.
struct LaneBytes {
  Vec packets;     // position in the batch
  Vec offset;      // of the lane's block in its payload
  Vec left;        // payload bytes from there on
  __mmask16 used;  // lanes before the end of the list
};

WG_INLINE LaneBytes bytes_of_lanes(const Batch& batch, const LaneList& lanes, int first) {
  const Vec packets = packets_of(lanes, first);
  const Vec offset = _mm512_slli_epi32(_mm512_sub_epi32(blocks_of(lanes, first), all32(1)), 6);
  const Vec left = _mm512_sub_epi32(pick(batch.length32, packets), offset);
  const int used = lanes.size - first < kLanes ? lanes.size - first : kLanes;
  return {packets, offset, left, static_cast<__mmask16>(0xffffu >> (kLanes - used))};
}

WG_INLINE void xor_mixed(const KeystreamPair& keystream, int group, const Batch& batch, const LaneList& lanes,
                         int first) {
  // Payload bytes of each lane's block: 64, less in the last block of a packet, none in the padding of the
  // list.
  const LaneBytes lane = bytes_of_lanes(batch, lanes, first);
  alignas(64) std::uint32_t bytes[kLanes];
  alignas(64) std::uint32_t offsets[kLanes];
  store(bytes, _mm512_maskz_min_epu32(lane.used, lane.left, all32(kBlock)));
  store(offsets, _mm512_maskz_mov_epi32(lane.used, lane.offset));

  Vec blocks[kLanes];
  load_blocks_of(keystream, group, blocks);
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
  KeystreamPair keystream[2];
  LaneList lanes;
  GroupList groups;
  OneTimeKeys keys[kBatchSize / kPolyLanes];
  // Where the shadow of the rounds XORs the blocks of a pair to. It knows whole blocks only: the partly
  // filled last block of packet p is collected as keystream in partial[p], lanes without a payload end in
  // no_block.
  alignas(64) std::uint8_t* target[2 * kLanes];
  alignas(64) std::uint8_t partial[kBatchSize][kBlock];
  alignas(64) std::uint8_t no_block[kBlock];
};

WG_INLINE void build(Rows& rows, const ChachaWork& work, const Batch& batch, Group group) {
  if (group.kind == Group::kFull) {
    build_full(rows, batch, group.packet, group.first);
  } else {
    build_listed(rows, batch, work.lanes, group.first);
  }
}

// ---- ... in the shadow

WG_INLINE Vec all_pointers(const std::uint8_t* address) {
  return all(reinterpret_cast<std::uint64_t>(address));
}

WG_INLINE void aim_full(std::uint8_t** target, ChachaWork& work, const Batch& batch, Group group) {
  const std::uint64_t offset = std::uint64_t{kBlock} * (group.first - 1u);
  const Vec step = _mm512_setr_epi64(0, 64, 128, 192, 256, 320, 384, 448);
  const Vec first = add(all_pointers(batch.data[group.packet] + offset), step);
  store(target, first);
  store(target + 8, add(first, all(8 * kBlock)));
  if (batch.length[group.packet] - offset < kLanes * kBlock) target[kLanes - 1] = work.partial[group.packet];
}

// Element of a 32-entry column of addresses for each of eight packets.
WG_INLINE Vec pick_address(std::uint8_t* const* column, Vec packets) {
  const Vec low = _mm512_permutex2var_epi64(load(column), packets, load(column + 8));
  const Vec high = _mm512_permutex2var_epi64(load(column + 16), packets, load(column + 24));
  return _mm512_mask_mov_epi64(low, _mm512_cmpgt_epu64_mask(packets, all(15)), high);
}

WG_INLINE void aim_mixed(std::uint8_t** target, ChachaWork& work, const Batch& batch, Group group) {
  const LaneBytes lane = bytes_of_lanes(batch, work.lanes, group.first);
  const auto partial = static_cast<unsigned>(_mm512_cmplt_epu32_mask(lane.left, all32(kBlock)));
  const auto unused = static_cast<unsigned>(_knot_mask16(lane.used));
  for (int half = 0; half < 2; ++half) {
    const auto widen = [half](Vec v) {
      return _mm512_cvtepu32_epi64(half == 0 ? _mm512_castsi512_si256(v) : _mm512_extracti64x4_epi64(v, 1));
    };
    const Vec packets = widen(lane.packets);
    Vec address = add(pick_address(batch.data, packets), widen(lane.offset));
    const Vec slot = add(all_pointers(work.partial[0]), _mm512_slli_epi64(packets, 6));
    address = _mm512_mask_mov_epi64(address, static_cast<__mmask8>(partial >> 8 * half), slot);
    address = _mm512_mask_mov_epi64(address, static_cast<__mmask8>(unused >> 8 * half),
                                    all_pointers(work.no_block));
    store(target + 8 * half, address);
  }
}

WG_INLINE void aim(std::uint8_t** target, ChachaWork& work, const Batch& batch, Group group) {
  if (group.kind == Group::kFull) return aim_full(target, work, batch, group);
  if (group.kind == Group::kMixed) return aim_mixed(target, work, batch, group);
  store(target, all_pointers(work.no_block));
  store(target + 8, all_pointers(work.no_block));
}

WG_INLINE std::uint64_t in_last_block(const Batch& batch, int packet) {
  return batch.length[packet] % kBlock;
}

WG_INLINE void clear_partial_blocks(ChachaWork& work, const Batch& batch) {
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

WG_INLINE void xor_group(const KeystreamPair& keystream, int g, const ChachaWork& work, const Batch& batch,
                         Group group) {
  if (group.kind == Group::kFull) {
    const std::uint64_t offset = std::uint64_t{kBlock} * (group.first - 1u);
    xor_full(keystream, g, batch.data[group.packet] + offset, batch.length[group.packet] - offset);
  } else if (group.kind == Group::kMixed) {
    xor_mixed(keystream, g, batch, work.lanes, group.first);
  }
}

WG_INLINE void run_rounds(ChachaWork& work, int slot, int size, bool with_xor) {
  const GroupPair& state = work.state[slot];
  KeystreamPair& keystream = work.keystream[slot];
  const KeystreamPair& previous = work.keystream[slot ^ 1];
  if (with_xor) {
    if (size == 2) return rounds_of_two_groups_and_xor(&state, &keystream, &previous, work.target);
    return rounds_of_one_group_and_xor(&state, &keystream, &previous, work.target);
  }
  if (size == 2) return rounds_of_two_groups(&state, &keystream);
  return rounds_of_one_group(&state, &keystream);
}

// Groups begin .. end - 1 of the list, in pairs. Block-zero groups come first.
[[gnu::noinline]] inline void run_groups(ChachaWork& work, const Batch& batch, int begin, int end) {
  if (begin == end) return;
  for (GroupPair& pair : work.state) set_constant_rows(pair);
  const Group* group = work.groups.group;
  const bool in_shadow = end - begin > 2;
  if (in_shadow) clear_partial_blocks(work, batch);
  int slot = 0;
  int pending = begin;  // the pair whose keystream is in the other slot, not used yet
  for (int i = begin; i < end; i += 2, slot ^= 1) {
    const int size = end - i < 2 ? 1 : 2;
    for (int g = 0; g < size; ++g) build(work.state[slot].group[g], work, batch, group[i + g]);
    const bool with_xor = i != begin && group[i - 1].kind != Group::kBlockZero;
    if (with_xor) {
      for (int g = 0; g < 2; ++g) aim(work.target + kLanes * g, work, batch, group[i - 2 + g]);
    }
    run_rounds(work, slot, size, with_xor);
    for (int g = 0; g < size && group[i + g].kind == Group::kBlockZero; ++g) {
      keep_one_time_keys(work.keystream[slot], g, work.keys + group[i + g].packet / kPolyLanes);
    }
    pending = i;
  }
  for (int i = pending; i < end; ++i) xor_group(work.keystream[slot ^ 1], i - pending, work, batch, group[i]);
  if (in_shadow) xor_partial_blocks(work, batch);
}

}  // namespace wg::crypto::avx512
