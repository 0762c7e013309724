// Super-packets: up to 64 KB of one TCP or UDP flow under one header, as a TUN or TAP with virtio-net headers
// reads and writes them. Splitter splits one into the packets of a wire; Coalescer finds runs of packets that
// may be joined. Pure functions of bytes: no DPDK, no file descriptor, no allocation, no exception. Rules:
// the kernel's generic receive and segmentation offload (RFC 9293, RFC 3168 6.1.2, RFC 6864, RFC 768).
// Splitting what Coalescer joined restores the same bytes (one exception: see Coalescer).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/packet/headers.h"

namespace wg::dataplane {

// The begin of a packet: an IP header (TUN) or an Ethernet header (TAP).
enum class Framing : std::uint8_t { kIp, kEthernet };

inline constexpr std::size_t kSuperPacketMax = 65535;  // bytes of IP packet

// struct virtio_net_hdr of the kernel (its own header does not compile as C++), virtio 1.2 section 5.1.6;
// a TUN has it in native byte order.
struct VnetHeader {
  static constexpr std::uint8_t kNeedsChecksum = 1;
  static constexpr std::uint8_t kNone = 0, kTcp4 = 1, kTcp6 = 4, kUdp = 5, kEcn = 0x80;

  std::uint8_t flags = 0;
  std::uint8_t gso_type = kNone;
  std::uint16_t header_length = 0;
  std::uint16_t gso_size = 0;  // payload of every segment but the last
  std::uint16_t checksum_start = 0;
  std::uint16_t checksum_offset = 0;  // of the field, from checksum_start
};
static_assert(sizeof(VnetHeader) == 10);

// Completes a checksum that the kernel left to the device: the field already holds the folded pseudo header.
// Returns false, and leaves the packet unchanged, when the vnet header points outside it.
[[nodiscard]] bool complete_checksum(const VnetHeader& vnet, MutableBytes packet);

// Splits one super-packet into segments, front to back, one per call of next(). It may lie inside a tunnel
// that its sender leaves to the device as well: IP in IP (RFC 2003, RFC 2473), GRE without checksum and
// sequence number (RFC 2784, RFC 2890), or anything in UDP (VXLAN, Geneve). Then each segment gets all outer
// headers.
class Splitter {
 public:
  // The super-packet must stay in place until pending() is false. Returns false, with nothing pending, when
  // the packet cannot be split (malformed, unknown kind, unknown tunnel).
  [[nodiscard]] bool load(const VnetHeader& vnet, Bytes packet, Framing framing);

  [[nodiscard]] bool pending() const { return offset_ < payload_size_; }
  // The size of the next segment in bytes. Later segments are not larger.
  [[nodiscard]] std::size_t next_size() const;
  // Writes the next segment with complete headers and checksums and returns its size. Requires pending().
  std::size_t next(std::uint8_t* to);
  // Drops the remaining segments.
  void drop_rest() { offset_ = payload_size_; }

 private:
  [[nodiscard]] bool find_headers(const VnetHeader& vnet, Framing framing);
  [[nodiscard]] bool find_ip();
  [[nodiscard]] bool find_inner_ip(std::size_t outer_end, std::uint8_t next_header);
  [[nodiscard]] bool is_ip_of_transport(std::size_t offset) const;
  [[nodiscard]] bool is_version6(std::size_t l3_offset) const { return packet_[l3_offset] >> 4 == 6; }
  void write_ip_header(std::uint8_t* segment, std::size_t l3_offset, std::size_t size) const;
  void write_outer_headers(std::uint8_t* segment, std::size_t size) const;
  void write_tcp_header(TcpHeader* tcp, bool last) const;

  Bytes packet_;
  std::size_t outer_l3_offset_ = 0;   // l3_offset_ without a tunnel
  std::size_t outer_udp_offset_ = 0;  // 0: the tunnel is none, or not in UDP
  std::size_t l3_offset_ = 0;         // of the IP header in front of the transport header
  std::size_t l4_offset_ = 0;
  std::size_t header_size_ = 0;  // all headers before the payload
  std::size_t payload_size_ = 0;
  std::size_t segment_size_ = 0;  // payload bytes of all segments but the last
  std::size_t offset_ = 0;        // payload bytes already handed out
  std::uint16_t index_ = 0;       // segments already handed out
  std::uint64_t pseudo_ = 0;      // checksum of the pseudo header without its length
  bool udp_ = false;
};

// Finds the packets of one burst that may be written as one, and keeps the order within each flow.
// Unsupported packets (fragments, options, extension headers, other protocols) stay alone and keep their
// order relative to every flow. A packet is joined only when its checksums are valid, so a damaged packet
// arrives damaged. The IPv4 identifications of joined packets increment, or they are all equal with DF set,
// where RFC 6864 4.1 makes them meaningless: only the latter come back with different (incrementing) values
// after a split.
class Coalescer {
 public:
  static constexpr std::size_t kMaxPackets = 128;
  static constexpr std::size_t kMaxFlows = 8;      // open at a time; a ninth closes the oldest
  static constexpr std::size_t kMaxSegments = 64;  // the kernel's bound for UDP (UDP_MAX_SEGMENTS)
  static constexpr std::uint16_t kEnd = 0xffff;

  struct Group {
    std::uint16_t first = 0;     // index of the packet whose headers represent the group
    std::uint16_t last = 0;      // the end of the chain of next() from first
    std::uint16_t segments = 1;  // packets in the group; 1: written unchanged
    std::uint16_t header_size = 0;
    std::uint16_t l3_offset = 0;
    std::uint16_t l4_offset = 0;
    std::uint16_t segment_size = 0;  // payload of every packet but the last
    std::uint16_t ip_size = 0;       // size of the joined IP packet in bytes
    std::uint32_t next_sequence = 0;
    std::uint8_t final_flags = 0;  // PSH and FIN of the last packet
    std::uint8_t id_step = kStepUnknown;
    bool v6 = false;
    bool udp = false;
    bool verified = false;    // the first packet's checksums are valid, or need no look
    bool unfinished = false;  // the first packet's checksum is left to the kernel
    bool open = false;
  };

  Coalescer(Framing framing, bool join_tcp, bool join_udp)
      : framing_(framing), join_tcp_(join_tcp), join_udp_(join_udp) {}

  // Returns the groups in writing order, valid until the next plan(). Takes at most kMaxPackets packets. An
  // empty span represents a packet that must not be joined. `unfinished`, empty or parallel to `packets`,
  // marks UDP datagrams of our own whose checksum field holds the pseudo header's sum: nothing of them is
  // verified, and their IPv4 identifications, which only have to differ for one destination, become
  // consecutive when they are joined.
  [[nodiscard]] std::span<const Group> plan(std::span<const MutableBytes> packets,
                                            std::span<const bool> unfinished = {});
  // From now on UDP datagrams stay alone.
  void join_no_udp() { join_udp_ = false; }
  // The packet after `index` in its group, or kEnd.
  [[nodiscard]] std::uint16_t next(std::uint16_t index) const { return next_[index]; }
  // The payload of a joined packet, which follows the first packet in the super-packet.
  [[nodiscard]] Bytes payload_of(const Group& group, std::uint16_t index) const {
    return packets_[index].subspan(group.header_size);
  }
  // Adapts the first packet's headers to the whole group and returns the vnet header to write before them.
  // Call it once per group. It leaves a group of one unchanged.
  VnetHeader seal(const Group& group) const;

 private:
  static constexpr std::uint8_t kStepUnknown = 2;
  struct Candidate;

  [[nodiscard]] bool parse(MutableBytes packet, Candidate* out) const;
  [[nodiscard]] bool parse_transport(Candidate* out, std::uint8_t protocol, Bytes segment) const;
  [[nodiscard]] bool can_join(const Group& group, const Candidate& candidate) const;
  [[nodiscard]] bool ids_fit(const Group& group, const Candidate& candidate) const;
  [[nodiscard]] bool join(Group* group, const Candidate& candidate, std::uint16_t index);
  [[nodiscard]] Group* find_flow(const Candidate& candidate);
  void remember_flow(const Candidate& candidate, std::uint16_t group);
  void close_all();

  struct Flow {
    std::uint64_t signature;  // ports, protocol and version
    std::uint16_t group;
  };

  Framing framing_;
  bool join_tcp_;
  bool join_udp_;
  std::span<const MutableBytes> packets_;
  std::span<const bool> unfinished_;
  std::array<Group, kMaxPackets> groups_;
  std::array<std::uint16_t, kMaxPackets> next_{};
  std::array<Flow, kMaxFlows> flows_{};
  std::size_t group_count_ = 0;
  std::size_t flow_count_ = 0;   // flows remembered, at most kMaxFlows
  std::size_t oldest_flow_ = 0;  // the slot that a ninth flow replaces
};

}  // namespace wg::dataplane
