#include "dataplane/stage/crypto.h"

#include <rte_mbuf.h>

#include <array>
#include <span>

#include "dataplane/packet/checksum_burst.h"
#include "dataplane/packet/path.h"
#include "dataplane/session/peer.h"

namespace wg::dataplane {

namespace {

enum class UdpChecksum : std::uint8_t { kNone, kByPort, kHere };

UdpChecksum udp_checksum_of(const Path& path, const Peer& peer, const Snapshot& view) {
  if (path.port == kKernelPath) return UdpChecksum::kNone;
  if (!path.v6() && !view.interfaces[peer.interface_id].udp_checksum4)
    return UdpChecksum::kNone;  // it is zero
  return view.ports[path.port].udp_checksum_offload ? UdpChecksum::kByPort : UdpChecksum::kHere;
}

void leave_checksum_to_port(rte_mbuf& packet, const Path& path) {
  const bool v6 = path.v6();
  packet.tx_offload =
      rte_mbuf_tx_offload(path.l3_offset, v6 ? kIpv6HeaderSize : kIpv4HeaderSize, 0, 0, 0, 0, 0);
  packet.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
}

// Datagrams whose UDP checksums are computed here, together.
struct Datagrams {
  std::size_t n = 0;
  std::array<ChecksumPiece, kBurst> piece;
  std::array<UdpHeader*, kBurst> header;
};

// Packets [begin, run.end).
void collect_datagrams(SendBurst& burst, const SendBurst::Run& run, std::size_t begin, UdpChecksum kind,
                       Datagrams& datagrams) {
  const std::uint32_t addresses = run.path->v6() ? 2 * sizeof(Ipv6Bytes) : 2 * sizeof(Ipv4Bytes);
  for (std::size_t i = begin; i < run.end; ++i) {
    // Of the pseudo header the addresses lie just in front of the UDP header.
    auto* udp = header_at<UdpHeader>(burst.op[i].data - kTransportDataHeaderSize - kUdpHeaderSize);
    const auto size = static_cast<std::uint32_t>(kUdpHeaderSize + kKeepaliveSize + burst.op[i].length);
    const auto* from = reinterpret_cast<const std::uint8_t*>(udp) - addresses;
    const std::uint32_t rest =
        Be16{ip_protocol::kUdp}.native() + Be16{static_cast<std::uint16_t>(size)}.native();
    if (kind == UdpChecksum::kByPort) {
      leave_checksum_to_port(*burst.packet[i], *run.path);
      // The NIC adds the datagram.
      udp->checksum = Be16::from_native(checksum_fold(checksum_add(rest, from, addresses)));
      continue;
    }
    datagrams.header[datagrams.n] = udp;
    datagrams.piece[datagrams.n++] = {from, addresses + size, rest};
  }
}

// The burst's UDP checksums (RFC 768, RFC 8200 8.1), after the seal: by the port where it can, else here.
void finish_udp_checksums(SendBurst& burst, const Snapshot& view) {
  Datagrams datagrams;
  std::size_t begin = 0;
  for (std::size_t r = 0; r < burst.runs; ++r) {
    const SendBurst::Run& run = burst.run[r];
    const UdpChecksum kind = udp_checksum_of(*run.path, *run.peer, view);
    if (kind != UdpChecksum::kNone) collect_datagrams(burst, run, begin, kind, datagrams);
    begin = run.end;
  }
  if (datagrams.n == 0) return;
  std::array<std::uint16_t, kBurst> folded;
  checksum_burst(datagrams.piece.data(), folded.data(), datagrams.n);
  for (std::size_t i = 0; i < datagrams.n; ++i)
    datagrams.header[i]->checksum = checksum_finish_udp(folded[i]);
}

}  // namespace

void Crypto::open(DataBurst& burst) {
  static_cast<void>(core_.engine.open(*core_.scratch, std::span(burst.op.data(), burst.n)));
  core_.count_stage(Stage::open, burst.n);
}

void Crypto::seal(const Snapshot& view, SendBurst& burst) {
  core_.engine.seal(*core_.scratch, std::span(burst.op.data(), burst.n));
  finish_udp_checksums(burst, view);
  core_.count_stage(Stage::seal, burst.n);
}

}  // namespace wg::dataplane
