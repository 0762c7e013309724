// One trial of the generator: so many packets a second for so long.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "bench/vf/generator.h"

namespace wg::bench {

class Trial {
 public:
  Trial(Generator& generator, const Order& order);
  Result run();

 private:
  // What the packets that come back look like.
  enum class Shape : std::uint8_t {
    kPlain,       // an inner packet in a frame
    kUnsealed,    // a message that was never sealed: the stamp can be read
    kOurSealed,   // a message that we have sealed, from the forwarder
    kFromGateway  // a message that the gateway has sealed
  };
  static Shape shape_of(const Order& order);

  void send_due(std::uint64_t now);
  [[nodiscard]] std::uint16_t count_due(std::uint64_t now);
  void send_burst(std::uint16_t count, std::uint64_t now);
  void choose_flows(std::span<std::uint32_t> flows);
  std::size_t write_frame(std::uint8_t* frame, std::uint32_t flow, std::uint64_t now);
  std::size_t write_message(std::uint8_t* frame, std::uint32_t flow, const Stamp& stamp, std::uint32_t inner);
  void keep_alive(std::uint64_t now);

  void receive(std::uint64_t now);
  void take(rte_mbuf* packet, std::uint64_t now);
  void take_plain(rte_mbuf* packet, std::size_t before, std::size_t behind, std::uint64_t now);
  void take_our_sealed(rte_mbuf* packet);
  void take_from_gateway(rte_mbuf* packet, std::uint64_t now);
  struct Held {
    rte_mbuf* packet;
    dataplane::Keypair* session;  // null: looped, there is none
    std::uint64_t clock;          // of arrival
  };
  static crypto::AeadOp opening(const Held& held);
  void count_arrival(Arrival arrival);
  [[nodiscard]] bool is_to_be_opened();
  void hold(rte_mbuf* packet, dataplane::Keypair* session, std::uint64_t now);
  void open_held();
  void judge_held(std::size_t i, const crypto::AeadOp& op);
  void drain();
  void note_gap(std::uint64_t clocks);

  Generator& generator_;
  const Order& order_;
  Wire &to_, &from_, &beside_;
  const Shape shape_;
  const double per_clock_;                         // packets
  const std::uint64_t least_burst_, most_behind_;  // packets
  std::uint64_t begin_ = 0, scheduled_ = 0;
  std::size_t size_turn_ = 0;
  std::uint32_t until_open_ = 0;
  Result result_;

  std::array<crypto::AeadOp, kBurst> sealing_;
  std::uint16_t to_seal_ = 0;

  std::array<Held, kBurst> held_;
  std::size_t held_count_ = 0;
};

}  // namespace wg::bench
