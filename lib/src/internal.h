/* What the files of the library share. Nothing here is seen outside: linegate.map exports lg_* alone. */
#ifndef LG_INTERNAL_H
#define LG_INTERNAL_H

#include <linegate.h>
#include <pthread.h>
#include <stdbool.h>

#define LG_API __attribute__((visibility("default")))

/* ------------------------------------------------------------------ error.c */

/* Notes the failure for lg_last_error() and returns its value. The text must not hold a key. */
lg_error lgi_fail(lg_error error, const char* format, ...) __attribute__((format(printf, 2, 3)));
/* By errno: ENOMEM and EACCES have values of their own, all else is LG_SYSTEM. */
lg_error lgi_fail_errno(int error, const char* what);
/* The value of a refusal by its name on the control socket. */
lg_error lgi_error_of_code(const char* code);
/* The value of an errno in an answer of wg(8)'s protocol, with its sentence noted. 0 is LG_OK. */
lg_error lgi_error_of_wire(int error);

/* ------------------------------------------------------------------ json.c: reading */

typedef struct lgi_span {
  const char* at; /* NULL: absent */
  size_t length;
} lgi_span;

/* The whole text is one JSON object, nested at most 16 deep. Only then the functions below may be used. */
bool lgi_json_is_object(const char* text, size_t length);
/* The value of a member; absent when `object` is absent, no object, or has no such member. */
lgi_span lgi_json_member(lgi_span object, const char* name);
bool lgi_json_u64(lgi_span value, uint64_t* out);
bool lgi_json_true(lgi_span value);
/* Seconds with a fraction, as nanoseconds. */
bool lgi_json_seconds(lgi_span value, int64_t* nanoseconds);
/* Decodes a string, cut at capacity - 1 bytes; what is no character is replaced by '?'. False: no string. */
bool lgi_json_text(lgi_span value, char* out, size_t capacity);

/* ------------------------------------------------------------------ text.c: writing */

/* A text of limited size; what does not fit sets `overflow`. */
typedef struct lgi_text {
  char* data;
  size_t length, capacity;
  bool overflow;
} lgi_text;

void lgi_put(lgi_text* text, const char* piece);
void lgi_put_bytes(lgi_text* text, const char* piece, size_t length);
void lgi_put_number(lgi_text* text, uint64_t number);
void lgi_put_hex(lgi_text* text, const uint8_t* bytes, size_t count);
void lgi_put_json_string(lgi_text* text, const char* string);
bool lgi_read_hex(const char* digits, size_t length, uint8_t* bytes, size_t count);
bool lgi_read_number(const char* digits, size_t length, uint64_t max, uint64_t* number);

/* ------------------------------------------------------------------ connection.c */

enum { LGI_DESCRIPTORS_MAX = 129 };

/* A connected control socket, non-blocking, with what has been read and not been used. */
typedef struct lgi_connection {
  int fd;     /* -1: none */
  bool heard; /* something was received since the last lgi_send() */
  /* Descriptors that come along are kept here, and are the owner's to close; otherwise the system drops them.
   */
  bool takes_descriptors;
  uint32_t descriptors_count;
  int descriptors[LGI_DESCRIPTORS_MAX];
  size_t begin, end;
  char buffer[16384];
} lgi_connection;

enum { LGI_PATH_MAX = 108, LGI_REQUEST_MAX = 2048, LGI_ANSWER_MAX = 16384, LGI_CALL_SECONDS = 70 };

/* $LINEGATE_SOCKET or the usual path. */
lg_error lgi_socket_path(char path[LGI_PATH_MAX]);
lg_error lgi_connect(lgi_connection* connection, const char* path);
void lgi_disconnect(lgi_connection* connection); /* wipes */
/* The other side has closed it, or sent what nobody asked for. */
bool lgi_is_stale(const lgi_connection* connection);

/* Monotonic nanoseconds; a call is given a deadline, not a length, so that signals do not extend it. */
int64_t lgi_deadline(unsigned seconds);
lg_error lgi_send(lgi_connection* connection, const char* data, size_t length, int64_t deadline);
/* One line without its end into connection->buffer; valid until the next call. `wake` (-1: none) becoming
 * readable ends the wait with LG_GONE. */
lg_error lgi_receive_line(lgi_connection* connection, char** line, size_t* length, int64_t deadline,
                          int wake);

/* One request and its answer. `result` lies in the connection's buffer. A refusal is noted and returned. */
lg_error lgi_call(lgi_connection* connection, const lgi_text* request, lgi_span* result);

/* ------------------------------------------------------------------ adapter.c */

struct lg_adapter {
  pthread_mutex_t mutex;
  char path[LGI_PATH_MAX];
  char name[LG_NAME_MAX + 1];
  uint32_t ifindex;
  uint64_t netns_inode;
  bool bound; /* to `requests`: that connection is never made anew */
  lgi_connection requests;
  lgi_connection wg; /* speaks wg(8)'s protocol; kept between calls */
};

/* {"method":METHOD,"params":{"KEY":NAME; the caller adds more members and "}}\n". */
void lgi_begin_request(lgi_text* request, const char* method, const char* key, const char* name);
/* A request about the adapter, on its connection. Closes a stale connection and, unless the adapter is bound
 * to it, makes a new one. Called with the mutex held. */
lg_error lgi_adapter_call(lg_adapter* adapter, const lgi_text* request, lgi_span* result);
/* adapter->wg is connected and speaks the protocol. Called with the mutex held. */
lg_error lgi_adapter_wg(lg_adapter* adapter);

/* ------------------------------------------------------------------ encode.c, decode.c */

enum { LGI_SET_MAX = 64 << 20, LGI_LINE_MAX = 4096 };

/* The text of a set. On LG_OK, text->data is to be wiped and freed by lgi_forget(). */
lg_error lgi_encode_set(const lg_interface* configuration, size_t bytes, lgi_text* text);
void lgi_forget(lgi_text* text);

/* Where a get is written. Offsets instead of pointers, since it may move. */
typedef struct lgi_decoder {
  uint8_t* base;
  size_t capacity;
  bool grows;    /* malloc()ed by the decoder, or the caller's */
  bool overflow; /* it does not fit: only counted from here on */
  bool out_of_memory;
  size_t used;     /* what it takes, beyond the capacity too */
  size_t peer;     /* offset of the peer that is being read; 0: none yet */
  lg_peer current; /* copied to its place when the next one begins */
  lg_interface interface;
} lgi_decoder;

void lgi_decoder_begin(lgi_decoder* decoder, uint8_t* buffer, size_t capacity, bool grows);
/* A line of the answer. False: it makes no sense. */
bool lgi_decoder_line(lgi_decoder* decoder, const char* line, size_t length);
void lgi_decoder_end(lgi_decoder* decoder);

/* ------------------------------------------------------------------ logger.c */

void lgi_logger_prefix(const char* name, bool prefix);

#endif
