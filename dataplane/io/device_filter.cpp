#include "dataplane/io/device_filter.h"

#include <rte_errno.h>

namespace wg::dataplane {

namespace {

std::string reason(int error) {
  return error == 0 ? "it answers that it does, but does not" : rte_strerror(-error);
}

}  // namespace

void DeviceFilter::apply(const WantedFrames& wanted) {
  if (applied_ && wanted == wanted_) return;
  wanted_ = wanted;
  applied_ = true;
  concerns_.clear();
  apply_mac();
  apply_groups();
  apply_vlans();
}

// True: the device is in the wanted mode.
bool DeviceFilter::want_promiscuous(bool wanted, int& error) {
  error = 0;
  if (device_.promiscuous() != wanted) error = device_.set_promiscuous(wanted);
  return error == 0 && device_.promiscuous() == wanted;
}

// The address of the TAP: a card passes it in promiscuous mode; a virtual function can only be given it.
void DeviceFilter::apply_mac() {
  const bool own = wanted_.mac == own_;
  int error = 0, set = 0;
  if (kind_.is_virtual_function && device_.mac() != wanted_.mac) set = device_.set_mac(wanted_.mac);
  if (kind_.is_virtual_function && !own) {
    concerns_.push_back("frames to " + to_string(wanted_.mac) + " arrive only if the physical function " +
                        "assigns that address to this virtual function, or trusts it" +
                        (set == 0 ? std::string() : " (" + reason(set) + ")"));
  }
  const bool promiscuous = wanted_.other_addresses || (!own && !kind_.is_virtual_function);
  if (!want_promiscuous(promiscuous, error) && promiscuous)
    concerns_.push_back("the device refuses promiscuous mode (" + reason(error) +
                        "): frames to other MAC addresses than its own " + to_string(device_.mac()) +
                        " do not arrive");
}

// A list first: virtual functions are seldom granted all addresses, and some forget the list when asked for
// all.
void DeviceFilter::apply_groups() {
  if (!wanted_.all_groups && !list_refused_) {
    if (device_.all_multicast()) device_.set_all_multicast(false);
    if (device_.set_groups(wanted_.groups) == 0) return;
    list_refused_ = true;
  }
  int error = 0;
  if (!device_.all_multicast()) error = device_.set_all_multicast(true);
  if (error != 0 || !device_.all_multicast())
    concerns_.push_back("the device takes no multicast frames (" + reason(error) +
                        "): IPv6 and routing protocols do not work on it");
}

void DeviceFilter::apply_vlans() {
  if (!kind_.filters_vlans) return;
  for (const std::uint16_t id : passed_vlans_) {
    if (!wanted_.vlans.contains(id)) device_.set_vlan(id, false);
  }
  std::set<std::uint16_t> passed;
  for (const std::uint16_t id : wanted_.vlans) {
    const int error = passed_vlans_.contains(id) ? 0 : device_.set_vlan(id, true);
    if (error == 0) {
      passed.insert(id);
    } else {
      concerns_.push_back("the device takes no frames of VLAN " + std::to_string(id) + " (" + reason(error) +
                          ")");
    }
  }
  passed_vlans_ = std::move(passed);
}

}  // namespace wg::dataplane
