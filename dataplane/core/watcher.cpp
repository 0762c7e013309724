#include "dataplane/core/watcher.h"

#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>

#include <algorithm>
#include <cstring>

#include "dataplane/packet/headers.h"
#include "dataplane/packet/path.h"
#include "dataplane/session/keypair.h"

namespace wg::dataplane {

namespace {

std::uint64_t tsc() noexcept {
  return rte_rdtsc();
}

std::uint16_t offset_in(const rte_mbuf* packet, const std::uint8_t* at) noexcept {
  return static_cast<std::uint16_t>(at - static_cast<const std::uint8_t*>(packet->buf_addr));
}

// Judged behind the open: what lies in the buffer is the inner packet.
bool is_about_inside(DropReason reason) noexcept {
  return reason == DropReason::inner_malformed || reason == DropReason::disallowed_source ||
         reason == DropReason::martian_inner || reason == DropReason::ecn_invalid;
}

// The open has overwritten what was sealed.
bool has_lost_payload(DropReason reason) noexcept {
  return reason == DropReason::bad_tag || reason == DropReason::replayed;
}

std::uint32_t milliseconds(std::chrono::nanoseconds age) noexcept {
  return static_cast<std::uint32_t>(age / std::chrono::milliseconds(1));
}

}  // namespace

int watch_mark_offset() noexcept {
  rte_mbuf_dynfield field{};
  std::strncpy(field.name, "linegate_watch_mark", sizeof field.name - 1);
  field.size = sizeof(WatchMark);
  field.align = alignof(WatchMark);
  return rte_mbuf_dynfield_register(&field);
}

// ---------------------------------------------------------------- marks

WatchMark& Watcher::mark_of(rte_mbuf* packet) const noexcept {
  return *RTE_MBUF_DYNFIELD(packet, set_->mark_offset, WatchMark*);
}

WatchMark& Watcher::fresh(rte_mbuf* packet, WatchLink link, std::uint16_t where) noexcept {
  WatchMark& mark = mark_of(packet);
  mark = {watch_id(set_->generation, worker_, next_++), kNoPeer, 0, 0, 0, where, link, 0};
  return mark;
}

Watcher::Packet Watcher::frame_of(const rte_mbuf* packet) noexcept {
  return {rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len};
}

// Within its buffer, whatever the inside says of its length.
Watcher::Packet Watcher::inner_of(const rte_mbuf* packet, const WatchMark& mark) noexcept {
  const std::size_t room = packet->buf_len > mark.inner_offset ? packet->buf_len - mark.inner_offset : 0u;
  return {static_cast<const std::uint8_t*>(packet->buf_addr) + mark.inner_offset,
          std::min<std::size_t>(mark.inner_length, room)};
}

Watcher::Packet Watcher::bytes_of(const rte_mbuf* packet, const WatchMark& mark) noexcept {
  if (mark.link == WatchLink::kNone) return {};
  return mark.link == WatchLink::kEthernet ? frame_of(packet) : inner_of(packet, mark);
}

std::uint8_t Watcher::choose(WatchMark& mark, const Known& known, WatchLink link,
                             Packet packet) const noexcept {
  std::uint8_t chosen = 0;
  for (const auto& watch : set_->watches) {
    if ((mark.chosen & watch->bit) != 0) continue;
    const bool fits = (watch->port == kNoPort || watch->port == known.port) &&
                      (watch->interface_id == kNoInterface || watch->interface_id == known.interface_id) &&
                      (watch->peer == kNoPeer || watch->peer == known.peer);
    if (fits && watch->filter.matches(link, packet)) chosen |= watch->bit;
  }
  mark.chosen |= chosen;
  return chosen;
}

Watcher::Known Watcher::known_of(WatchLink link, std::uint16_t where, std::uint32_t peer) noexcept {
  return link == WatchLink::kIp ? Known{kNoPort, InterfaceId{where}, peer}
                                : Known{PortIndex{where}, kNoInterface, peer};
}

// ---------------------------------------------------------------- records

WatchRecord Watcher::record_of(const WatchMark& mark, WatchPoint point) const noexcept {
  WatchRecord record;
  record.id = mark.id;
  record.tsc = tsc();
  record.peer = mark.peer;
  record.session = mark.session;
  record.where = mark.where;
  record.point = point;
  record.link = mark.link;
  record.worker = static_cast<std::uint8_t>(worker_);
  return record;
}

void Watcher::write(std::uint8_t which, const WatchRecord& record, Packet packet, std::size_t most) noexcept {
  if (which == 0) return;
  for (const auto& watch : set_->watches) {
    if ((which & watch->bit) == 0 || !watch->records(record.point)) continue;
    WatchRecord copy = record;
    copy.length = static_cast<std::uint16_t>(packet.size());
    watch->rings[worker_]->write(copy,
                                 packet.first(std::min({packet.size(), most, std::size_t{watch->snap}})));
  }
}

// ---------------------------------------------------------------- where packets come in

void Watcher::enter(rte_mbuf* packet, WatchPoint point, WatchLink link, std::uint16_t where) noexcept {
  WatchMark& mark = fresh(packet, link, where);
  if (link == WatchLink::kIp) {
    mark.inner_offset = packet->data_off;
    mark.inner_length = packet->data_len;
  }
  const Packet bytes = frame_of(packet);
  choose(mark, known_of(link, where, kNoPeer), link, bytes);
  WatchRecord record = record_of(mark, point);
  record.leaving = point != WatchPoint::received;
  write(mark.chosen, record, bytes);
}

void Watcher::received(PortIndex port, std::span<rte_mbuf* const> packets) noexcept {
  for (rte_mbuf* packet : packets) enter(packet, WatchPoint::received, WatchLink::kEthernet, number_of(port));
}

void Watcher::from_linux_by_tap(PortIndex port, std::span<rte_mbuf* const> frames) noexcept {
  for (rte_mbuf* frame : frames) enter(frame, WatchPoint::from_linux, WatchLink::kEthernet, number_of(port));
}

void Watcher::from_linux_by_tun(InterfaceId id, std::span<rte_mbuf* const> packets) noexcept {
  for (rte_mbuf* packet : packets) enter(packet, WatchPoint::from_linux, WatchLink::kIp, number_of(id));
}

void Watcher::from_program(InterfaceId id, std::span<rte_mbuf* const> packets) noexcept {
  for (rte_mbuf* packet : packets) enter(packet, WatchPoint::from_program, WatchLink::kIp, number_of(id));
}

void Watcher::from_control(InterfaceId id, rte_mbuf* packet) noexcept {
  enter(packet, WatchPoint::from_control, WatchLink::kIp, number_of(id));
}

void Watcher::frame_from_control(PortIndex port, rte_mbuf* frame) noexcept {
  enter(frame, WatchPoint::from_control, WatchLink::kEthernet, number_of(port));
}

void Watcher::made(rte_mbuf* packet, const rte_mbuf* of) noexcept {
  WatchMark& mark = fresh(packet, WatchLink::kNone, kNowhere);
  if (of == nullptr) return;
  const WatchMark& whole = mark_of(const_cast<rte_mbuf*>(of));
  if (is_marked(whole)) mark = whole;
}

// ---------------------------------------------------------------- outer to inner

void Watcher::sessions_found(const DataBurst& data, BootTime now) noexcept {
  for (std::size_t i = 0; i < data.n; ++i) {
    rte_mbuf* packet = data.packet[i];
    WatchMark& mark = mark_of(packet);
    if (!is_marked(mark)) fresh(packet, WatchLink::kEthernet, kNowhere);
    const Keypair& keypair = *data.keypair[i];
    mark.peer = keypair.peer->slot;
    mark.session = keypair.local_index;
    mark.inner_offset = offset_in(packet, data.op[i].data);
    mark.inner_length = static_cast<std::uint16_t>(data.op[i].length);
    const Packet frame = frame_of(packet);
    const Known known{PortIndex{mark.where}, data.interface_id[i], mark.peer};
    const std::uint8_t now_chosen = choose(mark, known, WatchLink::kEthernet, frame);
    write(now_chosen, record_of(mark, WatchPoint::received), frame);
    WatchRecord record = record_of(mark, WatchPoint::session);
    record.counter = data.op[i].counter;
    record.age_ms = milliseconds(keypair.age(now));
    write(mark.chosen, record, {});
  }
}

void Watcher::opened(const InnerBurst& inner, std::size_t first) noexcept {
  for (std::size_t i = first; i < inner.n; ++i) {
    rte_mbuf* packet = inner.packet[i];
    WatchMark& mark = mark_of(packet);
    if (!is_marked(mark)) fresh(packet, WatchLink::kEthernet, kNowhere);
    const std::uint8_t* l3 = inner.l3[i];
    const Known known{PortIndex{mark.where}, inner.origin[i].interface(), mark.peer};
    const std::uint8_t now_chosen = choose(mark, known, WatchLink::kIp, {l3, inner.length[i]});
    write(now_chosen, record_of(mark, WatchPoint::received), frame_of(packet),
          static_cast<std::size_t>(l3 - frame_of(packet).data()));
    mark.where = number_of(inner.origin[i].interface());
    opened_one(packet, l3, inner.length[i]);
  }
}

// The message's header lies in front of what was sealed.
void Watcher::opened_one(rte_mbuf* packet, const std::uint8_t* l3, std::uint16_t length) noexcept {
  WatchMark& mark = mark_of(packet);
  mark.link = WatchLink::kIp;
  mark.inner_offset = offset_in(packet, l3);
  mark.inner_length = length;
  WatchRecord record = record_of(mark, WatchPoint::opened);
  record.counter = header_at<TransportDataHeader>(l3 - kTransportDataHeaderSize)->counter.value();
  write(mark.chosen, record, {l3, length});
}

void Watcher::routed(const InnerBurst& inner, std::size_t begin, std::size_t end, WatchRoute route,
                     std::uint16_t to, std::uint16_t mtu) noexcept {
  for (std::size_t i = begin; i < end; ++i) {
    const WatchMark& mark = mark_of(inner.packet[i]);
    if (!is_marked(mark)) continue;
    WatchRecord record = record_of(mark, WatchPoint::routed);
    record.route = route;
    record.to = to;
    record.mtu = mtu;
    write(mark.chosen, record, {});
  }
}

// ---------------------------------------------------------------- inner to outer

void Watcher::to_send(const SendBurst& send) noexcept {
  for (std::size_t i = 0; i < send.n; ++i) {
    rte_mbuf* packet = send.packet[i];
    WatchMark& mark = mark_of(packet);
    const InterfaceId interface_id = send.origin[i].interface_id;
    if (!is_marked(mark)) fresh(packet, WatchLink::kIp, number_of(interface_id));
    const PortIndex port{mark.link == WatchLink::kEthernet ? mark.where : kNowhere};
    mark.link = WatchLink::kIp;
    mark.where = number_of(interface_id);
    mark.peer = kNoPeer;  // of a hairpin packet: who has sent it
    mark.session = 0;
    mark.inner_offset = offset_in(packet, send.l3[i]);
    mark.inner_length = send.length[i];
    choose(mark, {port, interface_id, kNoPeer}, WatchLink::kIp, {send.l3[i], send.length[i]});
  }
}

void Watcher::peers_chosen(const SendBurst& send) noexcept {
  for (std::size_t i = 0; i < send.n; ++i) {
    WatchMark& mark = mark_of(send.packet[i]);
    mark.peer = send.peer[i]->slot;
    choose(mark, {kNoPort, InterfaceId{mark.where}, mark.peer}, WatchLink::kIp, {send.l3[i], send.length[i]});
  }
}

void Watcher::sending(const SendBurst& send, const SendBurst::Run& run, std::size_t begin,
                      BootTime now) noexcept {
  WatchRecord record;
  record.counter = run.counter;
  record.age_ms = milliseconds(run.keypair->sending_age(now));
  record.to = run.path->port == kKernelPath ? kNowhere : number_of(run.path->port);
  for (std::size_t i = begin; i < run.end; ++i, ++record.counter) sending_one(send, i, run, record);
}

void Watcher::sending_one(const SendBurst& send, std::size_t i, const SendBurst::Run& run,
                          WatchRecord& record) noexcept {
  rte_mbuf* packet = send.packet[i];
  WatchMark& mark = mark_of(packet);
  const bool framed = run.path->header_length != 0;
  mark.session = run.keypair->local_index;
  const Known known{PortIndex{record.to}, run.peer->interface_id, mark.peer};
  const Packet inner{send.l3[i], send.length[i]};
  choose(mark, known, WatchLink::kIp, inner);
  if (framed) choose(mark, known, WatchLink::kEthernet, frame_of(packet));
  WatchRecord one = record_of(mark, WatchPoint::sending);
  one.counter = record.counter;
  one.age_ms = record.age_ms;
  one.to = record.to;
  one.leaving = true;
  write(mark.chosen, one, inner);
  // From now on the buffer says where the packet lies, and the seal overwrites what is inside.
  mark.link = framed ? WatchLink::kEthernet : WatchLink::kNone;
  mark.where = record.to;
  mark.inner_offset = 0;
}

// ---------------------------------------------------------------- the end

void Watcher::transmitting(PortIndex port, std::span<rte_mbuf* const> frames) noexcept {
  for (rte_mbuf* frame : frames) {
    WatchMark& mark = mark_of(frame);
    if (!is_marked(mark)) fresh(frame, WatchLink::kEthernet, number_of(port));
    mark.link = WatchLink::kEthernet;
    mark.where = number_of(port);
    choose(mark, {port, kNoInterface, kNoPeer}, WatchLink::kEthernet, frame_of(frame));
    WatchRecord record = record_of(mark, WatchPoint::transmitted);
    record.leaving = true;
    write(mark.chosen, record, frame_of(frame));
  }
}

void Watcher::step(rte_mbuf* packet, WatchPoint point) noexcept {
  const WatchMark& mark = mark_of(packet);
  if (!is_marked(mark)) return;
  write(mark.chosen, record_of(mark, point), bytes_of(packet, mark));
}

void Watcher::dropped(rte_mbuf* packet, DropReason reason) noexcept {
  WatchMark& mark = mark_of(packet);
  if (!is_marked(mark)) fresh(packet, WatchLink::kNone, kNowhere);
  const Known known = known_of(mark.link == WatchLink::kEthernet ? WatchLink::kEthernet : WatchLink::kIp,
                               mark.where, mark.peer);
  std::size_t most = 65535;
  if (has_lost_payload(reason) && mark.inner_offset > packet->data_off)
    most = mark.inner_offset - packet->data_off;
  WatchRecord record = record_of(mark, WatchPoint::dropped);
  record.reason = reason;
  if (mark.link == WatchLink::kEthernet && mark.inner_offset != 0 && is_about_inside(reason)) {
    record.link = WatchLink::kIp;
    record.where = kNowhere;  // the peer names the interface
    return note_drop(mark, known, record, inner_of(packet, mark), most);
  }
  note_drop(mark, known, record, bytes_of(packet, mark), most);
}

void Watcher::note_drop(WatchMark& mark, const Known& known, WatchRecord record, Packet packet,
                        std::size_t most) noexcept {
  choose(mark, known, record.link, packet);
  for (const auto& watch : set_->watches) {
    if ((mark.chosen & watch->bit) != 0 && watch->reasons[static_cast<std::size_t>(record.reason)])
      write(watch->bit, record, packet, most);
  }
}

void Watcher::remember(std::span<rte_mbuf* const> packets, Burst& burst) const noexcept {
  burst.n = packets.size();
  for (std::size_t i = 0; i < burst.n; ++i) burst.mark[i] = mark_of(packets[i]);
}

// Queues take a burst from its front.
void Watcher::refused(const Burst& burst, std::size_t count, DropReason reason) noexcept {
  for (std::size_t i = burst.n - std::min(count, burst.n); i < burst.n; ++i) {
    WatchMark mark = burst.mark[i];
    if (!is_marked(mark)) continue;
    WatchRecord record = record_of(mark, WatchPoint::dropped);
    record.reason = reason;
    record.leaving = true;
    note_drop(mark, {}, record, {}, 0);
  }
}

}  // namespace wg::dataplane
