#include "bench/huge_pages.h"

#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

namespace wg::bench {

namespace {

const std::string kDirectory = "/sys/kernel/mm/hugepages/hugepages-2048kB/";

long read_pages(const char* name) {
  std::ifstream file(kDirectory + name);
  long pages = 0;
  file >> pages;
  return pages;
}

void write_total(long pages) {
  std::ofstream(kDirectory + "nr_hugepages") << pages;
}

long borrowed = 0;

// Pages that are still mapped are freed at process exit; until then the kernel counts them as surplus.
void give_back() {
  write_total(read_pages("nr_hugepages") - borrowed);
}

// Returns the pages when the bench is interrupted. The call is not async-signal-safe (it allocates), but
// without it the pages would certainly stay reserved.
void give_back_and_die(int signal) {
  give_back();
  _exit(128 + signal);
}

}  // namespace

bool borrow_huge_pages(std::size_t megabytes) {
  const auto wanted = static_cast<long>((megabytes + 1) / 2);
  const long missing = wanted - read_pages("free_hugepages");
  if (missing <= 0) return true;
  const long before = read_pages("nr_hugepages");
  write_total(before + missing);
  borrowed = read_pages("nr_hugepages") - before;
  if (borrowed > 0) {
    std::atexit(give_back);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) std::signal(signal, give_back_and_die);
  }
  return read_pages("free_hugepages") >= wanted;
}

}  // namespace wg::bench
