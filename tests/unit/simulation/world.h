// N gateways, a hostile network and a virtual clock. One seed gives one history, to the byte.
#pragma once

#include <map>
#include <set>

#include "node.h"

namespace wg::noise::sim {

struct Totals {
  std::uint64_t sealed = 0;
  std::uint64_t opened = 0;
  std::uint64_t delivered = 0;
  std::uint64_t sessions = 0;
  std::uint64_t restarts = 0;
  std::uint64_t cookies = 0;
  std::uint64_t replayed = 0;
  std::chrono::nanoseconds simulated{0};
};

class SimulatedNetwork final : public Wire {
 public:
  SimulatedNetwork(std::uint64_t seed, std::uint32_t nodes);
  ~SimulatedNetwork() override;

  // One random action of an honest node, the operator or the attacker, then everyone's turn.
  void step();
  // The network heals and the configuration agrees: afterwards every pair must talk both ways.
  void heal_and_check();
  [[nodiscard]] const Totals& totals() const { return totals_; }
  [[nodiscard]] const char* last_action() const { return last_action_; }

 private:
  // Wire
  void transmit(Datagram datagram) override;
  void delivered(const Inner& inner, std::uint32_t at_node) override;
  void sealed(const Keypair& keypair, std::uint64_t counter) override;
  void opened(const Keypair& keypair, std::uint64_t counter) override;

  // the honest
  void send_data();
  void roam();
  void jump_counters();
  void restart();
  void down_and_up();
  // the operator
  void change_psk();
  void change_private_key();
  void change_keepalive();
  void remove_or_add();
  void step_wall_clock();
  void heal_configuration();
  // the attacker
  void replay();
  void forge();
  void flood();
  void spoof_source();

  void act();
  void pass_time();
  void deliver_due();
  void everyone();
  [[nodiscard]] Node& any();
  [[nodiscard]] std::uint32_t other_than(std::uint32_t id);
  void introduce(std::uint32_t a, std::uint32_t b);
  void check_configuration();
  void collect_totals(const Node& node);

  using KeyCounter = std::pair<std::array<std::uint8_t, 32>, std::uint64_t>;

  SeededRandom random_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, PresharedKey> psk_;
  std::multimap<BootTime, Datagram> in_flight_;
  std::vector<Datagram> recorded_;
  std::set<KeyCounter> sealed_;
  std::set<KeyCounter> opened_;
  std::map<std::uint64_t, Inner> sent_;
  std::set<std::uint64_t> delivered_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> delivered_between_;
  std::uint64_t next_id_ = 1;
  std::uint16_t next_port_ = 1000;
  bool hostile_ = true;
  bool muted_ = false;
  const char* last_action_ = "";
  Totals totals_;
};

}  // namespace wg::noise::sim
