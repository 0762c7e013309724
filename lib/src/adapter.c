#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ requests */

void lgi_begin_request(lgi_text *request, const char *method, const char *key, const char *name) {
  lgi_put(request, "{\"version\":1,\"method\":\"");
  lgi_put(request, method);
  lgi_put(request, "\",\"params\":{\"");
  lgi_put(request, key);
  lgi_put(request, "\":");
  lgi_put_json_string(request, name);
}

static void end_request(lgi_text *request) {
  lgi_put(request, "}}\n");
}

/* With the ifindex: should another interface have the name by now, the gateway refuses. */
static void adapter_request(lgi_text *request, const char *method, const char *key, const lg_adapter *adapter) {
  lgi_begin_request(request, method, key, adapter->name);
  lgi_put(request, ",\"ifindex\":");
  lgi_put_number(request, adapter->ifindex);
}

static lg_error gone(const lg_adapter *adapter) {
  return lgi_fail(LG_GONE, "adapter %s is gone: the connection that held it has ended", adapter->name);
}

static lg_error ready(lg_adapter *adapter, bool *fresh) {
  lgi_connection *const requests = &adapter->requests;
  *fresh = false;
  if (requests->fd >= 0 && lgi_is_stale(requests)) lgi_disconnect(requests);
  if (requests->fd >= 0) return LG_OK;
  if (adapter->bound) return gone(adapter);
  *fresh = true;
  return lgi_connect(requests, adapter->path);
}

/* What is not there for the gateway was there when the handle was made. */
static lg_error seen_from_handle(lg_adapter *adapter, lg_error error) {
  if (error == LG_NOT_FOUND) return lgi_fail(LG_GONE, "adapter %s is gone", adapter->name);
  return error;
}

/* A connection that has ended before it said anything: one that was kept may have been closed to make room, and
 * is made anew once; a new one was refused. */
lg_error lgi_adapter_call(lg_adapter *adapter, const lgi_text *request, lgi_span *result) {
  bool fresh;
  for (;;) {
    lg_error error = ready(adapter, &fresh);
    if (error != LG_OK) return error;
    error = lgi_call(&adapter->requests, request, result);
    if (error != LG_GONE || adapter->requests.heard) return seen_from_handle(adapter, error);
    if (adapter->bound) return gone(adapter);
    if (fresh) return lgi_fail(LG_BUSY, "the gateway takes no more connections");
  }
}

static lg_error simple_call(lg_adapter *adapter, const char *method) {
  char data[LGI_REQUEST_MAX];
  lgi_text request = {data, 0, sizeof data, false};
  lgi_span result;
  lg_error error;
  adapter_request(&request, method, "name", adapter);
  end_request(&request);
  pthread_mutex_lock(&adapter->mutex);
  error = lgi_adapter_call(adapter, &request, &result);
  pthread_mutex_unlock(&adapter->mutex);
  return error;
}

lg_error lgi_adapter_wg(lg_adapter *adapter) {
  char data[LGI_REQUEST_MAX];
  lgi_text request = {data, 0, sizeof data, false};
  lgi_span result;
  lg_error error;
  bool fresh;
  if (adapter->bound && (error = ready(adapter, &fresh)) != LG_OK) return error;
  if (adapter->wg.fd >= 0 && lgi_is_stale(&adapter->wg)) lgi_disconnect(&adapter->wg);
  if (adapter->wg.fd >= 0) return LG_OK;
  error = lgi_connect(&adapter->wg, adapter->path);
  if (error != LG_OK) return error;
  adapter_request(&request, "interface.wg", "name", adapter);
  end_request(&request);
  error = lgi_call(&adapter->wg, &request, &result);
  if (error == LG_OK) return LG_OK;
  lgi_disconnect(&adapter->wg);
  if (error == LG_GONE) return lgi_fail(LG_BUSY, "the gateway takes no more connections");
  return seen_from_handle(adapter, error);
}

/* ------------------------------------------------------------------ handles */

static bool is_name(const char *name) {
  const size_t length = name == NULL ? 0 : strlen(name);
  return length > 0 && length <= LG_NAME_MAX &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=+.-") == length;
}

static lg_error make_handle(const char *name, lg_adapter **out) {
  lg_adapter *adapter;
  lg_error error;
  if (!is_name(name)) return lgi_fail(LG_INVALID, "a name is 1 to 15 of [a-zA-Z0-9_=+.-]");
  adapter = calloc(1, sizeof *adapter);
  if (adapter == NULL) return lgi_fail(LG_NO_MEMORY, "out of memory");
  adapter->requests.fd = adapter->wg.fd = -1;
  strcpy(adapter->name, name);
  error = lgi_socket_path(adapter->path);
  if (error == LG_OK && pthread_mutex_init(&adapter->mutex, NULL) != 0)
    error = lgi_fail(LG_NO_MEMORY, "a mutex");
  if (error != LG_OK) {
    free(adapter);
    return error;
  }
  *out = adapter;
  return LG_OK;
}

static void free_handle(lg_adapter *adapter) {
  lgi_disconnect(&adapter->requests);
  lgi_disconnect(&adapter->wg);
  pthread_mutex_destroy(&adapter->mutex);
  free(adapter);
}

static lg_error identify(lg_adapter *adapter) {
  char data[LGI_REQUEST_MAX];
  lgi_text request = {data, 0, sizeof data, false};
  lgi_span result;
  uint64_t ifindex;
  lg_error error;
  lgi_begin_request(&request, "show.interface", "interface", adapter->name);
  end_request(&request);
  error = lgi_call(&adapter->requests, &request, &result);
  if (error != LG_OK) return error;
  if (!lgi_json_u64(lgi_json_member(result, "ifindex"), &ifindex) || ifindex > UINT32_MAX ||
      !lgi_json_u64(lgi_json_member(result, "netns"), &adapter->netns_inode))
    return lgi_fail(LG_PROTOCOL, "the gateway's answer is not understood");
  adapter->ifindex = (uint32_t)ifindex;
  return LG_OK;
}

static void put_id(lgi_text *request, const uint8_t id[16]) {
  lgi_put(request, ",\"id\":\"");
  lgi_put_hex(request, id, 16);
  lgi_put(request, "\"");
}

static lg_error create(lg_adapter *adapter, const char *type, const uint8_t *id, uint32_t flags) {
  char data[LGI_REQUEST_MAX];
  lgi_text request = {data, 0, sizeof data, false};
  lgi_span result;
  lgi_begin_request(&request, "interface.create", "name", adapter->name);
  if (type != NULL) {
    lgi_put(&request, ",\"type\":");
    lgi_put_json_string(&request, type);
  }
  if (id != NULL) put_id(&request, id);
  lgi_put(&request, (flags & LG_PERMANENT) != 0 ? ",\"up\":false" : ",\"up\":false,\"bound\":true");
  end_request(&request);
  return lgi_call(&adapter->requests, &request, &result);
}

/* A connection that was refused ends before it says anything. */
static lg_error first_call(const lg_adapter *adapter, lg_error error) {
  if (error == LG_GONE && !adapter->requests.heard)
    return lgi_fail(LG_BUSY, "the gateway takes no more connections");
  return error;
}

LG_API lg_error lg_adapter_create(const char *name, const char *type, const uint8_t id[16], uint32_t flags,
                                  lg_adapter **adapter) {
  lg_adapter *made;
  lg_error error;
  if (adapter == NULL) return lgi_fail(LG_INVALID, "no place for the handle");
  *adapter = NULL;
  if ((flags & ~(uint32_t)LG_PERMANENT) != 0) return lgi_fail(LG_INVALID, "an unknown flag");
  if (type != NULL && (*type == 0 || strlen(type) > LG_TYPE_MAX))
    return lgi_fail(LG_INVALID, "a type has 1 to 127 bytes");
  error = make_handle(name, &made);
  if (error != LG_OK) return error;
  made->bound = (flags & LG_PERMANENT) == 0;
  error = lgi_connect(&made->requests, made->path);
  if (error == LG_OK) error = first_call(made, create(made, type, id, flags));
  if (error == LG_OK) error = identify(made);
  if (error != LG_OK) {
    free_handle(made);
    return error;
  }
  *adapter = made;
  return LG_OK;
}

LG_API lg_error lg_adapter_open(const char *name, lg_adapter **adapter) {
  lg_adapter *made;
  lg_error error;
  if (adapter == NULL) return lgi_fail(LG_INVALID, "no place for the handle");
  *adapter = NULL;
  error = make_handle(name, &made);
  if (error != LG_OK) return error;
  error = lgi_connect(&made->requests, made->path);
  if (error == LG_OK) error = first_call(made, identify(made));
  if (error != LG_OK) {
    free_handle(made);
    return error;
  }
  *adapter = made;
  return LG_OK;
}

/* The end of the connection alone would delete it too, but the answer says that the name is free. */
LG_API void lg_adapter_close(lg_adapter *adapter) {
  if (adapter == NULL) return;
  if (adapter->bound) (void)simple_call(adapter, "interface.delete");
  lgi_logger_prefix(adapter->name, false);
  free_handle(adapter);
}

LG_API lg_error lg_adapter_luid(lg_adapter *adapter, uint32_t *ifindex, uint64_t *netns_inode) {
  if (adapter == NULL) return lgi_fail(LG_INVALID, "no adapter");
  if (ifindex != NULL) *ifindex = adapter->ifindex;
  if (netns_inode != NULL) *netns_inode = adapter->netns_inode;
  return LG_OK;
}

/* ------------------------------------------------------------------ state, log */

LG_API lg_error lg_adapter_set_state(lg_adapter *adapter, lg_state state) {
  if (adapter == NULL || (state != LG_UP && state != LG_DOWN))
    return lgi_fail(LG_INVALID, "a state is LG_UP or LG_DOWN");
  return simple_call(adapter, state == LG_UP ? "interface.up" : "interface.down");
}

LG_API lg_error lg_adapter_get_state(lg_adapter *adapter, lg_state *state) {
  char data[LGI_REQUEST_MAX];
  lgi_text request = {data, 0, sizeof data, false};
  lgi_span result;
  lg_error error;
  if (adapter == NULL || state == NULL) return lgi_fail(LG_INVALID, "no adapter, or no place for its state");
  adapter_request(&request, "show.interface", "interface", adapter);
  end_request(&request);
  pthread_mutex_lock(&adapter->mutex);
  error = lgi_adapter_call(adapter, &request, &result);
  if (error == LG_OK) *state = lgi_json_true(lgi_json_member(result, "up")) ? LG_UP : LG_DOWN;
  pthread_mutex_unlock(&adapter->mutex);
  return error;
}

LG_API lg_error lg_adapter_set_logging(lg_adapter *adapter, lg_log_state state) {
  char data[LGI_REQUEST_MAX];
  lgi_text request = {data, 0, sizeof data, false};
  lgi_span result;
  lg_error error;
  if (adapter == NULL || state < LG_LOG_OFF || state > LG_LOG_ON_WITH_PREFIX)
    return lgi_fail(LG_INVALID, "no adapter, or no state of its log");
  adapter_request(&request, "log.level", "interface", adapter);
  lgi_put(&request, state == LG_LOG_OFF ? ",\"level\":\"off\"" : ",\"level\":\"info\"");
  end_request(&request);
  pthread_mutex_lock(&adapter->mutex);
  error = lgi_adapter_call(adapter, &request, &result);
  pthread_mutex_unlock(&adapter->mutex);
  if (error == LG_OK) lgi_logger_prefix(adapter->name, state == LG_LOG_ON_WITH_PREFIX);
  return error;
}
