/* The program's end of a ring: dataplane/ring/layout.h is the memory, docs/decisions/0045 the rules. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/ring/layout.h"
#include "internal.h"

enum { SLOT_FREE = 0, SLOT_HELD = 1, SLOT_DONE = 2, LOOKS_BETWEEN_CALLS = 1024 };
enum { LOOKS_BETWEEN_CLOCKS = 32 };
enum { RING_FLAGS = LG_RING_POLLS | LG_RING_ROUTED | LG_RING_OFFLOADS | LG_RING_JOINS_UDP };

/* One way of a queue. Positions count packets, modulo 2^32; what is shared moves from `done` on, in order. */
typedef struct way {
  ring_words *words;
  uint32_t *lengths;
  uint8_t *packets;
  uint8_t *slots;   /* SLOT_*; the program's own memory */
  uint32_t handed;  /* of the next packet to be received, or to be allocated */
  uint32_t done;    /* all before are released, or sent */
  uint64_t packets_total;
} way;

typedef struct queue {
  way in, out;
  int socket;
  bool wants_room; /* the last allocation found none */
  bool gone;
  uint32_t looks; /* of a program that polls, without a packet */
  uint64_t full;
} queue;

struct lg_ring {
  pthread_mutex_t mutex; /* of the calls without a queue */
  lgi_connection connection;
  uint32_t queues_count, slots, slot_bytes, bytes, mtu, flags;
  uint32_t least; /* bytes of what is sent */
  uint32_t next; /* queue to look at first */
  uint8_t *memory;
  queue *queues;
  int wait_fd, again_fd;
};

/* ------------------------------------------------------------------ waiting */

/* What woke this queue is used up. False: the gateway has given the ring up. */
static bool drain(queue *from) {
  char bytes[256];
  ssize_t got;
  while ((got = recv(from->socket, bytes, sizeof bytes, MSG_DONTWAIT)) == (ssize_t)sizeof bytes) {
  }
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) from->gone = true;
  return !from->gone;
}

/* The same without using up what woke it. */
static bool is_up(queue *of) {
  char byte;
  if (recv(of->socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0) of->gone = true;
  return !of->gone;
}

static uint32_t waiting(const way *in) {
  return ring_load(&in->words->produced) - in->handed;
}

static uint32_t room_of(const lg_ring *ring, const way *out) {
  return ring->slots - (out->handed - ring_load(&out->words->consumed));
}

/* The descriptor is readable again although its reason was used up: the other thing that is waited for is there. */
static void remind(lg_ring *ring) {
  const uint64_t one = 1;
  const ssize_t written = write(ring->again_fd, &one, sizeof one);
  (void)written;
}

/* Before the program waits: the gateway is to wake it. True: packets have come meanwhile. */
static bool wait_for_packets(lg_ring *ring, queue *from) {
  if ((ring->flags & LG_RING_POLLS) != 0) {
    if (++from->looks % LOOKS_BETWEEN_CALLS == 0) (void)drain(from);
    return waiting(&from->in) != 0;
  }
  (void)drain(from);
  ring_announce_sleep(&from->in.words->consumer_sleeps);
  if (from->wants_room && room_of(ring, &from->out) != 0) remind(ring);
  return waiting(&from->in) != 0;
}

/* ------------------------------------------------------------------ one way of a queue */

static uint8_t *packet_at(const lg_ring *ring, const way *of, uint32_t position) {
  return of->packets + (size_t)(position & (ring->slots - 1)) * ring->slot_bytes;
}

/* All that is done up to the first that is not; they are counted and their slots are free. */
static uint32_t pass_done(const lg_ring *ring, way *of) {
  const uint32_t begin = of->done;
  uint8_t *slot;
  while (of->done != of->handed && *(slot = &of->slots[of->done & (ring->slots - 1)]) == SLOT_DONE) {
    *slot = SLOT_FREE;
    ++of->done;
  }
  return of->done - begin;
}

static bool take(lg_ring *ring, queue *from, lg_packet *packet) {
  way *const in = &from->in;
  const uint32_t there = waiting(in);
  uint32_t length;
  if (there == 0 || there > ring->slots) return false;
  length = ring_load_once(&in->lengths[in->handed & (ring->slots - 1)]);
  packet->data = packet_at(ring, in, in->handed);
  packet->bytes = length <= ring->slot_bytes ? length : ring->slot_bytes;
  packet->reserved = 0;
  in->slots[in->handed & (ring->slots - 1)] = SLOT_HELD;
  ++in->handed;
  ++in->packets_total;
  return true;
}

static void give_back(lg_ring *ring, queue *to) {
  if (pass_done(ring, &to->in) != 0) ring_store(&to->in.words->consumed, to->in.done);
}

static bool has_room(lg_ring *ring, queue *in) {
  if (room_of(ring, &in->out) != 0) return true;
  ring_announce_sleep(&in->out.words->producer_waits);
  if (room_of(ring, &in->out) != 0) return true;
  ++in->full;
  in->wants_room = true;
  (void)is_up(in);
  return false;
}

static void *allocate(lg_ring *ring, queue *in, uint32_t bytes) {
  way *const out = &in->out;
  const uint32_t slot = out->handed & (ring->slots - 1);
  if (!has_room(ring, in)) return NULL;
  if (in->wants_room) {
    uint64_t count;
    const ssize_t read_bytes = read(ring->again_fd, &count, sizeof count);
    (void)read_bytes;
    in->wants_room = false;
  }
  out->slots[slot] = SLOT_HELD;
  __atomic_store_n(&out->lengths[slot], bytes, __ATOMIC_RELAXED);
  return packet_at(ring, out, out->handed++);
}

static void publish(lg_ring *ring, queue *in) {
  const uint32_t sent = pass_done(ring, &in->out);
  const char byte = 0;
  if (sent == 0) return;
  in->out.packets_total += sent;
  ring_store(&in->out.words->produced, in->out.done);
  if (ring_must_wake(&in->out.words->consumer_sleeps) != 0)
    (void)!send(in->socket, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ------------------------------------------------------------------ the calls without a queue */

static lg_error refuse(lg_error *where, lg_error error) {
  if (where != NULL) *where = error;
  return error;
}

static bool take_from_any(lg_ring *ring, lg_packet *packet) {
  uint32_t i;
  for (i = 0; i < ring->queues_count; ++i) {
    const uint32_t at = (ring->next + i) % ring->queues_count;
    if (!take(ring, &ring->queues[at], packet)) continue;
    ring->next = at;
    return true;
  }
  return false;
}

static bool wait_for_any(lg_ring *ring) {
  bool some = false;
  uint32_t i;
  for (i = 0; i < ring->queues_count; ++i) some |= wait_for_packets(ring, &ring->queues[i]);
  return some;
}

static bool is_gone(const lg_ring *ring) {
  bool gone = false;
  uint32_t i;
  for (i = 0; i < ring->queues_count; ++i) gone |= ring->queues[i].gone;
  return gone;
}

LG_API void *lg_ring_receive(lg_ring *ring, uint32_t *bytes, lg_error *error) {
  lg_packet packet;
  bool found;
  if (ring == NULL || bytes == NULL) {
    refuse(error, lgi_fail(LG_INVALID, "no ring, or no place for the size of its packet"));
    return NULL;
  }
  pthread_mutex_lock(&ring->mutex);
  found = take_from_any(ring, &packet) || (wait_for_any(ring) && take_from_any(ring, &packet));
  if (!found) refuse(error, is_gone(ring) ? LG_GONE : LG_EMPTY);
  pthread_mutex_unlock(&ring->mutex);
  if (!found) return NULL;
  *bytes = packet.bytes;
  return packet.data;
}

/* The slot of a packet that the program holds; NULL: it holds no such packet. */
static uint8_t *slot_of(lg_ring *ring, const void *packet, bool in, queue **of) {
  const size_t offset = (size_t)((const uint8_t *)packet - ring->memory);
  const size_t bytes = (size_t)2 * ring_bytes(ring->slots, ring->slot_bytes);
  size_t within;
  way *from;
  if (packet == NULL || (const uint8_t *)packet < ring->memory || offset >= ring->bytes) return NULL;
  *of = &ring->queues[offset / bytes];
  from = in ? &(*of)->in : &(*of)->out;
  if ((const uint8_t *)packet < from->packets) return NULL;
  within = (size_t)((const uint8_t *)packet - from->packets);
  if (within % ring->slot_bytes != 0 || within / ring->slot_bytes >= ring->slots) return NULL;
  return from->slots[within / ring->slot_bytes] == SLOT_HELD ? &from->slots[within / ring->slot_bytes] : NULL;
}

LG_API lg_error lg_ring_release(lg_ring *ring, const void *packet) {
  uint8_t *slot;
  queue *of = NULL;
  if (ring == NULL) return lgi_fail(LG_INVALID, "no ring");
  pthread_mutex_lock(&ring->mutex);
  slot = slot_of(ring, packet, true, &of);
  if (slot != NULL) {
    *slot = SLOT_DONE;
    give_back(ring, of);
  }
  pthread_mutex_unlock(&ring->mutex);
  return slot != NULL ? LG_OK : lgi_fail(LG_INVALID, "no packet that was received and is not released yet");
}

LG_API void *lg_ring_alloc_send(lg_ring *ring, uint32_t bytes, lg_error *error) {
  void *packet;
  if (ring == NULL || bytes < ring->least || bytes > ring->slot_bytes) {
    refuse(error, lgi_fail(LG_INVALID, "no ring, or a size that no packet of it has"));
    return NULL;
  }
  pthread_mutex_lock(&ring->mutex);
  packet = allocate(ring, &ring->queues[0], bytes);
  if (packet == NULL) refuse(error, is_gone(ring) ? LG_GONE : LG_FULL);
  pthread_mutex_unlock(&ring->mutex);
  return packet;
}

LG_API lg_error lg_ring_send(lg_ring *ring, const void *packet) {
  uint8_t *slot;
  queue *of = NULL;
  if (ring == NULL) return lgi_fail(LG_INVALID, "no ring");
  pthread_mutex_lock(&ring->mutex);
  slot = slot_of(ring, packet, false, &of);
  if (slot != NULL) {
    *slot = SLOT_DONE;
    publish(ring, of);
  }
  pthread_mutex_unlock(&ring->mutex);
  return slot != NULL ? LG_OK : lgi_fail(LG_INVALID, "no packet that was allocated and is not sent yet");
}

/* ------------------------------------------------------------------ the calls with a queue */

static queue *queue_of(lg_ring *ring, uint32_t index) {
  return ring != NULL && index < ring->queues_count ? &ring->queues[index] : NULL;
}

LG_API uint32_t lg_ring_receive_burst(lg_ring *ring, uint32_t index, lg_packet *packets, uint32_t count) {
  queue *const from = queue_of(ring, index);
  uint32_t n = 0;
  if (from == NULL || packets == NULL) return 0;
  while (n < count && take(ring, from, &packets[n])) ++n;
  if (n != 0 || count == 0 || !wait_for_packets(ring, from)) return n;
  while (n < count && take(ring, from, &packets[n])) ++n;
  return n;
}

LG_API void lg_ring_release_burst(lg_ring *ring, uint32_t index, uint32_t count) {
  queue *const to = queue_of(ring, index);
  uint32_t i, at;
  if (to == NULL) return;
  for (i = 0, at = to->in.done; i < count && at != to->in.handed; ++at) {
    uint8_t *const slot = &to->in.slots[at & (ring->slots - 1)];
    if (*slot != SLOT_HELD) continue;
    *slot = SLOT_DONE;
    ++i;
  }
  give_back(ring, to);
}

LG_API uint32_t lg_ring_send_burst(lg_ring *ring, uint32_t index, const lg_packet *packets, uint32_t count) {
  queue *const in = queue_of(ring, index);
  uint32_t n = 0;
  if (in == NULL || packets == NULL) return 0;
  for (; n < count; ++n) {
    const uint32_t bytes = packets[n].bytes;
    const uint32_t slot = in->out.handed & (ring->slots - 1);
    void *const to = bytes >= ring->least && bytes <= ring->slot_bytes ? allocate(ring, in, bytes) : NULL;
    if (to == NULL) break;
    memcpy(to, packets[n].data, bytes);
    in->out.slots[slot] = SLOT_DONE;
  }
  publish(ring, in);
  return n;
}

/* ------------------------------------------------------------------ waiting inside of a call */

/* What one call of lg_ring_wait() waits for: one queue, which is the caller's, or all of them, under the mutex. */
typedef struct wait_set {
  lg_ring *ring;
  queue *begin, *end;
  bool shared;
} wait_set;

static void lock(const wait_set *set) {
  if (set->shared) pthread_mutex_lock(&set->ring->mutex);
}
static void unlock(const wait_set *set) {
  if (set->shared) pthread_mutex_unlock(&set->ring->mutex);
}

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static bool is_ready(const lg_ring *ring, const queue *of) {
  return waiting(&of->in) != 0 || (of->wants_room && room_of(ring, &of->out) != 0);
}

static bool any_is_ready(const wait_set *set) {
  bool found = false;
  const queue *of;
  lock(set);
  for (of = set->begin; of != set->end && !found; ++of) found = is_ready(set->ring, of);
  unlock(set);
  return found;
}

/* The gateway is not asked to wake the program meanwhile, which saves a system call on both sides. */
static bool spin(const wait_set *set, uint32_t spin_us) {
  const int64_t end = now_us() + spin_us;
  bool found;
  uint32_t looks = 0;
  queue *of;
  for (of = set->begin; of != set->end; ++of) ring_end_sleep(&of->in.words->consumer_sleeps);
  while (!(found = any_is_ready(set)) && (++looks % LOOKS_BETWEEN_CLOCKS != 0 || now_us() < end)) relax();
  /* Where nothing has come, lg_ring_wait_fd() holds what it promises again. */
  for (of = set->begin; of != set->end; ++of)
    if (waiting(&of->in) == 0) ring_announce_sleep(&of->in.words->consumer_sleeps);
  return found;
}

/* As wait_for_packets(), for packets and room. */
static lg_error arm(const wait_set *set) {
  bool gone = false;
  queue *of;
  lock(set);
  for (of = set->begin; of != set->end; ++of) {
    gone |= !drain(of);
    ring_announce_sleep(&of->in.words->consumer_sleeps);
    if (of->wants_room) ring_announce_sleep(&of->out.words->producer_waits);
  }
  unlock(set);
  return gone ? LG_GONE : LG_OK;
}

/* How long poll() may wait; 0: the time has passed. */
static int poll_ms(int64_t end_us) {
  int64_t left;
  if (end_us < 0) return -1;
  left = end_us - now_us();
  if (left <= 0) return 0;
  return left / 1000 >= INT32_MAX ? INT32_MAX : (int)(left / 1000 + 1);
}

static lg_error sleep_until_ready(const wait_set *set, int64_t end_us) {
  struct pollfd end = {set->shared ? set->ring->wait_fd : set->begin->socket, POLLIN, 0};
  for (;;) {
    const lg_error error = arm(set);
    int ms;
    if (any_is_ready(set)) return LG_OK;
    if (error != LG_OK) return error;
    if ((ms = poll_ms(end_us)) == 0) return LG_TIMED_OUT;
    (void)poll(&end, 1, ms);
  }
}

LG_API lg_error lg_ring_wait(lg_ring *ring, uint32_t index, uint32_t spin_us, int32_t milliseconds) {
  const bool all = index == LG_RING_ALL_QUEUES;
  wait_set set = {ring, NULL, NULL, all};
  int64_t end_us;
  if (ring == NULL || (!all && index >= ring->queues_count) || (ring->flags & LG_RING_POLLS) != 0)
    return lgi_fail(LG_INVALID, "no ring, no such queue, or a ring whose program polls");
  set.begin = &ring->queues[all ? 0 : index];
  set.end = all ? ring->queues + ring->queues_count : set.begin + 1;
  if (any_is_ready(&set)) return LG_OK;
  end_us = milliseconds < 0 ? -1 : now_us() + (int64_t)milliseconds * 1000;
  if (milliseconds >= 0 && spin_us / 1000 >= (uint32_t)milliseconds) spin_us = (uint32_t)milliseconds * 1000;
  if (spin_us != 0 && spin(&set, spin_us)) return LG_OK;
  return sleep_until_ready(&set, end_us);
}

/* ------------------------------------------------------------------ facts */

LG_API int lg_ring_wait_fd(lg_ring *ring) {
  return ring == NULL ? -1 : ring->wait_fd;
}

LG_API uint32_t lg_ring_queues(lg_ring *ring) {
  return ring == NULL ? 0 : ring->queues_count;
}

static void add_statistics(const lg_ring *ring, const queue *of, lg_ring_statistics *sum) {
  uint32_t at;
  sum->received += of->in.packets_total;
  sum->sent += of->out.packets_total;
  sum->full += of->full;
  sum->unsent += of->out.handed - of->out.done;
  for (at = of->in.done; at != of->in.handed; ++at) {
    const bool held = of->in.slots[at & (ring->slots - 1)] == SLOT_HELD;
    ++*(held ? &sum->held : &sum->blocked);
    if (held && sum->oldest_held == 0) sum->oldest_held = (uint64_t)(uintptr_t)packet_at(ring, &of->in, at);
  }
}

LG_API lg_error lg_ring_get_statistics(lg_ring *ring, lg_ring_statistics *statistics) {
  lg_ring_statistics sum = {0};
  uint32_t i;
  if (ring == NULL || statistics == NULL || statistics->size < 8)
    return lgi_fail(LG_INVALID, "no ring, or no place for its statistics");
  sum.size = statistics->size;
  sum.queues = ring->queues_count;
  sum.slots = ring->slots;
  sum.largest = ring->mtu;
  pthread_mutex_lock(&ring->mutex);
  for (i = 0; i < ring->queues_count; ++i) add_statistics(ring, &ring->queues[i], &sum);
  pthread_mutex_unlock(&ring->mutex);
  memcpy(statistics, &sum, statistics->size < sizeof sum ? statistics->size : sizeof sum);
  return LG_OK;
}

/* ------------------------------------------------------------------ open, close */

static bool put_sources(lgi_text *request, const lg_allowed_ip *sources, uint32_t count) {
  uint32_t i;
  if (count == 0) return true;
  lgi_put(request, ",\"sources\":[");
  for (i = 0; i < count; ++i) {
    const bool v6 = sources[i].family == LG_IPV6;
    char text[INET6_ADDRSTRLEN];
    if ((!v6 && sources[i].family != LG_IPV4) || sources[i].cidr > (v6 ? 128 : 32) || sources[i].flags != 0)
      return false;
    inet_ntop(v6 ? AF_INET6 : AF_INET, sources[i].address, text, sizeof text);
    lgi_put(request, i == 0 ? "\"" : ",\"");
    lgi_put(request, text);
    lgi_put(request, "/");
    lgi_put_number(request, sources[i].cidr);
    lgi_put(request, "\"");
  }
  lgi_put(request, "]");
  return true;
}

static bool read_offer(lgi_span offer, lg_ring *ring) {
  const struct {
    const char *name;
    uint32_t *to;
  } members[] = {{"queues", &ring->queues_count}, {"slots", &ring->slots}, {"slot_bytes", &ring->slot_bytes},
                 {"bytes", &ring->bytes},         {"mtu", &ring->mtu}};
  uint64_t value;
  size_t i;
  if (!lgi_json_u64(lgi_json_member(offer, "layout"), &value) || value != RING_LAYOUT_VERSION) return false;
  for (i = 0; i < sizeof members / sizeof *members; ++i) {
    if (!lgi_json_u64(lgi_json_member(offer, members[i].name), &value) || value > UINT32_MAX) return false;
    *members[i].to = (uint32_t)value;
  }
  /* A gateway that does not know what was asked for does not answer that it does it. */
  if ((ring->flags & LG_RING_ROUTED) != 0 && !lgi_json_true(lgi_json_member(offer, "routed"))) return false;
  if ((ring->flags & LG_RING_OFFLOADS) != 0 && !lgi_json_true(lgi_json_member(offer, "offloads"))) return false;
  return ring->queues_count > 0 && ring->queues_count < LGI_DESCRIPTORS_MAX && ring->slots > 0 &&
         (ring->slots & (ring->slots - 1)) == 0 &&
         (uint64_t)ring->queues_count * 2 * ring_bytes(ring->slots, ring->slot_bytes) == ring->bytes;
}

static lg_error map(lg_ring *ring) {
  void *const memory =
      mmap(NULL, ring->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->connection.descriptors[0], 0);
  if (memory == MAP_FAILED) return lgi_fail_errno(errno, "the memory of the ring");
  ring->memory = memory;
  return LG_OK;
}

static bool make_way(const lg_ring *ring, way *of, uint32_t index, uint32_t direction) {
  uint8_t *const memory = ring->memory + ring_offset(index, direction, ring->slots, ring->slot_bytes);
  of->words = (ring_words *)(void *)memory;
  of->lengths = (uint32_t *)(void *)(memory + RING_LENGTHS_OFFSET);
  of->packets = memory + ring_slots_offset(ring->slots);
  of->slots = calloc(ring->slots, 1);
  return of->slots != NULL;
}

static lg_error watch(lg_ring *ring, int fd) {
  struct epoll_event event = {0};
  event.events = EPOLLIN;
  if (epoll_ctl(ring->wait_fd, EPOLL_CTL_ADD, fd, &event) != 0) return lgi_fail_errno(errno, "waiting for a ring");
  return LG_OK;
}

static lg_error make_queues(lg_ring *ring) {
  lg_error error = LG_OK;
  uint32_t i;
  ring->queues = calloc(ring->queues_count, sizeof *ring->queues);
  if (ring->queues == NULL) return lgi_fail(LG_NO_MEMORY, "out of memory");
  for (i = 0; i < ring->queues_count; ++i) {
    queue *const made = &ring->queues[i];
    made->socket = ring->connection.descriptors[1 + i];
    if (!make_way(ring, &made->in, i, RING_TO_PROGRAM) || !make_way(ring, &made->out, i, RING_FROM_PROGRAM))
      return lgi_fail(LG_NO_MEMORY, "out of memory");
  }
  ring->wait_fd = epoll_create1(EPOLL_CLOEXEC);
  ring->again_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (ring->wait_fd < 0 || ring->again_fd < 0) return lgi_fail_errno(errno, "waiting for a ring");
  for (i = 0; i < ring->queues_count && error == LG_OK; ++i) error = watch(ring, ring->queues[i].socket);
  return error == LG_OK ? watch(ring, ring->again_fd) : error;
}

static lg_error attach(lg_ring *ring, const lgi_text *request) {
  char data[LGI_REQUEST_MAX];
  lgi_text start = {data, 0, sizeof data, false};
  lgi_span offer, done;
  lg_error error;
  ring->connection.takes_descriptors = true;
  error = lgi_call(&ring->connection, request, &offer);
  if (error != LG_OK) return error;
  if (!read_offer(offer, ring) || ring->connection.descriptors_count != 1 + ring->queues_count)
    return lgi_fail(LG_PROTOCOL, "the gateway's ring is not understood");
  error = map(ring);
  if (error == LG_OK) error = make_queues(ring);
  if (error != LG_OK) return error;
  lgi_put(&start, "{\"version\":1,\"method\":\"ring.start\"}\n");
  return lgi_call(&ring->connection, &start, &done);
}

static lg_error ask_for_ring(lg_ring *ring, const lg_adapter *adapter, uint32_t slots, const lg_allowed_ip *sources,
                             uint32_t count) {
  char data[LGI_REQUEST_MAX];
  lgi_text request = {data, 0, sizeof data, false};
  lg_error error;
  lgi_begin_request(&request, "ring.open", "interface", adapter->name);
  lgi_put(&request, ",\"ifindex\":");
  lgi_put_number(&request, adapter->ifindex);
  if (slots != 0) {
    lgi_put(&request, ",\"slots\":");
    lgi_put_number(&request, slots);
  }
  if ((ring->flags & LG_RING_ROUTED) != 0) lgi_put(&request, ",\"routed\":true");
  if ((ring->flags & LG_RING_OFFLOADS) != 0) lgi_put(&request, ",\"offloads\":true");
  if ((ring->flags & LG_RING_JOINS_UDP) != 0) lgi_put(&request, ",\"join_udp\":true");
  if (!put_sources(&request, sources, count)) return lgi_fail(LG_INVALID, "a source that is no prefix");
  lgi_put(&request, "}}\n");
  error = lgi_connect(&ring->connection, adapter->path);
  if (error == LG_OK) error = attach(ring, &request);
  if (error == LG_GONE && !ring->connection.heard) return lgi_fail(LG_BUSY, "the gateway takes no more connections");
  return error == LG_NOT_FOUND ? lgi_fail(LG_GONE, "adapter %s is gone", adapter->name) : error;
}

LG_API lg_error lg_ring_open(lg_adapter *adapter, uint32_t slots, uint32_t flags, const lg_allowed_ip *sources,
                             uint32_t sources_count, lg_ring **ring) {
  lg_ring *made;
  lg_error error;
  if (ring == NULL) return lgi_fail(LG_INVALID, "no place for the handle");
  *ring = NULL;
  if (adapter == NULL || (flags & ~(uint32_t)RING_FLAGS) != 0 ||
      (flags & (LG_RING_OFFLOADS | LG_RING_JOINS_UDP)) == LG_RING_JOINS_UDP || (sources == NULL && sources_count != 0))
    return lgi_fail(LG_INVALID, "no adapter, an unknown flag, or no sources");
  made = calloc(1, sizeof *made);
  if (made == NULL) return lgi_fail(LG_NO_MEMORY, "out of memory");
  made->connection.fd = made->wait_fd = made->again_fd = -1;
  made->flags = flags;
  made->least = RING_LEAST_PACKET + ((flags & LG_RING_OFFLOADS) != 0 ? (uint32_t)sizeof(lg_offload) : 0);
  if (pthread_mutex_init(&made->mutex, NULL) != 0) {
    free(made);
    return lgi_fail(LG_NO_MEMORY, "a mutex");
  }
  error = ask_for_ring(made, adapter, slots, sources, sources_count);
  if (error != LG_OK) {
    lg_ring_close(made);
    return error;
  }
  close(made->connection.descriptors[0]);
  made->connection.descriptors[0] = -1;
  *ring = made;
  return LG_OK;
}

LG_API void lg_ring_close(lg_ring *ring) {
  uint32_t i;
  if (ring == NULL) return;
  if (ring->memory != NULL) munmap(ring->memory, ring->bytes);
  for (i = 0; ring->queues != NULL && i < ring->queues_count; ++i) {
    free(ring->queues[i].in.slots);
    free(ring->queues[i].out.slots);
  }
  free(ring->queues);
  for (i = 0; i < ring->connection.descriptors_count; ++i)
    if (ring->connection.descriptors[i] >= 0) close(ring->connection.descriptors[i]);
  if (ring->wait_fd >= 0) close(ring->wait_fd);
  if (ring->again_fd >= 0) close(ring->again_fd);
  lgi_disconnect(&ring->connection);
  pthread_mutex_destroy(&ring->mutex);
  free(ring);
}
