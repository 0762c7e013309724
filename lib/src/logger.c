/* The one thread of the library: it follows the gateway's log for lg_set_logger(). */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RETRY_MILLISECONDS = 500 };

/* Of one thread; it frees it. */
typedef struct follower {
  lg_logger logger;
  void *context;
  int wake; /* the reading end of a pipe: it ends when the thread is not wanted any more */
  sem_t *first_try; /* until the first attempt to subscribe has ended: then lg_set_logger() returns */
  bool detached; /* by its own logger; only the thread itself reads and writes it */
  char path[LGI_PATH_MAX];
  lgi_connection connection;
} follower;

static struct {
  pthread_mutex_t mutex; /* one lg_set_logger() at a time */
  bool runs;
  pid_t process; /* a child has no such thread */
  pthread_t thread;
  int stop; /* the writing end of the follower's pipe */
} logger = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* The follower whose thread this is. */
static __thread follower *self;

/* ------------------------------------------------------------------ prefixes */

/* Adapters whose lines begin with their name. */
typedef struct prefixed {
  struct prefixed *next;
  char name[LG_NAME_MAX + 1];
} prefixed;

static pthread_mutex_t prefix_mutex = PTHREAD_MUTEX_INITIALIZER;
static prefixed *prefixes;

static prefixed **find_prefix(const char *name) {
  prefixed **at = &prefixes;
  while (*at != NULL && strcmp((*at)->name, name) != 0) at = &(*at)->next;
  return at;
}

void lgi_logger_prefix(const char *name, bool prefix) {
  prefixed **at;
  pthread_mutex_lock(&prefix_mutex);
  at = find_prefix(name);
  if (*at == NULL && prefix && (*at = calloc(1, sizeof **at)) != NULL) {
    strcpy((*at)->name, name);
  } else if (*at != NULL && !prefix) {
    prefixed *const gone = *at;
    *at = gone->next;
    free(gone);
  }
  pthread_mutex_unlock(&prefix_mutex);
}

static bool has_prefix(const char *name) {
  bool found;
  pthread_mutex_lock(&prefix_mutex);
  found = *find_prefix(name) != NULL;
  pthread_mutex_unlock(&prefix_mutex);
  return found;
}

/* ------------------------------------------------------------------ lines */

static bool unwanted(const follower *f) {
  struct pollfd wait = {f->wake, POLLIN, 0};
  return f->detached || poll(&wait, 1, 0) != 0;
}

static lg_level level_of(lgi_span word) {
  static const char *const names[] = {"", "error", "warn", "info", "debug", "trace"};
  char text[16];
  lg_level level;
  if (lgi_json_text(word, text, sizeof text))
    for (level = LG_LOG_ERROR; level <= LG_LOG_TRACE; ++level)
      if (strcmp(text, names[level]) == 0) return level;
  return LG_LOG_INFO;
}

static int64_t wall_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* {"log":{"at":…,"level":…,"interface":…,"text":…}} or {"log":{"lost":N}} */
static void tell(const follower *f, lgi_span line) {
  const lgi_span log = lgi_json_member(line, "log");
  char name[LG_NAME_MAX + 1] = "", text[8192];
  size_t used = 0;
  uint64_t lost;
  int64_t at;
  if (lgi_json_u64(lgi_json_member(log, "lost"), &lost)) {
    (void)snprintf(text, sizeof text, "%llu log lines were left out", (unsigned long long)lost);
    f->logger(LG_LOG_WARN, wall_now(), text, f->context);
    return;
  }
  if (lgi_json_text(lgi_json_member(log, "interface"), name, sizeof name) && has_prefix(name))
    used = (size_t)snprintf(text, sizeof text, "%s: ", name);
  if (!lgi_json_text(lgi_json_member(log, "text"), text + used, sizeof text - used)) return;
  if (!lgi_json_seconds(lgi_json_member(log, "at"), &at)) at = wall_now();
  f->logger(level_of(lgi_json_member(log, "level")), at, text, f->context);
}

static void tried(follower *f) {
  if (f->first_try != NULL) sem_post(f->first_try);
  f->first_try = NULL;
}

static bool subscribe(follower *f, char **line, size_t *length) {
  static const char kSubscribe[] = "{\"version\":1,\"method\":\"log.subscribe\",\"params\":{\"level\":\"trace\"}}\n";
  const int64_t deadline = lgi_deadline(LGI_CALL_SECONDS);
  return lgi_connect(&f->connection, f->path) == LG_OK &&
         lgi_send(&f->connection, kSubscribe, sizeof kSubscribe - 1, deadline) == LG_OK &&
         lgi_receive_line(&f->connection, line, length, deadline, f->wake) == LG_OK;
}

static void follow(follower *f) {
  char *line;
  size_t length;
  const bool subscribed = subscribe(f, &line, &length);
  tried(f);
  if (subscribed)
    while (lgi_receive_line(&f->connection, &line, &length, INT64_MAX, f->wake) == LG_OK && !unwanted(f))
      if (lgi_json_is_object(line, length)) tell(f, (lgi_span){line, length});
  lgi_disconnect(&f->connection);
}

static void *run(void *argument) {
  follower *const f = argument;
  struct pollfd wait = {f->wake, POLLIN, 0};
  self = f;
  while (!unwanted(f)) {
    follow(f);
    if (!unwanted(f)) (void)poll(&wait, 1, RETRY_MILLISECONDS);
  }
  close(f->wake);
  free(f);
  return NULL;
}

/* ------------------------------------------------------------------ start and stop */

static void stop_follower(void) {
  if (!logger.runs) return;
  logger.runs = false;
  close(logger.stop);
  if (logger.process != getpid()) return; /* after fork() */
  if (self != NULL) {
    self->detached = true;
    (void)pthread_detach(logger.thread);
  } else {
    (void)pthread_join(logger.thread, NULL);
  }
}

/* Without signals: their handlers are the program's own affair. */
static int start_thread(follower *f) {
  sigset_t all, before;
  int error;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_create(&logger.thread, NULL, run, f);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

static lg_error start_follower(lg_logger callback, void *context) {
  int ends[2], error;
  lg_error failed;
  sem_t first_try;
  follower *const f = calloc(1, sizeof *f);
  if (f == NULL) return lgi_fail(LG_NO_MEMORY, "out of memory");
  f->logger = callback;
  f->context = context;
  f->connection.fd = -1;
  failed = lgi_socket_path(f->path);
  if (failed == LG_OK && pipe2(ends, O_CLOEXEC) != 0) failed = lgi_fail_errno(errno, "a pipe");
  if (failed != LG_OK) {
    free(f);
    return failed;
  }
  f->wake = ends[0];
  f->first_try = &first_try;
  sem_init(&first_try, 0, 0);
  error = start_thread(f);
  if (error != 0) {
    close(ends[0]);
    close(ends[1]);
    free(f);
    return lgi_fail_errno(error, "a thread");
  }
  logger.stop = ends[1];
  logger.process = getpid();
  logger.runs = true;
  while (sem_wait(&first_try) != 0) continue; /* EINTR */
  sem_destroy(&first_try);
  return LG_OK;
}

/* A logger that calls this while another thread waits for the logger's end would wait for itself. */
LG_API lg_error lg_set_logger(lg_logger callback, void *context) {
  lg_error error = LG_OK;
  if (self == NULL) {
    pthread_mutex_lock(&logger.mutex);
  } else if (pthread_mutex_trylock(&logger.mutex) != 0) {
    return lgi_fail(LG_BUSY, "another thread is changing the logger");
  }
  stop_follower();
  if (callback != NULL) error = start_follower(callback, context);
  pthread_mutex_unlock(&logger.mutex);
  return error;
}
