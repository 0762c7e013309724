/* A configuration as the text of a set. Everything is checked before the first byte is sent. */
#include "internal.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The most bytes of text that each structure becomes. */
enum { TEXT_OF_INTERFACE = 192, TEXT_OF_PEER = 384, TEXT_OF_ALLOWED_IP = 72 };

static const uint32_t kInterfaceFlags = LG_INTERFACE_HAS_PUBLIC_KEY | LG_INTERFACE_HAS_PRIVATE_KEY |
                                        LG_INTERFACE_HAS_LISTEN_PORT | LG_INTERFACE_REPLACE_PEERS |
                                        LG_INTERFACE_HAS_FWMARK;
static const uint32_t kPeerFlags = LG_PEER_HAS_PUBLIC_KEY | LG_PEER_HAS_PRESHARED_KEY |
                                   LG_PEER_HAS_PERSISTENT_KEEPALIVE | LG_PEER_HAS_ENDPOINT |
                                   LG_PEER_REPLACE_ALLOWED_IPS | LG_PEER_REMOVE | LG_PEER_UPDATE;

/* Goes through the caller's buffer; every structure is copied out, so that a caller of a later version, whose
 * structures are larger, is read like any other. */
typedef struct reader {
  const uint8_t *at;
  size_t left;
} reader;

static bool all_zero(const uint8_t *bytes, size_t count) {
  size_t i;
  for (i = 0; i < count; ++i)
    if (bytes[i] != 0) return false;
  return true;
}

static lg_error next(reader *from, void *structure, size_t known, const char *what) {
  uint32_t size;
  if (from->left < sizeof size) return lgi_fail(LG_INVALID, "the buffer ends before %s", what);
  memcpy(&size, from->at, sizeof size);
  if (size < known || size % 8 != 0) return lgi_fail(LG_INVALID, "the size of %s is %u", what, size);
  if (size > from->left) return lgi_fail(LG_INVALID, "the buffer ends within %s", what);
  if (!all_zero(from->at + known, size - known))
    return lgi_fail(LG_INVALID, "%s has members that this library does not know", what);
  memcpy(structure, from->at, known);
  from->at += size;
  from->left -= size;
  return LG_OK;
}

/* ------------------------------------------------------------------ text */

static void put_key(lgi_text *text, const char *name, const uint8_t key[LG_KEY_BYTES]) {
  lgi_put(text, name);
  lgi_put_hex(text, key, LG_KEY_BYTES);
  lgi_put(text, "\n");
}

static void put_field(lgi_text *text, const char *name, uint64_t number) {
  lgi_put(text, name);
  lgi_put_number(text, number);
  lgi_put(text, "\n");
}

static void put_address(lgi_text *text, unsigned family, const uint8_t address[16]) {
  char words[INET6_ADDRSTRLEN];
  inet_ntop(family == LG_IPV4 ? AF_INET : AF_INET6, address, words, sizeof words);
  lgi_put(text, words);
}

static lg_error put_endpoint(lgi_text *text, const lg_endpoint *endpoint) {
  char zone[IF_NAMESIZE];
  const bool v6 = endpoint->family == LG_IPV6;
  if (!v6 && endpoint->family != LG_IPV4) return lgi_fail(LG_INVALID, "the family of an endpoint");
  lgi_put(text, v6 ? "endpoint=[" : "endpoint=");
  put_address(text, endpoint->family, endpoint->address);
  if (v6 && endpoint->scope_id != 0) {
    if (if_indextoname(endpoint->scope_id, zone) == NULL)
      return lgi_fail(LG_INVALID, "no interface has the scope_id of an endpoint");
    lgi_put(text, "%");
    lgi_put(text, zone);
  }
  lgi_put(text, v6 ? "]:" : ":");
  lgi_put_number(text, endpoint->port);
  lgi_put(text, "\n");
  return LG_OK;
}

static lg_error put_allowed_ip(lgi_text *text, const lg_allowed_ip *ip) {
  const bool v4 = ip->family == LG_IPV4;
  if (ip->flags != 0 && ip->flags != LG_ALLOWED_IP_REMOVE)
    return lgi_fail(LG_INVALID, "an unknown flag of an allowed IP");
  if ((!v4 && ip->family != LG_IPV6) || ip->cidr > (v4 ? 32 : 128))
    return lgi_fail(LG_INVALID, "the family or the cidr of an allowed IP");
  if (ip->reserved0 != 0 || ip->reserved1 != 0) return lgi_fail(LG_INVALID, "a reserved member is not zero");
  lgi_put(text, (ip->flags & LG_ALLOWED_IP_REMOVE) != 0 ? "allowed_ip=-" : "allowed_ip=");
  put_address(text, ip->family, ip->address);
  lgi_put(text, "/");
  lgi_put_number(text, ip->cidr);
  lgi_put(text, "\n");
  return LG_OK;
}

static lg_error put_peer(lgi_text *text, const lg_peer *peer) {
  const uint32_t flags = peer->flags;
  if ((flags & ~kPeerFlags) != 0) return lgi_fail(LG_INVALID, "an unknown flag of a peer");
  if ((flags & LG_PEER_HAS_PUBLIC_KEY) == 0) return lgi_fail(LG_INVALID, "a peer without a public key");
  if (peer->reserved0 != 0) return lgi_fail(LG_INVALID, "a reserved member is not zero");
  put_key(text, "public_key=", peer->public_key);
  if ((flags & LG_PEER_REMOVE) != 0) lgi_put(text, "remove=true\n");
  if ((flags & LG_PEER_UPDATE) != 0) lgi_put(text, "update_only=true\n");
  if ((flags & LG_PEER_HAS_PRESHARED_KEY) != 0) put_key(text, "preshared_key=", peer->preshared_key);
  if ((flags & LG_PEER_HAS_PERSISTENT_KEEPALIVE) != 0)
    put_field(text, "persistent_keepalive_interval=", peer->persistent_keepalive);
  if ((flags & LG_PEER_REPLACE_ALLOWED_IPS) != 0) lgi_put(text, "replace_allowed_ips=true\n");
  return (flags & LG_PEER_HAS_ENDPOINT) != 0 ? put_endpoint(text, &peer->endpoint) : LG_OK;
}

static lg_error put_interface(lgi_text *text, const lg_interface *interface) {
  const uint32_t flags = interface->flags;
  if ((flags & ~kInterfaceFlags) != 0) return lgi_fail(LG_INVALID, "an unknown flag of the interface");
  if (interface->reserved0 != 0 || interface->reserved1 != 0)
    return lgi_fail(LG_INVALID, "a reserved member is not zero");
  lgi_put(text, "set=1\n");
  if ((flags & LG_INTERFACE_HAS_PRIVATE_KEY) != 0) put_key(text, "private_key=", interface->private_key);
  if ((flags & LG_INTERFACE_HAS_LISTEN_PORT) != 0) put_field(text, "listen_port=", interface->listen_port);
  if ((flags & LG_INTERFACE_HAS_FWMARK) != 0) put_field(text, "fwmark=", interface->fwmark);
  if ((flags & LG_INTERFACE_REPLACE_PEERS) != 0) lgi_put(text, "replace_peers=true\n");
  return LG_OK;
}

/* ------------------------------------------------------------------ the whole */

static lg_error encode_allowed_ips(reader *from, uint32_t count, lgi_text *text) {
  for (; count != 0; --count) {
    lg_allowed_ip ip;
    lg_error error = next(from, &ip, sizeof ip, "an allowed IP");
    if (error == LG_OK) error = put_allowed_ip(text, &ip);
    if (error != LG_OK) return error;
  }
  return LG_OK;
}

static lg_error encode_peer(reader *from, lgi_text *text) {
  lg_peer peer;
  lg_error error = next(from, &peer, sizeof peer, "a peer");
  if (error == LG_OK) error = put_peer(text, &peer);
  if (error == LG_OK) error = encode_allowed_ips(from, peer.allowed_ips_count, text);
  explicit_bzero(&peer, sizeof peer);
  return error;
}

static lg_error encode(reader *from, lgi_text *text) {
  lg_interface interface;
  uint32_t left;
  lg_error error = next(from, &interface, sizeof interface, "the interface");
  if (error == LG_OK) error = put_interface(text, &interface);
  for (left = interface.peers_count; error == LG_OK && left != 0; --left) error = encode_peer(from, text);
  explicit_bzero(&interface, sizeof interface);
  if (error == LG_OK) lgi_put(text, "\n");
  return error;
}

/* Enough for whatever the structures in that many bytes say: a structure is never smaller than known here, and
 * the text of an allowed IP is the longest beside its structure. */
static size_t most_text(size_t bytes) {
  return TEXT_OF_INTERFACE + bytes / sizeof(lg_allowed_ip) * TEXT_OF_ALLOWED_IP + bytes / sizeof(lg_peer) * TEXT_OF_PEER;
}

lg_error lgi_encode_set(const lg_interface *configuration, size_t bytes, lgi_text *text) {
  reader from = {(const uint8_t *)configuration, bytes};
  lg_error error;
  memset(text, 0, sizeof *text);
  if (configuration == NULL || (uintptr_t)configuration % 8 != 0)
    return lgi_fail(LG_INVALID, "the buffer is not 8-byte aligned");
  text->capacity = bytes > LGI_SET_MAX ? LGI_SET_MAX : most_text(bytes);
  if (text->capacity > LGI_SET_MAX) text->capacity = LGI_SET_MAX;
  text->data = malloc(text->capacity);
  if (text->data == NULL) return lgi_fail(LG_NO_MEMORY, "out of memory");
  error = encode(&from, text);
  if (error == LG_OK && text->overflow) error = lgi_fail(LG_INVALID, "the set is larger than 64 MiB of text");
  if (error != LG_OK) lgi_forget(text);
  return error;
}

void lgi_forget(lgi_text *text) {
  if (text->data != NULL) explicit_bzero(text->data, text->length);
  free(text->data);
  memset(text, 0, sizeof *text);
}
