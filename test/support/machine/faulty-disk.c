/* Makes the calls to a disk slow, hang or fail, as the words in the file $FAULTS say at that moment: `delay` (20 ms for
 * each sync), `hang` (each sync, until the word is gone), `full`, `broken` (each write), `unreadable`,
 * `torn` (unreadable, but for the first 4 KiB), `sealed` (nothing is cut), `nfs`. What is read or written elsewhere than in the folder of $FAULTS
 * works: Node 24 reads the package.json of its modules by `pread` too. With `ahead` the clock of the day is ten
 * days ahead. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int has(const char *word) {
  static const char *path;
  char words[64] = {0};
  if (path == NULL) path = getenv("FAULTS");
  int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t length = read(file, words, sizeof words - 1);
  close(file);
  return length > 0 && strstr(words, word) != NULL;
}

static void sync_slowly(void) {
  if (has("delay")) usleep(20000);
  while (has("hang")) usleep(10000);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int file) { sync_slowly(); return NEXT(fsync)(file); }
int fdatasync(int file) { sync_slowly(); return NEXT(fdatasync)(file); }

static int is_elsewhere(int file) {
  char link[64], name[4096] = {0};
  const char *path = getenv("FAULTS");
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  return path == NULL || readlink(link, name, sizeof name - 1) < 0 || strncmp(name, path, strrchr(path, '/') - path) != 0;
}

static int write_fault(int file) {
  if (is_elsewhere(file)) return 0;
  if (has("full")) errno = ENOSPC;
  else if (has("broken")) errno = EIO;
  else return 0;
  return 1;
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
  return write_fault(file) ? -1 : NEXT(pwrite64)(file, bytes, count, at);
}
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
  return write_fault(file) ? -1 : NEXT(pwrite)(file, bytes, count, at);
}

int ftruncate(int file, off_t length) {
  if (is_elsewhere(file) || !has("sealed")) return NEXT(ftruncate)(file, length);
  errno = EROFS;
  return -1;
}
int ftruncate64(int file, off64_t length) { return ftruncate(file, length); }

static int read_fault(int file, off64_t at) {
  if (is_elsewhere(file) || !(has("unreadable") || (at >= 4096 && has("torn")))) return 0;
  errno = EIO;
  return 1;
}

ssize_t pread64(int file, void *bytes, size_t count, off64_t at) {
  if (read_fault(file, at)) return -1;
  return NEXT(pread64)(file, bytes, count, at);
}
ssize_t pread(int file, void *bytes, size_t count, off_t at) {
  if (read_fault(file, at)) return -1;
  return NEXT(pread)(file, bytes, count, at);
}

int statfs(const char *path, struct statfs *found) {
  int result = NEXT(statfs)(path, found);
  if (result == 0 && has("nfs")) found->f_type = 0x6969;
  return result;
}
int statfs64(const char *path, struct statfs64 *found) {
  int result = NEXT(statfs64)(path, found);
  if (result == 0 && has("nfs")) found->f_type = 0x6969;
  return result;
}

static time_t ahead(void) { return has("ahead") ? 864000 : 0; }

int gettimeofday(struct timeval *now, void *zone) {
  int result = NEXT(gettimeofday)(now, zone);
  if (result == 0) now->tv_sec += ahead();
  return result;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = NEXT(clock_gettime)(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += ahead();
  return result;
}
