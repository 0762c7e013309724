// The packet sockets of DPDK's net_af_packet driver join a fanout group with PACKET_FANOUT_FLAG_DEFRAG, and
// the driver has no option to leave that out: the kernel then joins the fragments of IPv4 datagrams, and what
// is larger than one frame of the ring is cut off and lost. A gateway passes fragments as they are.
//
// So the program has a setsockopt() of its own in the C library's place, which takes that flag away. Shared
// libraries that are loaded later, as DPDK's drivers are, find the program's first.
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

// With `type << 16 | group` as its value, as packet(7) says.
extern "C" [[gnu::visibility("default")]] int setsockopt(int socket, int level, int option, const void* value,
                                                         socklen_t size) noexcept {
  std::uint32_t fanout = 0;
  if (level == SOL_PACKET && option == PACKET_FANOUT && size == sizeof fanout) {
    std::memcpy(&fanout, value, sizeof fanout);
    fanout &= ~(std::uint32_t{PACKET_FANOUT_FLAG_DEFRAG} << 16);
    value = &fanout;
  }
  return static_cast<int>(::syscall(SYS_setsockopt, socket, level, option, value, size));
}
