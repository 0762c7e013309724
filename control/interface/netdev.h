// The netdev of an interface in Linux: the TUN, its addresses, its MTU, up or down.
//
// W: Interface. R: the other parts of the interface. Control thread only; the workers use the TUN's queues.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/types.h"
#include "control/interface/own_addresses.h"
#include "control/interface/own_sysctls.h"
#include "control/kernel/types.h"
#include "control/services.h"
#include "dataplane/io/tun.h"

namespace wg::control {

class Netdev {
 public:
  // Creates it, down. Throws std::runtime_error; nothing is left behind then.
  // An `id` decides the ifindex (stable_index.h); empty: the kernel's choice.
  Netdev(Services& services, const std::string& name, std::uint16_t mtu,
         const std::vector<config::InterfaceAddress>& addresses, const std::string& id = {});

  [[nodiscard]] std::uint32_t ifindex() const { return tun_->ifindex(); }
  [[nodiscard]] std::uint16_t mtu() const { return mtu_; }
  // As it was set here, whatever others have made of it.
  [[nodiscard]] std::uint16_t wanted_mtu() const { return wanted_mtu_; }
  [[nodiscard]] dataplane::TunDevice& tun() { return *tun_; }
  [[nodiscard]] const std::vector<WantedSysctl>& sysctls() const { return sysctls_.all(); }

  Expected<> set_up(bool up);
  Expected<> set_mtu(std::uint16_t mtu);
  // The MTU was changed by another program (ip link). True: it differs now.
  bool follow_mtu(std::uint32_t mtu);
  // One that is there already is taken over.
  Expected<> add_address(const config::InterfaceAddress& address);
  // No error when it is gone. `undone`: on the way back from a plan; one that was there before stays.
  Expected<> remove_address(const config::InterfaceAddress& address, bool undone = false);
  [[nodiscard]] const std::vector<config::InterfaceAddress>& addresses() const { return addresses_.all(); }

  // The TUN is freed when every worker has let go of it. The object is not used any more.
  void retire(dataplane::Quiescence& quiescence) {
    quiescence.retire([tun = tun_.get()] { delete tun; });
    static_cast<void>(tun_.release());
  }

 private:
  void set_parameters(const std::string& name);

  Services& services_;
  std::unique_ptr<dataplane::TunDevice> tun_;
  std::uint16_t mtu_;
  std::uint16_t wanted_mtu_;
  OwnAddresses addresses_;
  OwnSysctls sysctls_;
};

}  // namespace wg::control
