#include "tests/daemon/remotes.h"

#include <sodium.h>

#include <chrono>
#include <thread>

namespace wg::test {

using namespace noise;

namespace {

constexpr std::chrono::milliseconds kRetryAfter{1500};

}  // namespace

std::string base64(const Key& key) {
  std::array<char, sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)> text;
  sodium_bin2base64(text.data(), text.size(), key.data(), key.size(), sodium_base64_VARIANT_ORIGINAL);
  return text.data();
}

Key gateway_key() {
  Key key;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i * 7 + 1);
  clamp(key);
  return key;
}

std::string idle_public_key(std::size_t number) {
  const std::uint64_t n = number;
  return base64(hash({reinterpret_cast<const std::uint8_t*>(&n), sizeof n}));
}

std::string Remote::public_key() const {
  return base64(identity.static_key.public_key);
}
std::uint32_t Remote::outer() const {
  return 0x64400001u + static_cast<std::uint32_t>(number);
}
std::uint32_t Remote::inner() const {
  return 0x0a800100u + static_cast<std::uint32_t>(number);
}

Remotes::Remotes(std::size_t count, const Key& gateway_private) : gateway_(derive_public(gateway_private)) {
  remotes_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto remote = std::make_unique<Remote>();
    remote->number = i;
    Key key;
    random_.fill(key);
    remote->identity = make_identity(key);
    remote->secrets.static_static_ok =
        dh(&remote->secrets.static_static, remote->identity.static_key.private_key.bytes, gateway_);
    remote->cookies.set_public_key(gateway_);
    remotes_.push_back(std::move(remote));
  }
}

Remote* Remotes::by_index(std::uint32_t index) {
  return index == 0 || index > remotes_.size() ? nullptr : remotes_[index - 1].get();
}

void Remotes::initiate(Remote& remote, const Send& send) {
  remote.handshake = {};
  InitiationMessage message{};
  const auto index = static_cast<std::uint32_t>(remote.number + 1);
  if (create_initiation(remote.identity, {gateway_, remote.secrets},
                        tai64n_whitened(std::chrono::system_clock::now()), index, random_, &remote.handshake,
                        &message) != Verdict::kOk)
    return;
  const std::span<std::uint8_t> bytes(reinterpret_cast<std::uint8_t*>(&message), sizeof message);
  remote.cookies.add_macs(bytes, BootClock::now());
  remote.waiting = true;
  remote.heard = false;
  remote.sent_at = BootClock::now();
  ++remote.attempts;
  send(remote, bytes);
}

namespace {

void note_answer(Remote& remote) {
  remote.heard = true;
  remote.answered_after = BootClock::now() - remote.sent_at;
}

}  // namespace

bool Remotes::answer(std::span<const std::uint8_t> message) {
  if (message_type(message) == kCookieReply && message.size() == sizeof(CookieReplyMessage)) {
    const auto reply = message_as<CookieReplyMessage>(message);
    Remote* remote = by_index(load_le32(reply.receiver_index));
    if (remote != nullptr && !remote->cookies.consume_reply(reply, BootClock::now())) note_answer(*remote);
    return false;
  }
  if (message_type(message) != kResponse || message.size() != sizeof(ResponseMessage)) return false;
  const auto response = message_as<ResponseMessage>(message);
  Remote* remote = by_index(load_le32(response.receiver_index));
  if (remote == nullptr || !remote->waiting) return false;
  if (consume_response(remote->identity, {gateway_, remote->secrets}, remote->handshake, response,
                       &remote->keys) != Verdict::kOk)
    return false;
  remote->waiting = false;
  note_answer(*remote);
  remote->up = true;
  remote->counter = remote->next_counter = 0;
  return true;
}

std::size_t Remotes::bring_up(const std::vector<std::size_t>& wanted, const Send& send, const Take& take,
                              std::chrono::milliseconds patience, std::size_t window) {
  const BootTime end = BootClock::now() + patience;
  std::size_t next = 0, done = 0, on_the_way = 0;
  while (done < wanted.size() && BootClock::now() < end) {
    const auto arrived = take();
    for (const auto& message : arrived) {
      if (!answer(message)) continue;
      ++done;
      --on_the_way;
    }
    std::size_t begun = 0;
    for (; next < wanted.size() && on_the_way < window && begun < 16; ++next, ++on_the_way, ++begun)
      initiate(*remotes_[wanted[next]], send);
    if (!arrived.empty() || begun != 0) continue;
    const BootTime at = BootClock::now();
    for (std::size_t i = 0; i < next; ++i) {
      Remote& remote = *remotes_[wanted[i]];
      if (!remote.waiting || at - remote.sent_at < kRetryAfter) continue;
      ++retries_;
      initiate(remote, send);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return done;
}

}  // namespace wg::test
