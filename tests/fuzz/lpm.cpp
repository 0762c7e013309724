// libFuzzer entry: the input is a sequence of inserts and removals on both families beside the list scan.
// Input per step: operation, length, value, then the prefix's bytes.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "tests/fuzz/input.h"
#include "tests/unit/lpm/oracle.h"

namespace wg::lpm::test {
namespace {

using fuzz::Input;
using fuzz::require;

constexpr std::size_t kSteps = 600;

template <typename Family>
typename Family::Address read_address(Input& input) {
  typename Family::Address address{};
  for (unsigned bit = 0; bit < Family::kWidth; bit += 8) {
    const std::uint8_t byte = input.byte();
    for (unsigned i = 0; i < 8; ++i) Family::set_bit(address, bit + i, (byte >> (7 - i) & 1) != 0);
  }
  return address;
}

template <typename Family>
void compare(const typename Family::Table& table, const Oracle<Family>& oracle) {
  std::vector<typename Family::Address> keys;
  for (const auto& entry : oracle.entries()) {
    auto last = entry.bits;
    for (unsigned i = entry.length; i < Family::kWidth; ++i) Family::set_bit(last, i, true);
    keys.insert(keys.end(), {entry.bits, last});
    if (keys.size() + 2 > kMaxBurst) break;
  }
  std::array<Value, kMaxBurst> out{};
  Family::lookup_burst(table, keys, out.data());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Value expected = oracle.lookup(keys[i]);
    require(out[i] == expected && table.lookup(keys[i]) == expected);
  }
}

template <typename Family>
void run(Input& input) {
  typename Family::Table table;
  Oracle<Family> oracle;
  const std::size_t empty = table.memory_bytes();
  for (std::size_t step = 0; step < kSteps && !input.empty(); ++step) {
    const std::uint8_t operation = input.byte();
    const unsigned length = input.byte() % (Family::kWidth + 1);
    const Value value = input.byte();
    const auto prefix = read_address<Family>(input);
    if (operation % 4 == 0) {
      require(table.remove(prefix, length) == oracle.remove(prefix, length));
    } else {
      require(insert(table, prefix, length, value) == oracle.insert(prefix, length, value));
    }
    require(table.lookup(prefix) == oracle.lookup(prefix));
    require(table.size() == oracle.entries().size());
    if (operation >= 240) compare(table, oracle);
  }
  compare(table, oracle);
  for (const auto& entry : oracle.entries()) require(table.remove(entry.bits, entry.length));
  require(table.memory_bytes() == empty);
}

}  // namespace
}  // namespace wg::lpm::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  wg::fuzz::Input input(data, size);
  const bool v6 = (input.byte() & 1) != 0;
  if (v6) {
    wg::lpm::test::run<wg::lpm::test::Family6>(input);
  } else {
    wg::lpm::test::run<wg::lpm::test::Family4>(input);
  }
  return 0;
}
