// Poly1305 of many packets at once: lane = packet, eight packets in a vector, so there is no power r^8 and no
// sum across lanes. The packets of a group have different lengths and are aligned at their ends:
//
//     block      0   1   2   3 | 4   5   6   7 | 8   9  10  11      a chunk is 4 blocks, 64 bytes
//     lane 0     .   .   .   . | .   A   A   A | A   A   a  len     a: partly filled last block
//     lane 1     .   B   B   B | B   B   B   B | B   B   B  len     len: 0 || LE64(length), never in memory
//     lane 2     .   .   .   . | .   .   .   . | .   C   c  len     .: leading zeros; Horner's rule ignores
//     them
//
// A chunk of eight packets is eight loads and a transposition of 8 x 4 blocks. Chunks where a lane starts,
// and the last one, blank what lies outside the packet after the transposition: plain loads, which may read
// up to 48 bytes before the payload and 15 behind the tag (kAeadReadBefore, kAeadReadAfter).
//
// Step blocks share one carry: h = (h + m0) r^Step + m1 r^(Step-1) + ... + m_(Step-1) r. Powers cost their
// set-up, so short packets take Step 1 or 2 and long ones Step 4.
#pragma once

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/poly1305_avx512.h"

namespace wg::crypto::avx512 {

constexpr int kPolyLanes = 8;
constexpr int kBlocksPerChunk = 4;

// One-time keys of eight packets as the block-0 group of ChaCha20 leaves them: r = low || high, s = pad.
struct alignas(64) OneTimeKeys {
  std::uint64_t r_low[kPolyLanes];
  std::uint64_t r_high[kPolyLanes];
  std::uint64_t pad_low[kPolyLanes];
  std::uint64_t pad_high[kPolyLanes];
};

// 4 blocks of 8 packets: block b is (word[2b], word[2b+1]) as low and high 64 bits of each lane.
struct Chunk {
  Vec word[8];
};

WG_INLINE Chunk transpose_chunk(const Vec* packet) {
  Chunk chunk;
  for (int half = 0; half < 2; ++half) {
    Vec pair[4];
    for (int i = 0; i < 4; ++i) {
      pair[i] = half == 0 ? _mm512_unpacklo_epi64(packet[2 * i], packet[2 * i + 1])
                          : _mm512_unpackhi_epi64(packet[2 * i], packet[2 * i + 1]);
    }
    const Vec a = _mm512_shuffle_i64x2(pair[0], pair[1], 0x44);
    const Vec b = _mm512_shuffle_i64x2(pair[0], pair[1], 0xee);
    const Vec c = _mm512_shuffle_i64x2(pair[2], pair[3], 0x44);
    const Vec d = _mm512_shuffle_i64x2(pair[2], pair[3], 0xee);
    chunk.word[half] = _mm512_shuffle_i64x2(a, c, 0x88);
    chunk.word[2 + half] = _mm512_shuffle_i64x2(a, c, 0xdd);
    chunk.word[4 + half] = _mm512_shuffle_i64x2(b, d, 0x88);
    chunk.word[6 + half] = _mm512_shuffle_i64x2(b, d, 0xdd);
  }
  return chunk;
}

template <int Step>
struct alignas(64) LaneGroup {
  Limbs h;
  Multiplier power[Step];  // r, r^2, ...
  Vec pad_low, pad_high;
  Vec length;
  Vec first_block;                             // number of leading zero blocks
  Vec lowest;                                  // lowest address a lane may load from
  Vec last_low, last_high;                     // mask of the payload bytes in the last data block
  alignas(64) std::uint64_t base[kPolyLanes];  // address of chunk 0, possibly before the packet
  alignas(64) std::uint64_t address[kPolyLanes];
};

// Ones over the payload bytes of the last data block, for lengths % 16 of 0 (a whole block), 1 .. 15.
template <int Step>
WG_INLINE void set_last_block_masks(LaneGroup<Step>& g) {
  const Vec ones = all(~0ull);
  const Vec bits = _mm512_slli_epi64(_mm512_and_si512(g.length, all(15)), 3);
  const __mmask8 partial = _mm512_test_epi64_mask(bits, bits);
  // Variable shifts by 64 and more give zero, and so does the wrapped negative distance of short blocks.
  const Vec low = _mm512_andnot_si512(_mm512_sllv_epi64(ones, bits), ones);
  const Vec beyond = _mm512_max_epi64(_mm512_sub_epi64(bits, all(64)), _mm512_setzero_si512());
  const Vec high = _mm512_andnot_si512(_mm512_sllv_epi64(ones, beyond), ones);
  g.last_low = _mm512_mask_mov_epi64(ones, partial, low);
  g.last_high = _mm512_mask_mov_epi64(ones, partial, high);
}

template <int Step>
WG_INLINE void set_powers(LaneGroup<Step>& g, const OneTimeKeys& keys) {
  const Vec low = _mm512_and_si512(load(keys.r_low), all(kClampLow));
  const Vec high = _mm512_and_si512(load(keys.r_high), all(kClampHigh));
  g.power[0] = multiplier(split(low, high, _mm512_setzero_si512()));
  if constexpr (Step >= 2) g.power[1] = multiply(g.power[0], g.power[0]);
  if constexpr (Step >= 4) {
    g.power[2] = multiply(g.power[1], g.power[0]);
    g.power[3] = multiply(g.power[1], g.power[1]);
  }
}

// Packets first .. first + 7 of the batch, the longest of which has `chunks` chunks.
template <int Step>
WG_INLINE void start(LaneGroup<Step>& g, const Batch& batch, int first, int chunks, const OneTimeKeys& keys) {
  g.length = load(batch.length + first);
  const Vec data = load(batch.data + first);
  const Vec blocks = add(_mm512_srli_epi64(add(g.length, all(15)), 4), all(1));
  const Vec own_chunks = _mm512_srli_epi64(add(blocks, all(3)), 2);
  const Vec lead_in_chunk = _mm512_sub_epi64(_mm512_slli_epi64(own_chunks, 2), blocks);
  const Vec first_chunk = _mm512_sub_epi64(all(static_cast<std::uint64_t>(chunks)), own_chunks);
  g.first_block = add(_mm512_slli_epi64(first_chunk, 2), lead_in_chunk);
  g.lowest = _mm512_sub_epi64(data, all(48));
  store(g.base, _mm512_sub_epi64(_mm512_sub_epi64(data, _mm512_slli_epi64(lead_in_chunk, 4)),
                                 _mm512_slli_epi64(first_chunk, 6)));
  set_last_block_masks(g);
  set_powers(g, keys);
  g.pad_low = load(keys.pad_low);
  g.pad_high = load(keys.pad_high);
  g.h = zero_limbs();
}

WG_INLINE Vec load_at(std::uint64_t address) {
  return load(reinterpret_cast<const void*>(address));
}

template <int Step>
WG_INLINE Chunk load_chunk(const LaneGroup<Step>& g, int chunk) {
  Vec packet[kPolyLanes];
  for (int i = 0; i < kPolyLanes; ++i)
    packet[i] = load_at(g.base[i] + 64 * static_cast<std::uint64_t>(chunk));
  return transpose_chunk(packet);
}

struct BlockBits {
  Vec bit[kBlocksPerChunk];
};

WG_INLINE BlockBits whole_blocks() {
  const Vec bit = all(kBlockBit);
  return {{bit, bit, bit, bit}};
}

// A chunk in which lanes may start, and which may be the last.
template <int Step>
WG_INLINE Chunk load_edge_chunk(LaneGroup<Step>& g, int index, bool last, BlockBits& bits) {
  const Vec base = load(g.base);
  store(g.address, _mm512_max_epu64(add(base, all(64 * static_cast<std::uint64_t>(index))), g.lowest));
  Vec packet[kPolyLanes];
  for (int i = 0; i < kPolyLanes; ++i) packet[i] = load_at(g.address[i]);
  Chunk chunk = transpose_chunk(packet);
  for (int b = 0; b < kBlocksPerChunk; ++b) {
    const auto block = static_cast<std::uint64_t>(kBlocksPerChunk * index + b);
    const __mmask8 started = _mm512_cmple_epu64_mask(g.first_block, all(block));
    bits.bit[b] = _mm512_maskz_mov_epi64(started, all(kBlockBit));
    chunk.word[2 * b] = _mm512_maskz_mov_epi64(started, chunk.word[2 * b]);
    chunk.word[2 * b + 1] = _mm512_maskz_mov_epi64(started, chunk.word[2 * b + 1]);
  }
  if (last) {
    chunk.word[4] = _mm512_and_si512(chunk.word[4], g.last_low);
    chunk.word[5] = _mm512_and_si512(chunk.word[5], g.last_high);
    chunk.word[6] = _mm512_setzero_si512();
    chunk.word[7] = g.length;
  }
  return chunk;
}

WG_INLINE Limbs block_of(const Chunk& chunk, int block, Vec bit) {
  return split(chunk.word[2 * block], chunk.word[2 * block + 1], bit);
}

// Step blocks from `block` on, one carry.
template <int Step>
WG_INLINE void absorb(LaneGroup<Step>& g, const Chunk& chunk, const BlockBits& bits, int block) {
  Product sum = zero_product();
  for (int i = Step - 1; i > 0; --i) {
    multiply_add(sum, block_of(chunk, block + i, bits.bit[block + i]), g.power[Step - 1 - i]);
  }
  multiply_add(sum, add(g.h, block_of(chunk, block, bits.bit[block])), g.power[Step - 1]);
  g.h = carry(sum);
}

// Four blocks with two sums, which halves the chains of dependent multiplications.
WG_INLINE void absorb_chunk(LaneGroup<4>& g, const Chunk& chunk, const BlockBits& bits) {
  Product even = zero_product();
  Product odd = zero_product();
  multiply_add(even, block_of(chunk, 3, bits.bit[3]), g.power[0]);
  multiply_add(odd, block_of(chunk, 2, bits.bit[2]), g.power[1]);
  multiply_add(even, block_of(chunk, 1, bits.bit[1]), g.power[2]);
  multiply_add(odd, add(g.h, block_of(chunk, 0, bits.bit[0])), g.power[3]);
  add_to(even, odd);
  g.h = carry(even);
}

// Keeps a value where it is computed, so that the compiler cannot regroup the weave below.
#define WG_HERE(value) asm volatile("" : "+v"(value))

// The loop of long packets: absorbs `chunk` while chunk number `next` is loaded and transposed between the
// multiplications. Left to itself the processor would fill its schedulers with multiplications that wait and
// never reach the loads of the next chunk.
WG_INLINE void absorb_and_load(LaneGroup<4>& g, Chunk& chunk, int next) {
  const Vec bit = all(kBlockBit);
  const auto offset = 64 * static_cast<std::uint64_t>(next);
  Product even = zero_product();
  Product odd = zero_product();
  Vec packet[8], lo[4], hi[4];
  const auto load_pair = [&](int i) {
    packet[2 * i] = load_at(g.base[2 * i] + offset);
    WG_HERE(packet[2 * i]);
    packet[2 * i + 1] = load_at(g.base[2 * i + 1] + offset);
    WG_HERE(packet[2 * i + 1]);
  };
  const auto unpack_pair = [&](int i) {
    lo[i] = _mm512_unpacklo_epi64(packet[2 * i], packet[2 * i + 1]);
    hi[i] = _mm512_unpackhi_epi64(packet[2 * i], packet[2 * i + 1]);
    WG_HERE(lo[i]);
    WG_HERE(hi[i]);
  };

  Limbs m = block_of(chunk, 3, bit);
  load_pair(0);
  multiply_limb0(even, m.limb[0], g.power[0]);
  WG_HERE(even.low[0]);
  unpack_pair(0);
  load_pair(1);
  multiply_limb1(even, m.limb[1], g.power[0]);
  WG_HERE(even.low[0]);
  unpack_pair(1);
  multiply_limb2(even, m.limb[2], g.power[0]);
  WG_HERE(even.low[0]);
  Vec lo_a = _mm512_shuffle_i64x2(lo[0], lo[1], 0x44), lo_b = _mm512_shuffle_i64x2(lo[0], lo[1], 0xee);
  Vec hi_a = _mm512_shuffle_i64x2(hi[0], hi[1], 0x44), hi_b = _mm512_shuffle_i64x2(hi[0], hi[1], 0xee);
  WG_HERE(lo_a);
  WG_HERE(lo_b);
  WG_HERE(hi_a);
  WG_HERE(hi_b);
  load_pair(2);

  m = block_of(chunk, 2, bit);
  multiply_limb0(odd, m.limb[0], g.power[1]);
  WG_HERE(odd.low[0]);
  unpack_pair(2);
  load_pair(3);
  multiply_limb1(odd, m.limb[1], g.power[1]);
  WG_HERE(odd.low[0]);
  unpack_pair(3);
  multiply_limb2(odd, m.limb[2], g.power[1]);
  WG_HERE(odd.low[0]);
  Vec lo_c = _mm512_shuffle_i64x2(lo[2], lo[3], 0x44), lo_d = _mm512_shuffle_i64x2(lo[2], lo[3], 0xee);
  Vec hi_c = _mm512_shuffle_i64x2(hi[2], hi[3], 0x44), hi_d = _mm512_shuffle_i64x2(hi[2], hi[3], 0xee);
  WG_HERE(lo_c);
  WG_HERE(lo_d);
  WG_HERE(hi_c);
  WG_HERE(hi_d);

  m = block_of(chunk, 1, bit);
  multiply_limb0(even, m.limb[0], g.power[2]);
  WG_HERE(even.low[0]);
  chunk.word[4] = _mm512_shuffle_i64x2(lo_b, lo_d, 0x88);
  chunk.word[6] = _mm512_shuffle_i64x2(lo_b, lo_d, 0xdd);
  multiply_limb1(even, m.limb[1], g.power[2]);
  WG_HERE(even.low[0]);
  chunk.word[5] = _mm512_shuffle_i64x2(hi_b, hi_d, 0x88);
  chunk.word[7] = _mm512_shuffle_i64x2(hi_b, hi_d, 0xdd);
  multiply_limb2(even, m.limb[2], g.power[2]);
  WG_HERE(even.low[0]);
  chunk.word[2] = _mm512_shuffle_i64x2(lo_a, lo_c, 0xdd);
  chunk.word[3] = _mm512_shuffle_i64x2(hi_a, hi_c, 0xdd);

  m = add(g.h, block_of(chunk, 0, bit));
  multiply_limb0(odd, m.limb[0], g.power[3]);
  chunk.word[0] = _mm512_shuffle_i64x2(lo_a, lo_c, 0x88);
  chunk.word[1] = _mm512_shuffle_i64x2(hi_a, hi_c, 0x88);
  multiply_limb1(odd, m.limb[1], g.power[3]);
  multiply_limb2(odd, m.limb[2], g.power[3]);
  add_to(even, odd);
  g.h = carry(even);
}

WG_INLINE int chunks_of(std::uint64_t length) {
  return (poly_blocks(length) + kBlocksPerChunk - 1) / kBlocksPerChunk;
}

template <int Step>
WG_INLINE void put_tags(const LaneGroup<Step>& g, int first, TagColumns& tags) {
  const Tags result = finish(g.h, g.pad_low, g.pad_high);
  store(tags.low + first, result.low);
  store(tags.high + first, result.high);
}

// Short packets: all Groups groups advance together, chunk by chunk, which hides the latency of their
// carries.
template <int Step, int Groups>
[[gnu::noinline]] void tag_short_packets(const Batch& batch, int first, const OneTimeKeys* keys,
                                         TagColumns& tags) {
  LaneGroup<Step> g[Groups];
  const std::uint64_t longest = batch.length[first + kPolyLanes * Groups - 1];
  const int chunks = chunks_of(longest);
  // Blocks no lane has: the first chunk of the longest packet need not be whole.
  const int skipped = kBlocksPerChunk * chunks - poly_blocks(longest);
  for (int i = 0; i < Groups; ++i) start(g[i], batch, first + kPolyLanes * i, chunks, keys[i]);
  for (int index = 0; index < chunks; ++index) {
    Chunk chunk[Groups];
    BlockBits bits[Groups];
    for (int i = 0; i < Groups; ++i) chunk[i] = load_edge_chunk(g[i], index, index == chunks - 1, bits[i]);
      // Unrolled, or the chunks would have to live in memory to be indexed.
#pragma GCC unroll 4
    for (int block = 0; block < kBlocksPerChunk; block += Step) {
      if (index == 0 && block + Step <= skipped) continue;
      for (int i = 0; i < Groups; ++i) absorb(g[i], chunk[i], bits[i], block);
    }
  }
  for (int i = 0; i < Groups; ++i) put_tags(g[i], first + kPolyLanes * i, tags);
}

// Long packets: edges are batched over the groups, the loop between them runs group by group.
template <int Groups>
[[gnu::noinline]] void tag_long_packets(const Batch& batch, int first, const OneTimeKeys* keys,
                                        TagColumns& tags) {
  LaneGroup<4> g[Groups];
  int chunks[Groups], next[Groups];
  for (int i = 0; i < Groups; ++i) {
    const int position = first + kPolyLanes * i;
    chunks[i] = chunks_of(batch.length[position + kPolyLanes - 1]);
    start(g[i], batch, position, chunks[i], keys[i]);
  }
  for (int i = 0; i < Groups; ++i) {
    const int all_started = chunks[i] - chunks_of(batch.length[first + kPolyLanes * i]);
    for (next[i] = 0; next[i] <= all_started && next[i] < chunks[i] - 1; ++next[i]) {
      BlockBits bits;
      const Chunk chunk = load_edge_chunk(g[i], next[i], false, bits);
      absorb_chunk(g[i], chunk, bits);
    }
  }
  for (int i = 0; i < Groups; ++i) {
    if (next[i] >= chunks[i] - 1) continue;
    Chunk chunk = load_chunk(g[i], next[i]);
    for (; next[i] < chunks[i] - 1; ++next[i]) absorb_and_load(g[i], chunk, next[i] + 1);
  }
  for (int i = 0; i < Groups; ++i) {
    BlockBits bits;
    const Chunk chunk = load_edge_chunk(g[i], chunks[i] - 1, true, bits);
    absorb_chunk(g[i], chunk, bits);
  }
  for (int i = 0; i < Groups; ++i) put_tags(g[i], first + kPolyLanes * i, tags);
}

}  // namespace wg::crypto::avx512
