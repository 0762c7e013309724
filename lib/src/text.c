#include "internal.h"

#include <string.h>

void lgi_put_bytes(lgi_text *text, const char *piece, size_t length) {
  if (text->overflow || length > text->capacity - text->length) {
    text->overflow = true;
    return;
  }
  memcpy(text->data + text->length, piece, length);
  text->length += length;
}

void lgi_put(lgi_text *text, const char *piece) {
  lgi_put_bytes(text, piece, strlen(piece));
}

void lgi_put_number(lgi_text *text, uint64_t number) {
  char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  lgi_put_bytes(text, digits + at, sizeof digits - at);
}

void lgi_put_hex(lgi_text *text, const uint8_t *bytes, size_t count) {
  static const char kDigits[] = "0123456789abcdef";
  char *out;
  size_t i;
  if (text->overflow || 2 * count > text->capacity - text->length) {
    text->overflow = true;
    return;
  }
  out = text->data + text->length; /* in place: no copy of a key elsewhere */
  for (i = 0; i < count; ++i) {
    out[2 * i] = kDigits[bytes[i] >> 4];
    out[2 * i + 1] = kDigits[bytes[i] & 15];
  }
  text->length += 2 * count;
}

void lgi_put_json_string(lgi_text *text, const char *string) {
  static const char kDigits[] = "0123456789abcdef";
  lgi_put(text, "\"");
  for (; *string != 0; ++string) {
    const unsigned char byte = (unsigned char)*string;
    if (byte < 0x20) {
      const char escape[6] = {'\\', 'u', '0', '0', kDigits[byte >> 4], kDigits[byte & 15]};
      lgi_put_bytes(text, escape, sizeof escape);
    } else {
      if (byte == '"' || byte == '\\') lgi_put(text, "\\");
      lgi_put_bytes(text, string, 1);
    }
  }
  lgi_put(text, "\"");
}

static int value_of_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

bool lgi_read_hex(const char *digits, size_t length, uint8_t *bytes, size_t count) {
  size_t i;
  if (length != 2 * count) return false;
  for (i = 0; i < count; ++i) {
    const int high = value_of_digit(digits[2 * i]), low = value_of_digit(digits[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}

bool lgi_read_number(const char *digits, size_t length, uint64_t max, uint64_t *number) {
  uint64_t value = 0;
  size_t i;
  if (length == 0) return false;
  for (i = 0; i < length; ++i) {
    const unsigned digit = (unsigned)(digits[i] - '0');
    if (digit > 9 || value > (max - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *number = value;
  return true;
}
