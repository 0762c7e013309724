/* A program that uses the library, for lib_test: it is killed, or looks through its own memory for its key.
 *   churn NAME   creates, configures, sets up, reads, closes, again and again
 *   hold NAME    creates and waits
 *   scan NAME    sets a configuration with a key, reads it back, frees all, and fails if the key is left */
#include <linegate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct configuration {
  lg_interface interface;
  lg_peer peer;
  lg_allowed_ip allowed_ip;
};

/* Keys are made byte by byte from what is no key itself, so that the program holds no copy. */
static uint8_t key_byte(unsigned i) {
  return (uint8_t)(0x5a ^ (i * 37 + 11));
}

static struct configuration *make(void) {
  struct configuration *wanted = calloc(1, sizeof *wanted);
  unsigned i;
  if (wanted == NULL) exit(3);
  wanted->interface.size = sizeof wanted->interface;
  wanted->interface.flags = LG_INTERFACE_HAS_PRIVATE_KEY;
  wanted->interface.peers_count = 1;
  for (i = 0; i < LG_KEY_BYTES; ++i) wanted->interface.private_key[i] = wanted->peer.preshared_key[i] = key_byte(i);
  wanted->interface.private_key[0] &= 248;
  wanted->interface.private_key[31] = (uint8_t)((wanted->interface.private_key[31] & 127) | 64);
  wanted->peer.size = sizeof wanted->peer;
  wanted->peer.flags = LG_PEER_HAS_PUBLIC_KEY | LG_PEER_HAS_PRESHARED_KEY;
  memset(wanted->peer.public_key, 9, LG_KEY_BYTES);
  wanted->peer.allowed_ips_count = 1;
  wanted->allowed_ip.size = sizeof wanted->allowed_ip;
  wanted->allowed_ip.family = LG_IPV4;
  return wanted;
}

static int failed(lg_error error) {
  const char *text;
  if (error == LG_OK) return 0;
  (void)lg_last_error(&text);
  fprintf(stderr, "%s: %s\n", lg_error_name(error), text);
  return 1;
}

static int use(const char *name) {
  struct configuration *wanted = make();
  lg_adapter *adapter;
  lg_interface *got;
  if (failed(lg_adapter_create(name, "test", NULL, 0, &adapter))) return 1;
  if (failed(lg_set_configuration(adapter, &wanted->interface, sizeof *wanted))) return 1;
  if (failed(lg_adapter_set_state(adapter, LG_UP))) return 1;
  if (failed(lg_get_configuration_alloc(adapter, &got, NULL))) return 1;
  lg_configuration_free(got);
  lg_adapter_close(adapter);
  explicit_bzero(wanted, sizeof *wanted);
  free(wanted);
  return 0;
}

/* ------------------------------------------------------------------ the memory */

static int at_key(const uint8_t *at) {
  static const char kDigits[] = "0123456789abcdef";
  unsigned i, raw = 1, hex = 1;
  for (i = 1; i < 17 && (raw || hex); ++i) { /* bytes 1 to 16: what clamping leaves alone */
    raw = raw && at[i - 1] == key_byte(i);
    hex = hex && at[2 * (i - 1)] == kDigits[key_byte(i) >> 4] && at[2 * (i - 1) + 1] == kDigits[key_byte(i) & 15];
  }
  return raw || hex;
}

/* The stack that is in use now is left out: only what is below it can hold something of a finished call. */
static unsigned count_keys(void) {
  char line[512];
  unsigned found = 0;
  FILE *maps = fopen("/proc/self/maps", "r");
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    unsigned long begin, end, at;
    char permissions[8];
    if (sscanf(line, "%lx-%lx %7s", &begin, &end, permissions) != 3) continue;
    if (strncmp(permissions, "rw", 2) != 0 || strstr(line, "[v") != NULL) continue;
    for (at = begin; at + 64 < end; ++at)
      if (at_key((const uint8_t *)at)) ++found;
  }
  if (maps != NULL) fclose(maps);
  return found;
}

static int scan(const char *name) {
  struct configuration *canary = make();
  unsigned with, without;
  if (use(name) != 0) return 1;
  with = count_keys(); /* the canary's two: the scan sees what it looks for */
  explicit_bzero(canary, sizeof *canary);
  without = count_keys();
  printf("with %u without %u\n", with, without);
  return with == 2 && without == 0 ? 0 : 4;
}

int main(int count, char **words) {
  lg_adapter *adapter;
  if (count != 3) return 2;
  if (strcmp(words[1], "scan") == 0) return scan(words[2]);
  if (strcmp(words[1], "hold") == 0) {
    if (failed(lg_adapter_create(words[2], NULL, NULL, 0, &adapter))) return 1;
    printf("ready\n");
    fflush(stdout);
    for (;;) pause();
  }
  printf("ready\n");
  fflush(stdout);
  while (use(words[2]) == 0) continue;
  return 1;
}
