/* The answer to a get, line by line, into structures behind one another. */
#include "internal.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { GROWS_TO = 1 << 30 }; /* bytes that the library allocates for one configuration at most */

static bool grow(lgi_decoder *decoder, size_t wanted) {
  size_t capacity = decoder->capacity < 512 ? 1024 : 2 * decoder->capacity;
  uint8_t *larger;
  if (capacity < wanted) capacity = wanted;
  larger = capacity <= GROWS_TO ? malloc(capacity) : NULL;
  if (larger == NULL) {
    decoder->out_of_memory = true;
    return false;
  }
  if (decoder->base != NULL) {
    memcpy(larger, decoder->base, decoder->capacity);
    explicit_bzero(decoder->base, decoder->capacity);
    free(decoder->base);
  }
  decoder->base = larger;
  decoder->capacity = capacity;
  return true;
}

/* Room for a structure; its offset. Where it does not fit it is counted all the same. */
static bool reserve(lgi_decoder *decoder, size_t size, size_t *offset) {
  if (decoder->used > SIZE_MAX / 2 - size) return false;
  *offset = decoder->used;
  decoder->used += size;
  if (decoder->overflow || decoder->used <= decoder->capacity) return true;
  if (!decoder->grows || !grow(decoder, decoder->used)) decoder->overflow = true;
  return !decoder->out_of_memory;
}

static void store(lgi_decoder *decoder, size_t offset, const void *structure, size_t size) {
  if (offset + size <= decoder->capacity) memcpy(decoder->base + offset, structure, size);
}

void lgi_decoder_begin(lgi_decoder *decoder, uint8_t *buffer, size_t capacity, bool grows) {
  size_t at_the_start;
  memset(decoder, 0, sizeof *decoder);
  decoder->base = buffer;
  decoder->capacity = capacity;
  decoder->grows = grows;
  decoder->interface.size = sizeof(lg_interface);
  (void)reserve(decoder, sizeof(lg_interface), &at_the_start);
}

static void end_peer(lgi_decoder *decoder) {
  if (decoder->peer != 0) store(decoder, decoder->peer, &decoder->current, sizeof decoder->current);
  explicit_bzero(&decoder->current, sizeof decoder->current);
}

void lgi_decoder_end(lgi_decoder *decoder) {
  end_peer(decoder);
  store(decoder, 0, &decoder->interface, sizeof decoder->interface);
  explicit_bzero(&decoder->interface, sizeof decoder->interface);
}

/* ------------------------------------------------------------------ values */

static bool read_address(const char *text, size_t length, unsigned *family, uint8_t address[16]) {
  char words[INET6_ADDRSTRLEN];
  if (length >= sizeof words || length == 0) return false;
  memcpy(words, text, length);
  words[length] = 0;
  memset(address, 0, 16);
  *family = strchr(words, ':') != NULL ? LG_IPV6 : LG_IPV4;
  return inet_pton(*family == LG_IPV6 ? AF_INET6 : AF_INET, words, address) == 1;
}

static const char *last_of(const char *text, size_t length, char wanted) {
  while (length != 0)
    if (text[--length] == wanted) return text + length;
  return NULL;
}

/* A zone is a name in the gateway's network namespace. In another it may be unknown: then 0. */
static uint32_t index_of_zone(const char *zone, size_t length) {
  char name[IF_NAMESIZE];
  if (length == 0 || length >= sizeof name) return 0;
  memcpy(name, zone, length);
  name[length] = 0;
  return if_nametoindex(name);
}

/* 192.0.2.1:51820, [2001:db8::1]:51820, [fe80::1%eth0]:51820 */
static bool read_endpoint(const char *text, size_t length, lg_endpoint *endpoint) {
  const char *colon = last_of(text, length, ':'), *percent;
  size_t host;
  uint64_t port;
  unsigned family;
  if (colon == NULL || !lgi_read_number(colon + 1, (size_t)(text + length - colon - 1), 65535, &port)) return false;
  host = (size_t)(colon - text);
  if (host >= 2 && text[0] == '[' && text[host - 1] == ']') {
    ++text;
    host -= 2;
  }
  percent = last_of(text, host, '%');
  if (percent != NULL) {
    endpoint->scope_id = index_of_zone(percent + 1, (size_t)(text + host - percent - 1));
    host = (size_t)(percent - text);
  }
  if (!read_address(text, host, &family, endpoint->address)) return false;
  endpoint->family = (uint16_t)family;
  endpoint->port = (uint16_t)port;
  return true;
}

static bool add_allowed_ip(lgi_decoder *decoder, const char *text, size_t length) {
  const char *slash = last_of(text, length, '/');
  lg_allowed_ip ip;
  size_t offset;
  uint64_t cidr;
  unsigned family;
  memset(&ip, 0, sizeof ip);
  ip.size = sizeof ip;
  if (slash == NULL || !read_address(text, (size_t)(slash - text), &family, ip.address)) return false;
  if (!lgi_read_number(slash + 1, (size_t)(text + length - slash - 1), family == LG_IPV4 ? 32 : 128, &cidr))
    return false;
  ip.family = (uint8_t)family;
  ip.cidr = (uint8_t)cidr;
  if (decoder->current.allowed_ips_count == UINT32_MAX || !reserve(decoder, sizeof ip, &offset)) return false;
  ++decoder->current.allowed_ips_count;
  store(decoder, offset, &ip, sizeof ip);
  return true;
}

static bool begin_peer(lgi_decoder *decoder, const char *value, size_t length) {
  end_peer(decoder);
  if (decoder->interface.peers_count == UINT32_MAX || !reserve(decoder, sizeof(lg_peer), &decoder->peer)) return false;
  ++decoder->interface.peers_count;
  decoder->current.size = sizeof(lg_peer);
  decoder->current.flags = LG_PEER_HAS_PUBLIC_KEY;
  return lgi_read_hex(value, length, decoder->current.public_key, LG_KEY_BYTES);
}

/* ------------------------------------------------------------------ lines */

typedef struct field {
  const char *key;
  size_t key_length;
  const char *value;
  size_t length;
} field;

static bool is(const field *line, const char *key) {
  return line->key_length == strlen(key) && memcmp(line->key, key, line->key_length) == 0;
}

static bool number(const field *line, uint64_t max, uint64_t *out) {
  return lgi_read_number(line->value, line->length, max, out);
}

/* Keys that are not known here are those of a later gateway. */
static bool interface_line(lg_interface *interface, const field *line) {
  uint64_t value;
  if (is(line, "private_key")) {
    interface->flags |= LG_INTERFACE_HAS_PRIVATE_KEY;
    return lgi_read_hex(line->value, line->length, interface->private_key, LG_KEY_BYTES);
  }
  if (is(line, "own_public_key")) {
    interface->flags |= LG_INTERFACE_HAS_PUBLIC_KEY;
    return lgi_read_hex(line->value, line->length, interface->public_key, LG_KEY_BYTES);
  }
  if (is(line, "listen_port")) {
    if (!number(line, 65535, &value)) return false;
    interface->flags |= LG_INTERFACE_HAS_LISTEN_PORT;
    interface->listen_port = (uint16_t)value;
  } else if (is(line, "fwmark")) {
    if (!number(line, UINT32_MAX, &value)) return false;
    interface->flags |= LG_INTERFACE_HAS_FWMARK;
    interface->fwmark = (uint32_t)value;
  }
  return true;
}

static bool preshared_key(lg_peer *peer, const field *line) {
  static const uint8_t kNone[LG_KEY_BYTES] = {0};
  if (!lgi_read_hex(line->value, line->length, peer->preshared_key, LG_KEY_BYTES)) return false;
  if (memcmp(peer->preshared_key, kNone, sizeof kNone) != 0) peer->flags |= LG_PEER_HAS_PRESHARED_KEY;
  return true;
}

static bool peer_number(lg_peer *peer, const field *line) {
  const int64_t second = 1000000000;
  uint64_t value;
  if (is(line, "tx_bytes")) return number(line, UINT64_MAX, &peer->tx_bytes);
  if (is(line, "rx_bytes")) return number(line, UINT64_MAX, &peer->rx_bytes);
  if (is(line, "last_handshake_time_sec")) {
    if (!number(line, (uint64_t)(INT64_MAX / second - 1), &value)) return false;
    peer->last_handshake = (int64_t)value * second + peer->last_handshake % second;
  } else if (is(line, "last_handshake_time_nsec")) {
    if (!number(line, (uint64_t)(second - 1), &value)) return false;
    peer->last_handshake += (int64_t)value - peer->last_handshake % second;
  } else if (is(line, "persistent_keepalive_interval")) {
    if (!number(line, 65535, &value)) return false;
    peer->flags |= LG_PEER_HAS_PERSISTENT_KEEPALIVE;
    peer->persistent_keepalive = (uint16_t)value;
  }
  return true;
}

static bool peer_line(lgi_decoder *decoder, const field *line) {
  lg_peer *const peer = &decoder->current;
  if (is(line, "allowed_ip")) return add_allowed_ip(decoder, line->value, line->length);
  if (is(line, "preshared_key")) return preshared_key(peer, line);
  if (!is(line, "endpoint")) return peer_number(peer, line);
  peer->flags |= LG_PEER_HAS_ENDPOINT;
  return read_endpoint(line->value, line->length, &peer->endpoint);
}

bool lgi_decoder_line(lgi_decoder *decoder, const char *line, size_t length) {
  const char *const equals = memchr(line, '=', length);
  field parts;
  if (equals == NULL) return false;
  parts.key = line;
  parts.key_length = (size_t)(equals - line);
  parts.value = equals + 1;
  parts.length = length - parts.key_length - 1;
  if (is(&parts, "public_key")) return begin_peer(decoder, parts.value, parts.length);
  if (decoder->peer != 0) return peer_line(decoder, &parts);
  return interface_line(&decoder->interface, &parts);
}
