// Every drop has a name, one list, one counter. The list gives the enum, the text and the counter's index.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wg::dataplane {

// X(name, what it means)
#define LINEGATE_DROP_REASONS(X)                                                                  \
  /* outer frame */                                                                               \
  X(truncated_frame, "frame shorter than its headers say")                                        \
  X(other_host, "frame addressed to another MAC address")                                         \
  X(bad_outer_checksum, "outer IPv4 header or UDP checksum is wrong")                             \
  X(martian_source, "handshake from a martian source address")                                    \
  X(segmented, "chained buffer that does not fit into one")                                       \
  /* reading from Linux: TUN, TAP, packet socket */                                               \
  X(read_malformed, "packet read from Linux whose virtio-net header does not fit it")             \
  X(read_too_long, "packet read from Linux that is larger than a packet buffer")                  \
  X(read_truncated, "frame that Linux cut because its packet socket had no memory left")          \
  /* a program that is the inner side of an interface (io/program_ring.h) */                      \
  X(ring_bad_packet, "packet from a program's ring that is no whole IP packet")                   \
  X(ring_source, "packet from a program's ring whose source is not the program's")                \
  X(ring_full, "the program behind the interface does not empty its ring")                        \
  X(program_inside, "packet of Linux into an interface whose inner side is a program")            \
  /* WireGuard message, protocol order of checks */                                               \
  X(bad_message_type, "message type is not 1 to 4, or reserved bytes are set")                    \
  X(bad_message_length, "message length is not the exact one of its type")                        \
  X(interface_down, "the interface listening on this port is administratively down")              \
  X(handshake_budget, "more handshake messages in one loop than the worker's budget")             \
  X(handshake_mailbox_full, "the control thread's handshake mailbox is full")                     \
  X(unknown_index, "no session has this receiver index")                                          \
  X(wrong_port, "the session belongs to another interface's listen port")                         \
  X(expired_key, "the session is older than REJECT_AFTER_TIME")                                   \
  X(counter_limit, "the counter is at REJECT_AFTER_MESSAGES")                                     \
  X(bad_tag, "the Poly1305 tag does not verify")                                                  \
  X(replayed, "the counter was seen before or is older than the window")                          \
  /* inner packet after decryption */                                                             \
  X(inner_malformed, "decrypted packet has a wrong version, header, length or header checksum")   \
  X(disallowed_source, "inner source belongs to no allowed IP of the sending peer")               \
  X(martian_inner, "inner source that Linux accepts from no network: our own, loopback, a group") \
  X(ecn_invalid, "outer congestion mark on an inner packet that cannot carry it (RFC 6040)")      \
  /* routing */                                                                                   \
  X(no_peer, "no peer's allowed IPs contain the destination")                                     \
  X(no_endpoint, "the peer has no known endpoint")                                                \
  X(hairpin_off, "peer to peer forwarding is switched off on this interface")                     \
  X(too_big, "packet larger than the path's MTU")                                                 \
  X(blackhole, "the kernel's route is a blackhole")                                               \
  X(routing_loop, "the outer route of a sealed packet leads into the tunnel")                     \
  /* resources */                                                                                 \
  X(staging_full, "the control thread's staging mailbox is full")                                 \
  X(kernel_path_full, "the mailbox to the kernel's UDP socket is full")                           \
  X(no_mbuf, "the packet buffer pool is empty")                                                   \
  X(no_headroom, "no room for the outer headers or the tag in the buffer")                        \
  X(tx_full, "the port's transmit queue is full")                                                 \
  X(port_down, "the port is down, or the outgoing one gone")                                      \
  X(punt_budget, "more exception-path packets in one loop than the budget")                       \
  X(punt_full, "the kernel's TUN or TAP queue is full")                                           \
  X(punt_off, "the port has no exception path")                                                   \
  /* control thread */                                                                            \
  X(staged_dropped, "a packet waiting for a session was displaced or given up")                   \
  X(peer_gone, "the packet's peer or interface was removed while it was on its way")              \
  X(command_mailbox_full, "no room in the worker's mailbox for a staged packet or keepalive")     \
  X(cookie_reply_unsent, "no buffer or mailbox room for a cookie reply")                          \
  X(socket_malformed, "datagram at the kernel's socket shorter than any message")                 \
  X(socket_oversized, "datagram at the kernel's socket larger than a packet buffer")              \
  X(socket_full, "no buffer or mailbox room for a datagram of the kernel's socket")               \
  X(socket_send_failed, "the kernel's socket refused a message of the gateway")

enum class DropReason : std::uint8_t {
#define LINEGATE_ENUM(name, text) name,
  LINEGATE_DROP_REASONS(LINEGATE_ENUM)
#undef LINEGATE_ENUM
      count_
};

inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::count_);

inline constexpr const char* kDropNames[kDropReasons] = {
#define LINEGATE_NAME(name, text) #name,
    LINEGATE_DROP_REASONS(LINEGATE_NAME)
#undef LINEGATE_NAME
};

inline constexpr const char* kDropTexts[kDropReasons] = {
#define LINEGATE_TEXT(name, text) text,
    LINEGATE_DROP_REASONS(LINEGATE_TEXT)
#undef LINEGATE_TEXT
};

}  // namespace wg::dataplane
