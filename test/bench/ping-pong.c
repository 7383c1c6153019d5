/* The physical limit on this machine: one byte there and back over a socketpair between two processes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 20000;
  int ends[2];
  char frame[272] = {0};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
  if (fork() == 0) {
    close(ends[0]);
    while (read(ends[1], frame, sizeof frame) > 0)
      if (write(ends[1], frame, sizeof frame) < 0) break;
    return 0;
  }
  close(ends[1]);
  for (int i = 0; i < rounds; i++) {
    double start = now_us();
    if (write(ends[0], frame, 16) < 0) return 1;
    ssize_t got = 0;
    while (got < (ssize_t)sizeof frame) {
      ssize_t more = read(ends[0], frame, sizeof frame);
      if (more <= 0) return 1;
      got += more;
    }
    printf("%.2f\n", now_us() - start);
  }
  return 0;
}
