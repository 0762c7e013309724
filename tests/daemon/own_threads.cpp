#include "tests/daemon/own_threads.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace wg::test {

std::vector<std::string> own_threads_on(unsigned cpu) {
  std::vector<std::string> names;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    const int id = std::stoi(task.path().filename().string());
    std::string name;
    std::getline(std::ifstream(task.path() / "comm") >> std::ws, name);
    cpu_set_t cpus;
    if (id == gettid() || name.starts_with("rte-worker") || sched_getaffinity(id, sizeof cpus, &cpus) != 0)
      continue;
    if (CPU_ISSET(cpu, &cpus)) names.push_back(name);
  }
  return names;
}

void keep_off(unsigned cpu) {
  cpu_set_t cpus;
  if (pthread_getaffinity_np(pthread_self(), sizeof cpus, &cpus) != 0 || CPU_COUNT(&cpus) < 2) return;
  CPU_CLR(cpu, &cpus);
  pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
}

}  // namespace wg::test
