// The memory behind AeadScratch, shared by all variants: a worker uses one variant, so each variant
// lays its own structure over the same bytes.
#pragma once

#include <cstddef>
#include <type_traits>

namespace wg::crypto {

inline constexpr std::size_t kAeadScratchSize = 128 * 1024;

class AeadScratch {
 public:
  // The scratch as the working structure of a variant. It is zero at first and later holds what the last call
  // left. One scratch may serve several variants, because every variant initialises what it reads.
  template <typename Layout>
  Layout& as() noexcept {
    static_assert(sizeof(Layout) <= kAeadScratchSize && std::is_trivial_v<Layout>);
    return *reinterpret_cast<Layout*>(bytes_);
  }

 private:
  alignas(64) std::byte bytes_[kAeadScratchSize];
};

}  // namespace wg::crypto
