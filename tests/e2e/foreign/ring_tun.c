/* Linux's own stack as the foreign one behind a ring: a TUN of this network namespace is the other end of a routed
 * ring. With offloads the headers of virtio-net pass from the one to the other as they are.
 *
 *   ring_tun INTERFACE ADDRESS [offloads]     the TUN is ring0; at SIGTERM it says what has passed */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linegate.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static volatile sig_atomic_t stop;
static void on_signal(int number) {
  (void)number;
  stop = 1;
}

static void check(lg_error error, const char *what) {
  const char *text;
  if (error == LG_OK) return;
  (void)lg_last_error(&text);
  fprintf(stderr, "%s: %s: %s\n", what, lg_error_name(error), text);
  exit(1);
}

static int open_tun(int offloads) {
  struct ifreq request;
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  int header = sizeof(lg_offload);
  memset(&request, 0, sizeof request);
  strcpy(request.ifr_name, "ring0");
  request.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (offloads ? IFF_VNET_HDR : 0));
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0 ||
      (offloads && (ioctl(fd, TUNSETVNETHDRSZ, &header) != 0 ||
                    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0)))
    perror("ring0"), exit(1);
  return fd;
}

static uint64_t sent, received, sent_super, received_super;

static int is_super(const void *packet, int offloads) {
  return offloads && ((const lg_offload *)packet)->kind != LG_OFFLOAD_NONE;
}

/* Everything that is there, up to a bound; 0: there was nothing. */
static int from_linux(int tun, lg_ring *ring, int offloads) {
  static uint8_t buffer[65536 + 16];
  int n;
  for (n = 0; n < 64; ++n) {
    const ssize_t bytes = read(tun, buffer, sizeof buffer);
    lg_error error = LG_OK;
    void *place;
    if (bytes <= 0) break;
    while ((place = lg_ring_alloc_send(ring, (uint32_t)bytes, &error)) == NULL && error == LG_FULL && !stop) {
      struct pollfd wait = {lg_ring_wait_fd(ring), POLLIN, 0};
      poll(&wait, 1, 10);
    }
    if (place == NULL) break;
    memcpy(place, buffer, (size_t)bytes);
    check(lg_ring_send(ring, place), "send");
    ++sent;
    sent_super += (uint64_t)is_super(buffer, offloads);
  }
  return n;
}

/* Below 0: the ring is gone. */
static int to_linux(int tun, lg_ring *ring, int offloads) {
  uint32_t bytes;
  lg_error error = LG_OK;
  void *packet;
  int n;
  for (n = 0; n < 64 && (packet = lg_ring_receive(ring, &bytes, &error)) != NULL; ++n) {
    if (write(tun, packet, bytes) < 0 && errno != EAGAIN && errno != EIO) perror("write");
    ++received;
    received_super += (uint64_t)is_super(packet, offloads);
    check(lg_ring_release(ring, packet), "release");
  }
  return n == 0 && error != LG_EMPTY ? -1 : n;
}

/* RING_CREATES: the program makes its adapter itself, and this command gives it addresses. */
static lg_error open_adapter(const char *name, lg_adapter **adapter) {
  static const uint8_t id[16] = "an adapter's id";
  const char *const on_creation = getenv("RING_CREATES");
  lg_error error = on_creation == NULL ? lg_adapter_open(name, adapter) : lg_adapter_create(name, "box", id, 0, adapter);
  if (error != LG_OK || on_creation == NULL) return error;
  error = lg_adapter_set_state(*adapter, LG_UP);
  if (error == LG_OK && system(on_creation) != 0) error = LG_SYSTEM;
  return error;
}

static void serve(int tun, lg_ring *ring, int offloads) {
  struct pollfd wait[2] = {{tun, POLLIN, 0}, {lg_ring_wait_fd(ring), POLLIN, 0}};
  while (!stop) {
    const int out = from_linux(tun, ring, offloads), in = to_linux(tun, ring, offloads);
    if (in < 0) return;
    if (in + out == 0) poll(wait, 2, 1000);
  }
}

int main(int count, char **words) {
  lg_allowed_ip own = {sizeof own, 0, {0}, LG_IPV4, 32, 0, 0};
  const int offloads = count > 3;
  const struct sigaction action = {.sa_handler = on_signal};
  int tun;
  if (count < 3 || inet_pton(AF_INET, words[2], own.address) != 1) return fprintf(stderr, "ring_tun INTERFACE ADDRESS\n"), 2;
  sigaction(SIGTERM, &action, NULL);
  tun = open_tun(offloads);
  while (!stop) {
    lg_adapter *adapter = NULL;
    lg_ring *ring = NULL;
    lg_error error = open_adapter(words[1], &adapter);
    if (error == LG_OK)
      error = lg_ring_open(adapter, 0, LG_RING_ROUTED | (offloads ? LG_RING_OFFLOADS : 0), &own, 1, &ring);
    if (error == LG_INVALID || error == LG_PROTOCOL) check(error, "ring");
    if (error == LG_OK) {
      printf("up\n"), fflush(stdout);
      serve(tun, ring, offloads);
    }
    lg_ring_close(ring);
    lg_adapter_close(adapter);
    if (!stop) usleep(100 * 1000);
  }
  printf("sent %llu super %llu received %llu super %llu\n", (unsigned long long)sent, (unsigned long long)sent_super,
         (unsigned long long)received, (unsigned long long)received_super);
  return 0;
}
