// The cross-platform WireGuard control protocol, which wg(8) uses with a userspace implementation. Pure
// functions: bytes to values and values to bytes, no sockets.
//
// Source: the protocol of wireguard-go, with one difference: a set is parsed completely before any of it is
// applied, so a bad line changes nothing. A refusal's code is negative on the wire of a set. Secrets live
// only in SecretKey; the reader wipes every line that it buffered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/address.h"
#include "config/diff.h"
#include "config/key.h"
#include "config/types.h"
#include "control/api/status.h"
#include "dataplane/base/expected.h"

namespace wg::control {

inline constexpr std::size_t kWgLineMax = 4096;                  // bytes without the newline
inline constexpr std::size_t kWgSetMax = std::size_t{64} << 20;  // bytes of one set; 100 000 peers are 50 MB

struct AllowedIpChange {
  enum class Verb : std::uint8_t {
    kAdd,     // takes the prefix from whichever peer holds it
    kRemove,  // `-IP/LEN`: only if this peer holds it
    kClear,   // replace_allowed_ips=true, at this place of the order; `prefix` unused
  };
  Verb verb = Verb::kAdd;
  config::Prefix prefix;
};

// One peer section. Absent fields are unchanged. The order of sections and of allowed_ips matters.
struct WgPeerSet {
  config::Key public_key;
  bool update_only = false;                        // an unknown key is not created
  bool remove = false;                             // everything else is then empty
  std::optional<config::SecretKey> preshared_key;  // zero clears
  std::optional<config::Endpoint> endpoint;        // always an address
  std::optional<std::chrono::seconds> keepalive;   // 0: off
  std::vector<AllowedIpChange> allowed_ips;
};

struct WgSet {
  std::optional<config::SecretKey> private_key;  // as sent (not clamped); zero removes
  std::optional<UdpPort> listen_port;            // kAnyPort: any free one
  std::optional<std::uint32_t> fwmark;           // 0: off
  bool replace_peers = false;
  std::vector<WgPeerSet> peers;
};

// Applies a set to an interface as a value, section by section with the semantics of the protocol: it ignores
// a peer with the interface's own key, removes the peer whose public key a new private key has, and moves an
// allowed IP from its holder. Peers outside the set keep everything, names included. A private key is stored
// clamped. `listening` is the port that the interface listens on: a set that names it changes nothing, even
// where the value says any port. Returns the effects that the value cannot express. (replace_peers alone
// recreates no peer: an unchanged peer of a setconf keeps its session.)
[[nodiscard]] config::PeerEffects apply(const WgSet& set, config::Interface& interface, UdpPort listening);

// Clamps an X25519 private key (RFC 7748 section 5), the form that get shows.
config::SecretKey clamped(const config::SecretKey& key);

// Reads one set line by line: feed each line (without newline) until the blank one.
class WgSetReader {
 public:
  // EINVAL for a bad key or value, EPROTO without `=`. After a refusal the reader must not be used again.
  Expected<> line(std::string_view line);
  WgSet take() { return std::move(set_); }

 private:
  Expected<> device_line(std::string_view key, std::string_view value);
  Expected<> peer_line(std::string_view key, std::string_view value);
  Expected<> start_peer(std::string_view value);

  WgSet set_;
  bool in_peer_ = false;
  bool removed_ = false;  // keys after remove=true are checked and ignored
};

// Reads the requests from a stream of bytes in any fragmentation.
class WgRequestReader {
 public:
  enum class Kind : std::uint8_t {
    kNeedMore,
    kGet,      // answer the state
    kSet,      // apply take_set()
    kRefused,  // answer errno=-refusal().code and go on
    kFatal,    // answer errno=-refusal().code and close
    kClose,    // close without an answer
  };

  ~WgRequestReader();
  WgRequestReader() = default;
  WgRequestReader(const WgRequestReader&) = delete;
  WgRequestReader& operator=(const WgRequestReader&) = delete;

  // Consumes bytes from the front of `bytes` up to the end of one request or of the input.
  Kind feed(std::string_view& bytes);
  // The client has closed its sending side, which ends (and applies) a set in progress.
  Kind finish();

  const Refusal& refusal() const { return refusal_; }
  bool mid_request() const { return state_ != State::kOperation || !partial_.empty(); }
  WgSet take_set();

 private:
  enum class State : std::uint8_t { kOperation, kGetEnd, kSet, kDiscard, kClosed };

  Kind line(std::string_view line);
  Kind operation(std::string_view line);
  Kind set_line(std::string_view line);
  Kind refuse(Kind kind, Refusal refusal, State next);
  void wipe_partial();

  State state_ = State::kOperation;
  std::string partial_;  // an unfinished line, wiped when used
  std::size_t set_bytes_ = 0;
  WgSetReader set_;
  Refusal refusal_{0, {}};
};

// Renders the answer to a get in pieces, so that 100 000 peers are never in memory as a whole.
class WgGetWriter {
 public:
  // Appends some peers. False: they were the last. Refused: the interface has gone.
  using More = std::function<Expected<bool>(std::vector<WgPeer>& peers)>;

  // The peers of `device` come first.
  explicit WgGetWriter(WgDevice device, More more = {});
  // Appends until `out` holds `target` bytes (and at most kOvershoot more), or one portion of peers is
  // written. Returns false when everything, `errno=N` included, is written.
  static constexpr std::size_t kOvershoot = 1024;
  bool write(std::string& out, std::size_t target);

 private:
  bool write_peers(std::string& out, std::size_t target);

  WgDevice device_;
  More more_;                    // empty: there are none to come
  std::size_t next_peer_ = 0;    // of the portion at hand
  std::size_t next_prefix_ = 0;  // of the peer at next_peer_
  bool peer_begun_ = false;
  bool header_written_ = false;
};

// `errno=N\n\n` with N as on the wire.
std::string errno_answer(int wire_value);

}  // namespace wg::control
