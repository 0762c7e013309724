#include "bench/vf/wire.h"

#include <rte_mbuf.h>

#include <array>
#include <cstring>

namespace wg::bench {

using namespace dataplane;

namespace {

PortOptions options_of(const std::string& name, const std::string& device, std::uint16_t descriptors) {
  PortOptions options;
  options.name = name;
  options.device = device;
  options.descriptors = descriptors;
  return options;
}

}  // namespace

Wire::Wire(const std::string& name, const std::string& device, std::uint16_t descriptors, rte_mempool* pool,
           const ArpNetwork& network)
    : pool_(pool),
      virtual_(device.starts_with("net_")),
      network_(network),
      port_(options_of(name, device, descriptors), pool) {}

std::uint16_t Wire::transmit(rte_mbuf** packets, std::uint16_t count) noexcept {
  const std::uint64_t before = counters_.tx_packets.get();
  port_.transmit(0, packets, count, counters_);
  return static_cast<std::uint16_t>(counters_.tx_packets.get() - before);
}

void Wire::send(Bytes frame) {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool_);
  if (packet == nullptr) return;
  std::memcpy(rte_pktmbuf_mtod(packet, void*), frame.data(), frame.size());
  packet->data_len = static_cast<std::uint16_t>(frame.size());
  packet->pkt_len = static_cast<std::uint32_t>(frame.size());
  transmit(&packet, 1);
}

void Wire::take_arp(Bytes frame) {
  std::array<std::uint8_t, kArpFrame> reply;
  if (bench::take_arp(frame, port_.facts().mac, network_, reply.data(), &gateway_)) send(reply);
}

void Wire::ask_for_gateway() {
  std::array<std::uint8_t, kArpFrame> request;
  write_arp_request(request.data(), port_.facts().mac, network_.first_own, network_.gateway);
  send(request);
}

Bytes frame_of(const rte_mbuf* packet) {
  return {rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len};
}

}  // namespace wg::bench
