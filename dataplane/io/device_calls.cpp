#include "dataplane/io/device_calls.h"

#include <rte_ethdev.h>

#include <algorithm>
#include <atomic>

namespace wg::dataplane {

namespace {

constexpr std::array kEvents{RTE_ETH_EVENT_INTR_RESET, RTE_ETH_EVENT_INTR_RMV};

rte_ether_addr ether(const MacAddress& mac) {
  rte_ether_addr out;
  std::copy(mac.begin(), mac.end(), out.addr_bytes);
  return out;
}

class EthdevCalls final : public DeviceCalls {
 public:
  explicit EthdevCalls(std::uint16_t ethdev) : ethdev_(ethdev) {
    for (const rte_eth_event_type event : kEvents)
      rte_eth_dev_callback_register(ethdev_, event, on_event, this);
  }
  ~EthdevCalls() override {
    for (const rte_eth_event_type event : kEvents)
      rte_eth_dev_callback_unregister(ethdev_, event, on_event, this);
  }
  EthdevCalls(const EthdevCalls&) = delete;
  EthdevCalls& operator=(const EthdevCalls&) = delete;

  int set_promiscuous(bool wanted) override {
    return wanted ? rte_eth_promiscuous_enable(ethdev_) : rte_eth_promiscuous_disable(ethdev_);
  }
  bool promiscuous() override { return rte_eth_promiscuous_get(ethdev_) == 1; }
  int set_all_multicast(bool wanted) override {
    return wanted ? rte_eth_allmulticast_enable(ethdev_) : rte_eth_allmulticast_disable(ethdev_);
  }
  bool all_multicast() override { return rte_eth_allmulticast_get(ethdev_) == 1; }
  int set_groups(const std::vector<MacAddress>& groups) override {
    std::vector<rte_ether_addr> list;
    std::transform(groups.begin(), groups.end(), std::back_inserter(list), ether);
    return rte_eth_dev_set_mc_addr_list(ethdev_, list.data(), static_cast<std::uint32_t>(list.size()));
  }
  int set_vlan(std::uint16_t id, bool wanted) override {
    return rte_eth_dev_vlan_filter(ethdev_, id, wanted ? 1 : 0);
  }
  int set_mac(const MacAddress& mac) override {
    rte_ether_addr address = ether(mac);
    return rte_eth_dev_default_mac_addr_set(ethdev_, &address);
  }
  MacAddress mac() override {
    MacAddress out{};
    rte_ether_addr mac{};
    if (rte_eth_macaddr_get(ethdev_, &mac) == 0) std::copy_n(mac.addr_bytes, out.size(), out.begin());
    return out;
  }
  DeviceSigns look() override {
    DeviceSigns out;
    rte_eth_link link{};
    out.link_up = rte_eth_link_get_nowait(ethdev_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
    if (out.link_up && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN) out.speed_mbps = link.link_speed;
    out.mac = mac();
    rte_eth_stats counts{};
    if (rte_eth_stats_get(ethdev_, &counts) == 0) {
      out.counts = {counts.ipackets,  counts.ibytes,   counts.imissed, counts.ierrors,
                    counts.rx_nombuf, counts.opackets, counts.obytes,  counts.oerrors};
    }
    out.asks_for_reset = asks_for_reset_.exchange(false, std::memory_order_acq_rel);
    out.removed = removed_.load(std::memory_order_acquire);
    return out;
  }

 private:
  // On DPDK's interrupt thread.
  static int on_event(std::uint16_t, rte_eth_event_type event, void* self, void*) {
    auto* calls = static_cast<EthdevCalls*>(self);
    if (event == RTE_ETH_EVENT_INTR_RESET) calls->asks_for_reset_.store(true, std::memory_order_release);
    if (event == RTE_ETH_EVENT_INTR_RMV) calls->removed_.store(true, std::memory_order_release);
    return 0;
  }

  std::uint16_t ethdev_;
  std::atomic<bool> asks_for_reset_{false};
  std::atomic<bool> removed_{false};
};

}  // namespace

std::unique_ptr<DeviceCalls> calls_of_ethdev(std::uint16_t ethdev) {
  return std::make_unique<EthdevCalls>(ethdev);
}

}  // namespace wg::dataplane
