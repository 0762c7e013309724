// The gateway: everything the daemon runs. It makes the parts, connects them with what the kernel reports,
// and stops them in order. The parts do the work: rounds.h, changes.h, plan_runner.h, objects.h,
// status_reader.h, sockets.h and the others of this folder; docs/decisions/0017-gateway-in-parts.md says who
// writes what.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/types.h"
#include "control/flows/flow_service.h"
#include "control/gateway/actions.h"
#include "control/gateway/changes.h"
#include "control/gateway/drift.h"
#include "control/gateway/notices.h"
#include "control/gateway/objects.h"
#include "control/gateway/packet_watch.h"
#include "control/gateway/path_errors.h"
#include "control/gateway/plan_runner.h"
#include "control/gateway/port_keeper.h"
#include "control/gateway/port_watch.h"
#include "control/gateway/program_rings.h"
#include "control/gateway/published_counters.h"
#include "control/gateway/rate_reader.h"
#include "control/gateway/rounds.h"
#include "control/gateway/running_config.h"
#include "control/gateway/saved_state.h"
#include "control/gateway/signals.h"
#include "control/gateway/sockets.h"
#include "control/gateway/status_reader.h"
#include "control/gateway/worker_watch.h"
#include "control/log.h"
#include "control/loop/background.h"
#include "control/services.h"

namespace wg::control {

class Gateway {
 public:
  // Starts DPDK, ports, interfaces and sockets. Throws std::runtime_error; everything is undone then.
  // `allow_key_captures`: captures may record secrets (docs/security.md).
  Gateway(const config::Gateway& value, std::string config_path, bool allow_key_captures = false);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Until the stop request or a termination signal.
  void run();

  // From any thread: `inspector` runs on the control thread, with what the workers see. For tests.
  using Inspector =
      std::function<void(const dataplane::Snapshot& snapshot, const Objects::Interfaces& interfaces)>;
  void inspect(Inspector inspector);
  // From any thread.
  [[nodiscard]] RoundTimes& round_times() { return services_.rounds; }

 private:
  // Linux as the wires and the file say, and what comes back from the paths to peers.
  struct Agreement {
    PortWatch ports;
    Drift drift;
    PathErrors path_errors;
  };
  // The watches of clients of the control sockets, and the rings of programs.
  struct Watched {
    PacketWatch packets;
    RateReader rates;
    ProgramRings rings;
  };

  void start(const config::Gateway& value);
  void apply_in_order(const config::Gateway& value);
  void open_sockets();
  void give_up_root();
  void watch_signals();
  void watch_descriptors();
  void on_kernel_changes();
  void on_links_changed();
  void follow_ports();
  void on_ipsec_changed();
  void on_routes_and_neighbours();
  void follow_start();
  void on_plan_carried_out();
  void on_resolved();
  void every_second();
  [[nodiscard]] bool listens(const Endpoint& local) const;
  void stop_everything();

  // In the order in which they are made: a part refers to those above it, and Actions to `sockets_` too.
  Services services_;
  Logger log_;
  Background background_;
  RunningConfig running_;
  Objects objects_;
  WorkerWatch watch_;
  PortKeeper keeper_;
  Agreement agreement_;
  Notices notices_;
  SavedState saved_;
  FlowService flows_;
  PublishedCounters counters_;
  StatusReader status_;
  Actions actions_;
  PlanRunner runner_;
  Changes changes_;
  Watched watched_;
  Sockets sockets_;
  Rounds rounds_;
  Signals signals_;
};

}  // namespace wg::control
