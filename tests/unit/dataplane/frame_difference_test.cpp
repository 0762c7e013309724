#include "tests/unit/dataplane/frame_difference.h"

#include <gtest/gtest.h>

namespace wg::test {
namespace {

Octets frame() {
  return Packet()
      .eth({2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2})
      .ip4("10.0.0.1", "10.0.0.2")
      .udp(1000, 51820)
      .data(40)
      .build();
}

struct Case {
  std::size_t byte;
  const char* says;
};

TEST(FrameDifference, NamesTheLayerAndTheOffsetInIt) {
  const Octets wanted = frame();
  EXPECT_EQ(frame_difference(wanted, wanted), "");
  for (const Case& c : {Case{3, "Ethernet at 3 (byte 3 of the frame): wanted"},
                        Case{14 + 8, "IPv4 at 8 (byte 22 of the frame): wanted"},
                        Case{14 + 20 + 2, "UDP at 2 (byte 36 of the frame): wanted"},
                        Case{14 + 28 + 1, "UDP payload at 1 (byte 43 of the frame): wanted"}}) {
    Octets got = wanted;
    got[c.byte] = static_cast<std::uint8_t>(got[c.byte] ^ 0xff);
    const std::string text = frame_difference(wanted, got);
    EXPECT_EQ(text.rfind(c.says, 0), 0u) << text;
    EXPECT_NE(text.find("; 1 of " + std::to_string(wanted.size()) + " bytes differ"), std::string::npos)
        << text;
  }
}

TEST(FrameDifference, SaysWhatIsMissingAndWhatIsTooMuch) {
  const Octets wanted = frame();
  Octets shorter(wanted.begin(), wanted.end() - 1), longer = wanted;
  longer.push_back(7);
  const std::string size = std::to_string(wanted.size());
  EXPECT_NE(frame_difference(wanted, shorter).find(", got nothing; 1 of " + size), std::string::npos);
  EXPECT_NE(frame_difference(wanted, longer).find(": wanted nothing, got 07; 1 of " + size),
            std::string::npos);
}

}  // namespace
}  // namespace wg::test
