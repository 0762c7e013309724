#include "bench/lpm_mix.h"

#include <random>
#include <set>
#include <utility>

namespace wg::bench {
namespace {

using Bits = std::array<std::uint8_t, 16>;
using Random = std::mt19937_64;

struct Share {
  unsigned length;
  unsigned per_mille;
};

// Shares of prefix lengths, rounded from public statistics of the global tables.
constexpr Share kLengths4[] = {{24, 600}, {23, 95}, {22, 110}, {21, 50}, {20, 47}, {19, 30}, {18, 18},
                               {17, 12},  {16, 25}, {14, 5},   {12, 2},  {10, 1},  {28, 2},  {32, 3}};
constexpr Share kLengths6[] = {{48, 465}, {32, 130}, {44, 95}, {40, 85}, {36, 55}, {46, 45}, {47, 30},
                               {33, 25},  {29, 30},  {34, 15}, {38, 10}, {42, 8},  {64, 4},  {128, 3}};
// The address blocks of the registries.
constexpr std::uint16_t kBlocks6[][2] = {{0x2001, 0xffff}, {0x2400, 0xfff0}, {0x2600, 0xfff0},
                                         {0x2804, 0xffff}, {0x2a00, 0xfff0}, {0x2c00, 0xfff0}};

unsigned pick_length(Random& random, unsigned family) {
  auto point = static_cast<unsigned>(random() % 1000);
  for (const Share& share : kLengths4) {
    if (family == 6) break;
    if (point < share.per_mille) return share.length;
    point -= share.per_mille;
  }
  for (const Share& share : kLengths6) {
    if (point < share.per_mille) return share.length;
    point -= share.per_mille;
  }
  return family == 4 ? 24 : 48;
}

Bits random_bits(Random& random) {
  Bits bits;
  for (auto& byte : bits) byte = static_cast<std::uint8_t>(random());
  return bits;
}

// Takes the first `length` bits from `start`.
void begin_with(Bits& bits, const Bits& start, unsigned length) {
  for (unsigned i = 0; i < length; ++i) {
    const auto mask = static_cast<std::uint8_t>(0x80 >> i % 8);
    bits[i / 8] = static_cast<std::uint8_t>((bits[i / 8] & ~mask) | (start[i / 8] & mask));
  }
}

Bits allocated_bits(Random& random, unsigned family) {
  Bits bits = random_bits(random);
  if (family == 4) {
    bits[0] = static_cast<std::uint8_t>(1 + random() % 223);
    return bits;
  }
  const auto& block = kBlocks6[random() % std::size(kBlocks6)];
  const auto first = static_cast<std::uint16_t>((block[0] & block[1]) | (random() & ~block[1] & 0xffff));
  bits[0] = static_cast<std::uint8_t>(first >> 8);
  bits[1] = static_cast<std::uint8_t>(first);
  return bits;
}

Route bgp_route(Random& random, unsigned family, const std::vector<Route>& earlier) {
  Route route{allocated_bits(random, family), pick_length(random, family),
              static_cast<std::uint32_t>(random() % 64)};
  if (!earlier.empty() && random() % 3 != 0) {
    const Route& parent = earlier[random() % earlier.size()];
    if (parent.length < route.length) {
      begin_with(route.bits, parent.bits, parent.length);
    } else {  // a neighbour in the same allocation
      begin_with(route.bits, parent.bits, family == 4 ? 16 : 29);
    }
  }
  return route;
}

}  // namespace

std::vector<Route> make_routes(unsigned family, Mix mix, std::size_t count) {
  Random random(family * 1000003 + count);
  std::vector<Route> routes;
  std::set<std::pair<Bits, unsigned>> seen;
  while (routes.size() < count) {
    Route route{random_bits(random), family == 4 ? 32U : 128U, static_cast<std::uint32_t>(routes.size())};
    if (mix == Mix::kBgp) route = bgp_route(random, family, routes);
    Bits masked{};
    begin_with(masked, route.bits, route.length);
    route.bits = masked;
    if (seen.insert({masked, route.length}).second) routes.push_back(route);
  }
  return routes;
}

std::vector<std::array<std::uint8_t, 16>> make_keys(unsigned family, const std::vector<Route>& routes,
                                                    std::size_t count) {
  Random random(family + count + routes.size());
  std::vector<Bits> keys(count);
  for (Bits& key : keys) {
    key = random_bits(random);
    const Route& route = routes[random() % routes.size()];
    if (random() % 8 != 0) begin_with(key, route.bits, route.length);
  }
  return keys;
}

}  // namespace wg::bench
