#include "dataplane/flow/flow.h"

#include <algorithm>
#include <cstring>

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

// As they follow each other from an IPv4 header's source on.
void put_ends4(const FlowTuple& tuple, std::uint8_t* to) {
  const Be16 ports[] = {Be16{tuple.source_port}, Be16{tuple.destination_port}};
  std::memcpy(to, tuple.source.bytes.data(), sizeof(Ipv4Bytes));
  std::memcpy(to + sizeof(Ipv4Bytes), tuple.destination.bytes.data(), sizeof(Ipv4Bytes));
  std::memcpy(to + 2 * sizeof(Ipv4Bytes), ports, sizeof ports);
}

void put_addresses(FlowDirection& direction, const FlowTuple& in, const FlowTuple& out) {
  std::uint8_t* const to = direction.addresses.data();
  direction.addresses = {};
  if (in.source.v6) {
    std::memcpy(to, in.source.bytes.data(), sizeof(Ipv6Bytes));
    std::memcpy(to + sizeof(Ipv6Bytes), in.destination.bytes.data(), sizeof(Ipv6Bytes));
  } else {
    put_ends4(in, to);
    put_ends4(out, to + FlowDirection::kLeaving4);
  }
}

// `in`: as packets arrive; `out`: as they leave.
void fill_direction(FlowDirection& direction, const FlowTuple& in, const FlowTuple& out, FlowIngress ingress,
                    BootSeconds now) {
  put_addresses(direction, in, out);
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
  const std::uint8_t* const at = addresses.data();
  const std::uint16_t from = source_port.value(), to = destination_port.value();
  if (v6) return {IpAddress::from_v6(at), IpAddress::from_v6(at + sizeof(Ipv6Bytes)), from, to, protocol};
  return {IpAddress::from_v4(at), IpAddress::from_v4(at + sizeof(Ipv4Bytes)), from, to, protocol};
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
