#include "internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static __thread lg_error last_error;
static __thread char last_text[256];

lg_error lgi_fail(lg_error error, const char *format, ...) {
  va_list arguments;
  last_error = error;
  va_start(arguments, format);
  (void)vsnprintf(last_text, sizeof last_text, format, arguments);
  va_end(arguments);
  return error;
}

lg_error lgi_fail_errno(int error, const char *what) {
  char words[64];
  const lg_error value = error == ENOMEM ? LG_NO_MEMORY : error == EACCES || error == EPERM ? LG_ACCESS : LG_SYSTEM;
  return lgi_fail(value, "%s: %s", what, strerror_r(error, words, sizeof words));
}

lg_error lgi_error_of_code(const char *code) {
  static const struct {
    const char *code;
    lg_error error;
  } codes[] = {{"not_found", LG_NOT_FOUND}, {"exists", LG_EXISTS},     {"invalid", LG_INVALID},
               {"bad_params", LG_INVALID},  {"bad_json", LG_INVALID},  {"too_large", LG_INVALID},
               {"busy", LG_BUSY},           {"forbidden", LG_ACCESS},  {"failed", LG_SYSTEM}};
  size_t i;
  for (i = 0; i < sizeof codes / sizeof *codes; ++i)
    if (strcmp(code, codes[i].code) == 0) return codes[i].error;
  return LG_PROTOCOL; /* unknown_method and others: an older gateway */
}

lg_error lgi_error_of_wire(int error) {
  char words[64];
  lg_error value = LG_SYSTEM;
  if (error < 0) error = error == INT32_MIN ? EIO : -error;
  if (error == 0) return LG_OK;
  if (error == EADDRINUSE) value = LG_ADDRESS_IN_USE;
  if (error == EINVAL || error == EPROTO || error == ENOENT || error == EEXIST) value = LG_INVALID;
  if (error == ENODEV) value = LG_GONE;
  if (error == EBUSY) value = LG_BUSY;
  if (error == ENOMEM) value = LG_NO_MEMORY;
  return lgi_fail(value, "the gateway refused it: %s", strerror_r(error, words, sizeof words));
}

LG_API lg_error lg_last_error(const char **text) {
  if (text != NULL) *text = last_text;
  return last_error;
}

LG_API const char *lg_error_name(lg_error error) {
  static const char *const names[] = {"LG_OK",      "LG_INVALID",   "LG_MORE_DATA",   "LG_NOT_RUNNING",
                                      "LG_ACCESS",  "LG_GONE",      "LG_EXISTS",      "LG_NOT_FOUND",
                                      "LG_BUSY",    "LG_ADDRESS_IN_USE", "LG_NO_MEMORY", "LG_SYSTEM",
                                      "LG_PROTOCOL", "LG_TIMED_OUT", "LG_EMPTY", "LG_FULL"};
  const int32_t last = (int32_t)(sizeof names / sizeof *names) - 1;
  return error <= 0 && error >= -last ? names[-error] : "LG_UNKNOWN";
}
