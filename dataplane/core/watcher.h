// A worker's side of watching: chooses packets, marks them, and writes records about them. While no watch
// runs, each hook of a stage costs one test of on().
//
// A packet is chosen where all that a watch asks for is known and fits: by its frame when it comes in, by its
// peer when the session is found, by what is inside when it has been opened or is about to be sealed. A
// packet that its inside has chosen is recorded from its begin on, but of the sealed datagram only the
// headers are left.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/base/ids.h"
#include "dataplane/core/bursts.h"
#include "dataplane/drop_reason.h"
#include "dataplane/session/limits.h"
#include "dataplane/watch/watch.h"

struct rte_mbuf;

namespace wg::dataplane {

struct Keypair;

// Room for a WatchMark in packet buffers. Once per process, after the start of DPDK; again it returns the
// same. Negative: other users of packet buffers have left none.
[[nodiscard]] int watch_mark_offset() noexcept;

class Watcher {
 public:
  explicit Watcher(std::uint16_t worker) : worker_(worker) {}

  // `set`: of this loop's snapshot; null: no watch runs.
  void begin_loop(const WatchSet* set) noexcept { set_ = set; }
  [[nodiscard]] bool on() const noexcept { return set_ != nullptr; }

  // ---- only while on(), in the order of a packet's life; stages call them before they go on with the
  // packets
  [[gnu::cold]] void received(PortIndex port, std::span<rte_mbuf* const> packets) noexcept;
  [[gnu::cold]] void from_linux_by_tap(PortIndex port, std::span<rte_mbuf* const> frames) noexcept;
  [[gnu::cold]] void from_linux_by_tun(InterfaceId id, std::span<rte_mbuf* const> packets) noexcept;
  [[gnu::cold]] void from_program(InterfaceId id, std::span<rte_mbuf* const> packets) noexcept;
  // A command's packet: it begins with IP, or is a frame.
  [[gnu::cold]] void from_control(InterfaceId id, rte_mbuf* packet) noexcept;
  [[gnu::cold]] void frame_from_control(PortIndex port, rte_mbuf* frame) noexcept;
  // A packet of the worker's own; `of`: what it is a piece of, null: nothing.
  [[gnu::cold]] void made(rte_mbuf* packet, const rte_mbuf* of) noexcept;
  // Before the open: the bytes are still those of the wire.
  [[gnu::cold]] void sessions_found(const DataBurst& data, BootTime now) noexcept;
  // Packets [first, inner.n) have just been opened.
  [[gnu::cold]] void opened(const InnerBurst& inner, std::size_t first) noexcept;
  // Packets [begin, end) of one decision. `to`: the port or the interface.
  [[gnu::cold]] void routed(const InnerBurst& inner, std::size_t begin, std::size_t end, WatchRoute route,
                            std::uint16_t to, std::uint16_t mtu) noexcept;
  // Before and after cryptokey routing.
  [[gnu::cold]] void to_send(const SendBurst& send) noexcept;
  [[gnu::cold]] void peers_chosen(const SendBurst& send) noexcept;
  // Headers are written, nothing is sealed yet. Packets [begin, run.end).
  [[gnu::cold]] void sending(const SendBurst& send, const SendBurst::Run& run, std::size_t begin,
                             BootTime now) noexcept;
  [[gnu::cold]] void transmitting(PortIndex port, std::span<rte_mbuf* const> frames) noexcept;
  // Something else that happens to a packet; it says itself where it lies.
  [[gnu::cold]] void step(rte_mbuf* packet, WatchPoint point) noexcept;
  [[gnu::cold]] void dropped(rte_mbuf* packet, DropReason reason) noexcept;

  // The marks of a burst whose end a queue may refuse: its packets are gone then.
  struct Burst {
    std::size_t n = 0;
    std::array<WatchMark, kBurst> mark;
  };
  [[gnu::cold]] void remember(std::span<rte_mbuf* const> packets, Burst& burst) const noexcept;
  [[gnu::cold]] void refused(const Burst& burst, std::size_t count, DropReason reason) noexcept;

 private:
  // The known facts of a packet, beside its mark.
  struct Known {
    PortIndex port = kNoPort;
    InterfaceId interface_id = kNoInterface;
    std::uint32_t peer = kNoPeer;
  };
  using Packet = std::span<const std::uint8_t>;
  [[nodiscard]] static Known known_of(WatchLink link, std::uint16_t where, std::uint32_t peer) noexcept;

  [[nodiscard]] WatchMark& mark_of(rte_mbuf* packet) const noexcept;
  [[nodiscard]] bool is_marked(const WatchMark& mark) const noexcept {
    return watch_generation(mark.id) == set_->generation;
  }
  WatchMark& fresh(rte_mbuf* packet, WatchLink link, std::uint16_t where) noexcept;
  void enter(rte_mbuf* packet, WatchPoint point, WatchLink link, std::uint16_t where) noexcept;
  [[nodiscard]] static Packet frame_of(const rte_mbuf* packet) noexcept;
  [[nodiscard]] static Packet inner_of(const rte_mbuf* packet, const WatchMark& mark) noexcept;
  [[nodiscard]] static Packet bytes_of(const rte_mbuf* packet, const WatchMark& mark) noexcept;
  // Those that have not chosen the packet and do now.
  std::uint8_t choose(WatchMark& mark, const Known& known, WatchLink link, Packet packet) const noexcept;
  [[nodiscard]] WatchRecord record_of(const WatchMark& mark, WatchPoint point) const noexcept;
  // To the watches in `which` that record such a point.
  void write(std::uint8_t which, const WatchRecord& record, Packet packet, std::size_t most = 65535) noexcept;
  void note_drop(WatchMark& mark, const Known& known, WatchRecord record, Packet packet,
                 std::size_t most) noexcept;
  void opened_one(rte_mbuf* packet, const std::uint8_t* l3, std::uint16_t length) noexcept;
  void sending_one(const SendBurst& send, std::size_t i, const SendBurst::Run& run,
                   WatchRecord& record) noexcept;

  const std::uint16_t worker_;
  const WatchSet* set_ = nullptr;
  std::uint64_t next_ = 0;  // number of the next packet
};

}  // namespace wg::dataplane
