/* Where each member lies, in every program: 32 or 64 bits, old or new. Compiled by tests/abi.sh. */
#include <linegate.h>

#define AT(type, member, offset) \
  typedef char at_##type##_##member[offsetof(type, member) == (offset) ? 1 : -1]
#define SIZE(type, bytes) typedef char size_of_##type[sizeof(type) == (bytes) ? 1 : -1]
#define IS(name, value) typedef char is_##name[(name) == (value) ? 1 : -1]

SIZE(lg_interface, 88);
AT(lg_interface, size, 0);
AT(lg_interface, flags, 4);
AT(lg_interface, private_key, 8);
AT(lg_interface, public_key, 40);
AT(lg_interface, listen_port, 72);
AT(lg_interface, reserved0, 74);
AT(lg_interface, fwmark, 76);
AT(lg_interface, peers_count, 80);
AT(lg_interface, reserved1, 84);

SIZE(lg_endpoint, 24);
AT(lg_endpoint, family, 0);
AT(lg_endpoint, port, 2);
AT(lg_endpoint, scope_id, 4);
AT(lg_endpoint, address, 8);

SIZE(lg_peer, 128);
AT(lg_peer, size, 0);
AT(lg_peer, flags, 4);
AT(lg_peer, public_key, 8);
AT(lg_peer, preshared_key, 40);
AT(lg_peer, endpoint, 72);
AT(lg_peer, persistent_keepalive, 96);
AT(lg_peer, reserved0, 98);
AT(lg_peer, allowed_ips_count, 100);
AT(lg_peer, tx_bytes, 104);
AT(lg_peer, rx_bytes, 112);
AT(lg_peer, last_handshake, 120);

SIZE(lg_allowed_ip, 32);
AT(lg_allowed_ip, size, 0);
AT(lg_allowed_ip, flags, 4);
AT(lg_allowed_ip, address, 8);
AT(lg_allowed_ip, family, 24);
AT(lg_allowed_ip, cidr, 25);
AT(lg_allowed_ip, reserved0, 26);
AT(lg_allowed_ip, reserved1, 28);

SIZE(lg_packet, sizeof(void *) + 8);
AT(lg_packet, data, 0);
AT(lg_packet, bytes, sizeof(void *));
AT(lg_packet, reserved, sizeof(void *) + 4);

SIZE(lg_offload, 10);
AT(lg_offload, flags, 0);
AT(lg_offload, kind, 1);
AT(lg_offload, header_bytes, 2);
AT(lg_offload, segment_bytes, 4);
AT(lg_offload, checksum_start, 6);
AT(lg_offload, checksum_offset, 8);
SIZE(lg_ring_statistics, 64);
AT(lg_ring_statistics, size, 0);
AT(lg_ring_statistics, queues, 4);
AT(lg_ring_statistics, slots, 8);
AT(lg_ring_statistics, largest, 12);
AT(lg_ring_statistics, received, 16);
AT(lg_ring_statistics, sent, 24);
AT(lg_ring_statistics, full, 32);
AT(lg_ring_statistics, held, 40);
AT(lg_ring_statistics, blocked, 44);
AT(lg_ring_statistics, unsent, 48);
AT(lg_ring_statistics, reserved0, 52);
AT(lg_ring_statistics, oldest_held, 56);

SIZE(lg_error, 4);
SIZE(lg_state, 4);
SIZE(lg_level, 4);
SIZE(lg_log_state, 4);

IS(LG_OK, 0);
IS(LG_INVALID, -1);
IS(LG_MORE_DATA, -2);
IS(LG_NOT_RUNNING, -3);
IS(LG_ACCESS, -4);
IS(LG_GONE, -5);
IS(LG_EXISTS, -6);
IS(LG_NOT_FOUND, -7);
IS(LG_BUSY, -8);
IS(LG_ADDRESS_IN_USE, -9);
IS(LG_NO_MEMORY, -10);
IS(LG_SYSTEM, -11);
IS(LG_PROTOCOL, -12);
IS(LG_TIMED_OUT, -13);
IS(LG_EMPTY, -14);
IS(LG_FULL, -15);
IS(LG_RING_POLLS, 1);
IS(LG_PERMANENT, 1);
IS(LG_INTERFACE_HAS_PUBLIC_KEY, 1);
IS(LG_INTERFACE_HAS_PRIVATE_KEY, 2);
IS(LG_INTERFACE_HAS_LISTEN_PORT, 4);
IS(LG_INTERFACE_REPLACE_PEERS, 8);
IS(LG_INTERFACE_HAS_FWMARK, 16);
IS(LG_PEER_HAS_PUBLIC_KEY, 1);
IS(LG_PEER_HAS_PRESHARED_KEY, 2);
IS(LG_PEER_HAS_PERSISTENT_KEEPALIVE, 4);
IS(LG_PEER_HAS_ENDPOINT, 8);
IS(LG_PEER_REPLACE_ALLOWED_IPS, 32);
IS(LG_PEER_REMOVE, 64);
IS(LG_PEER_UPDATE, 128);
IS(LG_ALLOWED_IP_REMOVE, 1);
IS(LG_IPV4, 4);
IS(LG_IPV6, 6);
IS(LG_DOWN, 0);
IS(LG_UP, 1);
IS(LG_LOG_OFF, 0);
IS(LG_LOG_ON, 1);
IS(LG_LOG_ON_WITH_PREFIX, 2);
IS(LG_LOG_ERROR, 1);
IS(LG_LOG_WARN, 2);
IS(LG_LOG_INFO, 3);
IS(LG_LOG_DEBUG, 4);
IS(LG_LOG_TRACE, 5);
