#include "control/gateway/program_rings.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "control/convert.h"

namespace wg::control {
namespace {

// From the offer until the program has mapped the memory.
constexpr std::chrono::seconds kStartWithin{10};

}  // namespace

// ---------------------------------------------------------------- one of them

class ProgramRings::Session final : public RingSession {
 public:
  Session(ProgramRings& owner, std::string interface, std::unique_ptr<dataplane::ProgramRing> ring,
          OnEnd on_end)
      : owner_(owner), interface_(std::move(interface)), ring_(std::move(ring)), on_end_(std::move(on_end)) {
    owner_.sessions_.push_back(this);
  }
  ~Session() override {
    std::erase(owner_.sessions_, this);
    if (started_ && !ended_) {
      owner_.log_->write(log_event::ring_left, {.interface = interface_},
                         "interface {}: {}the program has closed its ring", interface_,
                         ring_->routed() ? "" : "its inner side is Linux again: ");
      owner_.announce(GatewayEventKind::kRingClosed, interface_, "closed by the program");
    }
    give_back();
    // Workers may be at it until each has passed the snapshot without it.
    owner_.services_.dataplane.quiescence().retire([ring = std::move(ring_)] {});
  }

  [[nodiscard]] const std::string& interface() const { return interface_; }

  RingOffer take_offer() override {
    RingOffer offer;
    offer.queues = ring_->queue_count();
    offer.bytes = ring_->bytes();
    offer.slots = ring_->slots();
    offer.slot_bytes = ring_->slot_bytes();
    offer.routed = ring_->routed();
    offer.offloads = ring_->offloads();
    if (const Interface* interface = owner_.objects_.find_interface(interface_)) offer.mtu = interface->mtu();
    for (dataplane::FileDescriptor& fd : ring_->take_descriptors()) offer.descriptors.push_back(fd.release());
    return offer;
  }

  Expected<> start() override {
    if (started_ || ended_) return Refusal{EINVAL, "the ring has started already"};
    const Interface* const interface = owner_.objects_.find_interface(interface_);
    if (interface == nullptr) return Refusal{ENOENT, "no interface " + interface_};
    if (const Expected<> sealed = ring_->seal(); !sealed) return sealed.error();
    started_ = true;
    owner_.services_.publisher.set_ring(interface->id(), ring_.get());
    owner_.services_.publisher.flush_settings();
    const std::string facts = std::to_string(ring_->queue_count()) + " queue(s) of " +
                              std::to_string(ring_->slots()) + " slots each way";
    owner_.log_->write(log_event::ring_joined, {.interface = interface_},
                       "interface {}: a program is {} now, by a ring with {}", interface_,
                       ring_->routed() ? "a host behind it" : "its inner side", facts);
    owner_.announce(GatewayEventKind::kRingOpened, interface_, facts);
    return {};
  }

  void check() {
    if (ended_) return;
    if (!started_ && std::chrono::steady_clock::now() - made_ > kStartWithin)
      return end("the program has not mapped its memory in time");
    if (started_ && holder() == nullptr) return end("the interface is gone");
    if (ring_->fault() != dataplane::RingFault::kNone) end(text_of(ring_->fault()));
  }

 private:
  // The interface, while this is its ring.
  [[nodiscard]] const Interface* holder() const {
    const Interface* const interface = owner_.objects_.find_interface(interface_);
    if (interface == nullptr) return nullptr;
    const dataplane::ProgramRing* const ring =
        std::as_const(owner_.services_.publisher).interface(interface->id()).ring;
    return ring == ring_.get() ? interface : nullptr;
  }
  void give_back() {
    const Interface* const interface = holder();
    if (interface == nullptr) return;
    owner_.services_.publisher.set_ring(interface->id(), nullptr);
    owner_.services_.publisher.flush_settings();
  }
  void end(const std::string& reason) {
    ended_ = true;
    owner_.log_->write(log_event::ring_ended, {.interface = interface_},
                       "interface {}: the ring of its program ends: {}", interface_, reason);
    owner_.announce(GatewayEventKind::kRingClosed, interface_, reason);
    give_back();
    on_end_(reason);
  }

  ProgramRings& owner_;
  const std::string interface_;
  std::shared_ptr<dataplane::ProgramRing> ring_;
  const OnEnd on_end_;
  const std::chrono::steady_clock::time_point made_ = std::chrono::steady_clock::now();
  bool started_ = false, ended_ = false;
};

// ---------------------------------------------------------------- all of them

ProgramRings::ProgramRings(Services& services, const Objects& objects, Logger log)
    : services_(services), objects_(objects), log_(std::move(log)) {}

Expected<std::unique_ptr<RingSession>> ProgramRings::open_ring(const RingRequest& request, OnEnd on_end) {
  return catch_refusal([&] { return make(request, std::move(on_end)); });
}

Expected<std::unique_ptr<RingSession>> ProgramRings::make(const RingRequest& request, OnEnd on_end) {
  const Interface* const interface = objects_.find_interface(request.interface);
  if (interface == nullptr) return Refusal{ENOENT, "no interface " + request.interface};
  const bool taken = std::any_of(sessions_.begin(), sessions_.end(), [&](const Session* session) {
    return session->interface() == request.interface;
  });
  if (taken) return Refusal{EBUSY, "interface " + request.interface + " has a program already"};
  if (sessions_.size() >= kMost) return Refusal{EBUSY, std::to_string(kMost) + " rings are open already"};
  const auto sources = sources_of(request, *interface);
  if (!sources) return sources.error();
  dataplane::RingOptions options;
  options.queues = services_.dataplane.workers().size();
  options.slots = request.slots;
  options.largest = interface->mtu();
  options.sources = *sources;
  options.routed = request.routed;
  options.offloads = request.offloads;
  options.join_udp = request.join_udp;
  options.pid = request.pid;
  auto ring = dataplane::ProgramRing::create(options);
  if (!ring) return ring.error();
  return std::make_unique<Session>(*this, request.interface, *std::move(ring), std::move(on_end));
}

Expected<dataplane::RingSources> ProgramRings::sources_of(const RingRequest& request,
                                                          const Interface& interface) const {
  if (const Expected<> checked = check_routed(request); !checked) return checked.error();
  dataplane::RingSources sources;
  bool fits = true;
  for (const config::InterfaceAddress& prefix : request.sources)
    fits &= sources.add(to_dataplane(prefix.address), prefix.length);
  if (request.sources.empty()) {
    for (const IpPrefix& own : interface.wanted().addresses)
      fits &= sources.add(own.address, own.address.v6 ? 128 : 32);
  }
  if (!fits)
    return Refusal{EINVAL,
                   "a program has at most " + std::to_string(dataplane::RingSources::kMost) + " sources"};
  if (sources.size() == 0)
    return Refusal{EINVAL,
                   "interface " + request.interface +
                       " has no address in the configuration: say from which addresses the program sends"};
  return sources;
}

Expected<> ProgramRings::check_routed(const RingRequest& request) const {
  if (!request.routed) return {};
  if (request.sources.empty())
    return Refusal{EINVAL, "a program that is routed must say which addresses are its own"};
  for (const config::InterfaceAddress& prefix : request.sources) {
    const dataplane::IpAddress address = to_dataplane(prefix.address);
    if (prefix.length == (address.v6 ? 128 : 32) && services_.mirror.is_local(address))
      return Refusal{EINVAL, config::to_string(prefix.address) +
                                 " is an address of this machine, and cannot be a routed program's"};
  }
  return {};
}

// One that ends may remove others with it.
void ProgramRings::every_second() {
  const std::vector<Session*> all = sessions_;
  for (Session* session : all)
    if (std::find(sessions_.begin(), sessions_.end(), session) != sessions_.end()) session->check();
}

void ProgramRings::announce(GatewayEventKind kind, const std::string& interface, const std::string& detail) {
  GatewayEvent event;
  event.at = std::chrono::system_clock::now();
  event.kind = kind;
  event.interface = interface;
  event.detail = detail;
  services_.emit(std::move(event));
}

}  // namespace wg::control
