#include "tests/unit/publish/shared_dataplane.h"

namespace wg::control {

dataplane::Dataplane& shared_dataplane() {
  static dataplane::Dataplane* const dataplane = [] {
    dataplane::DataplaneOptions options;
    options.eal.worker_cores = {dataplane::usable_cpus().front()};
    options.eal.memory_mb = 64;
    options.eal.hugepages = dataplane::Hugepages::kOff;
    options.packet_buffers = 1024;
    return new dataplane::Dataplane(options);
  }();
  return *dataplane;
}

}  // namespace wg::control
