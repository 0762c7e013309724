/* Sizes and places of what programs share with the library and the gateway. Compiled for 32 and for 64 bits it is the same
 * bytes: a program of either finds the same structures. */
#include <linegate.h>
#include <stddef.h>

#include "dataplane/ring/layout.h"

#define AT(structure, member) offsetof(structure, member), sizeof(((structure *)0)->member)

const uint32_t linegate_layout[] = {
    sizeof(lg_interface), AT(lg_interface, private_key), AT(lg_interface, listen_port), AT(lg_interface, fwmark),
    AT(lg_interface, peers_count), sizeof(lg_endpoint), AT(lg_endpoint, scope_id), AT(lg_endpoint, address),
    sizeof(lg_peer), AT(lg_peer, endpoint), AT(lg_peer, persistent_keepalive), AT(lg_peer, allowed_ips_count),
    AT(lg_peer, tx_bytes), AT(lg_peer, last_handshake), sizeof(lg_allowed_ip), AT(lg_allowed_ip, address),
    AT(lg_allowed_ip, cidr), sizeof(lg_offload), AT(lg_offload, checksum_offset), sizeof(lg_ring_statistics),
    AT(lg_ring_statistics, received), AT(lg_ring_statistics, oldest_held), sizeof(ring_words), AT(ring_words, consumed),
    AT(ring_words, consumer_sleeps), AT(ring_words, producer_waits), RING_LENGTHS_OFFSET, RING_PAGE, RING_LEAST_PACKET};
