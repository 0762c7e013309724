#include "bench/vf/trial.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace wg::bench {

using namespace dataplane;

namespace {

// A generator that was off its core sends late what was due in at most so long: what was due before is left
// out, so that a trial offers no long burst that its rate does not have.
constexpr double kMostBehindSeconds = 200e-6;
// Packets leave in bursts of what is due in so long: to seal one alone costs the generator as much as to seal
// several.
constexpr double kBurstSeconds = 8e-6;
constexpr double kStall = 100e-6, kIdleAtEnd = 0.1, kLongestDrain = 2, kKeepaliveEvery = 5;

std::uint64_t clocks_of(double seconds) {
  return static_cast<std::uint64_t>(seconds * static_cast<double>(rte_get_tsc_hz()));
}

// The bytes of a message's payload from its frame, without the tag. The frame may be padded by Ethernet.
constexpr std::size_t kMessageOverhead = kTransportDataHeaderSize + kAuthTagSize;

// This thread alone sends with it.
std::uint64_t next_counter(Keypair& session) {
  const std::uint64_t next = session.sending_counter.load(std::memory_order_relaxed);
  session.sending_counter.store(next + 1, std::memory_order_relaxed);
  return next;
}

bool may_send(const Keypair& session) {
  return session.confirmed.load(std::memory_order_relaxed);
}

}  // namespace

Trial::Shape Trial::shape_of(const Order& order) {
  const bool sends = order.direction == Direction::kSend;
  if (!order.looped) return sends ? Shape::kFromGateway : Shape::kPlain;
  if (sends) return Shape::kPlain;
  return order.sealed ? Shape::kOurSealed : Shape::kUnsealed;
}

Trial::Trial(Generator& generator, const Order& order)
    : generator_(generator),
      order_(order),
      to_(order.direction == Direction::kSend ? generator.lan_ : generator.wan_),
      from_(order.direction == Direction::kSend ? generator.wan_ : generator.lan_),
      beside_(to_),
      shape_(shape_of(order)),
      per_clock_(order.rate / static_cast<double>(rte_get_tsc_hz())),
      least_burst_(static_cast<std::uint64_t>(std::clamp(order.rate * kBurstSeconds, 1.0, double{kBurst}))),
      most_behind_(4 * kBurst + static_cast<std::uint64_t>(order.rate * kMostBehindSeconds)) {}

Result Trial::run() {
  const std::uint64_t length = clocks_of(order_.seconds), begin = rte_rdtsc();
  begin_ = begin;
  std::uint64_t now = begin, last = begin;
  while (now - begin < length && (order_.packets == 0 || scheduled_ < order_.packets)) {
    note_gap(now - last);
    send_due(now);
    receive(now);
    keep_alive(now);
    last = now;
    now = rte_rdtsc();
  }
  result_.seconds = static_cast<double>(now - begin) / static_cast<double>(rte_get_tsc_hz());
  result_.in_time = result_.received;
  drain();
  const std::uint64_t offered = result_.sent - (to_.is_virtual() ? 0 : result_.refused);
  result_.lost = offered - std::min(offered, result_.received);
  return result_;
}

void Trial::note_gap(std::uint64_t clocks) {
  static const std::uint64_t limit = clocks_of(kStall);
  if (clocks < limit) return;
  ++result_.stalls;
  result_.stalled += clocks;
  result_.longest_stall = std::max(result_.longest_stall, clocks);
}

// Until all are here, or none has come for a while.
void Trial::drain() {
  const std::uint64_t begin = rte_rdtsc(), longest = clocks_of(kLongestDrain), idle = clocks_of(kIdleAtEnd);
  const std::uint64_t lost_at_wire = result_.refused;
  std::uint64_t last = begin;
  for (std::uint64_t now = begin; now - begin < longest && now - last < idle; now = rte_rdtsc()) {
    const std::uint64_t before = result_.received;
    receive(now);
    if (result_.received != before) last = now;
    if (result_.received + lost_at_wire >= result_.sent) break;
  }
  open_held();
}

// ---------------------------------------------------------------- sending

std::uint16_t Trial::count_due(std::uint64_t now) {
  std::uint64_t due = kBurst;
  if (order_.rate > 0) {
    const auto until_now = static_cast<std::uint64_t>(static_cast<double>(now - begin_) * per_clock_);
    const std::uint64_t behind = until_now - std::min(until_now, scheduled_);
    if (behind > most_behind_) {
      result_.skipped += behind - most_behind_;
      scheduled_ += behind - most_behind_;
    }
    due = behind < least_burst_ ? 0 : std::min<std::uint64_t>(behind, kBurst);
  }
  if (order_.packets != 0) due = std::min(due, order_.packets - scheduled_);
  scheduled_ += due;
  return static_cast<std::uint16_t>(due);
}

void Trial::send_due(std::uint64_t now) {
  if (const std::uint16_t count = count_due(now); count != 0) send_burst(count, now);
}

void Trial::send_burst(std::uint16_t count, std::uint64_t now) {
  rte_mbuf* packets[kBurst];
  if (rte_pktmbuf_alloc_bulk(generator_.pool_, packets, count) != 0) {
    result_.skipped += count;
    return;
  }
  to_seal_ = 0;
  std::uint16_t made = 0;
  std::array<std::uint32_t, kBurst> flows;
  choose_flows({flows.data(), count});
  for (std::uint16_t i = 0; i < count; ++i) {
    const std::size_t length = write_frame(rte_pktmbuf_mtod(packets[i], std::uint8_t*), flows[i], now);
    packets[i]->data_len = static_cast<std::uint16_t>(length);
    packets[i]->pkt_len = static_cast<std::uint32_t>(length);
    if (length == 0) break;  // no session
    ++made;
  }
  if (made != count) {
    result_.skipped += static_cast<std::uint64_t>(count - made);
    rte_pktmbuf_free_bulk(packets + made, static_cast<unsigned>(count - made));
  }
  if (made == 0) return;
  if (to_seal_ != 0) crypto::aead_engine().seal(*generator_.scratch_, {sealing_.data(), to_seal_});
  result_.sent += made;
  result_.refused += static_cast<std::uint64_t>(made - to_.transmit(packets, made));
}

// With many peers each is a trip to memory: all of a burst at once.
void Trial::choose_flows(std::span<std::uint32_t> flows) {
  for (std::uint32_t& flow : flows) {
    flow = generator_.walk_[generator_.turn_];
    if (++generator_.turn_ == generator_.walk_.size()) generator_.turn_ = 0;
    rte_prefetch0(&generator_.flows_[flow]);
  }
  for (const std::uint32_t flow : flows)
    if (const Keypair* const session = generator_.flows_[flow].sending; session != nullptr)
      rte_prefetch0(&session->sending_key);
}

std::size_t Trial::write_frame(std::uint8_t* frame, std::uint32_t flow, std::uint64_t now) {
  const std::uint32_t inner = order_.sizes[size_turn_];
  if (++size_turn_ == order_.sizes.size()) size_turn_ = 0;
  const Stamp stamp{generator_.trial_, flow, generator_.flows_[flow].number++, now};
  if (order_.direction == Direction::kReceive) return write_message(frame, flow, stamp, inner);
  const std::size_t header = write_ethernet(frame, to_.ends(), ether_type::kIpv4);
  return header + write_inner(frame + header, order_.direction, stamp, inner);
}

std::size_t Trial::write_message(std::uint8_t* frame, std::uint32_t flow, const Stamp& stamp,
                                 std::uint32_t inner) {
  static const std::array<std::uint8_t, crypto::kAeadKeySize> no_key{};
  Keypair* const session = generator_.flows_[flow].sending;
  if (session == nullptr && !order_.looped) return 0;
  const std::uint64_t counter = session != nullptr ? next_counter(*session) : stamp.number;
  const std::uint32_t payload = padded(inner);
  const std::size_t at = write_outer(frame, to_.ends(), flow, payload + kMessageOverhead);
  *header_at<TransportDataHeader>(frame + at) = {
      Le32{kMessageTransportData}, Le32{session != nullptr ? session->remote_index : flow}, Le64{counter}};
  std::uint8_t* const data = frame + at + kTransportDataHeaderSize;
  write_inner(data, order_.direction, stamp, inner);
  std::memset(data + inner, 0, payload - inner);
  if (order_.sealed)
    sealing_[to_seal_++] = {data, session != nullptr ? session->sending_key.data() : no_key.data(), counter,
                            payload, 0};
  return at + payload + kMessageOverhead;
}

// A gateway that hears nothing of a peer to which it sends begins a handshake after 15 s.
void Trial::keep_alive(std::uint64_t now) {
  if (order_.looped || order_.direction != Direction::kSend || now < generator_.next_keepalive_) return;
  generator_.peers_.send_keepalive(generator_.keepalive_turn_);
  if (++generator_.keepalive_turn_ == generator_.peers_.count()) generator_.keepalive_turn_ = 0;
  generator_.next_keepalive_ = now + clocks_of(kKeepaliveEvery / generator_.peers_.count());
}

// ---------------------------------------------------------------- receiving

void Trial::receive(std::uint64_t) {
  rte_mbuf* packets[kBurst];
  const std::uint16_t count = from_.receive(packets);
  const std::uint64_t now = count != 0 ? rte_rdtsc() : 0;
  for (std::uint16_t i = 0; i < count; ++i) rte_prefetch0(rte_pktmbuf_mtod(packets[i], void*));
  for (std::uint16_t i = 0; i < count; ++i) take(packets[i], now);
  const std::uint16_t others = beside_.receive(packets);
  for (std::uint16_t i = 0; i < others; ++i) generator_.take_other(beside_, packets[i]);
}

void Trial::take(rte_mbuf* packet, std::uint64_t now) {
  switch (shape_) {
    case Shape::kPlain:
      return take_plain(packet, kEthernetHeaderSize, 0, now);
    case Shape::kUnsealed:
      return take_plain(packet, kBeforeInner, kAuthTagSize, now);
    case Shape::kOurSealed:
      return take_our_sealed(packet);
    case Shape::kFromGateway:
      return take_from_gateway(packet, now);
  }
}

void Trial::count_arrival(Arrival arrival) {
  if (arrival == Arrival::kTwice) {
    ++result_.twice;
    return;
  }
  result_.late += arrival == Arrival::kLate ? 1 : 0;
  ++result_.received;
}

void Trial::take_plain(rte_mbuf* packet, std::size_t before, std::size_t behind, std::uint64_t now) {
  const Bytes frame = frame_of(packet);
  Stamp stamp;
  if (frame.size() < before + behind ||
      !read_stamp(frame.subspan(before, frame.size() - before - behind), &stamp)) {
    ++result_.others;
    return generator_.take_other(from_, packet);
  }
  if (stamp.trial == generator_.trial_ && stamp.flow < generator_.flows_.size()) {
    count_arrival(generator_.flows_[stamp.flow].arrivals.take(stamp.number));
    result_.latency.add(now - stamp.clock);
  } else {
    ++result_.bad;
  }
  const bool opens = order_.looped && order_.sealed && order_.direction == Direction::kSend;
  if (opens && is_to_be_opened()) return hold(packet, nullptr, now);
  rte_pktmbuf_free(packet);
}

bool Trial::is_to_be_opened() {
  if (until_open_ == 0) until_open_ = order_.open_every;
  return --until_open_ == 0;
}

void Trial::take_our_sealed(rte_mbuf* packet) {
  const Bytes frame = frame_of(packet);
  const auto* header = checked_header<TransportDataHeader>(frame, kOuterHeaders);
  if (header == nullptr || header->type.value() != kMessageTransportData ||
      header->receiver.value() >= generator_.flows_.size()) {
    ++result_.others;
    return generator_.take_other(from_, packet);
  }
  count_arrival(generator_.flows_[header->receiver.value()].arrivals.take(header->counter.value()));
  rte_pktmbuf_free(packet);
}

// All are counted by receiver index and counter; one in so many is opened and compared with what was sent.
void Trial::take_from_gateway(rte_mbuf* packet, std::uint64_t now) {
  MessageView view;
  if (!read_message(frame_of(packet), &view) ||
      classify_message(view.message) != MessageClass::kTransportData) {
    ++result_.others;
    return generator_.take_other(from_, packet);
  }
  const auto* header = header_at<TransportDataHeader>(view.message.data());
  const std::uint32_t index = header->receiver.value();
  Keypair* const session = generator_.peers_.find(index);
  const bool empty = view.message.size() == kKeepaliveSize;
  if (session == nullptr || empty) {
    (empty ? result_.keepalives : result_.bad) += 1;
    return rte_pktmbuf_free(packet);
  }
  Generator::Flow& flow = generator_.flows_[Peers::flow_of(*session)];
  if (flow.session != index) {
    flow.session = index;
    flow.arrivals.start_over();
  }
  count_arrival(flow.arrivals.take(header->counter.value()));
  if (is_to_be_opened() || !may_send(*session)) return hold(packet, session, now);
  rte_pktmbuf_free(packet);
}

void Trial::hold(rte_mbuf* packet, Keypair* session, std::uint64_t now) {
  held_[held_count_++] = {packet, session, now};
  if (held_count_ == held_.size()) open_held();
}

crypto::AeadOp Trial::opening(const Held& held) {
  static const std::array<std::uint8_t, crypto::kAeadKeySize> no_key{};
  auto* const frame = rte_pktmbuf_mtod(held.packet, std::uint8_t*);
  const Bytes bytes = frame_of(held.packet);
  // Looped: nothing is sealed in it, but opening costs the same.
  if (held.session == nullptr)
    return {frame + kEthernetHeaderSize, no_key.data(), 0,
            static_cast<std::uint32_t>(bytes.size() - kEthernetHeaderSize - kAuthTagSize), 0};
  MessageView view;
  static_cast<void>(read_message(bytes, &view));
  const auto* header = header_at<TransportDataHeader>(view.message.data());
  return {frame + (view.message.data() - bytes.data()) + kTransportDataHeaderSize,
          held.session->receiving_key.data(), header->counter.value(),
          static_cast<std::uint32_t>(view.message.size() - kMessageOverhead), 0};
}

void Trial::open_held() {
  if (held_count_ == 0) return;
  std::array<crypto::AeadOp, kBurst> ops;
  for (std::size_t i = 0; i < held_count_; ++i) ops[i] = opening(held_[i]);
  crypto::aead_engine().open(*generator_.scratch_, {ops.data(), held_count_});
  for (std::size_t i = 0; i < held_count_; ++i) judge_held(i, ops[i]);
  held_count_ = 0;
}

void Trial::judge_held(std::size_t i, const crypto::AeadOp& op) {
  const Held& held = held_[i];
  ++result_.opened;
  if (held.session == nullptr) return rte_pktmbuf_free(held.packet);
  Stamp stamp;
  const bool right = op.authentic != 0 && read_stamp({op.data, op.length}, &stamp) &&
                     stamp.flow == Peers::flow_of(*held.session) && stamp.trial == generator_.trial_;
  if (right) result_.latency.add(held.clock - stamp.clock);
  if (!right) ++result_.bad;
  if (op.authentic != 0 && !may_send(*held.session)) {
    held.session->confirmed.store(true, std::memory_order_relaxed);
    generator_.peers_.confirm(*held.session);
  }
  rte_pktmbuf_free(held.packet);
}

}  // namespace wg::bench
