// ICMP errors of the way to peers: found by endpoint, bounded in number.
#include "control/gateway/path_errors.h"

#include <gtest/gtest.h>

namespace wg::control {
namespace {

using namespace std::chrono_literals;
using Kind = IcmpError::Kind;

Endpoint endpoint(const char* address, std::uint16_t port) {
  return {*dataplane::parse_ip_address(address), UdpPort{port}, 0};
}

IcmpError error_of(Kind kind, std::uint16_t port) {
  IcmpError error;
  error.kind = kind;
  error.from = *dataplane::parse_ip_address("203.0.113.1");
  error.local = endpoint("203.0.113.2", 51820);
  error.remote = endpoint("198.51.100.7", port);
  return error;
}

TEST(PathErrorsTest, AreFoundByEndpointAndCountedByKind) {
  PathErrors errors;
  errors.note(error_of(Kind::kPortUnreachable, 1), BootTime{1s});
  errors.note(error_of(Kind::kPortUnreachable, 1), BootTime{3s});
  errors.note(error_of(Kind::kTooBig, 1), BootTime{2s});
  errors.note(error_of(Kind::kTooBig, 2), BootTime{2s});
  const auto found = errors.about(endpoint("198.51.100.7", 1), UdpPort{51820});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].count, 2u);
  EXPECT_EQ(found[0].last, BootTime{3s});
  EXPECT_EQ(found[1].error.kind, Kind::kTooBig);
  EXPECT_TRUE(errors.about(endpoint("198.51.100.7", 1), UdpPort{51821}).empty()) << "another interface";
  EXPECT_TRUE(errors.about(endpoint("198.51.100.8", 1), UdpPort{51820}).empty()) << "another host";
}

TEST(PathErrorsTest, TheOldestGivesWay) {
  PathErrors errors;
  for (std::uint16_t port = 1; port <= PathErrors::kMost + 1; ++port)
    errors.note(error_of(Kind::kUnreachable, port), BootTime{std::chrono::seconds{port}});
  EXPECT_EQ(errors.size(), PathErrors::kMost);
  EXPECT_TRUE(errors.about(endpoint("198.51.100.7", 1), UdpPort{51820}).empty());
  EXPECT_EQ(errors.about(endpoint("198.51.100.7", 2), UdpPort{51820}).size(), 1u);
  EXPECT_EQ(errors.about(endpoint("198.51.100.7", PathErrors::kMost + 1), UdpPort{51820}).size(), 1u);
}

}  // namespace
}  // namespace wg::control
