/* A WASI command through wasi-libc: arguments, environment, files, stdin, exit status, memory, abort. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "greet";
  if (strcmp(what, "greet") == 0) {
    const char *who = getenv("WHO");
    printf("c command says hello %s\n", who ? who : "nobody");
    return 0;
  }
  if (strcmp(what, "cat") == 0) {
    FILE *file = argc > 2 ? fopen(argv[2], "r") : stdin;
    char line[256];
    if (!file) return 3;
    while (fgets(line, sizeof line, file)) fputs(line, stdout);
    return 0;
  }
  if (strcmp(what, "write") == 0) {
    FILE *file = fopen(argv[2], "w");
    if (!file) return 4;
    fputs("written\n", file);
    return fclose(file) == 0 ? 0 : 5;
  }
  if (strcmp(what, "spin") == 0) for (;;) {
  }
  if (strcmp(what, "eat") == 0) for (;;) {
      char *volatile more = malloc(1 << 20);
      if (!more) {
        fputs("out of memory\n", stderr);
        exit(9);
      }
      memset(more, 1, 1 << 20);
    }
  if (strcmp(what, "abort") == 0) abort();
  return atoi(what);
}
