/* Setting and getting a configuration, by wg(8)'s protocol. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* The connection cannot be used any more, or what comes next on it is unknown. */
static lg_error give_up(lg_adapter *adapter, lg_error error) {
  lgi_disconnect(&adapter->wg);
  return error;
}

static lg_error not_understood(void) {
  return lgi_fail(LG_PROTOCOL, "the gateway's answer is not understood");
}

/* Sends a request. A connection that was kept from an earlier call may have been closed to make room: then it
 * has said nothing, the gateway has taken nothing from it, and a new one is made once. On LG_OK, the first line
 * of the answer. */
static lg_error ask(lg_adapter *adapter, const char *text, size_t length, int64_t deadline, char **line,
                    size_t *line_length) {
  bool kept;
  do {
    lg_error error;
    kept = adapter->wg.fd >= 0;
    error = lgi_adapter_wg(adapter);
    if (error != LG_OK) return error;
    error = lgi_send(&adapter->wg, text, length, deadline);
    if (error == LG_OK) error = lgi_receive_line(&adapter->wg, line, line_length, deadline, -1);
    if (error == LG_OK) return LG_OK;
    lgi_disconnect(&adapter->wg);
    if (error != LG_GONE || adapter->wg.heard) return error;
  } while (kept);
  return lgi_fail(LG_GONE, "the gateway has stopped the connection; whether a change was made is unknown");
}

/* errno=N and an empty line end every answer. */
static bool is_end(const char *line, size_t length, int *error) {
  uint64_t number;
  const bool negative = length > 6 && line[6] == '-';
  const size_t digits = negative ? 7 : 6;
  if (length <= digits || memcmp(line, "errno=", 6) != 0) return false;
  if (!lgi_read_number(line + digits, length - digits, 65535, &number)) return false;
  *error = negative ? -(int)number : (int)number;
  return true;
}

static lg_error end_of_answer(lg_adapter *adapter, int error, int64_t deadline) {
  char *line;
  size_t length;
  const lg_error received = lgi_receive_line(&adapter->wg, &line, &length, deadline, -1);
  if (received != LG_OK) return give_up(adapter, received);
  if (length != 0) return give_up(adapter, not_understood());
  return lgi_error_of_wire(error);
}

static lg_error set_locked(lg_adapter *adapter, const lgi_text *text) {
  const int64_t deadline = lgi_deadline(LGI_CALL_SECONDS);
  char *line;
  size_t length;
  int wire;
  const lg_error error = ask(adapter, text->data, text->length, deadline, &line, &length);
  if (error != LG_OK) return error;
  if (!is_end(line, length, &wire)) return give_up(adapter, not_understood());
  return end_of_answer(adapter, wire, deadline);
}

LG_API lg_error lg_set_configuration(lg_adapter *adapter, const lg_interface *configuration, size_t bytes) {
  lgi_text text;
  lg_error error;
  if (adapter == NULL) return lgi_fail(LG_INVALID, "no adapter");
  error = lgi_encode_set(configuration, bytes, &text);
  if (error != LG_OK) return error;
  pthread_mutex_lock(&adapter->mutex);
  error = set_locked(adapter, &text);
  pthread_mutex_unlock(&adapter->mutex);
  lgi_forget(&text);
  return error;
}

static lg_error get_locked(lg_adapter *adapter, lgi_decoder *decoder) {
  static const char kGet[] = "get=1\n\n";
  const int64_t deadline = lgi_deadline(LGI_CALL_SECONDS);
  char *line;
  size_t length;
  int wire;
  lg_error error = ask(adapter, kGet, sizeof kGet - 1, deadline, &line, &length);
  if (error != LG_OK) return error;
  while (!is_end(line, length, &wire)) {
    const bool understood = lgi_decoder_line(decoder, line, length);
    if (decoder->out_of_memory) return give_up(adapter, lgi_fail(LG_NO_MEMORY, "out of memory"));
    if (!understood) return give_up(adapter, not_understood());
    error = lgi_receive_line(&adapter->wg, &line, &length, deadline, -1);
    if (error != LG_OK) return give_up(adapter, error);
  }
  return end_of_answer(adapter, wire, deadline);
}

static lg_error get(lg_adapter *adapter, lgi_decoder *decoder) {
  lg_error error;
  pthread_mutex_lock(&adapter->mutex);
  error = get_locked(adapter, decoder);
  pthread_mutex_unlock(&adapter->mutex);
  lgi_decoder_end(decoder);
  return error;
}

LG_API lg_error lg_get_configuration(lg_adapter *adapter, lg_interface *configuration, size_t *bytes) {
  lgi_decoder decoder;
  size_t capacity;
  lg_error error;
  if (adapter == NULL || bytes == NULL) return lgi_fail(LG_INVALID, "no adapter, or no place for the size");
  if ((uintptr_t)configuration % 8 != 0) return lgi_fail(LG_INVALID, "the buffer is not 8-byte aligned");
  capacity = configuration == NULL ? 0 : *bytes;
  lgi_decoder_begin(&decoder, (uint8_t *)configuration, capacity, false);
  error = get(adapter, &decoder);
  if (error == LG_OK && decoder.overflow) {
    *bytes = decoder.used;
    error = lgi_fail(LG_MORE_DATA, "the configuration takes %zu bytes", decoder.used);
  }
  if (error == LG_OK) *bytes = decoder.used;
  if (error != LG_OK && capacity != 0) explicit_bzero(configuration, capacity);
  return error;
}

/* In front of what the caller gets, so that it can be wiped. */
typedef struct allocation {
  uint64_t bytes;
} allocation;

static void wipe_and_free(uint8_t *base, size_t bytes) {
  if (base != NULL) explicit_bzero(base, bytes);
  free(base);
}

LG_API lg_error lg_get_configuration_alloc(lg_adapter *adapter, lg_interface **configuration, size_t *bytes) {
  lgi_decoder decoder;
  allocation *whole;
  lg_error error;
  if (adapter == NULL || configuration == NULL)
    return lgi_fail(LG_INVALID, "no adapter, or no place for the configuration");
  *configuration = NULL;
  lgi_decoder_begin(&decoder, NULL, 0, true);
  error = decoder.out_of_memory ? lgi_fail(LG_NO_MEMORY, "out of memory") : get(adapter, &decoder);
  whole = error == LG_OK ? malloc(sizeof *whole + decoder.used) : NULL;
  if (error == LG_OK && whole == NULL) error = lgi_fail(LG_NO_MEMORY, "out of memory");
  if (whole != NULL) {
    whole->bytes = decoder.used;
    memcpy(whole + 1, decoder.base, decoder.used);
    *configuration = (lg_interface *)(void *)(whole + 1);
    if (bytes != NULL) *bytes = decoder.used;
  }
  wipe_and_free(decoder.base, decoder.capacity);
  return error;
}

LG_API void lg_configuration_free(lg_interface *configuration) {
  allocation *whole;
  if (configuration == NULL) return;
  whole = (allocation *)(void *)configuration - 1;
  wipe_and_free((uint8_t *)whole, sizeof *whole + (size_t)whole->bytes);
}
