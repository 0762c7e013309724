// The memory that a program and the gateway share, in C99: the library of programs includes it too.
//
// For each worker there is a queue of two rings, one each way. A ring is a page of words and lengths, then
// the packets in slots of a fixed size:
//
//   +0    produced         W: the producer. Packets put into the ring since the start, modulo 2^32.
//   +128  consumed         W: the consumer. Packets taken out of it; never more than produced.
//   +256  consumer_sleeps  W: both. 1: the consumer waits for packets and must be woken.
//   +384  producer_waits   W: both. 1: the producer waits for room and must be woken.
//   +512  length[slots]    W: the producer. Bytes of the IP packet in the slot of the same number.
//   +...  slot[slots][slot_bytes], from the next page on
//
// Numbers of slots and bytes are sent when the ring is opened and never read from the memory itself. Nothing
// in it is a pointer or an offset. Byte order and atomicity are the machine's: both sides are on one.
#ifndef LINEGATE_RING_LAYOUT_H
#define LINEGATE_RING_LAYOUT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RING_LAYOUT_VERSION = 1, RING_PAGE = 4096, RING_LEAST_PACKET = 20, RING_LENGTHS_OFFSET = 512 };

// Processors fetch lines in pairs, so each word has two of its own.
typedef struct ring_words {
  uint32_t produced;
  uint8_t unused0[124];
  uint32_t consumed;
  uint8_t unused1[124];
  uint32_t consumer_sleeps;
  uint8_t unused2[124];
  uint32_t producer_waits;
  uint8_t unused3[124];
} ring_words;
typedef char ring_words_fill_their_place[sizeof(ring_words) == RING_LENGTHS_OFFSET ? 1 : -1];

// In the order in which they lie in a queue.
enum { RING_TO_PROGRAM = 0, RING_FROM_PROGRAM = 1 };

// `slots` is a power of two. All of these fit 32 bits: who opens a ring bounds it.
static inline uint32_t ring_slots_offset(uint32_t slots) {
  return (RING_LENGTHS_OFFSET + slots * 4U + RING_PAGE - 1) / RING_PAGE * RING_PAGE;
}
static inline uint32_t ring_bytes(uint32_t slots, uint32_t slot_bytes) {
  return ring_slots_offset(slots) + slots * slot_bytes;
}
static inline uint32_t ring_offset(uint32_t queue, uint32_t way, uint32_t slots, uint32_t slot_bytes) {
  return (queue * 2 + way) * ring_bytes(slots, slot_bytes);
}

static inline uint32_t ring_load(const uint32_t* word) {
  return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}
static inline void ring_store(uint32_t* word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}
// Reads a word that the other side may write at any time: once, into a copy.
static inline uint32_t ring_load_once(const uint32_t* word) {
  return __atomic_load_n(word, __ATOMIC_RELAXED);
}

#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
// ThreadSanitizer does not model fences. Those here order atomics alone, so no report depends on them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif

// Sleeping and waking. Each side writes first and reads the other's word afterwards: the sleeper its flag,
// then what it waits for; the other what is waited for, then the flag. Only a full fence between the two
// keeps both from reading the old value, after which the sleeper would sleep beside its work.

// The sleeper. A packet may have come before this call without a wake-up: look once more, then sleep.
static inline void ring_announce_sleep(uint32_t* flag) {
  __atomic_store_n(flag, 1, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
static inline void ring_end_sleep(uint32_t* flag) {
  __atomic_store_n(flag, 0, __ATOMIC_RELAXED);
}
// The other side, behind what it has published. Not 0: the sleeper is to be woken, by this caller and no
// other.
static inline int ring_must_wake(uint32_t* flag) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  return __atomic_load_n(flag, __ATOMIC_RELAXED) != 0 && __atomic_exchange_n(flag, 0, __ATOMIC_SEQ_CST) != 0;
}

#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#ifdef __cplusplus
}
#endif

#endif
