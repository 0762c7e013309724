// ChaCha20 of eight lanes with Poly1305 in its shadow: the data of the generated kernels
// (generate_shadow_avx2.py).
//
// Poly1305 runs in general registers while the vector units do the rounds. There are two chains; each works
// on one message, block by block, and takes the next of a queue when it has come to the end, in the middle of
// the rounds. So neither the lengths nor the order of the packets matter, and nothing is aligned or padded:
//
//     chain 0   message 0 ........ | message 2 .. | message 3 ......
//     chain 1   message 1 .............. | message 4 ... | idle
//
// A message is the payload's whole 16-byte blocks, where they lie, then its rest: the last, partly filled
// block, padded with zeros, and the length block (RFC 8439 section 2.8). A chain without a message works on
// an idle one of zeros. Messages are taken in the order of the queue, which is the order of memory; a message
// is done when both chains are behind it.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/poly1305_scalar.h"
#include "shadow_kernels_avx2.h"  // generated in the build directory

namespace wg::crypto::avx2 {

using Vec = __m256i;

constexpr int kLanes = 8;
constexpr int kBlock = 64;

WG_INLINE Vec load(const void* address) {
  return _mm256_loadu_si256(static_cast<const Vec*>(address));
}
WG_INLINE void store(void* address, Vec value) {
  _mm256_storeu_si256(static_cast<Vec*>(address), value);
}

constexpr int kRestSize = 32;

struct alignas(128) Message {
  scalar_poly1305::Clamped r;
  const std::uint8_t* whole;      // the whole blocks
  const std::uint8_t* whole_end;  // == whole: there are none
  const std::uint8_t* rest;       // in `last`: one block or two, up to its end
  scalar_poly1305::Sum sum;       // written by the chain that has done the message
  std::uint64_t unused[3];
  std::uint8_t last[kRestSize];
};

// Written by the kernels; between them by wake_chains().
struct alignas(128) Chain {
  scalar_poly1305::Clamped r;
  const std::uint8_t* end;  // of the blocks at hand
  scalar_poly1305::Sum sum;
  const std::uint8_t* block;
  Message* message;
};

struct alignas(128) Kernel {
  std::uint32_t state[16][kLanes];      // state word, lane
  std::uint32_t saved[16][kLanes];      // of the kernels: rows for which there is no register
  Chain chain[2];                       //
  Message* next;                        // the queue: messages next .. ready - 1
  Message* ready;                       //
  Message* drain_until;                 // drain_chains() returns when this one is done
  alignas(64) std::uint8_t* target[8];  // each lane's 64 bytes, to which its block is XORed
  alignas(128) Message message[kBatchSize];
  Message idle;  // behind all others
  alignas(64) std::uint8_t zeros[6 * 16];
};

static_assert(offsetof(Kernel, state) == KernelOffsets::k_state);
static_assert(offsetof(Kernel, saved) == KernelOffsets::k_saved);
static_assert(offsetof(Kernel, chain) == KernelOffsets::k_chain && sizeof(Chain) == 128);
static_assert(offsetof(Kernel, next) == KernelOffsets::k_next);
static_assert(offsetof(Kernel, ready) == KernelOffsets::k_ready);
static_assert(offsetof(Kernel, drain_until) == KernelOffsets::k_drain_until);
static_assert(offsetof(Kernel, target) == KernelOffsets::k_target);
static_assert(offsetof(Kernel, message) == KernelOffsets::k_message && sizeof(Message) == 128);
static_assert(offsetof(Kernel, idle) == KernelOffsets::k_idle);
static_assert(offsetof(Chain, r) == ChainOffsets::k_r0 && ChainOffsets::k_r1 == 8);
static_assert(offsetof(scalar_poly1305::Clamped, r1_times_5_4) == ChainOffsets::k_r1_times_5_4);
static_assert(offsetof(Chain, end) == ChainOffsets::k_end && offsetof(Chain, sum) == ChainOffsets::k_h0);
static_assert(offsetof(Chain, block) == ChainOffsets::k_block);
static_assert(offsetof(Chain, message) == ChainOffsets::k_message);
static_assert(offsetof(Message, r) == MessageOffsets::k_r0);
static_assert(offsetof(Message, whole) == MessageOffsets::k_whole);
static_assert(offsetof(Message, whole_end) == MessageOffsets::k_whole_end);
static_assert(offsetof(Message, rest) == MessageOffsets::k_rest);
static_assert(offsetof(Message, sum) == MessageOffsets::k_h0);
static_assert(offsetof(Message, last) + kRestSize == sizeof(Message));

// ---- The queue

WG_INLINE void reset_chains(Kernel& kernel) {
  kernel.next = kernel.ready = kernel.message;
  Message& idle = kernel.idle;
  idle = {};
  idle.whole = kernel.zeros;
  idle.whole_end = kernel.zeros + sizeof kernel.zeros;
  idle.rest = idle.last;
  for (std::size_t i = 0; i < sizeof kernel.zeros; i += 32) store(kernel.zeros + i, _mm256_setzero_si256());
  for (Chain& chain : kernel.chain) {
    chain.r = {0, 0, 0};
    chain.sum = {0, 0, 0};
    chain.message = &idle;
    chain.block = idle.whole;
    chain.end = idle.whole_end;
  }
}

// The mask of the first n of 16 bytes is loaded from 16 - n.
alignas(32) constexpr std::uint8_t kKeepFirst[32] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                     255, 255, 255, 255, 255, 255, 255, 255};

// Queues the next message: a payload and its one-time key. It reads up to 15 bytes after the payload
// (kAeadReadAfter).
WG_INLINE void queue_message(Kernel& kernel, const std::uint8_t* data, std::uint64_t length,
                             const OneTimeKey& key) {
  Message& message = *kernel.ready++;
  const std::uint64_t part = length % 16;
  message.r = scalar_poly1305::clamp(key);
  message.whole = data;
  message.whole_end = data + (length - part);
  message.rest = part == 0 ? message.last + 16 : message.last;
  const __m128i keep = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kKeepFirst + 16 - part));
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(message.whole_end));
  auto* last = reinterpret_cast<__m128i*>(message.last);
  _mm_store_si128(last, _mm_and_si128(bytes, keep));
  _mm_store_si128(last + 1, _mm_set_epi64x(static_cast<long long>(length), 0));
}

WG_INLINE bool is_idle(const Kernel& kernel, const Chain& chain) {
  return chain.message == &kernel.idle;
}

// An idle chain leaves its message for the queue with its next block.
WG_INLINE void wake_chains(Kernel& kernel) {
  if (kernel.next == kernel.ready) return;
  for (Chain& chain : kernel.chain)
    if (is_idle(kernel, chain)) chain.block = chain.end = kernel.idle.last + kRestSize;
}

// XORs the keystream of `state` to the targets; Poly1305 goes on meanwhile, if there is any.
WG_INLINE void run_group(Kernel& kernel) {
  wake_chains(kernel);
  const bool idle = is_idle(kernel, kernel.chain[0]) && is_idle(kernel, kernel.chain[1]);
  if (idle && kernel.next == kernel.ready) {
    group_alone(kernel);
  } else {
    group_with_shadow(kernel);
  }
}

// Whether message `index` of the queue and all before it are done.
WG_INLINE bool is_done(const Kernel& kernel, int index) {
  const Message* message = kernel.message + index;
  return kernel.next > message && kernel.chain[0].message > message && kernel.chain[1].message > message;
}

WG_INLINE void finish_messages(Kernel& kernel, int index) {
  if (is_done(kernel, index)) return;
  kernel.drain_until = kernel.message + index;
  wake_chains(kernel);
  drain_chains(kernel);
}

}  // namespace wg::crypto::avx2
