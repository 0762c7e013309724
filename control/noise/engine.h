// The protocol of one WireGuard interface: handshakes, key slots, timers, cookies. The engine has no threads,
// no sockets and no clock of its own. Its input arrives as parameters and its output leaves through Host, so
// a simulation can run any number of engines. All calls are made on the control thread.
//
// Shared with the workers: dataplane::Peer (the caller's slots; the engine publishes Peer::current and
// clears Peer::requested) and the KeypairTable (shared by all interfaces of the process).
// Sources: WireGuard paper sections 5.4 and 6; docs/protocol.md.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/noise/engine_options.h"
#include "control/noise/handshake_counters.h"
#include "control/noise/outcome.h"
#include "control/noise/peer_events.h"
#include "control/noise/types.h"
#include "dataplane/session/keypair_table.h"
#include "dataplane/session/peer.h"

namespace wg::noise {

// The engine's outputs, implemented by the daemon and by the simulation. The engine calls them synchronously
// from within its own methods, so an implementation must not call back into the engine.
class Host {
 public:
  virtual ~Host() = default;
  // `from`: the local address that the peer last sent to (sticky source). A zero address leaves the choice to
  // the kernel.
  // `tos`: 0x88 (AF41) for initiation and response, 0 for cookie replies (protocol C5-9).
  virtual void send_handshake(const Endpoint& to, const Endpoint& from, std::span<const std::uint8_t> message,
                              std::uint8_t tos) = 0;
  // Seals an empty packet on Peer::current, calls note_sent(now, false), counts its 32 bytes.
  virtual void send_keepalive(dataplane::Peer& peer) = 0;
  // A session exists now: sends the staged packets. Returns true when there were any, because then the
  // session needs no keepalive as confirmation.
  virtual bool release_staged(dataplane::Peer& peer) = 0;
  virtual void drop_staged(dataplane::Peer& peer) = 0;
  [[nodiscard]] virtual bool has_staged(const dataplane::Peer& peer) = 0;
  // Builds and publishes Peer::path, or unpublishes it when !remote.known(). A zero `local` allows any
  // source.
  virtual void endpoint_changed(dataplane::Peer& peer, const Endpoint& remote, const Endpoint& local) = 0;
  // Runs `free` after every worker has passed a quiescent state.
  virtual void retire(std::function<void()> free) = 0;
  // Reports an event to the log and the event stream. `peer` is null for events of the interface (clock).
  virtual void event(const dataplane::Peer* peer, const PeerEvent& event) = 0;
  // A handshake message that belongs to no configured peer was refused. Unknown hosts decide how often.
  virtual void refused(const RefusedMessage&) {}
};

inline constexpr std::uint8_t kHandshakeTos = 0x88;

enum class AddPeerResult : std::uint8_t { kAdded, kDuplicate, kOwnKey };

struct PeerSession {
  PublicKey public_key{};
  Endpoint remote;  // !known(): none
  Endpoint local;   // sticky source; zero address: none
  std::optional<WallTime> last_handshake;
  std::chrono::seconds persistent_keepalive{0};  // 0: off
  bool has_preshared_key = false;
  bool handshake_in_flight = false;
  std::uint32_t attempts = 0;        // initiations sent in the current exchange
  bool has_session = false;          // a current keypair younger than REJECT_AFTER_TIME
  bool session_unconfirmed = false;  // a next keypair waits for its first data
  bool i_am_initiator = false;       // our role in the current session
  std::chrono::nanoseconds session_age{0};
  bool has_cookie = false;              // a fresh cookie from the peer
  std::optional<Outcome> last_refusal;  // reason of the most recent refusal
  BootTime last_refusal_at = kNever;
};

// Where an authenticated peer was last heard of.
struct HeardPeer {
  PublicKey key{};
  Endpoint remote;
  Endpoint local;           // our address; zero: not known
  BootTime heard = kNever;  // latest authenticated message
};

// The secrets that a reader of a handshake's messages needs to decrypt its session.
struct HandshakeSecrets {
  PublicKey peer{};
  Key own_static{}, own_ephemeral{};
  PresharedKey preshared_key{};
};
using SecretsTap = std::function<void(const HandshakeSecrets& secrets)>;

class Engine {
 public:
  Engine(Host& host, dataplane::KeypairTable& keypairs, Random& random, EngineOptions options = {});
  ~Engine();  // retires every keypair through Host; Host must outlive the engine

  // ---- configuration. Setting a value that is already set does nothing.
  // Clamps the key. nullopt or all zero removes it. A peer whose key equals the new public key is removed
  // from the engine and returned: the caller must drop its allowed IPs and its slot (protocol C4-10).
  dataplane::Peer* set_private_key(const std::optional<Key>& key, const Now& now);
  [[nodiscard]] bool has_private_key() const;
  [[nodiscard]] Key private_key() const;  // clamped; zero: none. The caller wipes its copy.
  [[nodiscard]] PublicKey public_key() const;

  // down() wipes sessions and handshakes and drops staged packets. Timestamps and endpoints stay (C5-13).
  void up(const Now& now);
  void down(const Now& now);
  [[nodiscard]] bool is_up() const;

  // A new private key, up and down count at once for what arrives and what is sent by the engine, and the
  // old private key is wiped at once. The first peers follow within the call, the others in slices: until a
  // peer has, workers may use its session, and its secrets are not wiped. Nothing else happens to a peer
  // before it has followed. advance() goes on with it, and next_deadline() asks for that.
  // One slice, for callers that wait. False: all have followed.
  bool follow_some(const Now& now);
  // Lets this peer follow. Call it before a packet is staged for it: going down drops what is staged.
  void follow(PeerRef peer, const Now& now);

  // The caller owns `peer`, keeps it alive until remove_peer(), and sets its slot, generation and
  // interface_id before the call. After remove_peer() the caller may increment the generation and reuse the
  // slot once retired objects are collected.
  AddPeerResult add_peer(dataplane::Peer& peer, const PublicKey& key, const Now& now);
  void remove_peer(dataplane::Peer& peer);
  [[nodiscard]] dataplane::Peer* find_peer(const PublicKey& key) const;
  [[nodiscard]] std::size_t peer_count() const;

  void set_preshared_key(dataplane::Peer& peer, const PresharedKey& key, const Now& now);
  [[nodiscard]] PresharedKey preshared_key(const dataplane::Peer& peer) const;
  void set_endpoint(dataplane::Peer& peer, const Endpoint& remote, const Now& now);
  void set_keepalive(dataplane::Peer& peer, std::chrono::seconds interval, const Now& now);  // 0: off
  // The peer was heard of at `heard` from `remote` at our address `local`, before the program was
  // started. Its endpoint moves there and it gets an initiation as soon as the pace allows, the latest heard
  // first. Call it before set_keepalive(), or that starts the peer in its own turn. Not while down.
  void restore_endpoint(dataplane::Peer& peer, const Endpoint& remote, const Endpoint& local, WallTime heard,
                        const Now& now);
  // Forgets sticky sources and keeps sessions, after a change of listen port, fwmark or local address
  // (C5-14).
  // True: it had one, and Host::endpoint_changed() has been called.
  bool clear_source(dataplane::Peer& peer);

  // ---- input
  // Checks, answers and counts one handshake message (types 1 to 3) at once.
  Outcome on_handshake(std::span<const std::uint8_t> message, const Endpoint& remote, const Endpoint& local,
                       const Now& now);
  // The same through the bounded queue whose length decides "under load". Length and mac1 are checked before
  // queueing, so junk neither fills the queue nor causes cookie replies. A full queue drops the newest
  // message.
  Outcome queue_handshake(std::span<const std::uint8_t> message, const Endpoint& remote,
                          const Endpoint& local, const Now& now);
  std::size_t process_queued(std::size_t budget, const Now& now);  // returns the number processed
  [[nodiscard]] std::size_t queued() const;
  [[nodiscard]] bool under_load(const Now& now) const;

  // From the workers' mailboxes. A stale reference is ignored.
  void on_need_handshake(PeerRef peer, const Now& now);          // kRequestHandshake was raised
  void on_key_fresh(PeerRef peer, const Now& now);               // kRequestKeyFresh was raised
  void on_confirmed(std::uint32_t local_index, const Now& now);  // first data on a responder's session
  // False: not taken, because the peer has moved within the last 100 ms. Its next packet says it again.
  bool on_roamed(PeerRef peer, const Endpoint& remote, const Endpoint& local, const Now& now);
  // Transport data that no session opens came from the peer's endpoint, which proves nothing. Initiates
  // unless there is a session or the last handshake is younger than REKEY_TIMEOUT; returns whether it did.
  bool on_stray(dataplane::Peer& peer, const Now& now);

  // For the operator: start a handshake now, as if data were staged; forget the peer's latest timestamp.
  void initiate(dataplane::Peer& peer, const Now& now);
  void reset_timestamp(dataplane::Peer& peer);

  // For laboratories: `tap` receives the secrets of every handshake from now on, before our message leaves.
  // Empty: no tap.
  void tap_secrets(SecretsTap tap);

  // ---- time
  // Runs timers that are due, at most so many that it takes a few milliseconds: next_deadline() has passed
  // while there are more. Call it when next_deadline() is reached, or more often.
  void advance(const Now& now);
  // The time at which advance() should be called next; kNever: no timer is armed. It may be early, never
  // late.
  [[nodiscard]] BootTime next_deadline() const;

  // ---- status
  [[nodiscard]] PeerSession peer_status(const dataplane::Peer& peer, const Now& now) const;
  [[nodiscard]] std::vector<PeerEvent> peer_events(const dataplane::Peer& peer) const;  // oldest first
  // Appends those heard of later than `since` among the next `count` peers from number `from` on. Returns the
  // number to go on with; 0: that was the last. For walks in steps, between which peers come and go.
  std::size_t heard_peers(std::size_t from, std::size_t count, BootTime since,
                          std::vector<HeardPeer>& out) const;
  // Outcomes of messages, messages sent, refused messages of unknown peers.
  [[nodiscard]] const HandshakeCounters& counters() const;
  [[nodiscard]] std::size_t memory_bytes() const;  // all memory the engine allocated, keypairs included

  // ---- restart safety (protocol C6-1, C6-3)
  // The TAI64N floor, every peer's latest timestamp, and those of peers that are not here: removed ones, and
  // ones that were imported and have not been added (the newest 100 000). With a checksum. The daemon stores
  // them (temporary file and rename).
  [[nodiscard]] std::vector<std::uint8_t> export_timestamps();
  // Call it before anything is sent. Peers that are added later take theirs then. Timestamps are only ever
  // raised. Returns false, and changes nothing, when `bytes` is not an export of ours.
  [[nodiscard]] bool import_timestamps(std::span<const std::uint8_t> bytes);
  // True when export_timestamps() differs enough to be worth writing. Poll it every few seconds.
  [[nodiscard]] bool timestamps_changed() const;

 private:
  struct State;
  std::unique_ptr<State> s_;
};

}  // namespace wg::noise
