// Counts what a process makes durable: preloaded into it, it sees the calls that LMDB makes on one data file.
// SYNCS_FILE: a file of five 64-bit counters that is mapped; SYNCS_OF: the end of the data file's path.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { DATA_SYNCS, DATA_SYNC_NANOSECONDS, META_SYNCS, META_SYNC_NANOSECONDS, BYTES_WRITTEN, COUNTERS };

static uint64_t *counters;
static const char *of;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("SYNCS_FILE");
  of = getenv("SYNCS_OF");
  if (path == NULL || of == NULL) return;
  int file = open(path, O_RDWR);
  if (file < 0) return;
  void *map = mmap(NULL, COUNTERS * sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (map != MAP_FAILED) counters = map;
}

static int is_counted(int fd) {
  char link[64], path[4096];
  if (counters == NULL) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path);
  size_t end = strlen(of);
  return length >= (ssize_t)end && memcmp(path + length - end, of, end) == 0;
}

static void add(int counter, uint64_t number) { __atomic_fetch_add(&counters[counter], number, __ATOMIC_RELAXED); }

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int sync_with(const char *name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  int counted = is_counted(fd);
  uint64_t began = now();
  int result = real(fd);
  if (counted && result == 0) {
    add(DATA_SYNC_NANOSECONDS, now() - began);
    add(DATA_SYNCS, 1);
  }
  return result;
}

int fdatasync(int fd) { return sync_with("fdatasync", fd); }
int fsync(int fd) { return sync_with("fsync", fd); }

// A meta page goes through a descriptor that syncs by itself; LMDB writes only its last fields.
static ssize_t write_with(const char *name, int fd, const void *data, size_t size, off64_t offset) {
  ssize_t (*real)(int, const void *, size_t, off64_t) =
      (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, name);
  if (!is_counted(fd)) return real(fd, data, size, offset);
  int synced = size < 4096 && (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
  uint64_t began = now();
  ssize_t result = real(fd, data, size, offset);
  if (result > 0) {
    add(BYTES_WRITTEN, (uint64_t)result);
    if (synced) {
      add(META_SYNC_NANOSECONDS, now() - began);
      add(META_SYNCS, 1);
    }
  }
  return result;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  return write_with("pwrite", fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  return write_with("pwrite64", fd, data, size, offset);
}

static ssize_t write_vector_with(const char *name, int fd, const struct iovec *parts, int count, off64_t offset) {
  ssize_t (*real)(int, const struct iovec *, int, off64_t) =
      (ssize_t(*)(int, const struct iovec *, int, off64_t))dlsym(RTLD_NEXT, name);
  ssize_t result = real(fd, parts, count, offset);
  if (result > 0 && is_counted(fd)) add(BYTES_WRITTEN, (uint64_t)result);
  return result;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return write_vector_with("pwritev", fd, parts, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  return write_vector_with("pwritev64", fd, parts, count, offset);
}
