// Resolves endpoints given as host names, off the control thread. Helper threads call getaddrinfo and
// signal results by an eventfd. Names that failed last time go last and leave one thread to the others. No
// call here waits for the network, not even the destructor: it abandons helpers that hang in getaddrinfo, and
// an abandoned helper touches no other object.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/kernel/types.h"

namespace wg::control {

struct ResolverOptions {
  std::size_t max_names = 65536;                // limit of watched names
  unsigned threads = 4;                         // at least 2: one is kept from names that fail
  std::chrono::milliseconds retry_first{1000};  // after a failure, doubled each time
  std::chrono::milliseconds retry_most{60000};
  std::chrono::milliseconds stop_patience{200};  // how long the destructor waits for the helpers
  // Replaces getaddrinfo in tests. It runs in the helper threads, in several at once.
  struct Answer {
    std::vector<Endpoint> endpoints;  // in order of preference; the caller fills in the port
    std::string error;                // non-empty: failed
  };
  std::function<Answer(const std::string& host)> look_up;
};

struct ResolvedName {
  std::uint64_t key = 0;  // as given to watch()
  std::string host;
  std::vector<Endpoint> endpoints;  // in order of preference; empty when error is set
  std::string error;                // "Name or service not known"
  unsigned failures = 0;            // in a row
};

class Resolver {
 public:
  explicit Resolver(ResolverOptions options = {});
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  [[nodiscard]] int fd() const;  // readable: take_results()
  // Resolves now, retries with back-off while that fails, and repeats every `refresh` (0: only once).
  // Replaces an earlier name of the same key. Returns false when max_names names are watched already.
  bool watch(std::uint64_t key, const std::string& host, UdpPort port,
             std::chrono::milliseconds refresh = std::chrono::milliseconds{0});
  // Resolves on demand, when handshakes remain unanswered: at most once per retry_first for each key. An
  // earlier demand is served when that time has passed, a demand during a lookup by its answer.
  void resolve_again(std::uint64_t key);
  void forget(std::uint64_t key);
  // Never waits. Omits the results of forgotten or replaced keys.
  [[nodiscard]] std::vector<ResolvedName> take_results();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace wg::control
