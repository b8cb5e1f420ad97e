#pragma once

#include <sys/resource.h>
#include <unistd.h>

namespace airssys::wasm::test {

/// While it lives this process gets no further file descriptor.
class NoMoreDescriptors {
 public:
  /// The undefined-behaviour sanitizer looks at memory through a pipe, and takes what it cannot see for a fault.
#ifdef __SANITIZE_ADDRESS__
  static constexpr bool kBearable = false;
#else
  static constexpr bool kBearable = true;
#endif

  NoMoreDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const int next = ::dup(STDIN_FILENO);
    ::close(next);
    const rlimit none{static_cast<rlim_t>(next), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;
  ~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace airssys::wasm::test
