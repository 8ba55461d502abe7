/*
 * What views are compared with: a handler of page faults in C that does the same copy. A thread touches pages that are missing, in
 * a scrambled order; the handler copies each from "device" memory to its frame, and moves the frame to where the fault was.
 *
 * fault-handler CPU PAGE_SIZE PAGES: for each line on stdin it plays one round, and prints nanoseconds a fault.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct api { uint64_t api, features, ioctls; };
struct registration { uint64_t start, length, mode, ioctls; };
struct move { uint64_t to, from, length, mode; int64_t moved; };
struct message { uint8_t event, unused[7]; uint64_t flags, address, more; };

#define UFFDIO_API 0xc018aa3f
#define UFFDIO_REGISTER 0xc020aa00
#define UFFDIO_MOVE 0xc028aa05

static int watch;
static size_t page_size, pages;
static char *device, *frames, *window;

static void check(int failed, const char *what) {
  if (!failed) return;
  perror(what);
  exit(1);
}

static char *map(size_t length) {
  char *at = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(at == MAP_FAILED, "mmap");
  madvise(at, length, MADV_NOHUGEPAGE);
  return at;
}

static void watch_range(char *at, size_t length, uint64_t mode) {
  struct registration given = {(uint64_t)at, length, mode, 0};
  check(ioctl(watch, UFFDIO_REGISTER, &given), "UFFDIO_REGISTER");
}

static void move(char *to, char *from, size_t length) {
  while (length > 0) {
    struct move given = {(uint64_t)to, (uint64_t)from, length, 0, 0};
    if (ioctl(watch, UFFDIO_MOVE, &given) == 0) return;
    check(given.moved <= 0, "UFFDIO_MOVE");
    to += given.moved;
    from += given.moved;
    length -= given.moved;
  }
}

static void *handle(void *unused) {
  struct pollfd waiting = {watch, POLLIN, 0};
  struct message message;
  for (;;) {
    poll(&waiting, 1, -1);
    if (read(watch, &message, sizeof message) != sizeof message) continue;
    size_t offset = (message.address - (uint64_t)window) / page_size * page_size;
    memcpy(frames + offset, device + offset, page_size);
    move(window + offset, frames + offset, page_size);
  }
  return unused;
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  cpu_set_t processor;
  CPU_ZERO(&processor);
  CPU_SET(atoi(arguments[1]), &processor);
  check(sched_setaffinity(0, sizeof processor, &processor), "sched_setaffinity");
  page_size = strtoul(arguments[2], NULL, 10);
  pages = strtoul(arguments[3], NULL, 10);
  watch = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  check(watch < 0, "userfaultfd");
  struct api api = {0xaa, 0, 0};
  check(ioctl(watch, UFFDIO_API, &api), "UFFDIO_API");
  size_t length = pages * page_size;
  device = map(length);
  frames = map(length);
  window = map(length);
  memset(device, 1, length);
  memset(frames, 1, length);
  watch_range(window, length, 1);
  watch_range(frames, length, 2);
  pthread_t handler;
  check(pthread_create(&handler, NULL, handle, NULL), "pthread_create");
  char line[64];
  while (fgets(line, sizeof line, stdin) != NULL) {
    struct timespec began, ended;
    volatile char sum = 0;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (size_t i = 0; i < pages; i++) sum += window[i * 509 % pages * page_size];
    clock_gettime(CLOCK_MONOTONIC, &ended);
    double nanoseconds = (ended.tv_sec - began.tv_sec) * 1e9 + (ended.tv_nsec - began.tv_nsec);
    printf("%.1f\n", nanoseconds / pages);
    fflush(stdout);
    move(frames, window, length);
  }
  return 0;
}
