#include "dataplane/pci_driver.h"

#include <unistd.h>

#include <stdexcept>

namespace wg::dataplane {

void check_bound(const std::string& pci) {
  const std::string device = "/sys/bus/pci/devices/" + pci;
  if (access(device.c_str(), F_OK) != 0)
    throw std::runtime_error("port device " + pci + ": no such PCI device");
  char driver[256] = {};
  const ssize_t n = readlink((device + "/driver").c_str(), driver, sizeof driver - 1);
  const std::string bound = n > 0 ? std::string(driver).substr(std::string(driver).rfind('/') + 1) : "none";
  // Bifurcated drivers (mlx4/5) keep their kernel driver; everything else needs a user-space one.
  if (bound == "vfio-pci" || bound == "uio_pci_generic" || bound == "igb_uio" || bound.rfind("mlx", 0) == 0)
    return;
  throw std::runtime_error("port device " + pci + " is bound to driver '" + bound +
                           "'; bind it to vfio-pci first: scripts/bind-port.sh " + pci);
}

}  // namespace wg::dataplane
