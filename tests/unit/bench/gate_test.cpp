#include "bench/gate.h"

#include <gtest/gtest.h>

#include <unistd.h>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace wg::bench::test {
namespace {

// A file of thresholds that goes with the test.
class File {
 public:
  explicit File(const std::string& text)
      : path_(std::filesystem::temp_directory_path() / ("gate-" + std::to_string(getpid()))) {
    std::ofstream(path_) << text;
  }
  ~File() { std::filesystem::remove(path_); }
  Gate read(const std::string& cpu = "zen3") const { return Gate::read(path_, cpu); }

 private:
  std::string path_;
};

constexpr const char* kFile =
    "# what was measured\n"
    "slack 20\n"
    "zen3 aead payload=64 op=seal ratio >= 2.50\n"
    "zen3 path direction=send inner=64 clocks/aead <= 2.0  # clocks per clock of crypto\n"
    "zen5 aead payload=64 op=seal ratio >= 9\n";
constexpr const char* kPath = "path direction=send inner=64 outer=4 clocks=220.0 aead=100.0";

TEST(Gate, KeepsWhatIsWithinTheSlack) {
  Gate gate = File(kFile).read();
  gate.see("aead payload=64 op=seal burst=32 ratio=2.01");
  gate.see("path direction=send inner=64 outer=4 clocks=239.0 aead=100.0");
  EXPECT_TRUE(gate.kept());
}

TEST(Gate, FailsForALostQuarter) {
  Gate gate = File(kFile).read();
  gate.see("aead payload=64 op=seal burst=32 ratio=1.87");
  gate.see(kPath);
  EXPECT_FALSE(gate.kept());
}

TEST(Gate, FailsForAQuotientThatGrew) {
  Gate gate = File(kFile).read();
  gate.see("aead payload=64 op=seal burst=32 ratio=2.5");
  gate.see("path direction=send inner=64 outer=4 clocks=250.0 aead=100.0");
  EXPECT_FALSE(gate.kept());
}

TEST(Gate, FailsForWhatWasNotMeasured) {
  Gate gate = File(kFile).read();
  gate.see(kPath);
  gate.see("aead payload=640 op=seal burst=32 ratio=2.5");   // another size
  gate.see("aead payload=64 op=seal burst=32 nothing=2.5");  // without the field
  EXPECT_FALSE(gate.kept());
}

TEST(Gate, SaysNothingOfAnUnknownClass) {
  Gate gate = File(kFile).read("generic");
  EXPECT_TRUE(gate.kept());
}

TEST(Gate, NamesTheLineThatCannotBeRead) {
  for (const char* wrong :
       {"zen3 aead ratio > 2\n", "zen3 ratio >= x\n", "zen3 aead ratio >= 2x\n", "slack much\n"}) {
    try {
      static_cast<void>(File(std::string("slack 20\n") + wrong).read());
      ADD_FAILURE() << wrong;
    } catch (const std::runtime_error& error) {
      EXPECT_NE(std::string(error.what()).find(":2: "), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(static_cast<void>(Gate::read("/nonexistent/gate", "zen3")), std::runtime_error);
}

// The files that the ordinary run uses can be read for each class.
TEST(Gate, TheFilesOfTheRepositoryAreRight) {
  for (const char* name : {"aead", "lpm", "dataplane"})
    for (const char* cpu :
         {"zen3", "zen4", "zen5", "intel-avx512", "generic-avx512", "generic-avx2", "generic"})
      EXPECT_NO_THROW(
          static_cast<void>(Gate::read(std::string(LINEGATE_SOURCE_DIR "/bench/gates/") + name, cpu)));
}

}  // namespace
}  // namespace wg::bench::test
