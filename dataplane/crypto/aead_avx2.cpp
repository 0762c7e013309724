// The AVX2 variant of the burst AEAD. It follows aead_avx512.cpp (read the head of that file first) with
// vectors half as wide: groups of 8 lanes for ChaCha20, one at a time, and four packets per vector for
// Poly1305.
//
// Residual secrets: as in aead_avx512.cpp, everything in the scratch that held secrets is wiped at the end of
// a call. Registers and spill slots may keep one-time values of the last packets until the next burst.
//
// This file is compiled with AVX2 flags, so it must not instantiate an inline function of the standard
// library (aead_batch.h).
#include <immintrin.h>

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/aead_scratch.h"
#include "dataplane/crypto/aead_variants.h"
#include "dataplane/crypto/chacha20_avx2.h"
#include "dataplane/crypto/poly1305_avx2.h"
#include "dataplane/crypto/poly1305_scalar.h"

namespace wg::crypto::avx2 {
namespace {

constexpr int kSmallBlocks = 2 * kLanes;  // keystream of a small batch, the one-time keys included

struct Work {
  Batch batch;
  Rows state;
  Rows keystream;
  LaneList lanes;
  OneTimeKeys keys[kBatchSize / kPolyLanes];
  TagColumns tags;
  alignas(32) std::uint8_t blocks[kSmallBlocks][kBlock];  // small batches
  int first_block[kBatchSize];                            // small batches: packet -> its block 0 in `blocks`
};

// ---- The batch

// The sort is stable. Most bursts have one length or nearly sorted runs of a few lengths.
void set_order(const AeadOp* ops, int count, std::uint8_t* order) {
  for (int i = 0; i < count; ++i) {
    int position = i;
    for (; position > 0 && ops[order[position - 1]].length > ops[i].length; --position) {
      order[position] = order[position - 1];
    }
    order[position] = static_cast<std::uint8_t>(i);
  }
}

// Fills the batch and repeats the last packet up to a whole number of groups of `multiple` lanes.
void fill_batch(Batch& batch, const AeadOp* ops, int count, int multiple) {
  batch.count = count;
  set_order(ops, count, batch.order);
  for (int i = 0; i < count; ++i) set_packet(batch, i, ops[batch.order[i]]);
  const AeadOp& last = ops[batch.order[count - 1]];
  for (int i = count; i % multiple != 0; ++i) set_packet(batch, i, last);
}

// ---- ChaCha20

void append_lane(LaneList& lanes, int packet, int block) {
  lanes.lane[lanes.size++] = {static_cast<std::uint8_t>(packet), static_cast<std::uint16_t>(block)};
}

// Lanes past the end of the list compute unused values.
void pad_lanes(LaneList& lanes) {
  for (int i = 0; i < kLanes - 1; ++i) lanes.lane[lanes.size + i] = {0, 0};
}

// Lane of a block-zero group -> packet. In this order the 32-bit halves of r and s, unpacked to 64 bits, form
// two vectors with packets 0..3 and 4..7 in order.
constexpr std::uint8_t kBlockZeroPacket[kLanes] = {0, 1, 4, 5, 2, 3, 6, 7};

void keep_one_time_keys(const Rows& keystream, OneTimeKeys* keys) {
  const auto unpack = [&](int word, std::uint64_t* first, std::uint64_t* second) {
    const Vec low = load(keystream.row[word]);
    const Vec high = load(keystream.row[word + 1]);
    store(first, _mm256_unpacklo_epi32(low, high));
    store(second, _mm256_unpackhi_epi32(low, high));
  };
  unpack(0, keys[0].r_low, keys[1].r_low);
  unpack(2, keys[0].r_high, keys[1].r_high);
  unpack(4, keys[0].pad_low, keys[1].pad_low);
  unpack(6, keys[0].pad_high, keys[1].pad_high);
}

void derive_one_time_keys(Work& work) {
  for (int first = 0; first < work.batch.count; first += kLanes) {
    Lane lanes[kLanes];
    for (int i = 0; i < kLanes; ++i) lanes[i] = {static_cast<std::uint8_t>(first + kBlockZeroPacket[i]), 0};
    build_listed(work.state, work.batch, lanes);
    rounds_of_one_group(&work.state, &work.keystream);
    keep_one_time_keys(work.keystream, work.keys + first / kPolyLanes);
  }
}

// Encrypts blocks first .. last - 1 (counted from 0) of a packet's payload in groups of 8. `last` ends the
// payload or a group.
void crypt_full_groups(Work& work, int packet, int first, int last) {
  for (int block = first; block < last; block += kLanes) {
    const std::uint64_t offset = std::uint64_t{kBlock} * static_cast<unsigned>(block);
    build_full(work.state, work.batch, packet, static_cast<std::uint32_t>(1 + block));
    rounds_of_one_group(&work.state, &work.keystream);
    xor_full(work.keystream, work.batch.data[packet] + offset, work.batch.length[packet] - offset);
  }
}

void crypt_payloads(Work& work) {
  LaneList& lanes = work.lanes;
  lanes.size = 0;
  for (int packet = 0; packet < work.batch.count; ++packet) {
    const int blocks = chacha_blocks(work.batch.length[packet]);
    const int whole = blocks / kLanes * kLanes;
    crypt_full_groups(work, packet, 0, whole);
    for (int block = whole; block < blocks; ++block) append_lane(lanes, packet, 1 + block);
  }
  pad_lanes(lanes);
  for (int first = 0; first < lanes.size; first += kLanes) {
    build_listed(work.state, work.batch, lanes.lane + first);
    rounds_of_one_group(&work.state, &work.keystream);
    xor_mixed(work.keystream, work.batch, lanes.lane + first,
              lanes.size - first < kLanes ? lanes.size - first : kLanes);
  }
}

// ---- Poly1305

OneTimeKey one_time_key(const OneTimeKeys* keys, int position) {
  const OneTimeKeys& k = keys[position / kPolyLanes];
  const int lane = position % kPolyLanes;
  return {k.r_low[lane], k.r_high[lane], k.pad_low[lane], k.pad_high[lane]};
}

// `key_of` returns the one-time key of a position. Takes two neighbours at a time: the batch is sorted, so
// their lengths are similar.
template <typename KeyOf>
WG_INLINE void tag_in_pairs(const Batch& batch, int first, int end, const KeyOf& key_of, TagColumns& tags) {
  const auto keep = [&](int position, const Tag128& tag) {
    tags.low[position] = tag.low;
    tags.high[position] = tag.high;
  };
  int i = first;
  for (; i + 1 < end; i += 2) {
    const scalar_poly1305::TwoTags two = scalar_poly1305::tag_two(
        batch.data[i], batch.length[i], key_of(i), batch.data[i + 1], batch.length[i + 1], key_of(i + 1));
    keep(i, two.first);
    keep(i + 1, two.second);
  }
  if (i < end) keep(i, scalar_poly1305::tag(batch.data[i], batch.length[i], key_of(i)));
}

// Compares the core cycles of the kernels for four packets, as measured on Zen 4.
bool better_in_pairs(const Batch& batch, int first, int count) {
  int pairs = 0;
  for (int i = 0; i < count; i += 2) {
    pairs += 23 + 23 * poly_blocks(batch.length[first + (i + 1 < count ? i + 1 : i)]);
  }
  return pairs < 410 + 29 * poly_blocks(batch.length[first + count - 1]);
}

void compute_tags(Work& work) {
  const Batch& batch = work.batch;
  const auto key_of = [&](int position) { return one_time_key(work.keys, position); };
  for (int first = 0; first < batch.count; first += kPolyLanes) {
    const int count = batch.count - first < kPolyLanes ? batch.count - first : kPolyLanes;
    if (better_in_pairs(batch, first, count)) {
      tag_in_pairs(batch, first, first + count, key_of, work.tags);
    } else {
      tag_four(batch, first, work.keys[first / kPolyLanes], work.tags);
    }
  }
}

// ---- Wiping

void wipe(void* memory, std::size_t size) {
  auto* p = static_cast<std::uint8_t*>(memory);
  for (std::size_t i = 0; i < size; i += 32) store(p + i, _mm256_setzero_si256());
  asm volatile("" : : "r"(memory) : "memory");  // keeps the compiler from dropping the stores as dead
}

void wipe_secrets(Work& work) {
  wipe(work.state.row[4], sizeof work.state.row[0] * 8);
  wipe(&work.keystream, sizeof work.keystream);
  wipe(work.keys, sizeof work.keys);
}

// ---- A batch

void seal_batch(Work& work, AeadOp* ops, int count) {
  fill_batch(work.batch, ops, count, kLanes);
  derive_one_time_keys(work);
  crypt_payloads(work);
  compute_tags(work);
  write_tags(work.batch, work.tags);
}

std::size_t open_batch(Work& work, AeadOp* ops, int count) {
  fill_batch(work.batch, ops, count, kLanes);
  derive_one_time_keys(work);
  compute_tags(work);
  const std::size_t authentic = check_tags(work.batch, work.tags, ops);
  crypt_payloads(work);
  return authentic;
}

// ---- A small batch: block 0 and the remainder of every packet in one or two groups, kept until they are
// used

bool is_small(const AeadOp* ops, int count) {
  int blocks = count;
  for (int i = 0; i < count && blocks <= kSmallBlocks; ++i) blocks += chacha_blocks(ops[i].length) % kLanes;
  return blocks <= kSmallBlocks;
}

void list_small(Work& work) {
  LaneList& lanes = work.lanes;
  lanes.size = 0;
  for (int packet = 0; packet < work.batch.count; ++packet) {
    const int blocks = chacha_blocks(work.batch.length[packet]);
    work.first_block[packet] = lanes.size;
    append_lane(lanes, packet, 0);
    for (int block = blocks / kLanes * kLanes; block < blocks; ++block) append_lane(lanes, packet, 1 + block);
  }
  pad_lanes(lanes);
}

void small_keystream(Work& work) {
  for (int first = 0; first < work.lanes.size; first += kLanes) {
    build_listed(work.state, work.batch, work.lanes.lane + first);
    rounds_of_one_group(&work.state, &work.keystream);
    Vec low[kLanes], high[kLanes];
    load_halves(work.keystream, 0, low);
    load_halves(work.keystream, 8, high);
    for (int i = 0; i < kLanes; ++i) {
      store(work.blocks[first + i], low[i]);
      store(work.blocks[first + i] + 32, high[i]);
    }
  }
}

void small_crypt(Work& work) {
  for (int packet = 0; packet < work.batch.count; ++packet) {
    const int blocks = chacha_blocks(work.batch.length[packet]);
    const int whole = blocks / kLanes * kLanes;
    crypt_full_groups(work, packet, 0, whole);
    if (whole == blocks) continue;
    std::uint8_t* data = work.batch.data[packet] + kBlock * whole;
    std::uint64_t left = work.batch.length[packet] - static_cast<std::uint64_t>(kBlock * whole);
    const std::uint8_t* keystream = work.blocks[work.first_block[packet] + 1];
    for (; left >= kBlock; left -= kBlock, data += kBlock, keystream += kBlock) {
      xor_half(data, load(keystream));
      xor_half(data + 32, load(keystream + 32));
    }
    xor_bytes(data, keystream, left);
  }
}

void small_tags(Work& work) {
  const auto key_of = [&](int position) {
    OneTimeKey key;
    __builtin_memcpy(&key, work.blocks[work.first_block[position]], sizeof key);
    return key;
  };
  tag_in_pairs(work.batch, 0, work.batch.count, key_of, work.tags);
}

void prepare_small(Work& work, AeadOp* ops, int count) {
  fill_batch(work.batch, ops, count, 1);
  list_small(work);
  small_keystream(work);
}

void seal_small(Work& work, AeadOp* ops, int count) {
  prepare_small(work, ops, count);
  small_crypt(work);
  small_tags(work);
  write_tags(work.batch, work.tags);
  wipe(work.blocks, sizeof work.blocks);
}

std::size_t open_small(Work& work, AeadOp* ops, int count) {
  prepare_small(work, ops, count);
  small_tags(work);
  const std::size_t authentic = check_tags(work.batch, work.tags, ops);
  small_crypt(work);
  wipe(work.blocks, sizeof work.blocks);
  return authentic;
}

// ---- A burst

constexpr int kSmallBatch = 3;  // packets; from four packets on the Poly1305 lanes are faster

void seal(AeadScratch& scratch, std::span<AeadOp> ops) noexcept {
  Work& work = scratch.as<Work>();
  set_constant_rows(work.state);
  AeadOp* op = ops.data();
  for (std::size_t left = ops.size(); left > 0;) {
    const int count = static_cast<int>(left < kBatchSize ? left : kBatchSize);
    if (count <= kSmallBatch && is_small(op, count)) {
      seal_small(work, op, count);
    } else {
      seal_batch(work, op, count);
    }
    op += count;
    left -= static_cast<std::size_t>(count);
  }
  wipe_secrets(work);
}

std::size_t open(AeadScratch& scratch, std::span<AeadOp> ops) noexcept {
  Work& work = scratch.as<Work>();
  set_constant_rows(work.state);
  AeadOp* op = ops.data();
  std::size_t authentic = 0;
  for (std::size_t left = ops.size(); left > 0;) {
    const int count = static_cast<int>(left < kBatchSize ? left : kBatchSize);
    authentic += count <= kSmallBatch && is_small(op, count) ? open_small(work, op, count)
                                                             : open_batch(work, op, count);
    op += count;
    left -= static_cast<std::size_t>(count);
  }
  wipe_secrets(work);
  return authentic;
}

}  // namespace
}  // namespace wg::crypto::avx2

namespace wg::crypto {
const AeadEngine kAeadAvx2 = {"avx2", avx2::seal, avx2::open};
}  // namespace wg::crypto
