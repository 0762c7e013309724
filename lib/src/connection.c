#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char kUsualPath[] = "/run/linegate/control.sock";

lg_error lgi_socket_path(char path[LGI_PATH_MAX]) {
  const char *wanted = secure_getenv("LINEGATE_SOCKET");
  if (wanted == NULL || *wanted == 0) wanted = kUsualPath;
  if (strlen(wanted) >= LGI_PATH_MAX) return lgi_fail(LG_INVALID, "LINEGATE_SOCKET is longer than 107 bytes");
  strcpy(path, wanted);
  return LG_OK;
}

static lg_error refused(int error, const char *path) {
  if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR)
    return lgi_fail(LG_NOT_RUNNING, "no gateway listens on %s", path);
  if (error == EACCES || error == EPERM) return lgi_fail(LG_ACCESS, "no permission to use %s", path);
  if (error == EAGAIN) return lgi_fail(LG_BUSY, "the gateway takes no connection on %s", path);
  return lgi_fail_errno(error, path);
}

/* A connect() that waits for a place in the listener's queue, but not for ever. */
static int connect_to(int fd, const char *path) {
  const struct timeval patience = {10, 0};
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, path);
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  for (;;) {
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) break;
    if (errno != EINTR) return errno;
  }
  return fcntl(fd, F_SETFL, O_NONBLOCK) == 0 ? 0 : errno;
}

lg_error lgi_connect(lgi_connection *connection, const char *path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int error;
  if (fd < 0) return lgi_fail_errno(errno, "a socket");
  error = connect_to(fd, path);
  if (error != 0) {
    close(fd);
    return refused(error, path);
  }
  connection->fd = fd;
  connection->heard = connection->takes_descriptors = false;
  connection->descriptors_count = 0;
  connection->begin = connection->end = 0;
  return LG_OK;
}

void lgi_disconnect(lgi_connection *connection) {
  if (connection->fd >= 0) close(connection->fd);
  connection->fd = -1;
  connection->begin = connection->end = 0;
  explicit_bzero(connection->buffer, sizeof connection->buffer);
}

bool lgi_is_stale(const lgi_connection *connection) {
  struct pollfd wait = {connection->fd, POLLIN, 0};
  return connection->begin != connection->end || poll(&wait, 1, 0) != 0;
}

static int64_t monotonic(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t lgi_deadline(unsigned seconds) {
  return seconds == 0 ? INT64_MAX : monotonic() + (int64_t)seconds * 1000000000;
}

static int milliseconds_until(int64_t deadline) {
  int64_t left;
  if (deadline == INT64_MAX) return -1;
  left = deadline - monotonic();
  if (left <= 0) return 0;
  return left > (int64_t)LGI_CALL_SECONDS * 1000000000 ? LGI_CALL_SECONDS * 1000 : (int)(left / 1000000) + 1;
}

/* Until the socket is ready, or has failed: then the call that follows says how. */
static lg_error wait_for(const lgi_connection *connection, short events, int64_t deadline, int wake) {
  struct pollfd waits[2] = {{connection->fd, events, 0}, {wake, POLLIN, 0}};
  for (;;) {
    const int ready = poll(waits, wake >= 0 ? 2 : 1, milliseconds_until(deadline));
    if (ready > 0 && wake >= 0 && waits[1].revents != 0) return lgi_fail(LG_GONE, "not wanted any more");
    if (ready > 0) return LG_OK;
    if (ready == 0) return lgi_fail(LG_TIMED_OUT, "the gateway does not answer");
    if (errno != EINTR) return lgi_fail_errno(errno, "poll");
  }
}

static lg_error broken(int error) {
  if (error == EPIPE || error == ECONNRESET) return lgi_fail(LG_GONE, "the gateway has closed the connection");
  return lgi_fail_errno(error, "the connection to the gateway");
}

lg_error lgi_send(lgi_connection *connection, const char *data, size_t length, int64_t deadline) {
  size_t sent = 0;
  connection->heard = false;
  while (sent < length) {
    const ssize_t now = send(connection->fd, data + sent, length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (now >= 0) {
      sent += (size_t)now;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return broken(errno);
    {
      const lg_error error = wait_for(connection, POLLOUT, deadline, -1);
      if (error != LG_OK) return error;
    }
  }
  return LG_OK;
}

/* Room behind the text that has not been used; what has been used is wiped, since it may have held a key. */
static void make_room(lgi_connection *connection) {
  const size_t left = connection->end - connection->begin;
  memmove(connection->buffer, connection->buffer + connection->begin, left);
  explicit_bzero(connection->buffer + left, connection->begin);
  connection->begin = 0;
  connection->end = left;
}

/* recv(), and what comes along. */
static ssize_t receive_some(lgi_connection *connection, void *to, size_t room) {
  union {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof connection->descriptors)];
  } control;
  struct iovec piece = {to, room};
  struct msghdr message = {0};
  struct cmsghdr *rights;
  ssize_t got;
  if (!connection->takes_descriptors) return recv(connection->fd, to, room, MSG_DONTWAIT);
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  got = recvmsg(connection->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  rights = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  if (rights != NULL && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
    const size_t bytes = rights->cmsg_len - CMSG_LEN(0);
    memcpy(connection->descriptors, CMSG_DATA(rights), bytes);
    connection->descriptors_count = (uint32_t)(bytes / sizeof(int));
    connection->takes_descriptors = false; /* there is one offer */
  }
  return got;
}

static lg_error receive_more(lgi_connection *connection, int64_t deadline, int wake) {
  for (;;) {
    const size_t room = sizeof connection->buffer - connection->end;
    const ssize_t got = receive_some(connection, connection->buffer + connection->end, room);
    if (got > 0) {
      connection->heard = true;
      connection->end += (size_t)got;
      return LG_OK;
    }
    if (got == 0) return lgi_fail(LG_GONE, "the gateway has closed the connection");
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return broken(errno);
    {
      const lg_error error = wait_for(connection, POLLIN, deadline, wake);
      if (error != LG_OK) return error;
    }
  }
}

lg_error lgi_receive_line(lgi_connection *connection, char **line, size_t *length, int64_t deadline, int wake) {
  size_t searched = 0;
  for (;;) {
    char *const first = connection->buffer + connection->begin;
    const size_t there = connection->end - connection->begin;
    char *const newline = memchr(first + searched, '\n', there - searched);
    lg_error error;
    if (newline != NULL) {
      *line = first;
      *length = (size_t)(newline - first);
      connection->begin += *length + 1;
      return LG_OK;
    }
    searched = there;
    if (there == sizeof connection->buffer) return lgi_fail(LG_PROTOCOL, "a line of the gateway is too long");
    if (connection->begin != 0) make_room(connection);
    error = receive_more(connection, deadline, wake);
    if (error != LG_OK) return error;
  }
}

/* {"error":{"code":…,"message":…}} */
static lg_error refusal(lgi_span error) {
  char code[32], message[200];
  if (!lgi_json_text(lgi_json_member(error, "code"), code, sizeof code) ||
      !lgi_json_text(lgi_json_member(error, "message"), message, sizeof message))
    return lgi_fail(LG_PROTOCOL, "the gateway's answer is not understood");
  return lgi_fail(lgi_error_of_code(code), "%s", message);
}

static lg_error exchange(lgi_connection *connection, const lgi_text *request, lgi_span *answer) {
  const int64_t deadline = lgi_deadline(LGI_CALL_SECONDS);
  char *line = NULL;
  size_t length = 0;
  lg_error error = lgi_send(connection, request->data, request->length, deadline);
  if (error == LG_OK) error = lgi_receive_line(connection, &line, &length, deadline, -1);
  if (error == LG_OK && !lgi_json_is_object(line, length))
    error = lgi_fail(LG_PROTOCOL, "the gateway's answer is not JSON");
  answer->at = line;
  answer->length = length;
  return error;
}

lg_error lgi_call(lgi_connection *connection, const lgi_text *request, lgi_span *result) {
  lgi_span answer, error;
  lg_error failed;
  if (request->overflow) return lgi_fail(LG_INVALID, "the request is too long");
  failed = exchange(connection, request, &answer);
  if (failed != LG_OK) {
    lgi_disconnect(connection);
    return failed;
  }
  error = lgi_json_member(answer, "error");
  *result = lgi_json_member(answer, "result");
  if (error.at != NULL) return refusal(error);
  if (result->at != NULL) return LG_OK;
  lgi_disconnect(connection);
  return lgi_fail(LG_PROTOCOL, "the gateway's answer is not understood");
}
