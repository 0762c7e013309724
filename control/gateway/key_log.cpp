#include "control/gateway/key_log.h"

#include <sodium.h>

#include "config/key.h"

namespace wg::control {

namespace {

void add_line(std::string& lines, const char* name, const noise::Key& key) {
  std::string text = config::to_string(config::Key{key});
  lines += std::string(name) + " = " + text + "\n";
  sodium_memzero(text.data(), text.size());
}

}  // namespace

std::string key_log_lines(const noise::HandshakeSecrets& secrets) {
  std::string lines;
  lines.reserve(4 * 80);  // so that no copy stays behind
  add_line(lines, "LOCAL_STATIC_PRIVATE_KEY", secrets.own_static);
  add_line(lines, "REMOTE_STATIC_PUBLIC_KEY", secrets.peer);
  add_line(lines, "LOCAL_EPHEMERAL_PRIVATE_KEY", secrets.own_ephemeral);
  if (secrets.preshared_key != noise::PresharedKey{}) add_line(lines, "PRESHARED_KEY", secrets.preshared_key);
  return lines;
}

// A message begins with its type and three zeros: as a number in network order, the type times 2^24.
std::vector<bpf_insn> handshake_frames(dataplane::UdpPort port) {
  constexpr unsigned kFirst = 0x01000000, kLast = 0x03000000, kUdp = 17;
  const unsigned own = number_of(port);
  return {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x0800, 0, 9),  // IPv4, or go on with IPv6
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kUdp, 0, 17),
      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, 14),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own, 2, 0),
      BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own, 0, 12),
      BPF_STMT(BPF_LD | BPF_W | BPF_IND, 22),
      BPF_JUMP(BPF_JMP | BPF_JA, 8, 0, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x86dd, 0, 9),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kUdp, 0, 7),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 54),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own, 2, 0),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 56),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, own, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 62),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kFirst, 0, 1),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, kLast, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 65535),
  };
}

}  // namespace wg::control
