/* A tunnel in one short file: an adapter with one peer, which is gone when this program ends.
 *
 *   adapter NAME ADDRESS/LENGTH PRIVATE_KEY_FILE LISTEN_PORT PEER_PUBLIC_KEY PEER_ALLOWED_IP/LENGTH [PEER_ADDRESS PORT]
 *   cc adapter.c $(pkg-config --cflags --libs liblinegate) -o adapter
 *
 * Keys are in base64, as `wg genkey` and `wg pubkey` print them; addresses are IPv4. It needs a gateway that runs, the
 * right to use its control socket, and CAP_NET_ADMIN for the address. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linegate.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void check(lg_error error, const char *what) {
  const char *text;
  if (error == LG_OK) return;
  (void)lg_last_error(&text);
  fprintf(stderr, "%s: %s: %s\n", what, lg_error_name(error), text);
  exit(1); /* the adapter, if there is one, goes with the program */
}

static void usage(const char *what) {
  fprintf(stderr, "what is wrong: %s; see the head of adapter.c\n", what);
  exit(2);
}

/* 44 characters of base64 that mean 32 bytes. */
static void read_key(const char *text, uint8_t key[LG_KEY_BYTES]) {
  static const char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  unsigned bits = 0, i, used = 0;
  if (strlen(text) != 44 || text[43] != '=') usage("a key");
  for (i = 0; i < 43; ++i) {
    const char *digit = strchr(kDigits, text[i]);
    if (digit == NULL) usage("a key");
    bits = (bits << 6 | (unsigned)(digit - kDigits)) & 0xffffff;
    if (i % 4 != 0) key[used++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
  }
}

static uint8_t read_prefix(char *text, uint8_t address[4]) {
  char *slash = strchr(text, '/');
  if (slash != NULL) *slash = 0;
  if (inet_pton(AF_INET, text, address) != 1) usage("an address");
  return slash == NULL ? 32 : (uint8_t)atoi(slash + 1);
}

/* Addresses are Linux's affair: this is `ip address add`. */
static void set_address(const char *name, char *text) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {0};
  struct sockaddr_in address = {0};
  uint8_t bytes[4];
  const uint8_t length = read_prefix(text, bytes);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  address.sin_family = AF_INET;
  memcpy(&address.sin_addr, bytes, 4);
  memcpy(&request.ifr_addr, &address, sizeof address);
  if (ioctl(fd, SIOCSIFADDR, &request) != 0) perror("address"), exit(1);
  address.sin_addr.s_addr = length == 0 ? 0 : htonl(~0u << (32 - length));
  memcpy(&request.ifr_addr, &address, sizeof address);
  if (ioctl(fd, SIOCSIFNETMASK, &request) != 0) perror("netmask"), exit(1);
  close(fd);
}

static void log_line(lg_level level, int64_t unix_ns, const char *text, void *context) {
  (void)unix_ns, (void)context;
  fprintf(stderr, "%s%s\n", level <= LG_LOG_WARN ? "! " : "", text);
}

int main(int count, char **words) {
  /* An interface, its one peer, the peer's one allowed IP, behind one another. */
  struct {
    lg_interface interface;
    lg_peer peer;
    lg_allowed_ip allowed_ip;
  } configuration = {{0}, {0}, {0}};
  lg_interface *state;
  lg_adapter *adapter;
  char key[64] = "";
  sigset_t signals;
  FILE *file;
  int signal;
  if (count != 7 && count != 9) usage("the number of words");
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  file = fopen(words[3], "r");
  if (file == NULL || fscanf(file, "%63s", key) != 1) usage("the file of the private key");
  fclose(file);

  check(lg_set_logger(log_line, NULL), "the logger");
  check(lg_adapter_create(words[1], "example", NULL, 0, &adapter), "create");
  check(lg_adapter_set_logging(adapter, LG_LOG_ON_WITH_PREFIX), "logging");

  configuration.interface.size = sizeof configuration.interface;
  configuration.interface.flags = LG_INTERFACE_HAS_PRIVATE_KEY | LG_INTERFACE_HAS_LISTEN_PORT;
  read_key(key, configuration.interface.private_key);
  explicit_bzero(key, sizeof key);
  configuration.interface.listen_port = (uint16_t)atoi(words[4]);
  configuration.interface.peers_count = 1;
  configuration.peer.size = sizeof configuration.peer;
  configuration.peer.flags = LG_PEER_HAS_PUBLIC_KEY;
  read_key(words[5], configuration.peer.public_key);
  if (count == 9) {
    configuration.peer.flags |= LG_PEER_HAS_ENDPOINT;
    configuration.peer.endpoint.family = LG_IPV4;
    configuration.peer.endpoint.port = (uint16_t)atoi(words[8]);
    (void)read_prefix(words[7], configuration.peer.endpoint.address);
  }
  configuration.peer.allowed_ips_count = 1;
  configuration.allowed_ip.size = sizeof configuration.allowed_ip;
  configuration.allowed_ip.family = LG_IPV4;
  configuration.allowed_ip.cidr = read_prefix(words[6], configuration.allowed_ip.address);
  check(lg_set_configuration(adapter, &configuration.interface, sizeof configuration), "configuration");
  explicit_bzero(&configuration, sizeof configuration);

  /* Before the way up: Linux drops the routes of an interface whose last address goes, here for its netmask. */
  set_address(words[1], words[2]);
  check(lg_adapter_set_state(adapter, LG_UP), "up");
  printf("up\n");
  fflush(stdout);

  /* SIGUSR1: what the peer has sent and received. SIGINT, SIGTERM: the end. */
  while (sigwait(&signals, &signal) == 0 && signal == SIGUSR1) {
    check(lg_get_configuration_alloc(adapter, &state, NULL), "state");
    printf("rx %llu tx %llu\n", (unsigned long long)lg_first_peer(state)->rx_bytes,
           (unsigned long long)lg_first_peer(state)->tx_bytes);
    fflush(stdout);
    lg_configuration_free(state);
  }
  lg_adapter_close(adapter);
  check(lg_set_logger(NULL, NULL), "the logger");
  return 0;
}
