// A daemon that is only a model: interfaces as values, peers with invented statistics.
#pragma once

#include <cerrno>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "control/api/change_sink.h"
#include "control/api/secret_source.h"
#include "control/api/status_source.h"

namespace wg::control::test {

// Unoptimised builds (sanitizers) are twenty times slower; what is tested is the same with a tenth.
#ifdef NDEBUG
inline constexpr unsigned kManyPeers = 20'000;
#else
inline constexpr unsigned kManyPeers = 2'000;
#endif

// CPU time of this process: unlike the wall clock it does not measure what else the machine does.
std::chrono::nanoseconds cpu_time();

// A key whose 32 bytes are all `byte`.
config::Key key_of(std::uint8_t byte);
config::SecretKey secret_of(std::uint8_t byte);
std::string hex_of(const config::Key& key);

class FakeGateway : public StatusSource, public SecretSource, public ChangeSink {
 public:
  std::map<std::string, config::Interface, std::less<>> interfaces_by_name;
  std::set<UdpPort> taken_ports;
  std::vector<std::string> calls;
  int sets = 0;
  int creations = 0;
  config::PeerEffects effects;  // of the last set
  PlanOutcome plan;
  bool defer_plans = false, defer_sets = false;
  std::vector<PlanDone> deferred;
  std::vector<ChangeDone> deferred_sets;
  std::map<std::string, WallTime> handshakes;  // by peer name
  std::optional<PeerFacts> facts;
  RouteFacts route;    // what explain_route() answers, with the address that was asked for
  PacketFacts packet;  // what explain_packet() answers, with the packet that was asked for
  std::map<std::string, std::uint32_t> made_at;  // the ifindex of created interfaces; others have 1
  bool stopped = false;
  bool waits_for_confirm = false;
  mutable unsigned config_changes = 0;   // while an interface is exported
  bool link_up = true;                   // of the port
  std::uint32_t ifindex = 0;             // of each interface
  std::uint64_t received_bytes = 1536;   // of each interface
  std::optional<ProgramStatus> program;  // of each interface
  std::uint64_t dropped = 5;             // as bad_tag
  struct {
    std::optional<WallTime> first, spell, last;
  } drop_times;  // of bad_tag

  config::Interface& wg0() { return interfaces_by_name["wg0"]; }
  // A peer "peerN" with key bytes derived from N, one allowed IP and figures that follow from N.
  void add_peers(const std::string& interface, unsigned count);

  GatewayStatus status() const override;
  std::vector<InterfaceStatus> interfaces() const override;
  std::optional<InterfaceIdentity> find_interface(std::string_view interface) const override;
  std::vector<PortStatus> ports() const override;
  std::vector<WorkerStatus> workers() const override;
  std::vector<DropStatus> drops() const override;
  std::unique_ptr<FlowReading> read_flows(const FlowQuery& query) const override;
  bool visit_peers(PeerCursor& at, const PeerFilter& filter, SliceEnd until,
                   const std::function<void(PeerStatus&&)>& visit) const override;
  std::optional<PeerStatus> find_peer(std::string_view interface, std::string_view peer) const override;
  std::optional<PeerFacts> explain_peer(std::string_view interface, std::string_view peer) const override;
  RouteFacts explain_route(const config::Address& address) const override {
    RouteFacts answer = route;
    answer.address = config::to_string(address);
    return answer;
  }
  Expected<PacketFacts> explain_packet(const PacketQuery& query) const override {
    if (query.from == "wan") return Refusal{ENOENT, "no port and no interface wan"};
    PacketFacts answer = packet;
    answer.packet = query;
    answer.linux_route.address = config::to_string(query.destination);
    return answer;
  }
  Expected<bool> visit_config(std::string_view interface, ConfigCursor& at, SliceEnd until,
                              const ConfigVisitor& visit) const override;
  std::optional<WgDevice> wg_get(std::string_view interface) const override;
  Expected<bool> wg_peers(std::string_view interface, PeerCursor& at, SliceEnd until,
                          const std::function<void(WgPeer&&)>& visit) const override;
  void apply_wg_set(std::string_view interface, WgSet&& set, ChangeDone done) override;
  void reload(const ReloadOptions& options, PlanDone done) override;
  Expected<> confirm() override {
    if (!waits_for_confirm) return Refusal{EINVAL, "no reload waits to be confirmed"};
    calls.emplace_back("confirm");
    return {};
  }
  void rollback(PlanDone done) override { answer("rollback", std::move(done)); }
  void diff(PlanDone done) override;
  void save(PlanDone done) override;
  void interface_create(const std::string& name, config::Interface value, ChangeDone done) override;
  void release(std::uint64_t bound_to) override;
  [[nodiscard]] bool in_use() const override { return !interfaces_by_name.empty(); }
  void interface_up(const std::string& name, ChangeDone done) override;
  void interface_down(const std::string& name, ChangeDone done) override;
  void interface_delete(const std::string& name, ChangeDone done) override;
  void port_restart(const std::string& name, ChangeDone done) override;
  void set_log_level(const std::string& interface, config::LogLevel level, ChangeDone done) override;
  void stop() override;

 private:
  void answer(const char* call, PlanDone done);
  Expected<> set(std::string_view interface, WgSet&& set);
  mutable std::unordered_map<std::string, std::size_t> places_;  // of peers in their interface, by key
  PeerStatus status_of(const std::string& interface, const config::Peer& peer) const;
};

}  // namespace wg::control::test
