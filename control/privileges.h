// Giving up root once everything that needs it is open.
#pragma once

#include <string>
#include <vector>

namespace wg::control {

// Before threads exist: no core files, no ptrace, and the privileges of start-up are for start-up only.
void keep_secrets();

// The calling (control) thread goes before other programs on its CPUs: a handshake is answered though they
// are busy. Threads that it starts later do not. Needs CAP_SYS_NICE or RLIMIT_NICE (LimitNICE of the unit);
// false: refused, errno says why.
bool go_before_other_programs();

// Becomes `user` in every thread; the calling (control) thread keeps CAP_NET_ADMIN and CAP_NET_RAW, which
// interfaces, routes and socket marks need at run time. `directories` are given to the user first, so that
// sockets and state files can be made and removed there. Throws std::runtime_error and changes nothing it can
// avoid.
void drop_privileges(const std::string& user, const std::vector<std::string>& directories);

}  // namespace wg::control
