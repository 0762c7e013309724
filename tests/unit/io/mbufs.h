// An EAL without hugepages, devices or files, and a pool of mbufs that must be full again at the end.
#pragma once

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <sched.h>

#include <array>
#include <cstring>
#include <string>

#include "tests/unit/io/packets.h"

namespace wg::dataplane::test {

// Initialises EAL once per process. EAL pins the calling thread to a core; the tests restore all cores.
inline bool start_eal() {
  static const bool started = [] {
    cpu_set_t cores;
    sched_getaffinity(0, sizeof cores, &cores);
    std::array<std::string, 9> words{"unit_io",     "--no-huge",      "-m",
                                     "64",          "--no-pci",       "--iova-mode=va",
                                     "--no-shconf", "--no-telemetry", "--log-level=*:error"};
    std::array<char*, words.size()> arguments;
    for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = words[i].data();
    const bool ok = rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) >= 0;
    sched_setaffinity(0, sizeof cores, &cores);
    return ok;
  }();
  return started;
}

class MbufPool {
 public:
  explicit MbufPool(unsigned size = 1023, std::uint16_t room = RTE_PKTMBUF_HEADROOM + 2048) : size_(size) {
    static int number = 0;
    const std::string name = "pool" + std::to_string(number++);
    if (start_eal()) pool_ = rte_pktmbuf_pool_create(name.c_str(), size, 0, 0, room, SOCKET_ID_ANY);
    EXPECT_NE(pool_, nullptr) << rte_strerror(rte_errno);
  }
  ~MbufPool() {
    if (pool_ == nullptr) return;
    EXPECT_EQ(rte_mempool_avail_count(pool_), size_) << "mbufs leaked";
    rte_mempool_free(pool_);
  }
  MbufPool(const MbufPool&) = delete;
  MbufPool& operator=(const MbufPool&) = delete;
  [[nodiscard]] rte_mempool* get() const { return pool_; }

  [[nodiscard]] rte_mbuf* filled(const Octets& bytes) const {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool_);
    std::memcpy(rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(bytes.size())), bytes.data(),
                bytes.size());
    return mbuf;
  }

 private:
  rte_mempool* pool_ = nullptr;
  unsigned size_;
};

inline Octets contents(const rte_mbuf* mbuf) {
  const auto* data = rte_pktmbuf_mtod(mbuf, const std::uint8_t*);
  return {data, data + mbuf->data_len};
}

}  // namespace wg::dataplane::test
