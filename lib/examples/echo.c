/* A service inside of a tunnel that outlives the gateway: it echoes UDP datagrams to port 7. When the gateway is restarted,
 * or the interface is recreated, it comes back by itself.
 *
 *   echo INTERFACE ADDRESS        an interface of the gateway's configuration, and the service's IPv4 address
 *   cc echo.c $(pkg-config --cflags --libs liblinegate) -o echo */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <linegate.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static lg_error open_ring(const char *name, const lg_allowed_ip *own, lg_adapter **adapter, lg_ring **ring) {
  lg_error error = lg_adapter_open(name, adapter);
  if (error == LG_OK) error = lg_ring_open(*adapter, 0, 0, own, 1, ring);
  if (error != LG_OK) lg_adapter_close(*adapter);
  return error;
}

static void swap(uint8_t *one, uint8_t *other, size_t bytes) {
  uint8_t kept[4];
  memcpy(kept, one, bytes);
  memcpy(one, other, bytes);
  memcpy(other, kept, bytes);
}

/* Addresses and ports change places, which leaves both checksums right. 0: it is no datagram to port 7. */
static int turn_around(uint8_t *ip, uint32_t bytes) {
  uint8_t *const udp = ip + 4 * (ip[0] & 15u);
  if (ip[0] >> 4 != 4 || ip[9] != 17 || bytes < 4 * (ip[0] & 15u) + 8 || udp[2] != 0 || udp[3] != 7) return 0;
  swap(ip + 12, ip + 16, 4);
  swap(udp, udp + 2, 2);
  return 1;
}

/* Returns when the gateway has given the ring up. */
static void serve(lg_ring *ring) {
  struct pollfd wait = {lg_ring_wait_fd(ring), POLLIN, 0};
  lg_error error = LG_OK;
  uint8_t *packet, *answer;
  uint32_t bytes;
  for (;;) {
    while ((packet = lg_ring_receive(ring, &bytes, &error)) != NULL) {
      if (turn_around(packet, bytes) && (answer = lg_ring_alloc_send(ring, bytes, NULL)) != NULL) {
        memcpy(answer, packet, bytes);
        (void)lg_ring_send(ring, answer);
      }
      (void)lg_ring_release(ring, packet);
    }
    if (error != LG_EMPTY) return;
    (void)poll(&wait, 1, -1);
  }
}

int main(int count, char **words) {
  const struct timespec pause = {0, 200 * 1000 * 1000};
  lg_allowed_ip own = {sizeof own, 0, {0}, LG_IPV4, 32, 0, 0};
  lg_error error, before = LG_OK;
  const char *text;
  lg_adapter *adapter;
  lg_ring *ring;
  if (count != 3 || inet_pton(AF_INET, words[2], own.address) != 1) return fprintf(stderr, "echo INTERFACE ADDRESS\n"), 2;
  while ((error = open_ring(words[1], &own, &adapter, &ring)) != LG_INVALID) { /* all else may pass */
    if (error == LG_OK) {
      printf("up\n"), fflush(stdout);
      serve(ring);
      lg_ring_close(ring);
      lg_adapter_close(adapter);
    } else if (error != before) {
      (void)lg_last_error(&text);
      printf("waiting: %s: %s\n", lg_error_name(error), text), fflush(stdout);
    }
    before = error;
    nanosleep(&pause, NULL);
  }
  (void)lg_last_error(&text);
  fprintf(stderr, "%s: %s\n", lg_error_name(error), text);
  return 1;
}
