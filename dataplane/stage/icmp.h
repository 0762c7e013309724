// ICMP errors to the inside sender about what Linux does not know of: no peer, no endpoint, larger than the
// peer's MTU. RFC 1812 4.3, RFC 4443. Rate-limited, never about an error, a fragment that is not the first, a
// group address or a source that cannot be answered.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/core/core.h"
#include "dataplane/core/egress.h"

namespace wg::dataplane {

enum class IcmpError : std::uint8_t { kNoRoute, kTooBig };

class Icmp {
 public:
  explicit Icmp(Core& core) : core_(core) {}

  // Answers the source of an IP packet that begins `l3_offset` bytes behind the buffer's data. Frees nothing:
  // the caller still drops the packet. `mtu`: IcmpError::kTooBig.
  void answer(const BurstContext& at, IcmpError error, const rte_mbuf* packet, std::size_t l3_offset,
              const PacketOrigin& origin, std::uint16_t mtu = 0);

  // The answers made so far: into `send` those that go back through a tunnel, out of a port or to Linux the
  // others. Between bursts, so that answers never mix with what caused them; `send` is empty. False: none.
  bool move_into(const BurstContext& at, SendBurst& send, Egress& egress);
  void drop_rest();

 private:
  bool take_token(BootTime now);
  rte_mbuf* write_answer(const BurstContext& at, IcmpError error, const IpView& ip, const std::uint8_t* l3,
                         const PacketOrigin& origin, std::uint16_t mtu);

  Core& core_;
  std::uint64_t tokens_ = 0;
  BootTime refilled_ = kNever;
  std::size_t n_ = 0;
  std::array<rte_mbuf*, kBurst> packet_;
  std::array<PacketOrigin, kBurst> origin_;
};

}  // namespace wg::dataplane
