// Many remote peers, scripted: their keys, their handshakes as initiators, the two transport keys that come
// of each. What they send and receive passes through as bytes of WireGuard messages.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/noise/cookie.h"
#include "control/noise/noise.h"
#include "dataplane/base/clocks.h"

namespace wg::test {

struct Remote {
  std::size_t number = 0;
  noise::Identity identity;
  noise::PeerSecrets secrets;
  noise::CookieJar cookies;
  noise::Handshake handshake;
  bool waiting = false;  // for a response
  BootTime sent_at = kNever;
  bool heard = false;                         // an answer to the last message: a response or a cookie reply
  std::chrono::nanoseconds answered_after{};  // the last answer
  unsigned attempts = 0;

  // ---- the session; keys change only while no traffic runs
  noise::SessionKeys keys;
  bool up = false;
  std::uint64_t counter = 0;       // of the next message to the gateway. W: load
  std::uint64_t next_counter = 0;  // expected in the next message from it. W: load

  // ---- what the load did. W: load
  std::uint64_t sent_in = 0, arrived_in = 0;    // from the peer to the LAN
  std::uint64_t sent_out = 0, arrived_out = 0;  // from the LAN to the peer
  std::uint32_t last_in = 0;                    // sequence number that left last
  std::uint64_t reordered = 0;

  [[nodiscard]] std::string public_key() const;
  [[nodiscard]] std::uint32_t outer() const;  // host order: 100.64/10
  [[nodiscard]] std::uint32_t inner() const;  // host order: 10.128/9
};

inline constexpr std::uint16_t kRemotePort = 51900;

class Remotes {
 public:
  Remotes(std::size_t count, const noise::Key& gateway_private);

  [[nodiscard]] std::size_t size() const { return remotes_.size(); }
  [[nodiscard]] Remote& operator[](std::size_t i) { return *remotes_[i]; }
  // Finds a remote by the receiver index of a message to it, or returns nullptr.
  [[nodiscard]] Remote* by_index(std::uint32_t index);

  // Handshakes with each of `wanted` until all are up or the time is over; returns how many are up. `send`
  // puts a message on the wire, `take` returns what arrived meanwhile. At most `window` are on their way.
  using Send = std::function<void(Remote&, std::span<const std::uint8_t>)>;
  using Take = std::function<std::deque<std::vector<std::uint8_t>>()>;
  std::size_t bring_up(const std::vector<std::size_t>& wanted, const Send& send, const Take& take,
                       std::chrono::milliseconds patience, std::size_t window = 256);
  [[nodiscard]] std::size_t retries() const { return retries_; }

  // The same by hand. One message; the remote waits for its answer then.
  void initiate(Remote& remote, const Send& send);
  // True when a handshake came to its end.
  bool answer(std::span<const std::uint8_t> message);

 private:
  noise::SystemRandom random_;
  noise::PublicKey gateway_{};
  std::vector<std::unique_ptr<Remote>> remotes_;
  std::size_t retries_ = 0;
};

// The private key of the gateway's wg0 in tests, and any number of public keys without an owner.
noise::Key gateway_key();
std::string base64(const noise::Key& key);
std::string idle_public_key(std::size_t number);

}  // namespace wg::test
