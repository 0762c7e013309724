/* liblinegate: WireGuard interfaces of a running Linegate gateway, for programs.
 *
 * A program creates an adapter (a WireGuard interface of the gateway, with a Linux network interface of the
 * same name), gives it keys and peers, and sets it up. By default an adapter is bound to the program: when
 * the handle is closed, or the program ends in whatever way, the adapter is gone.
 *
 * The library speaks to the gateway by its control socket: $LINEGATE_SOCKET, or /run/linegate/control.sock.
 * Who may open that socket may do everything here, and nobody else. Nothing is done in the program itself: it
 * needs no privilege of its own, and it may be a 32-bit program beside a 64-bit gateway.
 *
 * Results.  Functions that can fail return an lg_error: LG_OK (0) or a negative value. lg_last_error() has
 *   the value and a sentence for people of the last failure in the calling thread.
 * Threads.  Every function may be called from any thread, and several at once with one handle (they take
 *   turns), except that lg_adapter_close() must be the last call with its handle.
 * Signals.  No call raises SIGPIPE or returns early because of a signal. A call waits at most 70 s.
 * Fork.     Descriptors do not survive exec(). After fork() the child must not use handles of its parent;
 *   as long as it keeps them open (it neither execs nor exits), bound adapters live.
 * Memory.   What holds keys inside the library is wiped before it is freed. What the caller holds is the
 *   caller's to wipe; lg_configuration_free() does it for what the library allocated.
 *
 * docs/liblinegate.md maps the functions of WireGuardNT and Wintun to these. C99, and C++.
 */
#ifndef LINEGATE_H
#define LINEGATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ errors */

typedef int32_t lg_error;
enum {
  LG_OK = 0,
  LG_INVALID = -1,        /* an argument or a structure makes no sense; nothing was done */
  LG_MORE_DATA = -2,      /* the buffer is too small; *bytes says what it takes now */
  LG_NOT_RUNNING = -3,    /* nobody listens on the control socket */
  LG_ACCESS = -4,         /* this user may not open the control socket */
  LG_GONE = -5,           /* the adapter of this handle does not exist any more, or the gateway ended */
  LG_EXISTS = -6,         /* the name, or the id, is taken */
  LG_NOT_FOUND = -7,      /* no adapter has this name */
  LG_BUSY = -8,           /* too many connections, or interfaces exist; try again later */
  LG_ADDRESS_IN_USE = -9, /* the listen port is taken */
  LG_NO_MEMORY = -10,
  LG_SYSTEM = -11,    /* the system refused, here or in the gateway; the text says what */
  LG_PROTOCOL = -12,  /* the gateway's answer was not understood */
  LG_TIMED_OUT = -13, /* the gateway does not answer, and whether the change was made is unknown; of
                         lg_ring_wait(): nothing has come; lg_last_error() is not changed */
  LG_EMPTY = -14,     /* of a ring: no packet has come; lg_last_error() is not changed */
  LG_FULL = -15       /* of a ring: there is no room; lg_last_error() is not changed */
};

/* Of the last call of this thread that failed; LG_OK: none has. With `text` (may be NULL) the sentence that
 * goes with it; it stays valid until the thread's next failing call. */
lg_error lg_last_error(const char** text);
/* "LG_INVALID" and so on; never NULL. */
const char* lg_error_name(lg_error error);

/* ------------------------------------------------------------------ versions */

/* major << 16 | minor << 8 | patch */
#define LG_VERSION(major, minor, patch) ((uint32_t)(major) << 16 | (uint32_t)(minor) << 8 | (uint32_t)(patch))

/* Of this library. */
uint32_t lg_version(void);
/* Of the gateway that runs, as LG_VERSION makes it. 0: lg_last_error() says why; LG_NOT_RUNNING: none. */
uint32_t lg_running_version(void);

/* ------------------------------------------------------------------ adapters */

typedef struct lg_adapter lg_adapter;

#define LG_NAME_MAX 15  /* bytes of a name: of [a-zA-Z0-9_=+.-] */
#define LG_TYPE_MAX 127 /* bytes of a type: UTF-8 without control characters */

/* For lg_adapter_create(). */
enum {
  LG_PERMANENT = 1u << 0 /* the adapter stays when the handle is closed, until it is deleted or the gateway
                            ends without having saved it */
};

/* Creates an adapter that is down and has no key and no peer. `type` (may be NULL) is the program's own word
 * for the kind of adapter, for people. `id` (may be NULL: Linux numbers it) decides the ifindex: the same id
 * has the same one at each creation, also after a restart of the gateway or the machine.
 * LG_EXISTS: there is an interface with this name or this id. On LG_OK, *adapter must be closed. */
lg_error lg_adapter_create(const char* name, const char* type, const uint8_t id[16], uint32_t flags,
                           lg_adapter** adapter);

/* A handle of an interface that exists, whoever made it. Closing it leaves the interface alone.
 * LG_NOT_FOUND: there is none. On LG_OK, *adapter must be closed. */
lg_error lg_adapter_open(const char* name, lg_adapter** adapter);

/* Closes the handle. An adapter that was created by it is deleted, unless it is LG_PERMANENT; the name is
 * free when the call returns. NULL is nothing to close. */
void lg_adapter_close(lg_adapter* adapter);

/* Which Linux interface it is: its ifindex in the network namespace with that inode (that of the gateway;
 * compare with /proc/self/ns/net). Either pointer may be NULL. Addresses and routes are Linux's affair:
 * netlink, or `ip address add ADDRESS dev NAME`. */
lg_error lg_adapter_luid(lg_adapter* adapter, uint32_t* ifindex, uint64_t* netns_inode);

typedef int32_t lg_state;
enum { LG_DOWN = 0, LG_UP = 1 };

/* Down: the session keys are wiped, the UDP port is closed, no peer gets an answer. Keys and peers stay.
 * Setting the state that is there already succeeds. LG_ADDRESS_IN_USE or LG_SYSTEM: it cannot go up. */
lg_error lg_adapter_set_state(lg_adapter* adapter, lg_state state);
lg_error lg_adapter_get_state(lg_adapter* adapter, lg_state* state);

/* ------------------------------------------------------------------ configuration
 *
 * A configuration is one buffer, 8-byte aligned: an lg_interface, then each lg_peer, each directly followed
 * by its lg_allowed_ips. Each structure begins with its own size, and the next one lies that many bytes
 * behind: walk with lg_first_peer() and so on, or by `size`, never by sizeof. That way a program and a
 * library of different age understand each other. In what a program passes, `size` is its sizeof, and
 * reserved members and padding are zero: unknown members that are not zero are refused with LG_INVALID, as
 * are unknown flags. The layout is the same for 32-bit and 64-bit programs.
 */

#define LG_KEY_BYTES 32

/* lg_interface.flags. A member without its flag is left as it is by a set, and is not known after a get. */
enum {
  LG_INTERFACE_HAS_PUBLIC_KEY = 1u << 0,  /* get only; ignored by a set, which derives it */
  LG_INTERFACE_HAS_PRIVATE_KEY = 1u << 1, /* set: all zero removes the key */
  LG_INTERFACE_HAS_LISTEN_PORT = 1u << 2, /* set: 0 is any free port */
  LG_INTERFACE_REPLACE_PEERS = 1u << 3,   /* set: peers that are not in this buffer are removed */
  LG_INTERFACE_HAS_FWMARK = 1u << 4       /* set: 0 is none */
};

typedef struct lg_interface {
  uint32_t size;
  uint32_t flags;
  uint8_t private_key[LG_KEY_BYTES];
  uint8_t public_key[LG_KEY_BYTES];
  uint16_t listen_port; /* UDP, host byte order */
  uint16_t reserved0;
  uint32_t fwmark; /* of outer packets, for routing rules */
  uint32_t peers_count;
  uint32_t reserved1;
} lg_interface;

/* lg_peer.flags */
enum {
  LG_PEER_HAS_PUBLIC_KEY = 1u << 0,           /* required in a set */
  LG_PEER_HAS_PRESHARED_KEY = 1u << 1,        /* set: all zero removes it */
  LG_PEER_HAS_PERSISTENT_KEEPALIVE = 1u << 2, /* set: 0 turns it off */
  LG_PEER_HAS_ENDPOINT = 1u << 3,
  LG_PEER_REPLACE_ALLOWED_IPS = 1u << 5, /* set: those that are not in this buffer are removed */
  LG_PEER_REMOVE = 1u << 6,              /* set: no error when there is no such peer */
  LG_PEER_UPDATE = 1u << 7               /* set: a peer that does not exist is not created; no error */
};

/* lg_endpoint.family and lg_allowed_ip.family */
enum { LG_IPV4 = 4, LG_IPV6 = 6 };

typedef struct lg_endpoint {
  uint16_t family;     /* LG_IPV4, LG_IPV6 */
  uint16_t port;       /* UDP, host byte order */
  uint32_t scope_id;   /* of an IPv6 link-local address: the ifindex; else 0 */
  uint8_t address[16]; /* network byte order; IPv4: the first four bytes */
} lg_endpoint;

typedef struct lg_peer {
  uint32_t size;
  uint32_t flags;
  uint8_t public_key[LG_KEY_BYTES]; /* identifies the peer */
  uint8_t preshared_key[LG_KEY_BYTES];
  lg_endpoint endpoint;
  uint16_t persistent_keepalive; /* seconds */
  uint16_t reserved0;
  uint32_t allowed_ips_count;
  uint64_t tx_bytes;      /* sent to the peer; ignored by a set */
  uint64_t rx_bytes;      /* received from the peer; ignored by a set */
  int64_t last_handshake; /* nanoseconds since 1970, 0: never; ignored by a set */
} lg_peer;

/* lg_allowed_ip.flags */
enum { LG_ALLOWED_IP_REMOVE = 1u << 0 /* set: the peer loses it; no error when it has it not */ };

typedef struct lg_allowed_ip {
  uint32_t size;
  uint32_t flags;
  uint8_t address[16]; /* network byte order; IPv4: the first four bytes. Bits behind `cidr` do not count */
  uint8_t family;      /* LG_IPV4, LG_IPV6 */
  uint8_t cidr;        /* 0 to 32, or to 128 */
  uint16_t reserved0;
  uint32_t reserved1;
} lg_allowed_ip;

/* Applies the configuration in `bytes` bytes at `configuration`: all of it or, on any error, nothing. What it
 * does not name stays as it is; sessions of peers that it names unchanged go on. A peer with the adapter's
 * own public key is left out without an error. An allowed IP moves here from the peer that had it.
 * LG_INVALID: a count reaches behind `bytes`, a peer without a key, a cidr or family out of range. */
lg_error lg_set_configuration(lg_adapter* adapter, const lg_interface* configuration, size_t bytes);

/* Writes the configuration, keys included, to the *bytes bytes at `configuration`, and the bytes it took to
 * *bytes. It is that of one moment. LG_MORE_DATA: it takes *bytes (NULL and 0 to ask). Peers may be added
 * before the next call, so a loop grows by more than it was told: lg_get_configuration_alloc() does without.
 */
lg_error lg_get_configuration(lg_adapter* adapter, lg_interface* configuration, size_t* bytes);

/* The same in memory of the right size. On LG_OK, *configuration goes to lg_configuration_free(). `bytes` may
 * be NULL. */
lg_error lg_get_configuration_alloc(lg_adapter* adapter, lg_interface** configuration, size_t* bytes);
/* Wipes and frees. NULL is nothing to free. */
void lg_configuration_free(lg_interface* configuration);

/* Walks over a configuration: the caller counts to peers_count and allowed_ips_count. In a buffer that is
 * being built, `size` of every structure before is set, and allowed_ips_count of every peer before. */
static inline void* lg_behind_(const void* structure, uint32_t size) {
  return (void*)((uintptr_t)structure + size);
}
static inline lg_peer* lg_first_peer(const lg_interface* configuration) {
  return (lg_peer*)lg_behind_(configuration, configuration->size);
}
static inline lg_allowed_ip* lg_first_allowed_ip(const lg_peer* peer) {
  return (lg_allowed_ip*)lg_behind_(peer, peer->size);
}
static inline lg_allowed_ip* lg_next_allowed_ip(const lg_allowed_ip* allowed_ip) {
  return (lg_allowed_ip*)lg_behind_(allowed_ip, allowed_ip->size);
}
static inline lg_peer* lg_next_peer(const lg_peer* peer) {
  lg_allowed_ip* at = lg_first_allowed_ip(peer);
  uint32_t i;
  for (i = 0; i < peer->allowed_ips_count; ++i) at = lg_next_allowed_ip(at);
  return (lg_peer*)(void*)at;
}

/* ------------------------------------------------------------------ log */

typedef int32_t lg_level;
enum { LG_LOG_ERROR = 1, LG_LOG_WARN = 2, LG_LOG_INFO = 3, LG_LOG_DEBUG = 4, LG_LOG_TRACE = 5 };

/* Called on a thread of the library, one line at a time. `unix_ns`: nanoseconds since 1970, exact to the
 * millisecond. `text` has no line end and is valid during the call. */
typedef void (*lg_logger)(lg_level level, int64_t unix_ns, const char* text, void* context);

/* From now on the gateway's log lines go to `logger`; it is the only state of the process. It follows the
 * gateway over restarts; while one runs, no line after the return is missed, except where the program cannot
 * keep up: then a line says how many were left out. NULL: off. After the return the logger before is not
 * called any more (when called by the logger itself: after that call of it). */
lg_error lg_set_logger(lg_logger logger, void* context);

typedef int32_t lg_log_state;
enum {
  LG_LOG_OFF = 0,           /* the gateway logs nothing about this adapter */
  LG_LOG_ON = 1,            /* level info, and what is worse */
  LG_LOG_ON_WITH_PREFIX = 2 /* the same; in this process's logger its lines begin with "NAME: " */
};
/* Before the first call the adapter logs as the gateway does. */
lg_error lg_adapter_set_logging(lg_adapter* adapter, lg_log_state state);

/* ------------------------------------------------------------------ rings
 *
 * A program becomes the inner side of an adapter, in place of Linux: it receives the IP packets that the
 * adapter's peers send, and what it sends goes to the peer whose allowed IPs contain the destination. Packets
 * pass through memory that the program and the gateway share; while there is work, without a system call.
 * While the ring is open nothing of the peers reaches Linux, and what Linux sends into the adapter's network
 * interface is dropped. The ring is closed with the handle, or with the program, however it ends.
 *
 *   for (;;) {
 *     while ((packet = lg_ring_receive(ring, &bytes, &error)) != NULL) {
 *       ...
 *       lg_ring_release(ring, packet);
 *     }
 *     if (error != LG_EMPTY) break;
 *     lg_ring_wait(ring, LG_RING_ALL_QUEUES, 50, -1);   or poll() for POLLIN on lg_ring_wait_fd(ring)
 *   }
 *
 * Packets are received in the order in which the gateway's worker had them, and are sent in the order of
 * their allocations. They may be released, and sent, in any order, by any thread; room is given back in
 * order, so one packet that is never released fills the ring in the end: lg_ring_get_statistics() names it.
 *
 * With LG_RING_ROUTED the program is not the inner side but a host behind the adapter, as a peer is without a
 * tunnel. Its sources are its allowed IPs: what is routed to the adapter and goes to one of them reaches the
 * program; what it sends from them is routed, as what comes out of a tunnel: to ports, to peers of this and
 * other adapters, to other programs, to this machine. Linux keeps its addresses and its routes, which lead to
 * the adapter by its network interface; peers keep the rest of their allowed IPs.
 *
 * LG_GONE is the end of a ring: of the gateway, of the adapter, or by what the program wrote. It closes the
 * ring and the adapter, and opens both again until it succeeds: lib/examples/echo.c.
 *
 * There is a queue of two rings for each worker of the gateway. The calls without a queue look at all of
 * them, send by the first, and take turns. Those with a queue are for programs with a thread per queue: no
 * two threads at a time with one queue, and with the queues that are used so no call without a queue but
 * lg_ring_wait_fd(), lg_ring_queues(), lg_ring_get_statistics() and, at the end, lg_ring_close().
 */

typedef struct lg_ring lg_ring;

/* For lg_ring_open(). */
enum {
  LG_RING_POLLS = 1u << 0,  /* the program never waits, so the gateway need not wake it: lg_ring_wait_fd() may
                               stay silent */
  LG_RING_ROUTED = 1u << 1, /* the program is a host behind the adapter, beside its peers, and not its inner
                               side: see above */
  LG_RING_OFFLOADS = 1u << 2, /* each packet begins with an lg_offload, and may be a super-packet */
  LG_RING_JOINS_UDP = 1u << 3 /* with LG_RING_OFFLOADS: the program takes super-packets of UDP as well */
};

/* With LG_RING_OFFLOADS it lies in front of the IP header of each packet, of those that are received and of
 * those that are sent, and counts in their bytes. It is the struct virtio_net_hdr of Linux, in the machine's
 * byte order; offsets count from the IP header.
 *
 * A super-packet is up to 65535 bytes of one flow under one header, as TCP segmentation offload has it. The
 * gateway splits those that it gets, which cost the program and the ring one packet; and it joins what has
 * come at the same time of one TCP connection, and with LG_RING_JOINS_UDP of one UDP flow. All zero: a packet
 * alone, with complete checksums. */
typedef struct lg_offload {
  uint8_t flags;          /* LG_OFFLOAD_CHECKSUM, or 0 */
  uint8_t kind;           /* LG_OFFLOAD_NONE, or what the super-packet is of */
  uint16_t header_bytes;  /* of a super-packet: IP and TCP or UDP header */
  uint16_t segment_bytes; /* of a super-packet: payload of each of its packets but the last */
  uint16_t checksum_start;
  uint16_t checksum_offset; /* of the field, from checksum_start */
} lg_offload;
enum {
  /* The checksum from `checksum_start` on is not complete: its field holds the sum of the pseudo header. So
   * it is with each super-packet. The program leaves the rest to the gateway, or the gateway vouches for it.
   */
  LG_OFFLOAD_CHECKSUM = 1
};
enum {
  LG_OFFLOAD_NONE = 0,
  LG_OFFLOAD_TCP4 = 1,
  LG_OFFLOAD_TCP6 = 4,
  LG_OFFLOAD_UDP = 5,   /* IPv4 and IPv6 */
  LG_OFFLOAD_ECN = 0x80 /* added to those of TCP: the first of its packets has CWR */
};

/* Of an adapter that exists. `slots`: packets that a ring holds, a power of two from 64 to 4096; 0: 1024, and
 * with LG_RING_OFFLOADS, where a slot has 64 KiB, as many as there is memory for, at most 256.
 * `sources` (family, address and cidr; the rest zero) are the addresses from which the program sends, at most
 * 16; packets from others are dropped. Without any they are the adapter's own addresses in the configuration;
 * LG_RING_ROUTED needs some, and none of this machine's own. LG_BUSY: the adapter has a program. On LG_OK,
 * *ring must be closed, before the adapter.
 */
lg_error lg_ring_open(lg_adapter* adapter, uint32_t slots, uint32_t flags, const lg_allowed_ip* sources,
                      uint32_t sources_count, lg_ring** ring);
/* The inner side is Linux again, shortly after. Packets that were received are not valid any more. NULL is
 * nothing to close. No other call with the ring may run or follow. */
void lg_ring_close(lg_ring* ring);

/* The oldest packet that was not received yet, a whole IP packet of *bytes bytes, which may be changed in
 * place; it is the program's until lg_ring_release(). NULL: *error (may be NULL) is LG_EMPTY, or LG_GONE: the
 * gateway has given the ring up, its log says why. */
void* lg_ring_receive(lg_ring* ring, uint32_t* bytes, lg_error* error);
/* LG_INVALID: it is no packet that was received and not released. */
lg_error lg_ring_release(lg_ring* ring, const void* packet);

/* Room for an IP packet of `bytes` bytes, which the program writes and gives to lg_ring_send(). Packets
 * behind it wait for it. NULL: *error (may be NULL) is LG_FULL, LG_GONE, or LG_INVALID: no packet has such a
 * size. */
void* lg_ring_alloc_send(lg_ring* ring, uint32_t bytes, lg_error* error);
/* LG_INVALID: it is no packet that was allocated and not sent. */
lg_error lg_ring_send(lg_ring* ring, const void* packet);

/* Readable when packets, or room, may have come since the program was told LG_EMPTY or LG_FULL, and when the
 * ring is gone; silent again when lg_ring_receive() has returned LG_EMPTY. For poll() and the like alone; it
 * stays the ring's. */
int lg_ring_wait_fd(lg_ring* ring);

#define LG_RING_ALL_QUEUES 0xffffffffu

/* For programs without an event loop: waits until a packet can be received, or, when an allocation or a
 * send_burst found no room, until there is some. It looks for `spin_us` microseconds before it sleeps. While
 * it looks, the gateway makes no system call to wake the program, and the program none to be woken: 50 is
 * good for one that is busy, 0 for one that is mostly idle. `milliseconds` below 0: without limit. LG_OK:
 * what was waited for has come. LG_TIMED_OUT: it has not. LG_GONE: the ring has ended. LG_INVALID: there is
 * no such queue, or the ring was opened with LG_RING_POLLS. `queue`: for the thread that uses this queue, or
 * LG_RING_ALL_QUEUES. */
lg_error lg_ring_wait(lg_ring* ring, uint32_t queue, uint32_t spin_us, int32_t milliseconds);

typedef struct lg_packet {
  void* data;
  uint32_t bytes;
  uint32_t reserved; /* 0 */
} lg_packet;

uint32_t lg_ring_queues(lg_ring* ring);
/* At most `count` packets of one queue; returns how many. */
uint32_t lg_ring_receive_burst(lg_ring* ring, uint32_t queue, lg_packet* packets, uint32_t count);
/* The oldest `count` packets of the queue that were received and are not released. */
void lg_ring_release_burst(lg_ring* ring, uint32_t queue, uint32_t count);
/* Copies them into the ring and sends them; returns how many there was room for. It ends at one of a size
 * that no packet has. */
uint32_t lg_ring_send_burst(lg_ring* ring, uint32_t queue, const lg_packet* packets, uint32_t count);

/* Of all queues together, since the ring was opened. */
typedef struct lg_ring_statistics {
  uint32_t size; /* set by the caller: its sizeof */
  uint32_t queues;
  uint32_t slots;    /* of each ring */
  uint32_t largest;  /* bytes of a packet that fits the adapter's MTU */
  uint64_t received; /* packets */
  uint64_t sent;     /* packets */
  uint64_t full;     /* times that a packet found no room */
  uint32_t held;     /* received and not released */
  uint32_t blocked;  /* released, but behind one that is not: their room is not given back */
  uint32_t unsent;   /* allocated; the first of them is not sent */
  uint32_t reserved0;
  uint64_t oldest_held; /* address of the first of the held packets; 0: none */
} lg_ring_statistics;
lg_error lg_ring_get_statistics(lg_ring* ring, lg_ring_statistics* statistics);

/* ------------------------------------------------------------------ the gateway */

/* Ends the gateway if it has no interface at all. LG_BUSY: it has. */
lg_error lg_shutdown_if_unused(void);

#ifdef __cplusplus
}
#endif

#endif
