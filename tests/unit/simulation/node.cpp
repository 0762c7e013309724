#include "node.h"

#include <cstring>
#include <utility>

#include "control/noise/cookie.h"
#include "control/noise/messages.h"

namespace wg::noise::sim {

namespace {

constexpr std::size_t kDataHeader = 16;

template <typename T>
T load(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// The initiation is meant for the peer of this key.
bool is_for(const PublicKey& key, Bytes message) {
  return mac(derive_mac1_key(key), before_mac1(message)) == macs_of(message).mac1;
}

// The AEAD may read around the payload, as it may in an mbuf.
struct Padded {
  explicit Padded(std::size_t n)
      : bytes(crypto::kAeadReadBefore + n + crypto::kAeadTagSize + crypto::kAeadReadAfter) {}
  std::uint8_t* payload() { return bytes.data() + crypto::kAeadReadBefore; }
  Buffer bytes;
};

}  // namespace

Node::Node(Wire& wire, std::uint32_t number, std::uint64_t seed, std::uint32_t nodes)
    : id(number), random(seed), wire_(wire), scratch_(crypto::make_aead_scratch()) {
  for (std::uint32_t i = 0; i < nodes; ++i) {
    links.push_back(std::make_unique<Link>());
    links.back()->peer.slot = i;
  }
  random.fill(private_key);
}

Node::~Node() {
  stop();
}

Now Node::now() const {
  return {wire_.boot, WallTime(1'700'000'000 * kSec + wire_.boot.time_since_epoch() + wall_offset)};
}

void Node::start(const std::vector<std::uint8_t>* timestamps) {
  table = std::make_unique<dataplane::KeypairTable>(
      4, [this](std::function<void()> free) { retire(std::move(free)); });
  engine = std::make_unique<Engine>(*this, *table, random);
  engine->set_private_key(private_key, now());
  engine->up(now());
  for (std::uint32_t i = 0; i < links.size(); ++i) {
    Link& link = *links[i];
    if (!link.configured) continue;
    engine->add_peer(link.peer, link.key, now());
    engine->set_preshared_key(link.peer, link.psk, now());
    engine->set_keepalive(link.peer, link.keepalive, now());
  }
  if (timestamps != nullptr) must(engine->import_timestamps(*timestamps), "stored timestamps are read back");
}

void Node::stop() {
  engine.reset();
  table.reset();
  for (auto& free : std::exchange(retired_, {})) free();
  posted_.clear();
  ledger_ = {};
  for (auto& link : links) {
    must(link->peer.current.load() == nullptr, "a stopped engine publishes nothing");
    link->peer.generation.fetch_add(1);
    link->staged.clear();
    link->indices.clear();
    link->last_initiation = kNever;
  }
}

void Node::configure(std::uint32_t other, const PublicKey& key, const PresharedKey& psk,
                     const Endpoint& where) {
  Link& link = *links[other];
  if (link.configured && link.key != key) unconfigure(other);
  link.key = key;
  link.psk = psk;
  if (!link.configured) {
    link.configured = engine->add_peer(link.peer, key, now()) == AddPeerResult::kAdded;
  }
  engine->set_preshared_key(link.peer, psk, now());
  if (where.known()) engine->set_endpoint(link.peer, where, now());
}

void Node::unconfigure(std::uint32_t other) {
  Link& link = *links[other];
  engine->remove_peer(link.peer);
  link.peer.generation.fetch_add(1);
  link.configured = false;
  link.indices.clear();
  link.last_initiation = kNever;
  link.keepalive = {};
}

// ---- sending

bool Node::usable(const Keypair* k) const {
  return k != nullptr && !k->expired(wire_.boot) && k->sending_valid.load() &&
         k->sending_counter.load() < REJECT_AFTER_MESSAGES;
}

void Node::request(Peer& peer, std::uint32_t bit, Posted::Kind kind) {
  if (peer.requested.fetch_or(bit) & bit) return;
  posted_.push_back({kind, peer.ref(), 0, {}, {}});
}

void Node::send(const Inner& inner) {
  Link& link = *links[inner.destination];
  if (!link.configured || !engine->is_up()) return;
  if (link.staged.size() == kMaxStaged) {
    link.staged.pop_front();
    ++ledger_.dropped_oldest;
  }
  link.staged.push_back(inner);
  ++ledger_.staged;
  if (usable(link.peer.current.load())) {
    release_staged(link.peer);
  } else {
    request(link.peer, dataplane::kRequestHandshake, Posted::kNeedHandshake);
  }
}

void Node::drop_staged(Peer& peer) {
  note_call(&peer);
  ledger_.dropped_by_engine += links[peer.slot]->staged.size();
  links[peer.slot]->staged.clear();
}

void Node::retire(std::function<void()> free) {
  note_call(nullptr);
  retired_.push_back(std::move(free));
}

bool Node::release_staged(Peer& peer) {
  note_call(&peer);
  Link& link = *links[peer.slot];
  bool any = false;
  while (!link.staged.empty() && usable(peer.current.load())) {
    std::uint8_t bytes[sizeof(Inner)];
    std::memcpy(bytes, &link.staged.front(), sizeof bytes);
    link.staged.pop_front();
    ++ledger_.sealed;
    seal_and_send(link, *peer.current.load(), bytes);
    any = true;
  }
  return any;
}

void Node::send_keepalive(Peer& peer) {
  note_call(&peer);
  must(usable(peer.current.load()), "a keepalive is only asked for on a usable session");
  seal_and_send(*links[peer.slot], *peer.current.load(), {});
}

void Node::seal_and_send(Link& link, Keypair& k, std::span<const std::uint8_t> inner) {
  must(k.i_am_initiator || k.confirmed.load(), "I6: a responder never sends on an unconfirmed session");
  must(wire_.boot - k.birthdate < REJECT_AFTER_TIME, "I7: an expired key is never used");
  const std::uint64_t counter = k.sending_counter.fetch_add(1);
  must(counter < REJECT_AFTER_MESSAGES, "I7: no counter beyond REJECT_AFTER_MESSAGES");
  wire_.sealed(k, counter);

  Padded buffer(inner.size());
  std::copy(inner.begin(), inner.end(), buffer.payload());
  crypto::AeadOp op{buffer.payload(), k.sending_key.data(), counter, static_cast<std::uint32_t>(inner.size()),
                    0};
  crypto::aead_engine().seal(*scratch_, {&op, 1});

  Buffer message(kDataHeader);
  message[0] = kTransportData;
  std::memcpy(message.data() + 4, &k.remote_index, 4);
  std::memcpy(message.data() + 8, &counter, 8);
  message.insert(message.end(), op.data, op.data + op.length + crypto::kAeadTagSize);
  link.peer.note_sent(wire_.boot, !inner.empty());
  if (link.path.known()) wire_.transmit({at, link.path, std::move(message)});

  const bool old = k.i_am_initiator && k.age(wire_.boot) >= REKEY_AFTER_TIME;
  if (old || counter > REKEY_AFTER_MESSAGES) {
    request(link.peer, dataplane::kRequestHandshake, Posted::kNeedHandshake);
  }
}

// ---- receiving

void Node::receive(const Datagram& datagram) {
  if (message_type(datagram.bytes) == kTransportData) {
    receive_data(datagram);
  } else {
    receive_handshake(datagram);
  }
}

// The order of checks of docs/protocol.md.
void Node::receive_data(const Datagram& d) {
  if (d.bytes.size() < kDataHeader + crypto::kAeadTagSize || !engine->is_up()) return;
  Keypair* const k = table->find(load<std::uint32_t>(d.bytes.data() + 4));
  const auto counter = load<std::uint64_t>(d.bytes.data() + 8);
  if (k == nullptr || k->expired(wire_.boot) || counter >= REJECT_AFTER_MESSAGES) return;

  const std::size_t length = d.bytes.size() - kDataHeader - crypto::kAeadTagSize;
  Padded buffer(length);
  std::copy(d.bytes.begin() + kDataHeader, d.bytes.end(), buffer.payload());
  crypto::AeadOp op{buffer.payload(), k->receiving_key.data(), counter, static_cast<std::uint32_t>(length),
                    0};
  if (crypto::aead_engine().open(*scratch_, {&op, 1}) != 1) return;
  if (!k->replay.check_and_set(counter)) return;
  wire_.opened(*k, counter);

  Peer& peer = *k->peer;
  Link& link = *links[peer.slot];
  must(link.configured && k->peer_generation == peer.ref().generation, "a session belongs to a live peer");
  if (link.path != d.from || link.path_local != at)
    posted_.push_back({Posted::kRoamed, peer.ref(), 0, d.from, at});
  if (!k->confirmed.exchange(true))
    posted_.push_back({Posted::kConfirmed, peer.ref(), k->local_index, {}, {}});
  if (k == peer.current.load() && k->i_am_initiator && k->age(wire_.boot) >= 165 * kSec) {
    request(peer, dataplane::kRequestKeyFresh, Posted::kKeyFresh);
  }
  peer.note_received(wire_.boot, length > 0);
  if (length != sizeof(Inner)) return;
  const auto inner = load<Inner>(op.data);
  if (inner.source != peer.slot) return;  // longest-prefix owner of the source is another peer
  wire_.delivered(inner, id);
}

void Node::receive_handshake(const Datagram& d) {
  const std::size_t before = engine->memory_bytes();
  const std::size_t sent_before = handshake_bytes_sent_;
  ++ledger_.handshakes;
  const Outcome outcome = engine->queue_handshake(d.bytes, d.from, at, now());
  if (outcome == Outcome::kQueued) return;
  must(handshake_bytes_sent_ == sent_before, "I4: no answer before mac1 is valid");
  if (outcome != Outcome::kCookieAccepted) {
    must(engine->memory_bytes() == before, "I5: no allocation before authentication");
  }
}

// ---- the control thread's turn

void Node::drain() {
  for (const Posted& p : std::exchange(posted_, {})) {
    bounded([&] { take(p); });
  }
}

void Node::take(const Posted& p) {
  switch (p.kind) {
    case Posted::kNeedHandshake:
      return engine->on_need_handshake(p.peer, now());
    case Posted::kKeyFresh:
      return engine->on_key_fresh(p.peer, now());
    case Posted::kConfirmed:
      return engine->on_confirmed(p.index, now());
    case Posted::kRoamed:
      engine->on_roamed(p.peer, p.remote, p.local, now());
      return;
  }
}

template <typename Work>
void Node::bounded(Work work) {
  calls_ = 0;
  concerned_ = nullptr;
  counting_ = true;
  work();
  counting_ = false;
}

// A response that ends one session and begins another is the most: endpoint, four events, three retirements,
// the staged packets, a keepalive.
void Node::note_call(const Peer* peer) {
  if (!counting_) return;
  must(++calls_ <= 10, "I10: one message does a bounded amount of work");
  if (peer == nullptr) return;
  must(concerned_ == nullptr || concerned_ == peer, "I10: one message concerns one peer");
  concerned_ = peer;
}

void Node::step() {
  drain();
  while (engine->queued() > 0) {
    const std::size_t before = handshake_bytes_sent_;
    bounded([&] { engine->process_queued(1, now()); });
    must(handshake_bytes_sent_ - before <= sizeof(ResponseMessage), "I4: no answer longer than its cause");
  }
  const BootTime next = engine->next_deadline();
  const bool due = next != kNever && next <= wire_.boot;
  engine->advance(now());
  must(!due || engine->next_deadline() == kNever || engine->next_deadline() > next, "time makes progress");
  for (auto& free : std::exchange(retired_, {})) free();
}

void Node::send_handshake(const Endpoint& to, const Endpoint&, std::span<const std::uint8_t> message,
                          std::uint8_t tos) {
  note_call(nullptr);
  const std::uint32_t type = message_type(message);
  must(message.size() == handshake_length(type), "exact lengths");
  must(tos == (type == kCookieReply ? 0 : kHandshakeTos), "C5-9");
  handshake_bytes_sent_ += message.size();
  if (type == kInitiation) {
    handshake_bytes_sent_ -= message.size();  // an answer to no node
    for (auto& link : links) {
      if (!link->configured || !is_for(link->key, message)) continue;
      must(link->last_initiation == kNever || wire_.boot - link->last_initiation >= REKEY_TIMEOUT,
           "C3-3: one initiation per REKEY_TIMEOUT");
      link->last_initiation = wire_.boot;
    }
  }
  wire_.transmit({at, to, {message.begin(), message.end()}});
}

void Node::endpoint_changed(Peer& peer, const Endpoint& remote, const Endpoint& local) {
  note_call(&peer);
  links[peer.slot]->path = remote;
  links[peer.slot]->path_local = local;
}

void Node::event(const Peer* peer, const PeerEvent& e) {
  note_call(peer);
  if (peer == nullptr) return;
  Link& link = *links[peer->slot];
  if (e.kind == PeerEventKind::kResponseSent || e.kind == PeerEventKind::kResponseReceived) {
    link.last_derived = wire_.boot;
  }
  if (e.kind == PeerEventKind::kPrivateKeyChanged) link.last_initiation = kNever;
}

// ---- invariants that hold between steps

void Node::check_ledger() const {
  std::uint64_t ended = engine->queued();
  for (std::size_t i = 0; i < kOutcomes; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    if (outcome != Outcome::kQueued) ended += engine->counters().of(outcome);  // queued ones end in another
  }
  must(ended == ledger_.handshakes, "I8: each handshake message waits or has one counted outcome");
  std::uint64_t waiting = 0;
  for (const auto& link : links) waiting += link->staged.size();
  must(ledger_.staged == waiting + ledger_.sealed + ledger_.dropped_oldest + ledger_.dropped_by_engine,
       "I8: each inner packet waits, was sealed or was dropped for a reason");
}

void Node::check() {
  check_ledger();
  std::size_t configured = 0;
  for (auto& entry : links) {
    Link& link = *entry;
    configured += link.configured ? 1 : 0;
    const Keypair* const current = link.peer.current.load();
    must(link.configured || current == nullptr, "a removed peer has no session");
    if (current != nullptr) {
      must(current->i_am_initiator || current->confirmed.load(), "I6: current is confirmed");
      must(table->find(current->local_index) == current, "current can receive");
      must(current->peer == &link.peer, "current belongs to its peer");
      link.indices[current->local_index] = current->birthdate;
    }
    if (wire_.boot > link.last_derived + 541 * kSec) {
      for (const auto& [index, birth] : link.indices) {
        const Keypair* const k = table->find(index);
        must(k == nullptr || k->birthdate != birth, "I7: keys are wiped 540 s after the last session");
      }
      link.indices.clear();
    }
  }
  must(table->size() <= configured * 4, "three sessions and one handshake per peer at most");
}

}  // namespace wg::noise::sim
