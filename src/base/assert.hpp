#pragma once

#include <cstdio>
#include <cstdlib>

/// Stops the process on a bug of ours, in every build. Guest input never reaches one.
#define AIRSSYS_WASM_ASSERT(condition)                                                                        \
  do {                                                                                                        \
    if (!(condition)) {                                                                                       \
      std::fprintf(stderr, "airssys-wasm: bug at %s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                                           \
    }                                                                                                         \
  } while (false)
