// Drops rights of the process for good: system calls that it never makes are refused by seccomp filters
// (seccomp(2)).
//
// A refused call fails with EPERM, in the kernel. Filters are inherited by new threads and cannot be taken
// back. An attacker who runs code in the process keeps what its descriptors and calls allow, and no more.
#pragma once

#include "dataplane/base/expected.h"

namespace wg::control {

// For the whole process: call it before any thread exists. Refused are programs (execve, fork), looking into
// other processes, kernel modules, mounts and namespaces, BPF, performance counters, keyrings, the clock,
// io_uring.
[[nodiscard]] Expected<> confine_process();

// For a worker, in its own thread: nothing but packets, memory, sleeping and the end. Files and sockets
// cannot be opened any more, and no thread can be made.
[[nodiscard]] Expected<> confine_worker();

}  // namespace wg::control
