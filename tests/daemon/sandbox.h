// A place of its own for a test that runs the whole gateway: network, mounts with a fresh /run, nothing left
// behind. Needs root.
#pragma once

#include <functional>
#include <string>

namespace wg::test {

[[nodiscard]] bool may_make_namespaces();

// Moves the calling process into namespaces of its own, with lo up and an empty /run. Before any thread is
// started; throws std::runtime_error.
void enter_sandbox();

// Runs a shell command and returns what it printed; throws std::runtime_error when it fails.
std::string shell(const std::string& command);

// Runs `body` in a forked child inside a sandbox: DPDK's environment can be started once per process only.
// `body` returns what it has to say, exceptions are passed on as std::runtime_error. The child is killed
// after `seconds`.
std::string in_sandbox(const std::function<std::string()>& body, unsigned seconds);

}  // namespace wg::test
