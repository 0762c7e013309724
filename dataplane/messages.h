// The messages between workers and the control thread, through mailboxes.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/ids.h"
#include "dataplane/packet/address.h"
#include "dataplane/session/peer.h"
#include "dataplane/thread/mailbox.h"

struct rte_mbuf;

namespace wg::dataplane {

// Largest handshake message: an initiation (protocol C1-1).
inline constexpr std::size_t kMaxHandshakeMessage = 148;

// worker -> control: a handshake message of right type and exact length, nothing else checked.
struct HandshakeMessage {
  std::array<std::uint8_t, kMaxHandshakeMessage> bytes;
  std::uint16_t length;
  InterfaceId interface_id;
  Endpoint remote;
  Endpoint local;
};

enum class EventType : std::uint8_t {
  kNeedHandshake,   // peer: no usable session, or rekey due on send
  kKeyFresh,        // peer: initiator's key is older than 165 s and data arrived
  kConfirmed,       // keypair_index: first authenticated packet of a responder's session
  kRoamed,          // peer, remote, local: an authenticated packet came from elsewhere
  kStage,           // peer, packet: inner IP packet without a session; ownership passes
  kKernelSend,      // peer, packet: sealed message for the kernel's UDP socket; ownership passes
  kSourceMismatch,  // peer, remote.address: offending inner source; owner: whose it is or kNoPeer
  kStray,           // remote, local: transport data that no session opens; nothing is authenticated
};

// worker -> control.
struct Event {
  EventType type;
  std::uint8_t tos = 0;  // kKernelSend: outer traffic class
  InterfaceId interface_id{};
  PeerRef peer;
  std::uint32_t keypair_index = 0;
  std::uint32_t owner = kNoPeer;
  rte_mbuf* packet = nullptr;
  Endpoint remote;
  Endpoint local;
};

enum class CommandType : std::uint8_t {
  kSendInner,     // peer, packet: inner IP packet (was staged); seal and send
  kKeepalive,     // peer: seal and send an empty packet
  kReceiveOuter,  // packet: an outer frame that reached the kernel's socket instead of a port
  kSendFrame,     // port, packet: a finished frame
};

// control -> worker. Ownership of the packet passes.
struct Command {
  CommandType type;
  InterfaceId interface_id{};
  PortIndex port{};
  PeerRef peer;
  rte_mbuf* packet = nullptr;
  Endpoint remote;
  Endpoint local;
};

// Worker <-> control, one of each per worker.
struct WorkerMailboxes {
  Mailbox<HandshakeMessage> handshakes{1024};
  Mailbox<Event> events{4096};
  Mailbox<Command> commands{1024};
};

}  // namespace wg::dataplane
