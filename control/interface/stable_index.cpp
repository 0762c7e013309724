#include "control/interface/stable_index.h"

#include <net/if.h>
#include <sodium.h>

#include <array>
#include <string>

namespace wg::control {

namespace {

constexpr unsigned kAttempts = 16;
// Public: it keeps these numbers apart from other uses of the same hash over the same id.
constexpr std::string_view kPurpose = "linegate interface index";

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

std::uint32_t stable_index(std::string_view id, unsigned attempt) {
  const std::string text = std::string(id) + '/' + std::to_string(attempt);
  std::array<unsigned char, crypto_generichash_BYTES_MIN> hash{};
  crypto_generichash(hash.data(), hash.size(), bytes_of(text), text.size(), bytes_of(kPurpose),
                     kPurpose.size());
  std::uint32_t number = 0;
  for (int i = 0; i < 4; ++i) number = number << 8 | hash[static_cast<std::size_t>(i)];
  return kLeastStableIndex + number % kStableIndexes;
}

std::uint32_t free_stable_index(std::string_view id) {
  std::array<char, IF_NAMESIZE> name{};
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt)
    if (const std::uint32_t index = stable_index(id, attempt); if_indextoname(index, name.data()) == nullptr)
      return index;
  return 0;
}

}  // namespace wg::control
