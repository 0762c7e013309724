// Poly1305 of a batch in AVX-512: the choice of a kernel for each packet.
//
//     lanes       eight packets of about the same length         poly1305_lanes_avx512.h
//     few         two or four of the same number of vectors      poly1305_few_avx512.h
//     message     a long packet alone                            poly1305_message_avx512.h
//     scalar      short packets, one or two at a time            poly1305_scalar.h
#pragma once

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/poly1305_few_avx512.h"
#include "dataplane/crypto/poly1305_lanes_avx512.h"
#include "dataplane/crypto/poly1305_message_avx512.h"
#include "dataplane/crypto/poly1305_scalar.h"

namespace wg::crypto::avx512 {

inline OneTimeKey one_time_key(const OneTimeKeys* keys, int position) {
  const OneTimeKeys& k = keys[position / kPolyLanes];
  const int lane = position % kPolyLanes;
  return {k.r_low[lane], k.r_high[lane], k.pad_low[lane], k.pad_high[lane]};
}

constexpr int kMaxStragglers = 4;
constexpr int kFewBlocks = 9;  // below this, four packets are faster in pairs in general registers

// Outside the lane kernels: the kernel for the next packets, and its cost in core cycles, measured on Zen 4.
struct AloneStep {
  enum Kernel { kScalar, kScalarTwo, kMessage, kTwo, kFour } kernel;
  int packets;
  int cost;
};

WG_INLINE AloneStep next_alone(const Batch& batch, int position, int end) {
  const std::uint64_t* length = batch.length + position;
  const int left = end - position;
  const int blocks = poly_blocks(length[0]);
  const int blocks_of_second = left >= 2 ? poly_blocks(length[1]) : 0;
  if (left >= 2 && blocks_of_second < kFewBlocks)
    return {AloneStep::kScalarTwo, 2, 40 + 21 * blocks_of_second};
  if (left >= 4 && blocks >= kFewBlocks &&
      TagsOfFew<4>::vectors(length[0]) == TagsOfFew<4>::vectors(length[3]))
    return {AloneStep::kFour, 4, 380 + 12 * blocks};
  if (left >= 2 && blocks_of_second <= 22) return {AloneStep::kScalarTwo, 2, 40 + 21 * blocks_of_second};
  if (left >= 2 && TagsOfFew<2>::vectors(length[0]) == TagsOfFew<2>::vectors(length[1]))
    return {AloneStep::kTwo, 2, 420 + 11 * blocks / 2};
  if (blocks <= 28) return {AloneStep::kScalar, 1, 16 * blocks};
  return {AloneStep::kMessage, 1, 380 + 3 * blocks};
}

inline int cost_alone(const Batch& batch, int first, int end) {
  int cost = 0;
  while (first < end) {
    const AloneStep step = next_alone(batch, first, end);
    cost += step.cost;
    first += step.packets;
  }
  return cost;
}

// The cost of eight packets, the longest of which has `longest` blocks. With `more`, the work of further
// packets fills the gaps.
inline int cost_of_lanes(int longest, bool more) {
  return more && longest <= 16 ? 90 + 38 * longest : 290 + 23 * longest;
}

// `key_of` returns the one-time key of a position.
template <typename KeyOf>
WG_INLINE void tag_alone(const Batch& batch, int first, int end, const KeyOf& key_of, TagColumns& tags) {
  const auto keep = [&](int position, const Tag128& tag) {
    tags.low[position] = tag.low;
    tags.high[position] = tag.high;
  };
  while (first < end) {
    const AloneStep step = next_alone(batch, first, end);
    const auto data = [&](int i) { return batch.data[first + i]; };
    const auto length = [&](int i) { return batch.length[first + i]; };
    if (step.kernel == AloneStep::kScalarTwo) {
      const scalar_poly1305::TwoTags two =
          scalar_poly1305::tag_two(data(0), length(0), key_of(first), data(1), length(1), key_of(first + 1));
      keep(first, two.first);
      keep(first + 1, two.second);
    } else if (step.kernel == AloneStep::kScalar) {
      keep(first, scalar_poly1305::tag(data(0), length(0), key_of(first)));
    } else if (step.kernel == AloneStep::kMessage) {
      keep(first, tag_of_message(data(0), length(0), key_of(first)));
    } else if (step.kernel == AloneStep::kTwo) {
      const OneTimeKey keys[] = {key_of(first), key_of(first + 1)};
      tags_of_few<2>(batch, first, keys, tags);
    } else {
      const OneTimeKey keys[] = {key_of(first), key_of(first + 1), key_of(first + 2), key_of(first + 3)};
      tags_of_few<4>(batch, first, keys, tags);
    }
    first += step.packets;
  }
}

inline bool better_alone(const Batch& batch, int first, int count) {
  const int last = first + count - 1;
  if (count == kPolyLanes && batch.length[first] == batch.length[last]) return false;
  if (count <= 4 && poly_blocks(batch.length[last]) < kFewBlocks) return true;
  const bool more = last + 1 < batch.count;
  return cost_alone(batch, first, last + 1) < cost_of_lanes(poly_blocks(batch.length[last]), more);
}

// Calls one lane kernel for the packets from `first` on and returns the number it covered.
inline int tag_groups(const Batch& batch, int first, const OneTimeKeys* all_keys, TagColumns& tags) {
  const OneTimeKeys* keys = all_keys + first / kPolyLanes;
  const int left = batch.count - first;
  const auto longest = [&](int count) { return poly_blocks(batch.length[first + count - 1]); };

  if (left > 8 && longest(16) <= 8) {
    tag_short_packets<1, 2>(batch, first, keys, tags);

    return 16;
  }
  if (left > 8 && longest(16) <= 16) {
    tag_short_packets<2, 2>(batch, first, keys, tags);
    return 16;
  }
  if (left > 24) {
    tag_long_packets<4>(batch, first, keys, tags);
    return 32;
  }
  if (left > 16) {
    tag_long_packets<3>(batch, first, keys, tags);
    return 24;
  }
  if (left > 8) {
    tag_long_packets<2>(batch, first, keys, tags);
    return 16;
  }
  if (longest(8) <= 4) {
    tag_short_packets<1, 1>(batch, first, keys, tags);
    return 8;
  }
  tag_long_packets<1>(batch, first, keys, tags);
  return 8;
}

// The number of longest packets that should not be lanes, because the other lanes would wait for them.
inline int stragglers(const Batch& batch) {
  const int lanes = (batch.count - 1) % kPolyLanes + 1;  // lanes in use in the last vector
  const auto cost_of_rest = [&](int n) {
    return cost_of_lanes(poly_blocks(batch.length[batch.count - 1 - n]), false);
  };
  if (batch.length[batch.count - 1] == batch.length[batch.count - lanes]) return 0;
  int best = 0;
  int best_cost = cost_of_rest(0);
  for (int n = 1; n <= kMaxStragglers && n < lanes; ++n) {
    const int cost = cost_of_rest(n) + cost_alone(batch, batch.count - n, batch.count);
    if (cost < best_cost) best = n, best_cost = cost;
  }
  return best;
}

inline void tag_groups_or_alone(const Batch& batch, const OneTimeKeys* keys, TagColumns& tags) {
  for (int first = 0; first < batch.count;) {
    const int count = batch.count - first < kPolyLanes ? batch.count - first : kPolyLanes;
    if (!better_alone(batch, first, count)) {
      first += tag_groups(batch, first, keys, tags);
      continue;
    }
    const auto key_of = [keys](int position) { return one_time_key(keys, position); };
    tag_alone(batch, first, first + count, key_of, tags);
    first += count;
  }
}

// Computes the tags of all packets of a batch. It changes the batch's lengths during the call.
inline void compute_tags(Batch& batch, const OneTimeKeys* keys, TagColumns& tags) {
  const int apart = stragglers(batch);
  if (apart == 0) return tag_groups_or_alone(batch, keys, tags);
  // Their lanes, and the idle lanes after them, get a shorter packet's length for the moment.
  const int first = batch.count - apart;
  const int end = (batch.count + kPolyLanes - 1) / kPolyLanes * kPolyLanes;
  std::uint64_t length[kMaxStragglers];
  for (int i = 0; i < apart; ++i) length[i] = batch.length[first + i];
  for (int i = first; i < end; ++i) batch.length[i] = batch.length[first - 1];
  tag_groups_or_alone(batch, keys, tags);
  for (int i = 0; i < apart; ++i) batch.length[first + i] = length[i];
  const auto key_of = [keys](int position) { return one_time_key(keys, position); };
  tag_alone(batch, first, batch.count, key_of, tags);
}

}  // namespace wg::crypto::avx512
