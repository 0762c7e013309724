#include "bench/vf/peers.h"

#include <array>
#include <cstring>

#include "control/noise/primitives.h"
#include "dataplane/crypto/aead.h"

namespace wg::bench {

using dataplane::Keypair;

namespace {

noise::Now now() {
  return {BootClock::now(),
          std::chrono::time_point_cast<WallTime::duration>(std::chrono::system_clock::now())};
}

noise::Endpoint gateway_endpoint() {
  const dataplane::Be32 address{kWanGateway};
  return {dataplane::IpAddress::from_v4(&address), dataplane::UdpPort{kGatewayPort}, 0};
}

}  // namespace

Peers::Peers(std::uint32_t count, Send send)
    : send_(std::move(send)), table_(count, [](const std::function<void()>& free) { free(); }) {
  random_.fill(gateway_private_.bytes);
  noise::clamp(gateway_private_.bytes);
  const noise::PublicKey gateway = noise::derive_public(gateway_private_.bytes);
  noise::EngineOptions options;
  options.queue_capacity = 16;
  for (std::uint32_t flow = 0; flow < count; ++flow) {
    speaking_ = flow;
    noise::Secret own;
    random_.fill(own.bytes);
    auto engine = std::make_unique<noise::Engine>(static_cast<noise::Host&>(*this), table_, random_, options);
    engine->set_private_key(own.bytes, now());
    engine->up(now());
    slots_.push_back(std::make_unique<dataplane::Peer>());
    slots_.back()->slot = flow;
    engine->add_peer(*slots_.back(), gateway, now());
    engine->set_endpoint(*slots_.back(), gateway_endpoint(), now());
    public_keys_.push_back(engine->public_key());
    engines_.push_back(std::move(engine));
  }
}

Peers::~Peers() {
  send_ = [](std::uint32_t, noise::Bytes) {};
}

Keypair* Peers::session(std::uint32_t flow) const {
  return slots_[flow]->current.load(std::memory_order_relaxed);
}

bool Peers::has_session_since(std::uint32_t flow, BootTime begin) const {
  const Keypair* const held = session(flow);
  return held != nullptr && held->birthdate >= begin;
}

void Peers::initiate(std::uint32_t flow) {
  speaking_ = flow;
  engines_[flow]->initiate(*slots_[flow], now());
}

void Peers::repeat_lost(std::uint32_t flow) {
  speaking_ = flow;
  engines_[flow]->advance(now());
}

bool Peers::take_handshake(std::uint32_t flow, noise::Bytes message) {
  speaking_ = flow;
  const Keypair* const before = session(flow);
  static_cast<void>(engines_[flow]->on_handshake(message, gateway_endpoint(), {}, now()));
  return session(flow) != before;
}

void Peers::confirm(const Keypair& session) {
  speaking_ = flow_of(session);
  engines_[speaking_]->on_confirmed(session.local_index, now());
}

void Peers::send_keepalive(std::uint32_t flow) {
  send_keepalive(*slots_[flow]);
}

void Peers::send_keepalive(dataplane::Peer& peer) {
  Keypair* const session = peer.current.load(std::memory_order_relaxed);
  if (session == nullptr) return;
  static const crypto::AeadScratchPtr scratch = crypto::make_aead_scratch();
  // What the AEAD may read around a payload is part of the buffer.
  std::array<std::uint8_t, crypto::kAeadReadBefore + dataplane::kKeepaliveSize + crypto::kAeadReadAfter>
      buffer{};
  std::uint8_t* const message = buffer.data() + crypto::kAeadReadBefore - dataplane::kTransportDataHeaderSize;
  const std::uint64_t counter = session->sending_counter.fetch_add(1, std::memory_order_relaxed);
  *dataplane::header_at<dataplane::TransportDataHeader>(message) = {
      dataplane::Le32{dataplane::kMessageTransportData}, dataplane::Le32{session->remote_index},
      dataplane::Le64{counter}};
  crypto::AeadOp op{message + dataplane::kTransportDataHeaderSize, session->sending_key.data(), counter, 0,
                    0};
  crypto::aead_engine().seal(*scratch, {&op, 1});
  peer.note_sent(BootClock::now(), false);
  send_(peer.slot, {message, dataplane::kKeepaliveSize});
}

void Peers::send_handshake(const noise::Endpoint&, const noise::Endpoint&, noise::Bytes message,
                           std::uint8_t) {
  send_(speaking_, message);
}

std::chrono::nanoseconds Peers::oldest() const {
  const BootTime at = BootClock::now();
  std::chrono::nanoseconds most{0};
  for (std::uint32_t flow = 0; flow < count(); ++flow) {
    const Keypair* const held = session(flow);
    if (held == nullptr) return std::chrono::nanoseconds::max();
    most = std::max(most, held->age(at));
  }
  return most;
}

}  // namespace wg::bench
