// The stages of one worker and the bursts between them. Their order is worker.cpp, the only file that
// includes this one.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/core/core.h"
#include "dataplane/core/egress.h"
#include "dataplane/stage/classify.h"
#include "dataplane/stage/crypto.h"
#include "dataplane/stage/crypto_sharing.h"
#include "dataplane/stage/flows.h"
#include "dataplane/stage/fragment.h"
#include "dataplane/stage/icmp.h"
#include "dataplane/stage/program.h"
#include "dataplane/stage/receive.h"
#include "dataplane/stage/route.h"
#include "dataplane/stage/send.h"

namespace wg::dataplane {

struct Journey {
  Journey(const WorkerOptions& options, const crypto::AeadEngine& engine, rte_mempool* pool,
          Doorbell& doorbell);

  void begin_loop(std::uint64_t now) noexcept;  // TSC
  // Where packets come in; each runs what it found to its end. True: there was something.
  bool poll_port(BurstContext& at, PortIndex index);
  bool poll_programs(BurstContext& at);
  bool poll_tuns(BurstContext& at);
  bool poll_taps(const BurstContext& at);
  bool drain_commands(BurstContext& at);
  void take_command(const BurstContext& at, const Command& command);
  [[gnu::cold]] void watch_command(const Command& command);
  bool finish_exceptions(const BurstContext& at, std::size_t taken);
  std::size_t read_from_linux(KernelInterface* from, std::span<rte_mbuf*> packets);

  void run_to_completion(const BurstContext& at);
  void finish_opened(const BurstContext& at, DataBurst& opened);
  void route_and_send(const BurstContext& at);
  void carry_flows(const BurstContext& at);
  void send_all(const BurstContext& at);
  void send_round(const BurstContext& at);
  void drop_rest();

  // Jobs whose crypto may be another worker's.
  bool work_on_jobs(BootTime now);
  void release_finished_jobs(BootTime now);
  void release(CryptoJob& job, BootTime now);
  void finish_all_jobs(BootTime now);

  Core core;
  Egress egress;
  Classify classify;
  Receive receive;
  Flows flows;
  Route route;
  Send sender;
  Fragment fragment;
  Icmp icmp;
  Program program;
  Crypto crypto;
  CryptoSharing sharing;

  DataBurst data;     // classified -> opened
  InnerBurst inner;   // needs a route
  InnerBurst apart;   // out of `inner`, when only some of it may be of a connection that Linux has accepted
  FlowBurst carried;  // those connections
  SendBurst send;     // needs a session and a seal
};

}  // namespace wg::dataplane
