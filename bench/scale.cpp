// The cost of many peers for the daemon: time to start, time until all are up, memory, wg(8). Each part runs
// in a process and namespaces of its own. One line per figure. *_ms: wall time; *_cpu_ms: CPU time, which a
// busy machine does not distort.
//   scale [PART...]     start, memory, up, wg (default: all)
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <numeric>
#include <set>
#include <thread>

#include "config/parse.h"
#include "tests/daemon/live_gateway.h"
#include "tests/daemon/load.h"
#include "tests/daemon/remotes.h"
#include "tests/daemon/sandbox.h"
#include "tests/daemon/yaml.h"

namespace {

using namespace wg::test;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// CPU time of the commands run so far.
double children_ms() {
  rusage used{};
  getrusage(RUSAGE_CHILDREN, &used);
  const auto ms = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_usec) / 1e3;
  };
  return ms(used.ru_utime) + ms(used.ru_stime);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

std::string idle_peers(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += peer_line({"peer" + std::to_string(i), idle_public_key(i), "",
                       dotted(0x0ac00000u + static_cast<std::uint32_t>(i)) + "/32", 0, ""});
  }
  return text;
}

std::string idle_gateway(std::size_t peers) {
  GatewayText text;
  text.peers = idle_peers(peers);
  return gateway_yaml(text);
}

std::string line(const char* format, auto... values) {
  char buffer[512];
  std::snprintf(buffer, sizeof buffer, format, values...);
  return buffer;
}

std::string start(std::size_t peers) {
  LiveGateway gateway(idle_gateway(peers));
  return line("scale start peers=%zu ms=%.0f control_cpu_ms=%.0f\n", peers,
              static_cast<double>(gateway.start_time().count()) / 1e3,
              static_cast<double>(gateway.control_time().count()) / 1e3);
}

// The configuration as a value (the daemon holds one, and while it reloads two).
std::string config_memory(std::size_t peers) {
  write_file(kFile, idle_gateway(peers));
  { const auto warm = wg::config::parse_file(kFile); }
  const std::size_t before = resident_bytes();
  const auto parsed = wg::config::parse_file(kFile);
  const std::size_t after = resident_bytes();
  if (!parsed) throw std::runtime_error(wg::config::to_string(parsed.error()));
  return line("%zu", (after - before) / peers);
}

std::string idle_memory(std::size_t peers, std::size_t config_bytes) {
  LiveGateway gateway(idle_gateway(1));
  static_cast<void>(gateway.reload(idle_gateway(64)));
  const std::string text = idle_gateway(peers);
  const std::size_t before = resident_bytes();
  const LiveGateway::Reloaded reloaded = gateway.reload(text);
  if (!reloaded.ok) throw std::runtime_error(reloaded.error);
  std::this_thread::sleep_for(300ms);
  const std::size_t all = (resident_bytes() - before) / peers;
  return line(
      "scale memory peers=%zu bytes_per_idle_peer=%zu of_which_configuration=%zu engine_and_dataplane=%zu\n",
      peers, all, config_bytes, all - std::min(all, config_bytes));
}

std::string all_up(std::size_t peers) {
  Remotes remotes(peers, gateway_key());
  GatewayText text;
  for (std::size_t i = 0; i < peers; ++i)
    text.peers += peer_line(
        {"peer" + std::to_string(i), remotes[i].public_key(), "", dotted(remotes[i].inner()) + "/32", 0, ""});
  const std::string yaml = gateway_yaml(text);
  std::vector<std::size_t> all(peers);
  std::iota(all.begin(), all.end(), 0);
  const auto from = Clock::now();
  LiveGateway gateway(yaml);
  add_neighbours();
  Load load(remotes);
  const double started = ms_since(from);
  const std::size_t before = resident_bytes();
  const auto control = gateway.control_time();
  const std::size_t up = load.bring_up(all, 60s);
  const double done = ms_since(from);
  const double control_us = static_cast<double>((gateway.control_time() - control).count());
  load.confirm(all);
  const std::size_t after = resident_bytes();
  return line(
             "scale up peers=%zu up=%zu seconds_from_start=%.2f start_seconds=%.2f retries=%zu "
             "control_cpu_us_per_handshake=%.1f\n",
             peers, up, done / 1e3, started / 1e3, remotes.retries(),
             control_us / static_cast<double>(peers)) +
         line("scale memory peers=%zu bytes_per_session=%zu\n", peers, (after - before) / peers);
}

std::string wg_tool(std::size_t peers) {
  LiveGateway gateway(idle_gateway(peers));
  std::vector<double> dump, dump_control, dump_tool, set, spawn;
  for (int i = 0; i < 15; ++i) {
    auto from = Clock::now();
    const auto control = gateway.control_time();
    const double tools = children_ms();
    const std::string text = shell("wg show wg0 dump");
    dump.push_back(ms_since(from));
    dump_tool.push_back(children_ms() - tools);
    dump_control.push_back(static_cast<double>((gateway.control_time() - control).count()) / 1e3);
    const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    if (lines != peers + 1) throw std::runtime_error("wg shows " + std::to_string(lines) + " lines");
    from = Clock::now();
    shell("wg --version");
    spawn.push_back(ms_since(from));
    from = Clock::now();
    shell("wg set wg0 peer " + idle_public_key(static_cast<std::size_t>(i) * 7) + " persistent-keepalive " +
          std::to_string(20 + i) + " allowed-ips 172.16.0." + std::to_string(i + 1) + "/32");
    set.push_back(ms_since(from));
  }
  const auto ran = gateway.control_time();
  shell("wg set wg0 peer " + idle_public_key(5) + " persistent-keepalive 11");
  const auto one = gateway.control_time() - ran;
  return line(
      "scale wg peers=%zu dump_ms=%.1f dump_control_cpu_ms=%.1f dump_wg_cpu_ms=%.1f set_ms=%.1f "
      "set_control_cpu_us=%lld spawn_ms=%.1f\n",
      peers, median(dump), median(dump_control), median(dump_tool), median(set),
      static_cast<long long>(one.count()), median(spawn));
}

void part(const std::function<std::string()>& body) {
  try {
    std::fputs(in_sandbox(body, 120).c_str(), stdout);
  } catch (const std::exception& error) {
    std::printf("scale failed: %s\n", error.what());
  }
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** words) {
  if (!may_make_namespaces()) {
    std::puts("scale: skipped, network namespaces and TUN devices need root");
    return 0;
  }
  const std::set<std::string> wanted(words + 1, words + count);
  const auto wants = [&wanted](const char* name) { return wanted.empty() || wanted.contains(name); };
  constexpr std::size_t kMany = 100'000;
  if (wants("up")) part([] { return all_up(10'000); });
  if (wants("wg")) part([] { return wg_tool(20'000); });
  if (wants("start")) {
    part([] { return start(10'000); });
    part([] { return start(kMany); });
  }
  if (!wants("memory")) return 0;
  std::size_t config_bytes = 0;
  try {
    config_bytes = std::stoul(in_sandbox([] { return config_memory(kMany); }, 60));
  } catch (const std::exception& error) {
    std::printf("scale failed: %s\n", error.what());
  }
  part([config_bytes] { return idle_memory(kMany, config_bytes); });
}
