#include "bench/lpm_rivals.h"

#include <rte_errno.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_lpm.h>
#include <rte_lpm6.h>
#include <rte_malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>
#include <utility>

namespace wg::bench {
namespace {

constexpr std::uint64_t kMiss = 0x7fffffff;
constexpr std::size_t kMaxBurst = 256;
constexpr auto kBuildLimit = std::chrono::seconds(30);

std::size_t heap_bytes() {
  rte_malloc_socket_stats stats{};
  rte_malloc_get_socket_stats(0, &stats);
  return stats.heap_allocsz_bytes;
}

// The tables of 256 entries that `routes` need below the first 24 bits, one byte of the address each.
std::uint32_t tbl8_count(const std::vector<Route>& routes) {
  std::set<std::array<std::uint8_t, 17>> tables;
  for (const Route& route : routes) {
    std::array<std::uint8_t, 17> table{};
    for (unsigned bytes = 3; bytes * 8 < route.length; ++bytes) {
      std::copy_n(route.bits.begin(), bytes, table.begin());
      table[16] = static_cast<std::uint8_t>(bytes);
      tables.insert(table);
    }
  }
  return static_cast<std::uint32_t>(tables.size() + 256);
}

// rte_fib6 reserves tables for each route without regard to sharing.
std::uint32_t reserved_tbl8_count(const std::vector<Route>& routes) {
  std::uint32_t tables = 256;
  for (const Route& route : routes) tables += route.length > 24 ? (route.length - 24 + 7) / 8 : 0;
  return tables;
}

struct Fib4 : Rival {
  struct Free {
    void operator()(rte_fib* fib) const { rte_fib_free(fib); }
  };
  std::shared_ptr<rte_fib> table;
  rte_fib_lookup_type type = RTE_FIB_LOOKUP_DEFAULT;

  bool create(std::size_t routes, std::uint32_t tbl8s) {
    rte_fib_conf conf{};
    conf.type = RTE_FIB_DIR24_8;
    conf.default_nh = kMiss;
    conf.max_routes = static_cast<int>(routes + 16);
    conf.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
    conf.dir24_8.num_tbl8 = tbl8s;
    table = std::shared_ptr<rte_fib>(rte_fib_create("bench_fib", 0, &conf), Free{});
    return table != nullptr;
  }
  int add(const Route& route) {
    return rte_fib_add(table.get(), host_order(route.bits), static_cast<std::uint8_t>(route.length),
                       route.value);
  }
  std::uint64_t lookup(Keys& keys, std::size_t first, std::size_t n) override {
    std::uint64_t out[kMaxBurst];
    rte_fib_lookup_bulk(table.get(), keys.v4.data() + first, out, static_cast<int>(n));
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += out[i];
    return sum;
  }
  std::int64_t answer(Keys& keys, std::size_t key) override {
    std::uint64_t out;
    rte_fib_lookup_bulk(table.get(), keys.v4.data() + key, &out, 1);
    return out == kMiss ? -1 : static_cast<std::int64_t>(out);
  }
};

struct Fib6 : Rival {
  struct Free {
    void operator()(rte_fib6* fib) const { rte_fib6_free(fib); }
  };
  std::shared_ptr<rte_fib6> table;

  bool create(std::size_t routes, std::uint32_t tbl8s) {
    rte_fib6_conf conf{};
    conf.type = RTE_FIB6_TRIE;
    conf.default_nh = kMiss;
    conf.max_routes = static_cast<int>(routes + 16);
    conf.trie.nh_sz = RTE_FIB6_TRIE_4B;
    conf.trie.num_tbl8 = tbl8s;
    table = std::shared_ptr<rte_fib6>(rte_fib6_create("bench_fib6", 0, &conf), Free{});
    return table != nullptr;
  }
  int add(const Route& route) {
    return rte_fib6_add(table.get(), route.bits.data(), static_cast<std::uint8_t>(route.length), route.value);
  }
  std::uint64_t lookup(Keys& keys, std::size_t first, std::size_t n) override {
    std::uint64_t out[kMaxBurst];
    auto* ips = reinterpret_cast<std::uint8_t(*)[16]>(keys.v6.data() + first);
    rte_fib6_lookup_bulk(table.get(), ips, out, static_cast<int>(n));
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += out[i];
    return sum;
  }
  std::int64_t answer(Keys& keys, std::size_t key) override {
    std::uint64_t out;
    rte_fib6_lookup_bulk(table.get(), reinterpret_cast<std::uint8_t(*)[16]>(keys.v6.data() + key), &out, 1);
    return out == kMiss ? -1 : static_cast<std::int64_t>(out);
  }
};

struct Lpm4 : Rival {
  struct Free {
    void operator()(rte_lpm* lpm) const { rte_lpm_free(lpm); }
  };
  std::unique_ptr<rte_lpm, Free> table;

  bool create(std::size_t routes, std::uint32_t tbl8s) {
    rte_lpm_config conf{};
    conf.max_rules = static_cast<std::uint32_t>(routes + 16);
    conf.number_tbl8s = tbl8s;
    table.reset(rte_lpm_create("bench_lpm", 0, &conf));
    return table != nullptr;
  }
  int add(const Route& route) {
    return rte_lpm_add(table.get(), host_order(route.bits), static_cast<std::uint8_t>(route.length),
                       route.value);
  }
  std::uint64_t lookup(Keys& keys, std::size_t first, std::size_t n) override {
    std::uint32_t out[kMaxBurst];
    const std::uint32_t* ips = keys.v4.data() + first;
    std::size_t i = 0;
    for (; i + 4 <= n; i += 4) {
      rte_lpm_lookupx4(table.get(), _mm_loadu_si128(reinterpret_cast<const __m128i*>(ips + i)), out + i,
                       kMiss);
    }
    if (i < n) rte_lpm_lookup_bulk(table.get(), ips + i, out + i, static_cast<unsigned>(n - i));
    std::uint64_t sum = 0;
    for (std::size_t j = 0; j < n; ++j) sum += out[j];
    return sum;
  }
  std::int64_t answer(Keys& keys, std::size_t key) override {
    std::uint32_t out;
    return rte_lpm_lookup(table.get(), keys.v4[key], &out) == 0 ? std::int64_t{out} : -1;
  }
};

struct Lpm6 : Rival {
  struct Free {
    void operator()(rte_lpm6* lpm) const { rte_lpm6_free(lpm); }
  };
  std::unique_ptr<rte_lpm6, Free> table;

  bool create(std::size_t routes, std::uint32_t tbl8s) {
    rte_lpm6_config conf{};
    conf.max_rules = static_cast<std::uint32_t>(routes + 16);
    conf.number_tbl8s = tbl8s;
    table.reset(rte_lpm6_create("bench_lpm6", 0, &conf));
    return table != nullptr;
  }
  int add(const Route& route) {
    return rte_lpm6_add(table.get(), route.bits.data(), static_cast<std::uint8_t>(route.length), route.value);
  }
  std::uint64_t lookup(Keys& keys, std::size_t first, std::size_t n) override {
    std::int32_t out[kMaxBurst];
    auto* ips = reinterpret_cast<std::uint8_t(*)[16]>(keys.v6.data() + first);
    rte_lpm6_lookup_bulk_func(table.get(), ips, out, static_cast<unsigned>(n));
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += static_cast<std::uint32_t>(out[i]);
    return sum;
  }
  std::int64_t answer(Keys& keys, std::size_t key) override {
    std::int32_t out;
    rte_lpm6_lookup_bulk_func(table.get(), reinterpret_cast<std::uint8_t(*)[16]>(keys.v6.data() + key), &out,
                              1);
    return out;
  }
};

// A table has one lookup function at a time, so the same table is entered again as a view that selects its
// own lookup function before every pass.
template <typename Base, typename Type, int (*kSelect)(decltype(std::declval<Base>().table.get()), Type)>
struct Selected : Base {
  Type lookup_type;
  std::uint64_t lookup(Keys& keys, std::size_t first, std::size_t n) override {
    if (first % (1 << 16) == 0) kSelect(this->table.get(), lookup_type);
    return Base::lookup(keys, first, n);
  }
};

template <typename Table>
std::unique_ptr<Table> build(const char* name, const std::vector<Route>& routes, std::uint32_t tbl8s) {
  auto rival = std::make_unique<Table>();
  rival->name = name;
  const std::size_t before = heap_bytes();
  if (!rival->create(routes.size(), tbl8s)) {
    std::printf("# %s: cannot be created for %zu routes with %u tbl8s: %s\n", name, routes.size(), tbl8s,
                rte_strerror(rte_errno));
    return nullptr;
  }
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const int failed = rival->add(routes[i]);
    const bool late = std::chrono::steady_clock::now() - start > kBuildLimit;
    if (failed == 0 && !late) continue;
    std::printf("# %s: gave up at route %zu of %zu: %s\n", name, i, routes.size(),
                late ? "more than 30 s" : rte_strerror(-failed));
    return nullptr;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  rival->bytes = heap_bytes() - before;
  std::printf("# %s: %zu routes added in %.3f s, %zu bytes\n", name, routes.size(), seconds.count(),
              rival->bytes);
  return rival;
}

template <typename View, typename Base, typename Type>
std::unique_ptr<Rival> view(const Base& base, const char* name, Type type) {
  auto selected = std::make_unique<View>();
  static_cast<Base&>(*selected) = base;
  selected->name = name;
  selected->lookup_type = type;
  return selected;
}

using Rivals = std::vector<std::unique_ptr<Rival>>;
using Fib4View = Selected<Fib4, rte_fib_lookup_type, rte_fib_select_lookup>;
using Fib6View = Selected<Fib6, rte_fib6_lookup_type, rte_fib6_select_lookup>;

void add_fib4(Rivals& rivals, const std::vector<Route>& routes, std::uint32_t tbl8s) {
  const auto fib = build<Fib4>("rte_fib", routes, tbl8s);
  if (!fib) return;
  rivals.push_back(view<Fib4View>(*fib, "rte_fib", RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO));
  if (rte_fib_select_lookup(fib->table.get(), RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512) == 0) {
    rivals.push_back(view<Fib4View>(*fib, "rte_fib_avx512", RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512));
  }
}

void add_fib6(Rivals& rivals, const std::vector<Route>& routes, std::uint32_t tbl8s) {
  const auto fib = build<Fib6>("rte_fib6", routes, tbl8s);
  if (!fib) return;
  rivals.push_back(view<Fib6View>(*fib, "rte_fib6", RTE_FIB6_LOOKUP_TRIE_SCALAR));
  if (rte_fib6_select_lookup(fib->table.get(), RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512) == 0) {
    rivals.push_back(view<Fib6View>(*fib, "rte_fib6_avx512", RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512));
  }
}

}  // namespace

Rivals make_rivals(unsigned family, const std::vector<Route>& routes) {
  const std::uint32_t tbl8s = tbl8_count(routes);
  Rivals rivals;
  if (family == 4) {
    add_fib4(rivals, routes, tbl8s);
    if (auto lpm = build<Lpm4>("rte_lpm", routes, tbl8s)) rivals.push_back(std::move(lpm));
  } else {
    add_fib6(rivals, routes, reserved_tbl8_count(routes));
    if (auto lpm = build<Lpm6>("rte_lpm6", routes, tbl8s)) rivals.push_back(std::move(lpm));
  }
  return rivals;
}

}  // namespace wg::bench
