// The memory behind AeadScratch, shared by all variants: a worker uses one variant, so each variant
// lays its own structure over the same bytes.
#pragma once

#include <cstddef>
#include <type_traits>

namespace wg::crypto {

inline constexpr std::size_t kAeadScratchSize = 128 * 1024;

class AeadScratch {
 public:
  // The bytes seen as the working structure of a variant. Zero when the scratch is made, otherwise what the
  // last call of the same variant left; switching variants on one scratch is allowed because every variant
  // initialises what it reads.
  template <typename Layout>
  Layout& as() noexcept {
    static_assert(sizeof(Layout) <= kAeadScratchSize && std::is_trivial_v<Layout>);
    return *reinterpret_cast<Layout*>(bytes_);
  }

 private:
  alignas(64) std::byte bytes_[kAeadScratchSize];
};

}  // namespace wg::crypto
