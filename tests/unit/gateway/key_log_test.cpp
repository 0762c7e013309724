#include "control/gateway/key_log.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace wg::control::key_log_test {
namespace {

using Frame = std::vector<std::uint8_t>;

constexpr std::uint16_t kPort = 51820, kOther = 4000;

void put16(Frame& frame, std::size_t at, unsigned value) {
  frame[at] = static_cast<std::uint8_t>(value >> 8);
  frame[at + 1] = static_cast<std::uint8_t>(value);
}

struct Datagram {
  bool v6 = false;
  std::uint16_t from = kOther, to = kPort;
  std::uint8_t type = 1;
  std::size_t options = 0;  // of IPv4, in words
  std::uint8_t protocol = 17;
};

Frame frame_of(const Datagram& d) {
  const std::size_t ip = d.v6 ? 40 : 20 + 4 * d.options, udp = 14 + ip;
  Frame frame(udp + 8 + 148, 0);
  put16(frame, 12, d.v6 ? 0x86dd : 0x0800);
  frame[14] = static_cast<std::uint8_t>(d.v6 ? 0x60 : 0x45 + d.options);
  frame[d.v6 ? 20 : 23] = d.protocol;
  put16(frame, udp, d.from);
  put16(frame, udp + 2, d.to);
  frame[udp + 8] = d.type;
  return frame;
}

bool is_chosen(const Frame& frame) {
  const auto program = handshake_frames(dataplane::UdpPort{kPort});
  const auto size = static_cast<unsigned>(frame.size());
  return bpf_filter(program.data(), frame.data(), size, size) != 0;
}

TEST(KeyLog, ChoosesHandshakeMessagesOfThePortInBothDirections) {
  for (const bool v6 : {false, true})
    for (const std::uint8_t type : std::array<std::uint8_t, 7>{0, 1, 2, 3, 4, 5, 255}) {
      const bool wanted = type >= 1 && type <= 3;
      EXPECT_EQ(is_chosen(frame_of({v6, kOther, kPort, type})), wanted) << v6 << int{type};
      EXPECT_EQ(is_chosen(frame_of({v6, kPort, kOther, type})), wanted) << v6 << int{type};
      EXPECT_FALSE(is_chosen(frame_of({v6, kOther, kOther, type}))) << v6 << int{type};
    }
}

TEST(KeyLog, ReadsOptionsOfIpv4AndNothingButUdp) {
  EXPECT_TRUE(is_chosen(frame_of({.options = 3})));
  EXPECT_FALSE(is_chosen(frame_of({.protocol = 6})));
  EXPECT_FALSE(is_chosen(frame_of({.v6 = true, .protocol = 6})));
  Frame arp = frame_of({});
  put16(arp, 12, 0x0806);
  EXPECT_FALSE(is_chosen(arp));
  Frame reserved = frame_of({});
  reserved[14 + 20 + 8 + 3] = 1;
  EXPECT_TRUE(is_chosen(reserved)) << "the reserved bytes are the engine's to judge";
}

TEST(KeyLog, NoLengthIsReadBeyond) {
  for (const bool v6 : {false, true}) {
    const Frame whole = frame_of({.v6 = v6});
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const Frame part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
      EXPECT_EQ(is_chosen(part), n >= (v6 ? 66U : 46U)) << v6 << n;
    }
  }
}

TEST(KeyLog, LinesAreThoseOfWireshark) {
  noise::HandshakeSecrets secrets;
  secrets.own_static.fill(1);
  secrets.peer.fill(2);
  secrets.own_ephemeral.fill(3);
  const std::string without =
      "LOCAL_STATIC_PRIVATE_KEY = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
      "REMOTE_STATIC_PUBLIC_KEY = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
      "LOCAL_EPHEMERAL_PRIVATE_KEY = AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n";
  EXPECT_EQ(key_log_lines(secrets), without);
  secrets.preshared_key.fill(4);
  EXPECT_EQ(key_log_lines(secrets),
            without + "PRESHARED_KEY = BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=\n");
}

}  // namespace
}  // namespace wg::control::key_log_test
