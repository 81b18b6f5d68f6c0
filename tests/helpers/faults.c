/* Preloaded into a process: writes down what it asks of the disk, and lets chosen requests fail.
 *
 * BECAS_FAULT_ROOT    folder; files outside it are left alone. Absolute, without links.
 * BECAS_FAULT_LOG     file that records are appended to: opens, writes, syncs, names, and what goes out on sockets.
 * BECAS_FAULT_IGNORE  "fdatasync", "fsync", "dsync", separated by commas: such syncs are neither done nor written down.
 * BECAS_FAULT_FAIL    "K:NUMBER": the K-th write or sync fails with that errno, and is not done.
 * BECAS_FAULT_FULL    file; while it exists, writes that make a file longer fail with ENOSPC.
 * BECAS_FAULT_SLOW    file; while it exists, syncs wait.
 *
 * A record: struct record, then its bytes. One lock surrounds a request and its record, so that the log's order is true.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct record {
  uint32_t length; /* of the bytes that follow */
  uint32_t process;
  int32_t fd;
  char kind;      /* O open, W write, S sync, T truncate, R rename, L link, U unlink, M mkdir, Y msync, N send */
  uint8_t dsync;  /* of an open: its writes are syncs too */
  uint8_t unused[2];
  uint64_t offset; /* of a write; the length of a truncate */
};

enum { FDS = 65536 };
enum { OUTSIDE = 0, INSIDE = 1, DSYNC = 2 };

static unsigned char kinds[FDS];
static char root[PATH_MAX];
static const char *full, *slow;
static int log_fd = -1, ignore_fdatasync, ignore_fsync, ignore_dsync, fail_number;
static long fail_at, counted;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork(void) { pthread_mutex_unlock(&lock); }

__attribute__((constructor)) static void start(void) {
  const char *text = getenv("BECAS_FAULT_ROOT");
  if (!text) return;
  snprintf(root, sizeof root, "%s", text);
  full = getenv("BECAS_FAULT_FULL");
  slow = getenv("BECAS_FAULT_SLOW");
  if ((text = getenv("BECAS_FAULT_IGNORE"))) {
    ignore_fdatasync = strstr(text, "fdatasync") != NULL;
    ignore_fsync = strstr(text, "fsync") != NULL;
    ignore_dsync = strstr(text, "dsync") != NULL;
  }
  if ((text = getenv("BECAS_FAULT_FAIL"))) sscanf(text, "%ld:%d", &fail_at, &fail_number);
  if ((text = getenv("BECAS_FAULT_LOG")))
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  pthread_atfork(before_fork, after_fork, after_fork);
}

/* For a process that tries one place after another: the k-th write or sync from now on fails; 0: none. */
void becas_fault_fail(long at, int number) {
  fail_at = at;
  fail_number = number;
  counted = 0;
}

static int below_root(const char *path) {
  size_t length = strlen(root);
  return length && !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

static int kind_of(int fd) { return fd >= 0 && fd < FDS ? kinds[fd] : OUTSIDE; }

static void append(char kind, int fd, int dsync, uint64_t offset, const struct iovec *parts, int count) {
  if (log_fd < 0) return;
  struct record record = {.process = (uint32_t)getpid(), .fd = fd, .kind = kind, .dsync = (uint8_t)dsync, .offset = offset};
  struct iovec all[IOV_MAX];
  all[0] = (struct iovec){&record, sizeof record};
  if (count > IOV_MAX - 1) abort();
  for (int i = 0; i < count; i++) {
    all[i + 1] = parts[i];
    record.length += (uint32_t)parts[i].iov_len;
  }
  ssize_t wanted = (ssize_t)(sizeof record + record.length);
  if (syscall(SYS_writev, log_fd, all, count + 1) != wanted) abort();
}

static void append_text(char kind, int fd, int dsync, const char *one, const char *two) {
  struct iovec parts[2] = {{(void *)one, strlen(one)}, {(void *)two, two ? strlen(two) : 0}};
  if (two) parts[0].iov_len++; /* a NUL between the two */
  append(kind, fd, dsync, 0, parts, two ? 2 : 1);
}

/* Whether this write or sync is the one that fails; errno says how. */
static int fails(void) {
  if (!fail_at || ++counted != fail_at) return 0;
  errno = fail_number;
  return 1;
}

static int has_no_room(int fd, uint64_t end) {
  struct stat found;
  if (!full || syscall(SYS_faccessat, AT_FDCWD, full, F_OK)) return 0;
  if (fstat(fd, &found) || end <= (uint64_t)found.st_size) return 0;
  errno = ENOSPC;
  return 1;
}

static void absolute(char *into, int directory, const char *path) {
  char link[64], base[PATH_MAX] = "";
  if (path[0] != '/') {
    ssize_t length;
    if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    length = readlink(link, base, sizeof base - 1);
    base[length < 0 ? 0 : length] = 0;
  }
  if (snprintf(into, PATH_MAX, "%s%s%s", base, base[0] ? "/" : "", path) >= PATH_MAX) into[0] = 0;
}

static void opened(int fd, int directory, const char *path, int flags) {
  char whole[PATH_MAX];
  if (fd < 0 || fd >= FDS) return;
  int error = errno, dsync = (flags & O_DSYNC) != 0 && !ignore_dsync;
  absolute(whole, directory, path);
  kinds[fd] = !below_root(whole) ? OUTSIDE : dsync ? DSYNC : INSIDE;
  if (kinds[fd]) {
    append_text('O', fd, dsync, whole, NULL);
    if (flags & O_TRUNC) append('T', fd, 0, 0, NULL, 0);
  }
  errno = error;
}

static int open_at(int directory, const char *path, int flags, mode_t mode) {
  pthread_mutex_lock(&lock);
  int fd = (int)syscall(SYS_openat, directory, path, ignore_dsync ? flags & ~O_DSYNC : flags, mode);
  opened(fd, directory, path, flags);
  pthread_mutex_unlock(&lock);
  return fd;
}

#define MODE                                     \
  mode_t mode = 0;                               \
  if (flags & (O_CREAT | O_TMPFILE)) {           \
    va_list list;                                \
    va_start(list, flags);                       \
    mode = va_arg(list, mode_t);                 \
    va_end(list);                                \
  }

int open(const char *path, int flags, ...) { MODE return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return open_at(AT_FDCWD, path, flags, mode); }
int openat(int directory, const char *path, int flags, ...) { MODE return open_at(directory, path, flags, mode); }
int openat64(int directory, const char *path, int flags, ...) { MODE return open_at(directory, path, flags, mode); }
int __open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }

/* offset < 0: at the descriptor's own position. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t offset) {
  if (!kind_of(fd))
    return offset < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, offset, 0L);
  pthread_mutex_lock(&lock);
  ssize_t done = -1;
  off_t at = offset;
  size_t length = 0;
  if (at < 0) {
    struct stat found;
    int append_mode = fcntl(fd, F_GETFL) & O_APPEND;
    at = append_mode && !fstat(fd, &found) ? found.st_size : lseek(fd, 0, SEEK_CUR);
  }
  for (int i = 0; i < count; i++) length += parts[i].iov_len;
  if (!fails() && !has_no_room(fd, (uint64_t)at + length)) {
    done = offset < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, offset, 0L);
    if (done >= 0 && (size_t)done != length) abort(); /* a short write would need its own record */
    if (done >= 0) append('W', fd, 0, (uint64_t)at, parts, count);
  }
  pthread_mutex_unlock(&lock);
  return done;
}

static ssize_t write_one(int fd, const void *bytes, size_t length, off_t offset) {
  struct iovec part = {(void *)bytes, length};
  return write_parts(fd, &part, 1, offset);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  if (!kind_of(fd)) return syscall(SYS_write, fd, bytes, length);
  return write_one(fd, bytes, length, -1);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return write_one(fd, bytes, length, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) { return write_one(fd, bytes, length, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return write_parts(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return write_parts(fd, parts, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) { return write_parts(fd, parts, count, offset); }

static int synced(int fd, long number, int ignored) {
  if (!kind_of(fd)) return (int)syscall(number, fd);
  if (ignored) return 0;
  while (slow && !syscall(SYS_faccessat, AT_FDCWD, slow, F_OK)) usleep(1000);
  pthread_mutex_lock(&lock);
  int done = fails() ? -1 : (int)syscall(number, fd);
  if (!done) append('S', fd, 0, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  return done;
}

int fdatasync(int fd) { return synced(fd, SYS_fdatasync, ignore_fdatasync); }
int fsync(int fd) { return synced(fd, SYS_fsync, ignore_fsync); }

int msync(void *address, size_t length, int flags) {
  pthread_mutex_lock(&lock);
  append('Y', -1, 0, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  return (int)syscall(SYS_msync, address, length, flags);
}

static int truncated(int fd, off_t length) {
  if (!kind_of(fd)) return (int)syscall(SYS_ftruncate, fd, length);
  pthread_mutex_lock(&lock);
  int done = (int)syscall(SYS_ftruncate, fd, length);
  if (!done) append('T', fd, 0, (uint64_t)length, NULL, 0);
  pthread_mutex_unlock(&lock);
  return done;
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off_t length) { return truncated(fd, length); }

/* A change of names: done by the system call, written down where it is below the root. */
static int named(char kind, int done, int directory, const char *path, int other, const char *to) {
  char one[PATH_MAX], two[PATH_MAX];
  int error = errno;
  absolute(one, directory, path);
  if (to) absolute(two, other, to);
  if (!done && (below_root(one) || (to && below_root(two)))) append_text(kind, -1, 0, one, to ? two : NULL);
  pthread_mutex_unlock(&lock);
  errno = error;
  return done;
}

#define NAMED(kind, call, directory, path, other, to) \
  pthread_mutex_lock(&lock);                          \
  int done = (int)(call);                             \
  return named(kind, done, directory, path, other, to)

int renameat(int a, const char *from, int b, const char *to) {
  NAMED('R', syscall(SYS_renameat2, a, from, b, to, 0), a, from, b, to);
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
  NAMED('L', syscall(SYS_linkat, a, from, b, to, flags), a, from, b, to);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int unlinkat(int directory, const char *path, int flags) {
  NAMED('U', syscall(SYS_unlinkat, directory, path, flags), directory, path, 0, NULL);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdirat(int directory, const char *path, mode_t mode) {
  NAMED('M', syscall(SYS_mkdirat, directory, path, mode), directory, path, 0, NULL);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  if (log_fd < 0) return syscall(SYS_sendmsg, fd, message, flags);
  pthread_mutex_lock(&lock);
  ssize_t sent = syscall(SYS_sendmsg, fd, message, flags);
  int error = errno, count = 0;
  struct iovec parts[IOV_MAX - 1];
  for (ssize_t left = sent; left > 0; count++) {
    parts[count] = message->msg_iov[count];
    if ((ssize_t)parts[count].iov_len > left) parts[count].iov_len = (size_t)left;
    left -= (ssize_t)parts[count].iov_len;
  }
  if (sent > 0) append('N', fd, 0, 0, parts, count);
  errno = error;
  pthread_mutex_unlock(&lock);
  return sent;
}
