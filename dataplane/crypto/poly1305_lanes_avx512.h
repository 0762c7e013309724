// Poly1305 of many packets at once: lane = packet, eight packets in a vector, so there is no power r^8 and no
// sum across lanes. The packets of a group have different lengths and are aligned at their ends:
//
//     block      0   1   2   3 | 4   5   6   7 | 8   9  10  11 |     a chunk is 4 blocks, 64 bytes
//     lane 0     .   .   .   . | .   A   A   A | A   A   A   a | len     a: partly filled last block
//     lane 1     .   B   B   B | B   B   B   B | B   B   B   b | len     len: 0 || LE64(length)
//     lane 2     .   .   .   . | .   .   .   . | .   .   C   c | len     .: leading zeros, without effect
//                                                                        in Horner's rule
//
// The length block comes from a register and is never in memory. A chunk of eight packets takes eight loads
// and a transposition of 8 x 4 blocks. Chunks where a lane starts, and the last one, mask the bytes outside
// the packet after the transposition. Their plain loads may read up to 48 bytes before the payload and 15
// after it (kAeadReadBefore, kAeadReadAfter).
//
// Step blocks share one carry: h = (h + m0) r^Step + m1 r^(Step-1) + ... + m_(Step-1) r. Computing the powers
// costs time, so short packets use Step 1 or 2 and long ones Step 4.
#pragma once

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/poly1305_avx512.h"

namespace wg::crypto::avx512 {

constexpr int kPolyLanes = 8;
constexpr int kBlocksPerChunk = 4;

// The one-time keys of eight packets as the block-0 group of ChaCha20 produces them: r = low || high, s =
// pad.
struct alignas(64) OneTimeKeys {
  std::uint64_t r_low[kPolyLanes];
  std::uint64_t r_high[kPolyLanes];
  std::uint64_t pad_low[kPolyLanes];
  std::uint64_t pad_high[kPolyLanes];
};

// 4 blocks of 8 packets. Block b is (word[2b], word[2b+1]), the low and high 64 bits of each lane.
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

// The mask of the payload bytes in the last data block, for lengths % 16 of 0 (a whole block), 1 .. 15.
template <int Step>
WG_INLINE void set_last_block_masks(LaneGroup<Step>& g) {
  const Vec ones = all(~0ull);
  const Vec bits = _mm512_slli_epi64(_mm512_and_si512(g.length, all(15)), 3);
  const __mmask8 partial = _mm512_test_epi64_mask(bits, bits);
  // Variable shifts by 64 or more yield zero, as does the wrapped negative distance of short blocks.
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

// Sets up packets first .. first + 7 of the batch, the longest of which has `chunks` chunks.
template <int Step>
WG_INLINE void start(LaneGroup<Step>& g, const Batch& batch, int first, int chunks, const OneTimeKeys& keys) {
  g.length = load(batch.length + first);
  const Vec data = load(batch.data + first);
  const Vec blocks = _mm512_srli_epi64(add(g.length, all(15)), 4);
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

struct BlockBits {
  Vec bit[kBlocksPerChunk];
};

// The addresses from which the lanes load chunk `index`. Lanes that have not started stay at a valid address.
template <int Step>
WG_INLINE void set_addresses(LaneGroup<Step>& g, int index) {
  const Vec base = load(g.base);
  store(g.address, _mm512_max_epu64(add(base, all(64 * static_cast<std::uint64_t>(index))), g.lowest));
}

// Masks the bytes outside the packets in a chunk where lanes may start and which may be the last.
template <int Step>
WG_INLINE void blank(const LaneGroup<Step>& g, int index, bool last, Chunk& chunk, BlockBits& bits) {
  for (int b = 0; b < kBlocksPerChunk; ++b) {
    const auto block = static_cast<std::uint64_t>(kBlocksPerChunk * index + b);
    const __mmask8 started = _mm512_cmple_epu64_mask(g.first_block, all(block));
    bits.bit[b] = _mm512_maskz_mov_epi64(started, all(kBlockBit));
    chunk.word[2 * b] = _mm512_maskz_mov_epi64(started, chunk.word[2 * b]);
    chunk.word[2 * b + 1] = _mm512_maskz_mov_epi64(started, chunk.word[2 * b + 1]);
  }
  if (last) {
    chunk.word[6] = _mm512_and_si512(chunk.word[6], g.last_low);
    chunk.word[7] = _mm512_and_si512(chunk.word[7], g.last_high);
  }
}

template <int Step>
WG_INLINE Chunk load_edge_chunk(LaneGroup<Step>& g, int index, bool last, BlockBits& bits) {
  set_addresses(g, index);
  Vec packet[kPolyLanes];
  for (int i = 0; i < kPolyLanes; ++i) packet[i] = load_at(g.address[i]);
  Chunk chunk = transpose_chunk(packet);
  blank(g, index, last, chunk, bits);
  return chunk;
}

WG_INLINE Limbs block_of(const Chunk& chunk, int block, Vec bit) {
  return split(chunk.word[2 * block], chunk.word[2 * block + 1], bit);
}

// Absorbs Step blocks from `block` on with one carry.
template <int Step>
WG_INLINE void absorb(LaneGroup<Step>& g, const Chunk& chunk, const BlockBits& bits, int block) {
  Product sum = zero_product();
  for (int i = Step - 1; i > 0; --i) {
    multiply_add(sum, block_of(chunk, block + i, bits.bit[block + i]), g.power[Step - 1 - i]);
  }
  multiply_add(sum, add(g.h, block_of(chunk, block, bits.bit[block])), g.power[Step - 1]);
  g.h = carry(sum);
}

// Absorbs the length block: 2^64 length + 2^128.
template <int Step>
WG_INLINE void absorb_length(LaneGroup<Step>& g) {
  Product sum = zero_product();
  multiply_add(sum, add(g.h, split(_mm512_setzero_si512(), g.length, all(kBlockBit))), g.power[0]);
  g.h = carry(sum);
}

// Absorbs four blocks with two sums, which halves the chains of dependent multiplications.
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

// Pins a value to the place where it is computed, so that the compiler cannot regroup the interleaving below.
#define WG_HERE(value) asm volatile("" : "+v"(value))

enum class Chunks { kWhole, kEdge };

struct Halves {
  Vec lo, hi;
};

// The loop of long packets absorbs `chunk` while it loads and transposes chunk number `next` between the
// multiplications. Without this interleaving waiting multiplications would fill the processor's schedulers,
// and it would not reach the loads of the next chunk. With kWhole both chunks consist of blocks of all lanes;
// otherwise `bits` marks the blocks. size: kernel.
template <Chunks Kind>
WG_INLINE void absorb_and_load(LaneGroup<4>& g, Limbs& h, Chunk& chunk, BlockBits& bits, int next,
                               bool last) {
  const auto offset = 64 * static_cast<std::uint64_t>(next);
  const auto bit = [&](int block) { return Kind == Chunks::kWhole ? all(kBlockBit) : bits.bit[block]; };
  const auto address = [&](int lane) {
    return Kind == Chunks::kWhole ? g.base[lane] + offset : g.address[lane];
  };
  if (Kind == Chunks::kEdge) set_addresses(g, next);
  Product even = zero_product();
  Product odd = zero_product();
  // Single values instead of arrays, which g++ would write to memory needlessly.
  const auto load_lane = [&](int lane) {
    Vec packet = load_at(address(lane));
    WG_HERE(packet);
    return packet;
  };
  const auto unpack = [](Vec a, Vec b) {
    Vec lo = _mm512_unpacklo_epi64(a, b), hi = _mm512_unpackhi_epi64(a, b);
    WG_HERE(lo);
    WG_HERE(hi);
    return Halves{lo, hi};
  };
  const auto quarters = [](Vec a, Vec b) {
    Vec lo = _mm512_shuffle_i64x2(a, b, 0x44), hi = _mm512_shuffle_i64x2(a, b, 0xee);
    WG_HERE(lo);
    WG_HERE(hi);
    return Halves{lo, hi};
  };

  Limbs m = block_of(chunk, 3, bit(3));
  const Vec p0 = load_lane(0), p1 = load_lane(1);
  multiply_limb0(even, m.limb[0], g.power[0]);
  WG_HERE(even.low[0]);
  const Halves p01 = unpack(p0, p1);
  const Vec p2 = load_lane(2), p3 = load_lane(3);
  multiply_limb1(even, m.limb[1], g.power[0]);
  WG_HERE(even.low[0]);
  const Halves p23 = unpack(p2, p3);
  multiply_limb2(even, m.limb[2], g.power[0]);
  WG_HERE(even.low[0]);
  const Halves lo_ab = quarters(p01.lo, p23.lo), hi_ab = quarters(p01.hi, p23.hi);
  const Vec p4 = load_lane(4), p5 = load_lane(5);

  m = block_of(chunk, 2, bit(2));
  multiply_limb0(odd, m.limb[0], g.power[1]);
  WG_HERE(odd.low[0]);
  const Halves p45 = unpack(p4, p5);
  const Vec p6 = load_lane(6), p7 = load_lane(7);
  multiply_limb1(odd, m.limb[1], g.power[1]);
  WG_HERE(odd.low[0]);
  const Halves p67 = unpack(p6, p7);
  multiply_limb2(odd, m.limb[2], g.power[1]);
  WG_HERE(odd.low[0]);
  const Halves lo_cd = quarters(p45.lo, p67.lo), hi_cd = quarters(p45.hi, p67.hi);

  m = block_of(chunk, 1, bit(1));
  multiply_limb0(even, m.limb[0], g.power[2]);
  WG_HERE(even.low[0]);
  chunk.word[4] = _mm512_shuffle_i64x2(lo_ab.hi, lo_cd.hi, 0x88);
  chunk.word[6] = _mm512_shuffle_i64x2(lo_ab.hi, lo_cd.hi, 0xdd);
  multiply_limb1(even, m.limb[1], g.power[2]);
  WG_HERE(even.low[0]);
  chunk.word[5] = _mm512_shuffle_i64x2(hi_ab.hi, hi_cd.hi, 0x88);
  chunk.word[7] = _mm512_shuffle_i64x2(hi_ab.hi, hi_cd.hi, 0xdd);
  multiply_limb2(even, m.limb[2], g.power[2]);
  WG_HERE(even.low[0]);
  chunk.word[2] = _mm512_shuffle_i64x2(lo_ab.lo, lo_cd.lo, 0xdd);
  chunk.word[3] = _mm512_shuffle_i64x2(hi_ab.lo, hi_cd.lo, 0xdd);

  m = add(h, block_of(chunk, 0, bit(0)));
  multiply_limb0(odd, m.limb[0], g.power[3]);
  chunk.word[0] = _mm512_shuffle_i64x2(lo_ab.lo, lo_cd.lo, 0x88);
  chunk.word[1] = _mm512_shuffle_i64x2(hi_ab.lo, hi_cd.lo, 0x88);
  multiply_limb1(odd, m.limb[1], g.power[3]);
  multiply_limb2(odd, m.limb[2], g.power[3]);
  add_to(even, odd);
  h = carry(even);
  if (Kind == Chunks::kEdge) blank(g, next, last, chunk, bits);
}

WG_INLINE int data_blocks(std::uint64_t length) {
  return static_cast<int>((length + 15) / 16);
}

WG_INLINE int chunks_of(std::uint64_t length) {
  return (data_blocks(length) + kBlocksPerChunk - 1) / kBlocksPerChunk;
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
  // Blocks that no lane has: the first chunk of the longest packet may be incomplete.
  const int skipped = kBlocksPerChunk * chunks - data_blocks(longest);
  for (int i = 0; i < Groups; ++i) start(g[i], batch, first + kPolyLanes * i, chunks, keys[i]);
  for (int index = 0; index < chunks; ++index) {
    Chunk chunk[Groups];
    BlockBits bits[Groups];
    for (int i = 0; i < Groups; ++i) chunk[i] = load_edge_chunk(g[i], index, index == chunks - 1, bits[i]);
      // Unrolled, because indexing would force the chunks into memory.
#pragma GCC unroll 4
    for (int block = 0; block < kBlocksPerChunk; block += Step) {
      if (index == 0 && block + Step <= skipped) continue;
      for (int i = 0; i < Groups; ++i) absorb(g[i], chunk[i], bits[i], block);
    }
  }
  for (int i = 0; i < Groups; ++i) absorb_length(g[i]);
  for (int i = 0; i < Groups; ++i) put_tags(g[i], first + kPolyLanes * i, tags);
}

// Absorbs all chunks of a group except the last, which it returns in `last`. `shortest`: chunks of its
// shortest packet.
WG_INLINE void absorb_all_but_last(LaneGroup<4>& g, int chunks, int shortest, Chunk& last,
                                   BlockBits& last_bits) {
  const int all_started = chunks - shortest;
  BlockBits bits;
  Limbs h = zero_limbs();
  Chunk chunk = load_edge_chunk(g, 0, chunks == 1, bits);
  int next = 1;
  for (; next < chunks && next <= all_started + 1; ++next)
    absorb_and_load<Chunks::kEdge>(g, h, chunk, bits, next, next == chunks - 1);
  if (next < chunks) {
    for (; next < chunks - 1; ++next) absorb_and_load<Chunks::kWhole>(g, h, chunk, bits, next, false);
    for (Vec& bit : bits.bit) bit = all(kBlockBit);
    absorb_and_load<Chunks::kEdge>(g, h, chunk, bits, next, true);
  }
  g.h = h;
  last = chunk;
  last_bits = bits;
}

// Long packets: the loop runs group by group, and the steps bound by latency run batched over the groups.
template <int Groups>
[[gnu::noinline]] void tag_long_packets(const Batch& batch, int first, const OneTimeKeys* keys,
                                        TagColumns& tags) {
  LaneGroup<4> g[Groups];
  Chunk chunk[Groups];
  BlockBits bits[Groups];
  const auto chunks_at = [&](int i, int lane) {
    return chunks_of(batch.length[first + kPolyLanes * i + lane]);
  };
  for (int i = 0; i < Groups; ++i) {
    start(g[i], batch, first + kPolyLanes * i, chunks_at(i, kPolyLanes - 1), keys[i]);
  }
  for (int i = 0; i < Groups; ++i) {
    const int chunks = chunks_at(i, kPolyLanes - 1);
    if (chunks != 0) absorb_all_but_last(g[i], chunks, chunks_at(i, 0), chunk[i], bits[i]);
  }
  for (int i = 0; i < Groups; ++i) {
    if (chunks_at(i, kPolyLanes - 1) != 0) absorb_chunk(g[i], chunk[i], bits[i]);
  }
  for (int i = 0; i < Groups; ++i) absorb_length(g[i]);
  for (int i = 0; i < Groups; ++i) put_tags(g[i], first + kPolyLanes * i, tags);
}

}  // namespace wg::crypto::avx512
