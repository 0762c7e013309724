/* lwIP is the inner side of an interface: Debian's liblwip0 with a netif that receives and sends by liblinegate, and an HTTP
 * server on its raw API.
 *
 *   lwip_httpd INTERFACE IPV4 IPV6 FILE [SLOTS [LOSS]]   prints "up" for each ring it opens
 *
 * GET / is one line of text, GET /file is FILE; the answer to PUT is the number of its bytes and their Adler-32. A ring has
 * SLOTS packets each way, and every LOSS-th packet of both ways is lost. It comes back by itself after a restart of the
 * gateway, and so do its TCP connections. */
#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <linegate.h>
#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ the card; all of it under lwIP's core lock */

static struct netif card;
static lg_ring *ring; /* NULL: the gateway is away */
static unsigned loss, packets;

static int is_lost(void) {
  return ring == NULL || (loss != 0 && ++packets % loss == 0);
}

static err_t to_ring(struct pbuf *packet) {
  void *place;
  if (is_lost()) return ERR_OK;
  place = lg_ring_alloc_send(ring, packet->tot_len, NULL);
  if (place == NULL) return ERR_MEM;
  pbuf_copy_partial(packet, place, packet->tot_len, 0);
  return lg_ring_send(ring, place) == LG_OK ? ERR_OK : ERR_IF;
}
static err_t output4(struct netif *from, struct pbuf *packet, const ip4_addr_t *to) {
  (void)from, (void)to;
  return to_ring(packet);
}
static err_t output6(struct netif *from, struct pbuf *packet, const ip6_addr_t *to) {
  (void)from, (void)to;
  return to_ring(packet);
}

static err_t init_card(struct netif *made) {
  made->name[0] = 'l', made->name[1] = 'g';
  made->mtu = 1420;
  made->output = output4;
  made->output_ip6 = output6;
  return ERR_OK;
}

static void to_stack(const void *packet, uint32_t bytes) {
  struct pbuf *copy;
  if (is_lost()) return;
  copy = pbuf_alloc(PBUF_RAW, (u16_t)bytes, PBUF_RAM);
  if (copy == NULL) return;
  pbuf_take(copy, packet, (u16_t)bytes);
  if (card.input(copy, &card) != ERR_OK) pbuf_free(copy);
}

/* Returns when the gateway has given the ring up. */
static void serve(lg_ring *opened) {
  struct pollfd wait = {lg_ring_wait_fd(opened), POLLIN, 0};
  lg_error error = LG_OK;
  uint32_t bytes;
  void *packet;
  for (;;) {
    while ((packet = lg_ring_receive(opened, &bytes, &error)) != NULL) {
      LOCK_TCPIP_CORE();
      to_stack(packet, bytes);
      UNLOCK_TCPIP_CORE();
      (void)lg_ring_release(opened, packet);
    }
    if (error != LG_EMPTY) return;
    (void)poll(&wait, 1, -1);
  }
}

static void set_ring(lg_ring *to) {
  LOCK_TCPIP_CORE();
  ring = to;
  UNLOCK_TCPIP_CORE();
}

/* ------------------------------------------------------------------ HTTP; in lwIP's thread, or under its core lock */

enum { HEAD_MAX = 2048 };
typedef struct exchange {
  char head[HEAD_MAX + 1];
  size_t head_bytes;
  int has_head, is_answered;
  unsigned long long body_left, body_bytes;
  uint32_t low, high; /* of Adler-32 */
  const uint8_t *data;
  size_t left;
} exchange;

static const uint8_t *file;
static size_t file_bytes;

static void forget(struct tcp_pcb *pcb) {
  tcp_arg(pcb, NULL);
  tcp_recv(pcb, NULL);
  tcp_sent(pcb, NULL);
  tcp_poll(pcb, NULL, 0);
  tcp_err(pcb, NULL);
}

/* As much as there is room for; the end of the answer ends the connection. */
static void send_some(struct tcp_pcb *pcb, exchange *of) {
  while (of->left != 0) {
    size_t bytes = tcp_sndbuf(pcb);
    if (bytes > of->left) bytes = of->left;
    if (bytes > 0xffff) bytes = 0xffff;
    if (bytes == 0 || tcp_write(pcb, of->data, (u16_t)bytes, 0) != ERR_OK) break;
    of->data += bytes;
    of->left -= bytes;
  }
  (void)tcp_output(pcb);
  if (of->left != 0 || !of->is_answered || tcp_close(pcb) != ERR_OK) return;
  forget(pcb);
  free(of);
}

static void answer(struct tcp_pcb *pcb, exchange *of, const char *status, const char *text, const uint8_t *data, size_t bytes) {
  char head[256];
  const int length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", status,
                              bytes + strlen(text), text);
  of->is_answered = 1;
  of->data = data;
  of->left = bytes;
  if (tcp_write(pcb, head, (u16_t)length, TCP_WRITE_FLAG_COPY) != ERR_OK) of->left = 0;
}

static void take_body(exchange *of, const uint8_t *bytes, size_t count) {
  for (; count != 0 && of->body_left != 0; --count, --of->body_left) {
    of->low = (of->low + *bytes++) % 65521;
    of->high = (of->high + of->low) % 65521;
  }
}

static void take_head(exchange *of) {
  const char *length;
  for (length = of->head; *length != 0 && strncasecmp(length, "\ncontent-length:", 16) != 0; ++length) {
  }
  of->has_head = 1;
  if (*length != 0) of->body_left = of->body_bytes = strtoull(length + 16, NULL, 10);
}

/* One run of bytes as it came. */
static void take(exchange *of, const uint8_t *bytes, size_t count) {
  while (!of->has_head && count != 0 && of->head_bytes < HEAD_MAX) {
    of->head[of->head_bytes++] = (char)*bytes++;
    --count;
    if (of->head_bytes >= 4 && memcmp(of->head + of->head_bytes - 4, "\r\n\r\n", 4) == 0) take_head(of);
  }
  take_body(of, bytes, count);
}

static void answer_if_whole(struct tcp_pcb *pcb, exchange *of) {
  char text[128];
  if (!of->has_head || of->body_left != 0 || of->is_answered) return;
  if (strncmp(of->head, "PUT ", 4) == 0) {
    snprintf(text, sizeof text, "%llu %u\n", of->body_bytes, of->high << 16 | of->low);
    answer(pcb, of, "200 OK", text, NULL, 0);
  } else if (strncmp(of->head, "GET /file ", 10) == 0) {
    answer(pcb, of, "200 OK", "", file, file_bytes);
  } else if (strncmp(of->head, "GET / ", 6) == 0) {
    snprintf(text, sizeof text, "lwIP %s behind a ring\n", LWIP_VERSION_STRING);
    answer(pcb, of, "200 OK", text, NULL, 0);
  } else {
    answer(pcb, of, "404 Not Found", "", NULL, 0);
  }
}

static err_t received(void *context, struct tcp_pcb *pcb, struct pbuf *packet, err_t error) {
  exchange *const of = context;
  struct pbuf *part;
  if (packet == NULL || error != ERR_OK) { /* the other side has closed, after it has its answer or before */
    if (packet != NULL) pbuf_free(packet);
    forget(pcb);
    free(of);
    if (tcp_close(pcb) == ERR_OK) return ERR_OK;
    tcp_abort(pcb);
    return ERR_ABRT;
  }
  for (part = packet; part != NULL; part = part->next) take(of, part->payload, part->len);
  tcp_recved(pcb, packet->tot_len);
  pbuf_free(packet);
  answer_if_whole(pcb, of);
  if (of->is_answered) send_some(pcb, of);
  return ERR_OK;
}

static err_t acknowledged(void *context, struct tcp_pcb *pcb, u16_t bytes) {
  (void)bytes;
  send_some(pcb, context);
  return ERR_OK;
}
static err_t time_passed(void *context, struct tcp_pcb *pcb) {
  send_some(pcb, context);
  return ERR_OK;
}
static void failed(void *context, err_t error) {
  (void)error;
  free(context);
}

static err_t accepted(void *context, struct tcp_pcb *pcb, err_t error) {
  exchange *const of = calloc(1, sizeof *of);
  (void)context;
  if (error != ERR_OK || of == NULL) return free(of), ERR_MEM;
  of->low = 1;
  tcp_arg(pcb, of);
  tcp_recv(pcb, received);
  tcp_sent(pcb, acknowledged);
  tcp_err(pcb, failed);
  tcp_poll(pcb, time_passed, 2);
  return ERR_OK;
}

/* ------------------------------------------------------------------ the program */

static void die(const char *what) {
  const char *text = NULL;
  const lg_error error = lg_last_error(&text);
  fprintf(stderr, "%s: %s: %s\n", what, lg_error_name(error), text == NULL ? "" : text);
  exit(1);
}

static void map_file(const char *path) {
  struct stat facts;
  const int fd = open(path, O_RDONLY);
  if (fd < 0 || fstat(fd, &facts) != 0) perror(path), exit(1);
  file_bytes = (size_t)facts.st_size;
  file = mmap(NULL, file_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  if (file == MAP_FAILED) perror(path), exit(1);
}

static void start_stack(const char *ipv4, const char *ipv6) {
  struct tcp_pcb *server;
  ip4_addr_t address, mask, none;
  ip6_addr_t address6;
  s8_t index;
  tcpip_init(NULL, NULL);
  if (!ip4addr_aton(ipv4, &address) || !ip6addr_aton(ipv6, &address6)) die("an address");
  IP4_ADDR(&mask, 255, 255, 255, 0);
  ip4_addr_set_zero(&none);
  LOCK_TCPIP_CORE();
  netif_add(&card, &address, &mask, &none, NULL, init_card, ip_input);
  netif_set_default(&card);
  netif_set_up(&card);
  netif_set_link_up(&card);
  if (netif_add_ip6_address(&card, &address6, &index) != ERR_OK) die("the IPv6 address");
  netif_ip6_addr_set_state(&card, index, IP6_ADDR_PREFERRED);
  server = tcp_new_ip_type(IPADDR_TYPE_ANY);
  if (server == NULL || tcp_bind(server, IP_ANY_TYPE, 80) != ERR_OK) die("port 80");
  tcp_accept(tcp_listen(server), accepted);
  UNLOCK_TCPIP_CORE();
}

static lg_error open_ring(const char *name, const lg_allowed_ip *own, uint32_t slots, lg_adapter **adapter, lg_ring **to) {
  lg_error error = lg_adapter_open(name, adapter);
  if (error == LG_OK) error = lg_ring_open(*adapter, slots, 0, own, 2, to);
  if (error != LG_OK) lg_adapter_close(*adapter);
  return error;
}

int main(int count, char **words) {
  lg_allowed_ip own[2] = {{sizeof *own, 0, {0}, LG_IPV4, 32, 0, 0}, {sizeof *own, 0, {0}, LG_IPV6, 128, 0, 0}};
  const uint32_t slots = count > 5 ? (uint32_t)atoi(words[5]) : 0;
  lg_adapter *adapter;
  lg_ring *opened;
  if (count < 5 || inet_pton(AF_INET, words[2], own[0].address) != 1 || inet_pton(AF_INET6, words[3], own[1].address) != 1)
    return fprintf(stderr, "lwip_httpd INTERFACE IPV4 IPV6 FILE [SLOTS [LOSS]]\n"), 2;
  loss = count > 6 ? (unsigned)atoi(words[6]) : 0;
  map_file(words[4]);
  start_stack(words[2], words[3]);
  for (;; usleep(100 * 1000)) { /* as lib/examples/echo.c */
    const lg_error error = open_ring(words[1], own, slots, &adapter, &opened);
    if (error == LG_INVALID) die("the ring");
    if (error != LG_OK) continue;
    set_ring(opened);
    printf("up\n"), fflush(stdout);
    serve(opened);
    set_ring(NULL);
    lg_ring_close(opened);
    lg_adapter_close(adapter);
  }
}
