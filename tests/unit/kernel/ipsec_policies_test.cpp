#include "control/kernel/ipsec_policies.h"

#include <poll.h>

#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

class IpsecTest : public NamespaceTest {
 protected:
  static bool readable(const IpsecPolicies& policies) {
    pollfd at{policies.fd(), POLLIN, 0};
    return poll(&at, 1, 1000) == 1;
  }
};

constexpr char kPolicy[] = "src 10.9.0.0/16 dst 10.8.0.0/16 dir fwd";

TEST_F(IpsecTest, APolicyIsNoticedAndSoIsItsEnd) {
  IpsecPolicies policies;
  EXPECT_FALSE(policies.any());
  if (!shell_works(std::string("ip xfrm policy add ") + kPolicy + " action block"))
    GTEST_SKIP() << "this kernel has no IPsec";
  ASSERT_TRUE(readable(policies));
  policies.process();
  EXPECT_TRUE(policies.any());
  EXPECT_TRUE(IpsecPolicies().any()) << "from a dump";
  shell(std::string("ip xfrm policy delete ") + kPolicy);
  ASSERT_TRUE(readable(policies));
  policies.process();
  EXPECT_FALSE(policies.any());
}

}  // namespace
}  // namespace wg::control
