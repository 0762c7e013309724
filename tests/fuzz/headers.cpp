// Any bytes through every parser, layer by layer: no view may leave the input, which AddressSanitizer sees in
// a block of exactly the input's size, and what a parser accepts must agree with itself.
#include "dataplane/packet/headers.h"

#include <algorithm>
#include <memory>

#include "dataplane/packet/checksum.h"
#include "tests/fuzz/input.h"

namespace {

using wg::fuzz::require;

using namespace wg::dataplane;

// Reads every byte of a view and requires it to lie in `outer`.
void touch(Bytes view, Bytes outer) {
  require(view.empty() ||
          (view.data() >= outer.data() && view.data() + view.size() <= outer.data() + outer.size()));
  volatile std::uint16_t sink = checksum_fold(checksum_add(0, view));
  (void)sink;
}

void transport(std::uint8_t protocol, Bytes payload) {
  UdpView udp;
  TcpView tcp;
  IcmpView icmp;
  if (protocol == ip_protocol::kUdp && parse_udp(payload, &udp) == Parse::kOk) {
    touch(udp.payload, payload);
    require(udp.payload.size() + kUdpHeaderSize == udp.header->length.value());
    (void)classify_message(udp.payload);
  }
  if (protocol == ip_protocol::kTcp && parse_tcp(payload, &tcp) == Parse::kOk) {
    touch(tcp.payload, payload);
    require(tcp.header_length + tcp.payload.size() == payload.size());
  }
  if (parse_icmp(payload, &icmp) == Parse::kOk) touch(icmp.payload, payload);
}

void network(Bytes bytes) {
  IpView ip;
  if (parse_ip(bytes, &ip) != Parse::kOk) return;
  touch(ip.payload, bytes);
  touch({ip.source, ip.v6 ? 16u : 4u}, bytes);
  touch({ip.destination, ip.v6 ? 16u : 4u}, bytes);
  require(ip.header_length + ip.payload.size() == ip.total_length && ip.total_length <= bytes.size());
  Ipv4View v4;
  if (parse_ipv4(bytes, &v4) == Parse::kOk) {
    require(!ip.v6 && v4.total_length == ip.total_length);
    (void)ipv4_checksum_valid(*v4.header);
  }
  transport(ip.protocol, ip.payload);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto block = std::make_unique<std::uint8_t[]>(size);
  std::copy_n(data, size, block.get());
  const Bytes bytes{block.get(), size};
  EthernetView ethernet;
  if (parse_ethernet(bytes, &ethernet) == Parse::kOk) {
    touch(ethernet.payload, bytes);
    require(ethernet.l3_offset() + ethernet.payload.size() == size);
    network(ethernet.payload);
    const ArpPacket* arp = nullptr;
    if (parse_arp(ethernet.payload, &arp) == Parse::kOk) touch({bytes_of(*arp), sizeof *arp}, bytes);
  }
  network(bytes);
  const MessageClass message = classify_message(bytes);
  require(message != MessageClass::kTransportData || size >= kKeepaliveSize);
  require(message != MessageClass::kInitiation || size == kInitiationSize);
  return 0;
}
