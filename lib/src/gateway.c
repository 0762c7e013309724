/* What concerns the gateway as a whole: its version, its end. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* One request on a connection of its own. `text` gets the member of that name, unless it is NULL. */
static lg_error call_once(const char *line, const char *member, char *text, size_t capacity) {
  char path[LGI_PATH_MAX], data[LGI_REQUEST_MAX];
  lgi_text request = {data, 0, sizeof data, false};
  lgi_span result;
  lgi_connection *connection;
  lg_error error = lgi_socket_path(path);
  if (error != LG_OK) return error;
  connection = malloc(sizeof *connection);
  if (connection == NULL) return lgi_fail(LG_NO_MEMORY, "out of memory");
  connection->fd = -1;
  lgi_put(&request, line);
  error = lgi_connect(connection, path);
  if (error == LG_OK) {
    error = lgi_call(connection, &request, &result);
    if (error == LG_GONE) error = lgi_fail(LG_BUSY, "the gateway takes no more connections");
  }
  if (error == LG_OK && member != NULL && !lgi_json_text(lgi_json_member(result, member), text, capacity))
    error = lgi_fail(LG_PROTOCOL, "the gateway's answer is not understood");
  lgi_disconnect(connection);
  free(connection);
  return error;
}

LG_API uint32_t lg_version(void) {
  return LG_VERSION(LINEGATE_MAJOR, LINEGATE_MINOR, LINEGATE_PATCH);
}

/* "1.2.3", and whatever follows. */
static bool read_version(const char *text, uint64_t parts[3]) {
  int i;
  for (i = 0; i < 3; ++i) {
    const size_t length = strspn(text, "0123456789");
    if (!lgi_read_number(text, length, i == 0 ? 65535 : 255, &parts[i])) return false;
    text += length;
    if (i < 2 && *text++ != '.') return false;
  }
  return true;
}

LG_API uint32_t lg_running_version(void) {
  char text[64];
  uint64_t parts[3];
  if (call_once("{\"version\":1,\"method\":\"version\"}\n", "version", text, sizeof text) != LG_OK) return 0;
  if (read_version(text, parts)) return LG_VERSION(parts[0], parts[1], parts[2]);
  (void)lgi_fail(LG_PROTOCOL, "the gateway's version is %s", text);
  return 0;
}

LG_API lg_error lg_shutdown_if_unused(void) {
  return call_once("{\"version\":1,\"method\":\"stop\",\"params\":{\"if_unused\":true}}\n", NULL, NULL, 0);
}
