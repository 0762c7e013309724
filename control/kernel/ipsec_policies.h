// Whether this network namespace has IPsec policies (`ip xfrm policy`). A worker does not know them, so while
// there is one every packet is Linux's.
#pragma once

#include <memory>

struct mnl_socket;
struct nlmsghdr;

namespace wg::control {

// True for a policy about packets of the namespace, false for one of a single socket.
[[nodiscard]] bool is_packet_policy(const nlmsghdr* message);

class IpsecPolicies {
 public:
  // On a kernel without IPsec there are none.
  IpsecPolicies();
  ~IpsecPolicies();
  IpsecPolicies(const IpsecPolicies&) = delete;
  IpsecPolicies& operator=(const IpsecPolicies&) = delete;

  [[nodiscard]] int fd() const;  // readable: call process(); -1: never
  // Reads what has changed and asks the kernel again.
  void process();
  [[nodiscard]] bool any() const { return any_; }

 private:
  struct Closer {
    void operator()(mnl_socket* socket) const;
  };
  using Socket = std::unique_ptr<mnl_socket, Closer>;
  static Socket open(unsigned groups);
  void dump();

  Socket monitor_;
  bool any_ = false;
};

}  // namespace wg::control
