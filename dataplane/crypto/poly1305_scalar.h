// Poly1305 (RFC 8439 section 2.5) of one short packet in general registers: limbs of 64, 64 and a few bits,
// about 16 cycles per block and no set-up, which beats every vector kernel below some twenty blocks.
#pragma once

#include <cstdint>
#include <cstring>

namespace wg::crypto {

struct OneTimeKey {
  std::uint64_t r_low, r_high, pad_low, pad_high;
};

struct Tag128 {
  std::uint64_t low, high;
};

class ScalarPoly1305 {
 public:
  explicit ScalarPoly1305(const OneTimeKey& key)
      : r0_(key.r_low & 0x0ffffffc0fffffff),
        r1_(key.r_high & 0x0ffffffc0ffffffc),
        r1_times_5_4_(r1_ + (r1_ >> 2)),
        pad_low_(key.pad_low),
        pad_high_(key.pad_high) {}

  // The whole packet: payload padded with zeros to 16 bytes, then 0 || LE64(length).
  Tag128 tag(const std::uint8_t* data, std::uint64_t length) {
    const std::uint8_t* const end = data + (length & ~std::uint64_t{15});
    for (; data != end; data += 16) absorb(load64(data), load64(data + 8));
    if (length % 16 != 0) {
      std::uint64_t last[2] = {0, 0};
      std::memcpy(last, data, length % 16);
      absorb(last[0], last[1]);
    }
    absorb(0, length);
    return finish();
  }

 private:
  __extension__ using Wide = unsigned __int128;

  static std::uint64_t load64(const std::uint8_t* p) {
    std::uint64_t value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }

  static Wide times(std::uint64_t a, std::uint64_t b) { return static_cast<Wide>(a) * b; }

  // h = (h + block + 2^128) r, partly reduced: h2 stays below 8. r1 is a multiple of 4, so what passes 2^128
  // comes back as 5/4 r1.
  void absorb(std::uint64_t low, std::uint64_t high) {
    Wide sum = static_cast<Wide>(h0_) + low;
    h0_ = static_cast<std::uint64_t>(sum);
    sum = static_cast<Wide>(h1_) + high + static_cast<std::uint64_t>(sum >> 64);
    h1_ = static_cast<std::uint64_t>(sum);
    h2_ += static_cast<std::uint64_t>(sum >> 64) + 1;

    const Wide d0 = times(h0_, r0_) + times(h1_, r1_times_5_4_);
    Wide d1 = times(h0_, r1_) + times(h1_, r0_) + h2_ * r1_times_5_4_;
    std::uint64_t d2 = h2_ * r0_;
    d1 += static_cast<std::uint64_t>(d0 >> 64);
    d2 += static_cast<std::uint64_t>(d1 >> 64);

    // 2^130 = 5: what lies above the two low bits of d2 is added as 4 times itself plus itself over 2^2.
    const Wide wrapped = static_cast<Wide>(d2 & ~std::uint64_t{3}) + (d2 >> 2);
    sum = static_cast<Wide>(static_cast<std::uint64_t>(d0)) + static_cast<std::uint64_t>(wrapped);
    h0_ = static_cast<std::uint64_t>(sum);
    sum = static_cast<Wide>(static_cast<std::uint64_t>(d1)) + static_cast<std::uint64_t>(wrapped >> 64) +
          static_cast<std::uint64_t>(sum >> 64);
    h1_ = static_cast<std::uint64_t>(sum);
    h2_ = (d2 & 3) + static_cast<std::uint64_t>(sum >> 64);
  }

  Tag128 finish() const {
    Wide sum = static_cast<Wide>(h0_) + 5;
    const auto g0 = static_cast<std::uint64_t>(sum);
    sum = static_cast<Wide>(h1_) + static_cast<std::uint64_t>(sum >> 64);
    const auto g1 = static_cast<std::uint64_t>(sum);
    const std::uint64_t g2 = h2_ + static_cast<std::uint64_t>(sum >> 64);
    const std::uint64_t use_g = 0 - (g2 >> 2);  // all ones when h + 5 >= 2^130; h2 < 8 makes g2 >> 2 0 or 1
    const std::uint64_t low = (g0 & use_g) | (h0_ & ~use_g);
    const std::uint64_t high = (g1 & use_g) | (h1_ & ~use_g);
    sum = static_cast<Wide>(low) + pad_low_;
    return {static_cast<std::uint64_t>(sum), high + pad_high_ + static_cast<std::uint64_t>(sum >> 64)};
  }

  std::uint64_t r0_, r1_, r1_times_5_4_;
  std::uint64_t pad_low_, pad_high_;
  std::uint64_t h0_ = 0, h1_ = 0, h2_ = 0;
};

}  // namespace wg::crypto
