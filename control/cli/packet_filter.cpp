#include "control/cli/packet_filter.h"

#include <pcap/pcap.h>

#include <memory>

#include "control/api/watch_source.h"
#include "control/cli/cli.h"

namespace wg::control::cli {
namespace {

constexpr int kLongest = 65535;

// The program for packets of `link`. False: `error` says why there is none.
bool compile(const std::string& filter, int link, std::vector<FilterInstruction>* out, std::string* error) {
  const std::unique_ptr<pcap_t, decltype(&pcap_close)> pcap(pcap_open_dead(link, kLongest), pcap_close);
  if (pcap == nullptr) throw CommandFailed(kFailed, "libpcap: out of memory");
  bpf_program program{};
  if (pcap_compile(pcap.get(), &program, filter.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
    *error = pcap_geterr(pcap.get());
    return false;
  }
  for (u_int i = 0; i < program.bf_len; ++i) {
    const bpf_insn& instruction = program.bf_insns[i];
    out->push_back({instruction.code, instruction.jt, instruction.jf, instruction.k});
  }
  pcap_freecode(&program);
  return true;
}

}  // namespace

void add_filter(const std::string& filter, Json& params) {
  if (filter.empty()) return;
  std::vector<FilterInstruction> ethernet, ip;
  std::string error;
  const bool frames = compile(filter, DLT_EN10MB, &ethernet, &error);
  const bool packets = compile(filter, DLT_RAW, &ip, &error);
  if (!frames && !packets) throw CommandFailed(kBadUsage, "filter: " + error);
  params["filter"] = filter;
  params["ethernet"] = ethernet;
  params["ip"] = ip;
}

}  // namespace wg::control::cli
