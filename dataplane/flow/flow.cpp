#include "dataplane/flow/flow.h"

#include <algorithm>

#include "dataplane/packet/checksum.h"

namespace wg::dataplane {

namespace {

// The one's complement difference that turns a sum over `before` into one over `after`.
std::uint16_t difference(ChecksumSum before, ChecksumSum after) {
  return checksum_fold(ChecksumSum{checksum_fold(after)} +
                       static_cast<std::uint16_t>(~checksum_fold(before)));
}

ChecksumSum address_sum(const FlowTuple& tuple) {
  const ChecksumSum sum = checksum_add(0, tuple.source.bytes);
  return checksum_add(sum, tuple.destination.bytes);
}

ChecksumSum port_sum(const FlowTuple& tuple) {
  return ChecksumSum{Be16{tuple.source_port}.native()} + Be16{tuple.destination_port}.native();
}

IpAddress address_of(const std::array<std::uint8_t, 16>& bytes, bool v6) {
  return v6 ? IpAddress::from_v6(bytes.data()) : IpAddress::from_v4(bytes.data());
}

// `in`: as packets arrive; `out`: as they leave.
void fill_direction(FlowDirection& direction, const FlowTuple& in, const FlowTuple& out, FlowIngress ingress,
                    BootSeconds now) {
  direction.source = in.source.bytes;
  direction.destination = in.destination.bytes;
  direction.source_port = Be16{in.source_port};
  direction.destination_port = Be16{in.destination_port};
  direction.ip_difference = difference(address_sum(in), address_sum(out));
  direction.transport_difference =
      difference(address_sum(in) + port_sum(in), address_sum(out) + port_sum(out));
  direction.protocol = in.protocol;
  direction.v6 = in.source.v6;
  direction.rewritten = in != out;
  direction.ingress.store(ingress.bits(), std::memory_order_relaxed);
  direction.last_used.store(now, std::memory_order_relaxed);
  direction.packets.store(0, std::memory_order_relaxed);
  direction.bytes.store(0, std::memory_order_relaxed);
}

std::string end_of(const IpAddress& address, std::uint16_t port) {
  return to_string(Endpoint{address, UdpPort{port}});
}

}  // namespace

FlowTuple FlowDirection::tuple() const {
  return {address_of(source, v6), address_of(destination, v6), source_port.value(), destination_port.value(),
          protocol};
}

void fill(Flow& flow, const FlowTuple& original, const FlowTuple& reply, FlowIngress original_ingress,
          FlowIngress reply_ingress, BootSeconds now) {
  fill_direction(flow.direction[kOriginal], original, reply.turned_round(), original_ingress, now);
  fill_direction(flow.direction[kReply], reply, original.turned_round(), reply_ingress, now);
}

std::string to_string(const FlowTuple& tuple) {
  const char* protocol = tuple.protocol == ip_protocol::kTcp ? "tcp " : "udp ";
  return protocol + end_of(tuple.source, tuple.source_port) + " -> " +
         end_of(tuple.destination, tuple.destination_port);
}

}  // namespace wg::dataplane
