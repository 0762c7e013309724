#include "control/api/drop_advice.h"

namespace wg::control {
namespace {

struct Row {
  std::string_view reason, advice;
};

// In the order of dataplane/drop_reason.h.
constexpr Row kRows[] = {
    {"truncated_frame", "a broken sender, or a capture length too short on the wire"},
    {"other_host",
     "normal on a promiscuous virtual port; a flood of it: the switch floods frames whose destination it has "
     "not learned"},
    {"bad_outer_checksum", "damage in transit, or a device that rewrites addresses"},
    {"martian_source", "forged, or a port that sees its own frames"},
    {"segmented", "larger frames than the MTU of the port in the file allows"},
    {"read_malformed",
     "a program of this machine writes broken super-packets, or a driver's offload is wrong"},
    {"read_too_long",
     "the MTU of a TAP, TUN or `linux:` wire is larger than the `mtu` of the ports in the file"},
    {"read_truncated", "a `linux:` wire brings more than the worker takes: see `missed` of `show ports`"},
    {"ring_bad_packet", "the program behind the interface writes something other than IP packets"},
    {"ring_source", "the program sends from an address that it did not name when it opened its ring"},
    {"ring_full", "the program is too slow, or does not release what it has received"},
    {"program_inside", "a route of Linux leads into an interface whose inner side is a program"},
    {"bad_message_type", "a program other than WireGuard sends to the listen port"},
    {"bad_message_length", "the same, or a scanner"},
    {"interface_down", "`linegate interface up NAME`"},
    {"handshake_budget", "a flood of handshakes; data is not touched"},
    {"handshake_mailbox_full", "the same; or the control thread is busy"},
    {"unknown_index", "old sessions of peers after a restart, for a moment: see Restart; or junk"},
    {"wrong_port", "a peer mixes up two of our interfaces"},
    {"expired_key", "the peer does not rekey: its clock stands still, or its handshakes do not reach us"},
    {"counter_limit", "2^60 messages in one session: not reachable in practice"},
    {"bad_tag", "damage, or forgery"},
    {"replayed", "duplicates in transit, or more than 8128 packets of reordering"},
    {"inner_malformed", "the peer sends something other than IP packets"},
    {"disallowed_source", "`linegate explain peer NAME` names source and owner: fix `allowed_ips`"},
    {"martian_inner", "the peer forges sources, or uses one of our addresses as its own"},
    {"ecn_invalid", "congestion on the path, or a middlebox that marks what it should not"},
    {"no_peer", "a route leads into the interface for addresses that no peer has"},
    {"no_endpoint", "the peer has never sent anything: configure its endpoint, or let the peer initiate"},
    {"hairpin_off", "`hairpin: true` if peers may reach each other"},
    {"too_big", "path MTU discovery at work; if connections hang, something drops ICMP"},
    {"blackhole", "as the routing table says"},
    {"routing_loop", "the route to the endpoint leads into the tunnel: see Routing"},
    {"staging_full", "many packets to peers without sessions at once"},
    {"kernel_path_full", "the next hop does not resolve (`ip neigh`), or no port leads to the endpoint"},
    {"no_mbuf", "raise `dpdk.memory`"},
    {"no_headroom", "a packet as large as the buffer: raise the `mtu` in the file and restart"},
    {"tx_full", "the wire is slower than the traffic"},
    {"port_down", "`ip link set PORT up`, if it shall carry traffic; else the port is being removed"},
    {"punt_budget", "more traffic to Linux than 64 packets per loop, which is the limit"},
    {"punt_full", "Linux does not read its TAP or TUN fast enough"},
    {"punt_off", "does not happen with ports of the configuration: they all have a TAP"},
    {"staged_dropped", "the peer does not answer: `linegate explain peer NAME`"},
    {"peer_gone", "normal for a moment when a peer or an interface is removed"},
    {"command_mailbox_full",
     "thousands of sessions that begin at once, or a worker without a core of its own"},
    {"cookie_reply_unsent", "a flood of handshakes: established peers come first"},
    {"socket_malformed", "a program other than WireGuard sends to the listen port, past the ports"},
    {"socket_oversized", "reassembled datagrams larger than the `mtu` of the ports in the file allows"},
    {"socket_full",
     "many fragmented messages at once: lower the peers' `mtu`, so that they fit their path whole"},
    {"socket_send_failed", "no route to the endpoint (`ip route get`), or a firewall of this box refuses it"},
};

}  // namespace

std::string_view drop_advice(std::string_view reason) {
  for (const Row& row : kRows)
    if (row.reason == reason) return row.advice;
  return {};
}

}  // namespace wg::control
