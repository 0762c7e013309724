/* A program is a network card: it answers pings through a tunnel.
 *
 *   card INTERFACE ADDRESS [routed]   an interface that exists, the program's IPv4 address; routed: as a host behind it
 *   cc card.c $(pkg-config --cflags --libs liblinegate) -o card */
#include <arpa/inet.h>
#include <linegate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(lg_error error, const char *what) {
  const char *text;
  if (error == LG_OK) return;
  (void)lg_last_error(&text);
  fprintf(stderr, "%s: %s: %s\n", what, lg_error_name(error), text);
  exit(1);
}

/* An echo request becomes its reply: addresses change places, type 8 becomes 0, the sum follows. 0: it is none. */
static int turn_around(uint8_t *ip, uint32_t bytes) {
  const uint32_t header = 4 * (ip[0] & 15u);
  uint8_t source[4];
  uint32_t sum;
  if (ip[0] >> 4 != 4 || ip[9] != 1 || bytes < header + 8 || ip[header] != 8) return 0;
  memcpy(source, ip + 12, 4);
  memcpy(ip + 12, ip + 16, 4);
  memcpy(ip + 16, source, 4);
  ip[header] = 0;
  sum = ((uint32_t)ip[header + 2] << 8 | ip[header + 3]) + 0x0800;
  sum = (sum & 0xffff) + (sum >> 16);
  ip[header + 2] = (uint8_t)(sum >> 8);
  ip[header + 3] = (uint8_t)sum;
  return 1;
}

int main(int count, char **words) {
  lg_allowed_ip own = {sizeof own, 0, {0}, LG_IPV4, 32, 0, 0};
  lg_adapter *adapter;
  lg_ring *ring;
  lg_error error = LG_EMPTY;
  if (count < 3 || inet_pton(AF_INET, words[2], own.address) != 1) return fprintf(stderr, "card INTERFACE ADDRESS\n"), 2;
  check(lg_adapter_open(words[1], &adapter), "open");
  check(lg_ring_open(adapter, 0, count > 3 ? LG_RING_ROUTED : 0, &own, 1, &ring), "ring");
  printf("up\n"), fflush(stdout);
  for (; error == LG_EMPTY; lg_ring_wait(ring, LG_RING_ALL_QUEUES, 0, -1)) {
    uint8_t *packet, *answer;
    uint32_t bytes;
    while ((packet = lg_ring_receive(ring, &bytes, &error)) != NULL) {
      if (turn_around(packet, bytes) && (answer = lg_ring_alloc_send(ring, bytes, NULL)) != NULL) {
        memcpy(answer, packet, bytes);
        check(lg_ring_send(ring, answer), "send");
      }
      check(lg_ring_release(ring, packet), "release");
    }
  }
  fprintf(stderr, "the ring has ended: %s\n", lg_error_name(error));
  return 1;
}
