// A program's ring with both ends in this process: the library's by the real control server, the gateway's as
// a worker has it.
#pragma once

#include <linegate.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include "control/api/rpc.h"
#include "dataplane/io/program_ring.h"
#include "tests/unit/lib/support.h"

namespace wg::control::test {

inline constexpr std::uint32_t kSlots = 64;

// What program_rings.cpp does, without interfaces.
class RingModel : public RingSource {
 public:
  explicit RingModel(std::size_t queues) : queues_(queues) {}
  Expected<std::unique_ptr<RingSession>> open_ring(const RingRequest& request, OnEnd) override {
    if (ring != nullptr) return Refusal{EBUSY, "there is one"};
    last = request;
    dataplane::RingOptions options;
    options.queues = queues_;
    options.slots = request.slots;
    options.routed = request.routed;
    options.offloads = request.offloads;
    options.join_udp = request.join_udp;
    auto made = dataplane::ProgramRing::create(options);
    if (!made) return made.error();
    return std::make_unique<Session>(*this, *std::move(made));
  }
  dataplane::ProgramRing* ring = nullptr;  // the one that has been started
  RingRequest last;
  bool is_old = false;  // it does not know the newer options

 private:
  struct Session final : RingSession {
    Session(RingModel& of, std::unique_ptr<dataplane::ProgramRing> made) : model(of), own(std::move(made)) {}
    ~Session() override {
      if (model.ring == own.get()) model.ring = nullptr;
    }
    RingOffer take_offer() override {
      RingOffer offer;
      offer.queues = own->queue_count();
      offer.bytes = own->bytes();
      offer.slots = own->slots();
      offer.slot_bytes = own->slot_bytes();
      offer.mtu = 1420;
      offer.routed = own->routed() && !model.is_old;
      offer.offloads = own->offloads() && !model.is_old;
      for (auto& fd : own->take_descriptors()) offer.descriptors.push_back(fd.release());
      return offer;
    }
    Expected<> start() override {
      model.ring = own.get();
      return own->seal();
    }
    RingModel& model;
    std::unique_ptr<dataplane::ProgramRing> own;
  };
  const std::size_t queues_;
};

// Throws what the library says.
class Card {
 public:
  explicit Card(std::size_t queues = 1, std::uint32_t flags = 0, std::uint32_t slots = kSlots)
      : model_(queues) {
    thread_.on_loop([this] {
      server_ = std::make_unique<RpcServer>(
          thread_.loop, RpcTargets{gateway_, gateway_, gateway_, {}, nullptr, nullptr, nullptr, &model_},
          RpcSockets{directory_.socket(), {}, {}, {}}, StreamLimits{});
    });
    must(lg_adapter_create("app0", nullptr, nullptr, 0, &adapter));
    const lg_allowed_ip own{sizeof own, 0, {10, 9, 0, 1}, LG_IPV4, 32, 0, 0};
    must(lg_ring_open(adapter, slots, flags, &own, 1, &ring));
  }
  ~Card() {
    lg_ring_close(ring);
    lg_adapter_close(adapter);
    stop();
  }
  void stop() {
    thread_.on_loop([this] { server_.reset(); });
  }
  [[nodiscard]] RingModel& model() { return model_; }
  // The server has seen the end of the last ring.
  void wait_until_free() {
    for (int i = 0; i < 1000; ++i) {
      bool free = false;
      thread_.on_loop([&] { free = model_.ring == nullptr; });
      if (free) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  dataplane::ProgramQueue& worker(std::size_t queue = 0) {
    thread_.on_loop([] {});
    return model_.ring->queue(queue);
  }

  lg_adapter* adapter = nullptr;
  lg_ring* ring = nullptr;

 private:
  static void must(lg_error error) {
    if (error == LG_OK) return;
    const char* text = "";
    lg_last_error(&text);
    throw std::runtime_error(text);
  }

  SocketDirectory directory_;
  FakeGateway gateway_;
  RingModel model_;
  ServerThread thread_;
  std::unique_ptr<RpcServer> server_;
};

}  // namespace wg::control::test
