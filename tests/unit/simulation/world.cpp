#include "world.h"

#include <cstring>

#include "control/noise/cookie.h"

namespace wg::noise::sim {

namespace {

constexpr std::size_t kRecorded = 400;

Endpoint address_of(std::uint32_t node, std::uint16_t port) {
  std::uint8_t b[16] = {10, 0, 0, static_cast<std::uint8_t>(node + 1)};
  if (node % 2 == 0) return {IpAddress::from_v4(b), dataplane::UdpPort{port}, 0};
  b[0] = 0xfd;
  b[15] = static_cast<std::uint8_t>(node + 1);
  return {IpAddress::from_v6(b), dataplane::UdpPort{port}, 0};
}

}  // namespace

SimulatedNetwork::SimulatedNetwork(std::uint64_t seed, std::uint32_t nodes) : random_(seed) {
  boot = BootTime(1000 * kSec);
  for (std::uint32_t i = 0; i < nodes; ++i) {
    nodes_.push_back(std::make_unique<Node>(*this, i, seed * 1000 + i, nodes));
    nodes_[i]->at = address_of(i, next_port_++);
    nodes_[i]->start(nullptr);
  }
  for (std::uint32_t a = 0; a < nodes; ++a) {
    for (std::uint32_t b = 0; b < nodes; ++b) {
      if (a != b) introduce(a, b);
    }
  }
}

SimulatedNetwork::~SimulatedNetwork() = default;

// ---- the wire

void SimulatedNetwork::transmit(Datagram datagram) {
  if (muted_) return;
  if (recorded_.size() < kRecorded) {
    recorded_.push_back(datagram);
  } else {
    recorded_[random_.below(kRecorded)] = datagram;
  }
  if (!hostile_) {
    in_flight_.emplace(boot + 5 * kMs, std::move(datagram));
    return;
  }
  if (random_.one_in(8)) return;  // lost
  if (random_.one_in(20)) {       // twice
    in_flight_.emplace(boot + random_.below(300 * kMs), datagram);
  }
  if (random_.one_in(20)) {  // damaged
    datagram.bytes[random_.below(datagram.bytes.size())] ^= static_cast<std::uint8_t>(1u << random_.below(8));
  }
  if (random_.one_in(50)) datagram.bytes.resize(random_.below(datagram.bytes.size() + 1));
  const std::chrono::nanoseconds delay =
      random_.one_in(10) ? random_.below(20 * kSec) : random_.below(60 * kMs);
  in_flight_.emplace(boot + delay, std::move(datagram));
}

void SimulatedNetwork::deliver_due() {
  while (!in_flight_.empty() && in_flight_.begin()->first <= boot) {
    const Datagram datagram = std::move(in_flight_.begin()->second);
    in_flight_.erase(in_flight_.begin());
    for (auto& node : nodes_) {
      if (node->at == datagram.to) node->receive(datagram);
    }
  }
}

void SimulatedNetwork::sealed(const Keypair& keypair, std::uint64_t counter) {
  must(sealed_.emplace(keypair.sending_key, counter).second, "I1: no (key, counter) is sealed twice");
  ++totals_.sealed;
}

void SimulatedNetwork::opened(const Keypair& keypair, std::uint64_t counter) {
  must(opened_.emplace(keypair.receiving_key, counter).second, "I2: no (key, counter) is accepted twice");
  must(sealed_.count({keypair.receiving_key, counter}) == 1, "what opens was sealed by a peer");
  must(boot - keypair.birthdate < REJECT_AFTER_TIME, "I7: an expired key opens nothing");
  ++totals_.opened;
}

void SimulatedNetwork::delivered(const Inner& inner, std::uint32_t at_node) {
  const auto sent = sent_.find(inner.id);
  must(sent != sent_.end(), "what is delivered was sent");
  must(sent->second.destination == at_node, "delivered where it was meant to");
  must(delivered_.insert(inner.id).second, "I2: delivered once");
  const bool spoofed = inner.source == ~0u;
  must(!spoofed, "I3: the source's owner is the sending peer");
  ++delivered_between_[{inner.source, at_node}];
  ++totals_.delivered;
}

// ---- who and whom

Node& SimulatedNetwork::any() {
  return *nodes_[random_.below(nodes_.size())];
}

std::uint32_t SimulatedNetwork::other_than(std::uint32_t id) {
  const auto pick = static_cast<std::uint32_t>(random_.below(nodes_.size() - 1));
  return pick < id ? pick : pick + 1;
}

// a learns of b as the operator knows it now.
void SimulatedNetwork::introduce(std::uint32_t a, std::uint32_t b) {
  nodes_[a]->configure(b, nodes_[b]->engine->public_key(), psk_[{std::min(a, b), std::max(a, b)}],
                       nodes_[b]->at);
}

// ---- the honest

void SimulatedNetwork::send_data() {
  Node& from = any();
  const std::uint32_t to = other_than(from.id);
  for (std::uint64_t n = 1 + random_.below(4); n > 0; --n) {
    const Inner inner{next_id_++, from.id, to};
    sent_.emplace(inner.id, inner);
    from.send(inner);
  }
}

// A packet whose source belongs to another peer's allowed IPs.
void SimulatedNetwork::spoof_source() {
  if (nodes_.size() < 3) return send_data();
  Node& from = any();
  const std::uint32_t to = other_than(from.id);
  std::uint32_t victim = other_than(from.id);
  while (victim == to) victim = other_than(from.id);
  Inner inner{next_id_++, victim, to};
  sent_.emplace(inner.id, Inner{inner.id, ~0u, ~0u});  // delivering it anywhere is a violation
  from.send(inner);
}

void SimulatedNetwork::roam() {
  Node& node = any();
  node.at = address_of(node.id, next_port_++);
}

// Sets the counter as after 2^60 messages, or shortly before the last one.
void SimulatedNetwork::jump_counters() {
  Node& node = any();
  Keypair* const k = node.links[other_than(node.id)]->peer.current.load();
  if (k == nullptr) return;
  const std::uint64_t to =
      random_.one_in(2) ? REKEY_AFTER_MESSAGES : REJECT_AFTER_MESSAGES - 1 - random_.below(4);
  if (k->sending_counter.load() < to) k->sending_counter.store(to);
}

void SimulatedNetwork::restart() {
  Node& node = any();
  collect_totals(node);
  ++totals_.restarts;
  const auto stored = node.engine->export_timestamps();
  node.stop();
  boot += random_.below(3 * kSec);
  node.start(random_.one_in(4) ? nullptr : &stored);
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    if (i != node.id && random_.below(4) != 0 && node.links[i]->configured) {
      node.engine->set_endpoint(node.links[i]->peer, nodes_[i]->at, node.now());
    }
  }
}

void SimulatedNetwork::down_and_up() {
  Node& node = any();
  node.engine->down(node.now());
  for (auto& link : node.links) {
    must(link->peer.current.load() == nullptr, "down wipes sessions");
    link->last_initiation = kNever;
  }
  must(node.table->size() == 0, "down leaves no index");
  boot += random_.below(2 * kSec);
  node.engine->up(node.now());
}

// ---- the operator

void SimulatedNetwork::change_psk() {
  Node& node = any();
  const std::uint32_t other = other_than(node.id);
  PresharedKey& psk = psk_[{std::min(node.id, other), std::max(node.id, other)}];
  if (random_.one_in(3)) {
    psk = {};
  } else {
    random_.fill(psk);
  }
  if (!node.links[other]->configured) return;
  node.links[other]->psk = psk;
  node.engine->set_preshared_key(node.links[other]->peer, psk, node.now());
  if (random_.one_in(2)) introduce(other, node.id);  // the other side may learn of it later
}

void SimulatedNetwork::change_private_key() {
  Node& node = any();
  random_.fill(node.private_key);
  must(node.engine->set_private_key(node.private_key, node.now()) == nullptr, "no peer has our new key");
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    if (i != node.id && !random_.one_in(4)) introduce(i, node.id);
  }
}

void SimulatedNetwork::change_keepalive() {
  Node& node = any();
  Node::Link& link = *node.links[other_than(node.id)];
  if (!link.configured) return;
  constexpr std::uint16_t kChoices[] = {0, 0, 1, 25, 300};
  link.keepalive = std::chrono::seconds(kChoices[random_.below(5)]);
  node.engine->set_keepalive(link.peer, link.keepalive, node.now());
}

void SimulatedNetwork::remove_or_add() {
  Node& node = any();
  const std::uint32_t other = other_than(node.id);
  if (node.links[other]->configured && random_.one_in(2)) {
    node.unconfigure(other);
  } else {
    introduce(node.id, other);
  }
}

void SimulatedNetwork::step_wall_clock() {
  Node& node = any();
  const auto hours = static_cast<std::int64_t>(random_.below(49)) - 24;
  node.wall_offset += hours * 3600 * kSec;
}

// ---- the attacker

void SimulatedNetwork::replay() {
  if (recorded_.empty()) return;
  Datagram datagram = recorded_[random_.below(recorded_.size())];
  if (random_.one_in(2)) datagram.to = any().at;
  if (random_.one_in(2)) datagram.from = address_of(7, static_cast<std::uint16_t>(1 + random_.below(60'000)));
  ++totals_.replayed;
  in_flight_.emplace(boot, std::move(datagram));
}

// A recorded message changed at random, with mac1 repaired for some node: the public keys are known.
void SimulatedNetwork::forge() {
  if (recorded_.empty()) return;
  Datagram datagram = recorded_[random_.below(recorded_.size())];
  Node& victim = any();
  datagram.to = victim.at;
  auto& m = datagram.bytes;
  if (m.empty()) return;
  for (std::uint64_t n = random_.below(4); n > 0; --n)
    m[random_.below(m.size())] = static_cast<std::uint8_t>(random_.below(256));
  if (m.size() == sizeof(InitiationMessage) || m.size() == sizeof(ResponseMessage)) {
    const Mac right = mac(derive_mac1_key(victim.engine->public_key()), before_mac1(m));
    std::copy(right.begin(), right.end(), m.end() - sizeof(Macs));
  }
  in_flight_.emplace(boot, std::move(datagram));
}

// Enough messages with a valid mac1 at once to put the victim under load for a second.
void SimulatedNetwork::flood() {
  Node& victim = any();
  Buffer m(sizeof(InitiationMessage));
  for (std::uint32_t i = 0; i < 520; ++i) {
    m[0] = kInitiation;
    m[1] = m[2] = m[3] = 0;
    std::memcpy(m.data() + 4, &i, 4);
    const Mac right = mac(derive_mac1_key(victim.engine->public_key()), before_mac1(m));
    std::copy(right.begin(), right.end(), m.end() - sizeof(Macs));
    victim.receive({address_of(9, static_cast<std::uint16_t>(1 + i)), victim.at, m});
  }
  must(victim.engine->under_load(victim.now()), "a full queue is load");
  muted_ = true;  // the storm of answers is of no interest
  victim.step();
  muted_ = false;
  // During the load an honest node starts a handshake.
  Node& honest = *nodes_[other_than(victim.id)];
  Node::Link& link = *honest.links[victim.id];
  if (link.configured) honest.engine->initiate(link.peer, honest.now());
}

// ---- time

void SimulatedNetwork::act() {
  struct Choice {
    unsigned weight;
    void (SimulatedNetwork::*action)();
    const char* name;
  };
  static constexpr Choice kChoices[] = {
      {600, &SimulatedNetwork::send_data, "send data"},
      {40, &SimulatedNetwork::spoof_source, "spoof a source"},
      {150, &SimulatedNetwork::replay, "replay"},
      {100, &SimulatedNetwork::forge, "forge"},
      {12, &SimulatedNetwork::flood, "flood"},
      {20, &SimulatedNetwork::roam, "roam"},
      {10, &SimulatedNetwork::jump_counters, "jump counters"},
      {3, &SimulatedNetwork::restart, "restart"},
      {3, &SimulatedNetwork::down_and_up, "down and up"},
      {8, &SimulatedNetwork::change_psk, "change a psk"},
      {4, &SimulatedNetwork::change_private_key, "change a private key"},
      {10, &SimulatedNetwork::change_keepalive, "change a keepalive"},
      {6, &SimulatedNetwork::remove_or_add, "remove or add"},
      {4, &SimulatedNetwork::step_wall_clock, "step a wall clock"},
      {6, &SimulatedNetwork::heal_configuration, "heal the configuration"},
  };
  unsigned total = 0;
  for (const auto& c : kChoices) total += c.weight;
  auto pick = static_cast<unsigned>(random_.below(total));
  for (const auto& c : kChoices) {
    if (pick < c.weight) {
      last_action_ = c.name;
      return (this->*c.action)();
    }
    pick -= c.weight;
  }
}

// Mostly milliseconds, sometimes long enough for each timer of the protocol.
void SimulatedNetwork::pass_time() {
  const auto die = random_.below(1000);
  std::chrono::nanoseconds by = random_.below(100 * kMs);
  if (die < 60) by = random_.below(6 * kSec);
  if (die < 12) by = random_.below(130 * kSec);
  if (die < 2) by = random_.below(600 * kSec);
  // Advances in slices, like a daemon that sleeps until its next deadline.
  for (const BootTime end = boot + by; boot < end;) {
    boot = std::min(end, boot + std::max(by / 64, 50 * kMs));
    deliver_due();
    everyone();
  }
}

void SimulatedNetwork::everyone() {
  for (auto& node : nodes_) {
    node->step();
    node->check();
  }
}

void SimulatedNetwork::step() {
  act();
  deliver_due();
  everyone();
  pass_time();
  if (sent_.size() > 20'000) {  // ids far in the past cannot come back: their keys have expired
    const auto keep = next_id_ - 10'000;
    sent_.erase(sent_.begin(), sent_.lower_bound(keep));
    delivered_.erase(delivered_.begin(), delivered_.lower_bound(keep));
  }
}

// ---- healing

void SimulatedNetwork::heal_configuration() {
  for (std::uint32_t a = 0; a < nodes_.size(); ++a) {
    for (std::uint32_t b = 0; b < nodes_.size(); ++b) {
      if (a != b) introduce(a, b);
    }
  }
}

void SimulatedNetwork::heal_and_check() {
  last_action_ = "heal";
  hostile_ = false;
  in_flight_.clear();
  std::chrono::nanoseconds furthest{0};
  for (const auto& node : nodes_) furthest = std::max(furthest, node->wall_offset);
  for (auto& node : nodes_) node->wall_offset = furthest + 86'400 * kSec * 30;
  heal_configuration();
  const auto converse = [this](int seconds) {
    for (int i = 0; i < seconds * 10; ++i) {
      for (auto& node : nodes_) {
        for (std::uint32_t to = 0; i % 10 == 0 && to < nodes_.size(); ++to) {
          if (to == node->id) continue;
          const Inner inner{next_id_++, node->id, to};
          sent_.emplace(inner.id, inner);
          node->send(inner);
        }
      }
      boot += 100 * kMs;
      deliver_due();
      everyone();
    }
  };
  converse(60);
  delivered_between_.clear();
  converse(20);
  for (std::uint32_t a = 0; a < nodes_.size(); ++a) {
    for (std::uint32_t b = 0; b < nodes_.size(); ++b) {
      if (a != b) must(delivered_between_[{a, b}] >= 18, "a healed network connects every pair, both ways");
    }
  }
  for (const auto& node : nodes_) collect_totals(*node);
  totals_.simulated = boot.time_since_epoch();
  check_configuration();
}

// I9: after any sequence of changes the engine's configuration is what the operator set last.
void SimulatedNetwork::check_configuration() {
  for (const auto& node : nodes_) {
    must(node->engine->peer_count() == nodes_.size() - 1, "I9: the peers are those configured");
    for (const auto& link : node->links) {
      if (!link->configured) continue;
      const PeerSession status = node->engine->peer_status(link->peer, node->now());
      must(status.public_key == link->key, "I9: public key");
      must(status.persistent_keepalive == link->keepalive, "I9: keepalive");
      must(node->engine->preshared_key(link->peer) == link->psk, "I9: preshared key");
    }
  }
}

void SimulatedNetwork::collect_totals(const Node& node) {
  totals_.sessions += node.engine->counters().of(Outcome::kResponseAccepted);
  totals_.cookies += node.engine->counters().of(Outcome::kCookieAccepted);
}

}  // namespace wg::noise::sim
