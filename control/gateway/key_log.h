// The key log by which Wireshark decrypts a capture: the secrets of handshakes, and the
// frames that carried them. For laboratories (docs/security.md).
#pragma once

#include <sys/types.h>

#include <pcap/bpf.h>  // uses the types above

#include <string>
#include <vector>

#include "control/noise/engine.h"
#include "dataplane/base/ids.h"

namespace wg::control {

// The preshared key comes after the ephemeral key to which it belongs.
[[nodiscard]] std::string key_log_lines(const noise::HandshakeSecrets& secrets);

// Chooses frames with a handshake message to or from this UDP port. It reads no VLAN tags and no IPv6
// extension headers.
[[nodiscard]] std::vector<bpf_insn> handshake_frames(dataplane::UdpPort port);

}  // namespace wg::control
