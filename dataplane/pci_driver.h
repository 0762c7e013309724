// Which driver Linux has given a PCI device.
#pragma once

#include <string>

namespace wg::dataplane {

// Throws std::runtime_error when the PCI device is missing, or its driver is none that DPDK works with.
void check_bound(const std::string& pci);

}  // namespace wg::dataplane
