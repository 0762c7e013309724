#include "tests/daemon/own_threads.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <utility>

namespace wg::test {

namespace {

// Of all threads but workers and the calling one: their ids and names.
std::vector<std::pair<int, std::string>> own_threads() {
  std::vector<std::pair<int, std::string>> threads;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    const int id = std::stoi(task.path().filename().string());
    std::string name;
    std::getline(std::ifstream(task.path() / "comm") >> std::ws, name);
    if (id != gettid() && !name.starts_with("rte-worker")) threads.emplace_back(id, name);
  }
  return threads;
}

}  // namespace

std::vector<std::string> own_threads_on(unsigned cpu) {
  std::vector<std::string> names;
  for (const auto& [id, name] : own_threads()) {
    cpu_set_t cpus;
    if (sched_getaffinity(id, sizeof cpus, &cpus) == 0 && CPU_ISSET(cpu, &cpus)) names.push_back(name);
  }
  return names;
}

std::map<int, int> nice_values() {
  std::map<int, int> values;
  for (const auto& [id, name] : own_threads()) ++values[getpriority(PRIO_PROCESS, static_cast<id_t>(id))];
  return values;
}

void keep_off(unsigned cpu) {
  cpu_set_t cpus;
  if (pthread_getaffinity_np(pthread_self(), sizeof cpus, &cpus) != 0 || CPU_COUNT(&cpus) < 2) return;
  CPU_CLR(cpu, &cpus);
  pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
}

}  // namespace wg::test
