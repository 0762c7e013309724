// The choice of the variant by the features of the processor and the operating system.
#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>
#include <string>

#include "dataplane/crypto/aead_variants.h"
#include "dataplane/crypto/constant_time.h"

namespace wg::crypto {
namespace {

#if defined(__x86_64__)
// A machine that can do everything.
constexpr processor::FeatureWords kEverything = {
    .max_leaf = 0x20, .leaf1_ecx = ~0u, .leaf7_ebx = ~0u, .leaf7_ecx = ~0u, .xcr0 = 0xe7};
#endif

std::string chosen(const processor::FeatureWords& words, const char* forced = nullptr) {
  return choose_aead_engine(words, forced).name;
}

#if defined(__x86_64__)
TEST(AeadDispatch, BestVariantOfEachMachine) {
  EXPECT_EQ(chosen(kEverything), "avx512");
  EXPECT_EQ(chosen({}), "portable");
}

TEST(AeadDispatch, EachFeatureOfAvx512IsRequired) {
  // CPUID.7.0:EBX F, DQ, IFMA, BW, VL
  for (const int bit : {16, 17, 21, 30, 31}) {
    processor::FeatureWords words = kEverything;
    words.leaf7_ebx &= ~(1u << bit);
    EXPECT_EQ(chosen(words), "avx2") << bit;
  }
  processor::FeatureWords words = kEverything;
  words.leaf7_ecx &= ~(1u << 6);  // VBMI2
  EXPECT_EQ(chosen(words), "avx2");
}

TEST(AeadDispatch, EachFeatureOfAvx2IsRequired) {
  for (const int bit : {3, 5, 8}) {  // BMI1, AVX2, BMI2
    processor::FeatureWords words = kEverything;
    words.leaf7_ebx &= ~(1u << bit);
    EXPECT_EQ(chosen(words), "portable") << bit;
  }
  for (const int bit : {23, 27, 28}) {  // POPCNT, OSXSAVE, AVX
    processor::FeatureWords words = kEverything;
    words.leaf1_ecx &= ~(1u << bit);
    EXPECT_EQ(chosen(words), "portable") << bit;
  }
  processor::FeatureWords words = kEverything;
  words.max_leaf = 6;
  EXPECT_EQ(chosen(words), "portable");
}

// The processor can, but the operating system does not save the registers.
TEST(AeadDispatch, RegisterStateIsRequired) {
  for (const int bit : {5, 6, 7}) {  // opmask, ZMM_Hi256, Hi16_ZMM
    processor::FeatureWords words = kEverything;
    words.xcr0 &= ~(std::uint64_t{1} << bit);
    EXPECT_EQ(chosen(words), "avx2") << bit;
  }
  for (const int bit : {1, 2}) {  // SSE, AVX
    processor::FeatureWords words = kEverything;
    words.xcr0 &= ~(std::uint64_t{1} << bit);
    EXPECT_EQ(chosen(words), "portable") << bit;
  }
}

TEST(AeadDispatch, ForcedVariant) {
  EXPECT_EQ(chosen(kEverything, "portable"), "portable");
  EXPECT_EQ(chosen(kEverything, "avx2"), "avx2");
  EXPECT_EQ(chosen(kEverything, "avx512"), "avx512");
  EXPECT_EQ(chosen(kEverything, ""), "avx512");
}

TEST(AeadDispatch, ForcingTheImpossibleFailsLoudly) {
  processor::FeatureWords no_avx512 = kEverything;
  no_avx512.leaf7_ebx &= ~(1u << 16);
  EXPECT_THROW(choose_aead_engine(no_avx512, "avx512"), std::runtime_error);
  EXPECT_THROW(choose_aead_engine(kEverything, "neon"), std::runtime_error);
  EXPECT_THROW(choose_aead_engine({}, "avx2"), std::runtime_error);
}
#else
// NEON is part of arm64.
TEST(AeadDispatch, BestVariantOfEachMachine) {
  EXPECT_EQ(chosen({}), "neon");
}

TEST(AeadDispatch, ForcedVariant) {
  EXPECT_EQ(chosen({}, "portable"), "portable");
  EXPECT_EQ(chosen({}, "neon"), "neon");
  EXPECT_EQ(chosen({}, ""), "neon");
}

TEST(AeadDispatch, ForcingTheImpossibleFailsLoudly) {
  EXPECT_THROW(choose_aead_engine({}, "avx2"), std::runtime_error);
  EXPECT_THROW(choose_aead_engine({}, "none"), std::runtime_error);
}
#endif

TEST(AeadDispatch, ThisMachine) {
  const auto engines = aead_engines();
  ASSERT_FALSE(engines.empty());
  EXPECT_STREQ(engines.front()->name, "portable");
  EXPECT_EQ(&choose_aead_engine(processor::read_feature_words(), nullptr), engines.back());
  for (const AeadEngine* engine : engines) EXPECT_EQ(aead_engine_named(engine->name), engine);
  EXPECT_EQ(aead_engine_named("none"), nullptr);
}

TEST(ConstantTime, Equal) {
  const char a[] = "0123456789abcdef";
  for (std::size_t i = 0; i < sizeof a; ++i) {
    char b[sizeof a];
    std::memcpy(b, a, sizeof a);
    EXPECT_TRUE(equal(a, b, sizeof a));
    b[i] = static_cast<char>(b[i] ^ 0x10);
    EXPECT_FALSE(equal(a, b, sizeof a)) << i;
    EXPECT_TRUE(equal(a, b, i)) << i;
  }
}

}  // namespace
}  // namespace wg::crypto
