#include "bench/vf/forwarder.h"

#include <rte_mbuf.h>

namespace wg::bench {

using namespace dataplane;

namespace {

void pass(Wire& from, Wire& to) {
  rte_mbuf* packets[kBurst];
  rte_mbuf* passed[kBurst];
  const std::uint16_t count = from.receive(packets);
  std::uint16_t kept = 0;
  for (std::uint16_t i = 0; i < count; ++i) {
    auto* const ethernet = rte_pktmbuf_mtod(packets[i], EthernetHeader*);
    if (packets[i]->data_len >= sizeof *ethernet && ethernet->type.value() == ether_type::kIpv4) {
      write_ethernet(rte_pktmbuf_mtod(packets[i], std::uint8_t*), to.ends(), ether_type::kIpv4);
      passed[kept++] = packets[i];
    } else {
      from.take_arp(frame_of(packets[i]));
      rte_pktmbuf_free(packets[i]);
    }
  }
  if (kept != 0) to.transmit(passed, kept);
}

}  // namespace

void forward(Wire& lan, Wire& wan, const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    pass(lan, wan);
    pass(wan, lan);
  }
}

}  // namespace wg::bench
