/* Reading JSON: one pass that checks the whole text, then look-ups that may rely on it. */
#include "internal.h"

#include <string.h>

enum { NESTING_MAX = 16 };

typedef struct scanner {
  const char *at, *end;
} scanner;

static bool skip_value(scanner *s, unsigned depth);

static void skip_space(scanner *s) {
  while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r' || *s->at == '\n')) ++s->at;
}

static bool take(scanner *s, char wanted) {
  skip_space(s);
  if (s->at == s->end || *s->at != wanted) return false;
  ++s->at;
  return true;
}

static bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool skip_escape(scanner *s) {
  int i;
  if (s->at == s->end) return false;
  if (*s->at != 'u') return strchr("\"\\/bfnrt", *s->at) != NULL && *s->at++ != 0;
  ++s->at;
  for (i = 0; i < 4; ++i, ++s->at)
    if (s->at == s->end || !is_hex(*s->at)) return false;
  return true;
}

static bool skip_string(scanner *s) {
  if (!take(s, '"')) return false;
  while (s->at < s->end) {
    const char c = *s->at++;
    if (c == '"') return true;
    if ((unsigned char)c < 0x20) return false;
    if (c == '\\' && !skip_escape(s)) return false;
  }
  return false;
}

static bool skip_digits(scanner *s) {
  const char *first = s->at;
  while (s->at < s->end && *s->at >= '0' && *s->at <= '9') ++s->at;
  return s->at != first;
}

static bool skip_number(scanner *s) {
  if (s->at < s->end && *s->at == '-') ++s->at;
  if (!skip_digits(s)) return false;
  if (s->at < s->end && *s->at == '.') {
    ++s->at;
    if (!skip_digits(s)) return false;
  }
  if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
    ++s->at;
    if (s->at < s->end && (*s->at == '+' || *s->at == '-')) ++s->at;
    if (!skip_digits(s)) return false;
  }
  return true;
}

static bool skip_word(scanner *s, const char *word) {
  const size_t length = strlen(word);
  if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0) return false;
  s->at += length;
  return true;
}

/* The members of an object, or the elements of an array. */
static bool skip_list(scanner *s, unsigned depth, bool object) {
  const char close = object ? '}' : ']';
  ++s->at; /* the bracket */
  if (depth == NESTING_MAX) return false;
  if (take(s, close)) return true;
  do {
    if (object && (!skip_string(s) || !take(s, ':'))) return false;
    if (!skip_value(s, depth + 1)) return false;
  } while (take(s, ','));
  return take(s, close);
}

static bool skip_value(scanner *s, unsigned depth) {
  skip_space(s);
  if (s->at == s->end) return false;
  switch (*s->at) {
    case '{':
    case '[':
      return skip_list(s, depth, *s->at == '{');
    case '"':
      return skip_string(s);
    case 't':
      return skip_word(s, "true");
    case 'f':
      return skip_word(s, "false");
    case 'n':
      return skip_word(s, "null");
    default:
      return skip_number(s);
  }
}

bool lgi_json_is_object(const char *text, size_t length) {
  scanner s = {text, text + length};
  skip_space(&s);
  if (s.at == s.end || *s.at != '{' || !skip_value(&s, 0)) return false;
  skip_space(&s);
  return s.at == s.end;
}

/* Names with escapes are never ours. */
lgi_span lgi_json_member(lgi_span object, const char *name) {
  const lgi_span absent = {NULL, 0};
  scanner s = {object.at, object.at + object.length};
  if (object.at == NULL || !take(&s, '{')) return absent;
  if (take(&s, '}')) return absent;
  do {
    const char *key, *value;
    size_t key_length;
    skip_space(&s);
    key = s.at + 1;
    if (!skip_string(&s)) return absent;
    key_length = (size_t)(s.at - 1 - key);
    if (!take(&s, ':')) return absent;
    skip_space(&s);
    value = s.at;
    if (!skip_value(&s, 1)) return absent;
    if (key_length == strlen(name) && memcmp(key, name, key_length) == 0)
      return (lgi_span){value, (size_t)(s.at - value)};
  } while (take(&s, ','));
  return absent;
}

bool lgi_json_u64(lgi_span value, uint64_t *out) {
  return value.at != NULL && lgi_read_number(value.at, value.length, UINT64_MAX, out);
}

bool lgi_json_true(lgi_span value) {
  return value.at != NULL && value.length == 4 && memcmp(value.at, "true", 4) == 0;
}

bool lgi_json_seconds(lgi_span value, int64_t *nanoseconds) {
  uint64_t seconds, fraction = 0;
  size_t whole = 0, i;
  if (value.at == NULL) return false;
  while (whole < value.length && value.at[whole] != '.') ++whole;
  if (!lgi_read_number(value.at, whole, INT64_MAX / 1000000000 - 1, &seconds)) return false;
  for (i = 0; i < 9; ++i) {
    const size_t at = whole + 1 + i;
    const char digit = at < value.length ? value.at[at] : '0';
    if (digit < '0' || digit > '9') return false;
    fraction = fraction * 10 + (uint64_t)(digit - '0');
  }
  *nanoseconds = (int64_t)(seconds * 1000000000 + fraction);
  return true;
}

static unsigned code_unit(const char *digits) {
  uint8_t bytes[2];
  return lgi_read_hex(digits, 4, bytes, 2) ? (unsigned)bytes[0] << 8 | bytes[1] : '?';
}

/* UTF-8 of one character. */
static size_t encode(unsigned code, char out[4]) {
  if (code < 0x80) {
    out[0] = (char)(code == 0 ? '?' : code);
    return 1;
  }
  if (code < 0x800) {
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 63));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 63));
    out[2] = (char)(0x80 | (code & 63));
    return 3;
  }
  out[0] = (char)(0xf0 | code >> 18);
  out[1] = (char)(0x80 | (code >> 12 & 63));
  out[2] = (char)(0x80 | (code >> 6 & 63));
  out[3] = (char)(0x80 | (code & 63));
  return 4;
}

/* What stands behind a backslash; advances behind it. */
static size_t decode_escape(const char **at, const char *end, char out[4]) {
  static const char kFrom[] = "bfnrt", kTo[] = "\b\f\n\r\t";
  const char kind = *(*at)++;
  const char *simple = strchr(kFrom, kind);
  unsigned code, low;
  if (kind != 'u') {
    out[0] = simple != NULL ? kTo[simple - kFrom] : kind;
    return 1;
  }
  code = code_unit(*at);
  *at += 4;
  if (code >= 0xd800 && code < 0xe000) {
    low = code < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u' ? code_unit(*at + 2) : 0;
    if (low < 0xdc00 || low > 0xdfff) return encode('?', out);
    *at += 6;
    code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
  }
  return encode(code, out);
}

bool lgi_json_text(lgi_span value, char *out, size_t capacity) {
  const char *at, *end;
  size_t used = 0;
  if (value.at == NULL || value.length < 2 || *value.at != '"') return false;
  end = value.at + value.length - 1;
  for (at = value.at + 1; at < end;) {
    char character[4] = {*at++, 0, 0, 0};
    const size_t length = character[0] == '\\' ? decode_escape(&at, end, character) : 1;
    if (length > capacity - 1 - used) break;
    memcpy(out + used, character, length);
    used += length;
  }
  out[used] = 0;
  return true;
}
