// X25519 in every variant: published vectors, and libsodium beside it, whatever stands in the other lanes.
#include "dataplane/crypto/x25519.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <array>
#include <cfenv>
#include <cstdlib>
#include <random>
#include <vector>

#include "tests/unit/crypto/packets.h"
#include "tests/unit/noise/vectors.h"

namespace wg::crypto {
namespace {

using Number = std::array<std::uint8_t, kX25519Size>;

Number number_of(const std::string& hex) {
  const Bytes bytes = from_hex(hex);
  Number number{};
  std::copy(bytes.begin(), bytes.end(), number.begin());
  return number;
}

struct Case {
  Number scalar, point;
};

class X25519 : public ::testing::TestWithParam<const X25519Engine*> {
 protected:
  static std::vector<Number> multiply(const std::vector<Case>& cases) {
    std::vector<Number> shared(cases.size(), Number{0xa5});
    std::vector<X25519Op> ops;
    for (std::size_t i = 0; i < cases.size(); ++i)
      ops.push_back({cases[i].scalar.data(), cases[i].point.data(), shared[i].data()});
    GetParam()->multiply(ops);
    return shared;
  }
  static Number oracle(const Case& c) {
    Number shared;
    if (crypto_scalarmult_curve25519(shared.data(), c.scalar.data(), c.point.data()) != 0) shared = {};
    return shared;
  }
};

INSTANTIATE_TEST_SUITE_P(Variants, X25519,
                         ::testing::ValuesIn(x25519_engines().begin(), x25519_engines().end()),
                         [](const auto& row) { return std::string(row.param->name); });

// RFC 7748 section 5.2, two and both together.
TEST_P(X25519, Rfc7748) {
  const std::vector<Case> cases{
      {number_of("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
       number_of("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")},
      {number_of("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
       number_of("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")}};
  const std::vector<Number> expected{
      number_of("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"),
      number_of("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957")};
  EXPECT_EQ(multiply(cases), expected);
  for (std::size_t i = 0; i < cases.size(); ++i)
    EXPECT_EQ(multiply({cases[i]}), std::vector<Number>{expected[i]});
}

// RFC 7748 section 5.2: k, u = X25519(k, u), k, a thousand times; in two lanes with the same.
TEST_P(X25519, Rfc7748ThousandTimes) {
  Number k{9}, u{9};
  for (int i = 0; i < 1000; ++i) {
    const std::vector<Number> shared = multiply({{k, u}, {k, u}});
    ASSERT_EQ(shared[0], shared[1]);
    u = k;
    k = shared[0];
  }
  EXPECT_EQ(k, number_of("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

TEST_P(X25519, AnyNumberOfOperations) {
  std::mt19937_64 random(25519);
  const auto number = [&random] {
    Number n;
    for (std::uint8_t& byte : n) byte = static_cast<std::uint8_t>(random());
    return n;
  };
  for (std::size_t count = 1; count <= 3 * kX25519Lanes + 1; ++count) {
    std::vector<Case> cases;
    std::vector<Number> expected;
    for (std::size_t i = 0; i < count; ++i) {
      cases.push_back({number(), number()});
      expected.push_back(oracle(cases.back()));
    }
    EXPECT_EQ(multiply(cases), expected) << count;
  }
}

// Points around 0, p and 2^255, of low order, with the top bit: each in each lane, beside others.
TEST_P(X25519, EdgesInEachLane) {
  std::vector<Number> points;
  for (const std::uint8_t low : Bytes{0x00, 0x01, 0x02, 0x09, 0xec, 0xed, 0xee, 0xff}) {
    for (const std::uint8_t between : Bytes{0x00, 0xff}) {
      for (const std::uint8_t top : Bytes{0x00, 0x7f, 0x80, 0xff}) {
        Number point;
        point.fill(between);
        point.front() = low;
        point.back() = top;
        points.push_back(point);
      }
    }
  }
  // Of order 8, RFC 7748 does not list them; Bernstein's page on Curve25519 does.
  points.push_back(number_of("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"));
  points.push_back(number_of("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"));
  std::mt19937_64 random(1);
  for (std::size_t shift = 0; shift < kX25519Lanes; ++shift) {
    std::vector<Case> cases(shift, Case{Number{1}, Number{9}});
    std::vector<Number> expected(shift, oracle({Number{1}, Number{9}}));
    for (const Number& point : points) {
      Number scalar;
      for (std::uint8_t& byte : scalar) byte = static_cast<std::uint8_t>(random());
      cases.push_back({scalar, point});
      expected.push_back(oracle(cases.back()));
    }
    EXPECT_EQ(multiply(cases), expected) << shift;
  }
}

TEST_P(X25519, ScalarsOfOneKind) {
  std::vector<Case> cases;
  std::vector<Number> expected;
  for (int bit = 0; bit < 256; ++bit) {
    Number scalar{}, inverted;
    scalar[static_cast<std::size_t>(bit / 8)] = static_cast<std::uint8_t>(1 << bit % 8);
    for (std::size_t i = 0; i < inverted.size(); ++i) inverted[i] = static_cast<std::uint8_t>(~scalar[i]);
    for (const Number& s : {scalar, inverted}) {
      cases.push_back({s, Number{9}});
      expected.push_back(oracle(cases.back()));
    }
  }
  EXPECT_EQ(multiply(cases), expected);
}

TEST_P(X25519, TheBasePointByItsAddress) {
  const Number scalar = number_of("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const Number expected = number_of("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  for (const std::size_t count : {1u, 3u}) {
    std::vector<Number> shared(count);
    std::vector<X25519Op> ops;
    for (Number& s : shared) ops.push_back({scalar.data(), kX25519Base, s.data()});
    GetParam()->multiply(ops);
    EXPECT_EQ(shared, std::vector<Number>(count, expected));
  }
}

// The variant that computes in doubles has a rounding mode of its own meanwhile.
TEST_P(X25519, RoundingIsTheCallers) {
  std::mt19937_64 random(2);
  std::vector<Case> cases(kX25519Lanes);
  std::vector<Number> expected;
  for (Case& c : cases) {
    for (std::uint8_t& byte : c.scalar) byte = static_cast<std::uint8_t>(random());
    for (std::uint8_t& byte : c.point) byte = static_cast<std::uint8_t>(random());
    expected.push_back(oracle(c));
  }
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST}) {
    std::fesetround(mode);
    std::feclearexcept(FE_ALL_EXCEPT);
    const std::vector<Number> shared = multiply(cases);
    EXPECT_EQ(std::fegetround(), mode);
    EXPECT_EQ(std::fetestexcept(FE_ALL_EXCEPT), 0);
    std::fesetround(FE_TONEAREST);
    EXPECT_EQ(shared, expected) << mode;
  }
}

TEST_P(X25519, Wycheproof) {
  LOAD_VECTORS_OR_SKIP(file, "wycheproof_x25519_test.json");
  std::vector<Case> cases;
  std::vector<Number> expected;
  for (const auto& group : (*file)["testGroups"]) {
    for (const auto& test : group["tests"]) {
      cases.push_back(
          {number_of(test["private"].get<std::string>()), number_of(test["public"].get<std::string>())});
      expected.push_back(number_of(test["shared"].get<std::string>()));
    }
  }
  ASSERT_EQ(cases.size(), 518u);
  EXPECT_EQ(multiply(cases), expected);
}

TEST(X25519Choice, TheLastThatThisMachineCanRunOrTheOneAskedFor) {
  const X25519Engine& chosen = x25519_engine();
  if (const char* forced = std::getenv("LINEGATE_X25519"); forced != nullptr && *forced != 0) {
    EXPECT_STREQ(chosen.name, forced);
  } else {
    EXPECT_EQ(&chosen, x25519_engines().back());
  }
  for (const X25519Engine* engine : x25519_engines()) {
    use_x25519_engine(*engine);
    EXPECT_EQ(&x25519_engine(), engine);
  }
  use_x25519_engine(chosen);
}

}  // namespace
}  // namespace wg::crypto
