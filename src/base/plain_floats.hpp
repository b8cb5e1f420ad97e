#pragma once

#ifdef __x86_64__
#include <xmmintrin.h>
#endif

namespace airssys::wasm::base {

/// While it lives, this thread computes as WebAssembly says: rounded to nearest, with subnormal numbers, without
/// faults. A program linked with -ffast-math begins otherwise, and any may set its threads otherwise. Only on x86-64;
/// reading the mode costs some cycles.
class PlainFloats {
 public:
#ifdef __x86_64__
  PlainFloats() noexcept : theirs_(_mm_getcsr()) {
    if (differs()) {
      _mm_setcsr(kPlain);
    }
  }
  ~PlainFloats() {
    if (differs()) {
      _mm_setcsr(theirs_);
    }
  }
#else
  PlainFloats() noexcept {}
#endif
  PlainFloats(const PlainFloats&) = delete;
  PlainFloats& operator=(const PlainFloats&) = delete;

#ifdef __x86_64__
 private:
  /// All exceptions masked; what lies below are flags of what happened.
  static constexpr unsigned kPlain = 0x1f80, kFlags = 0x3f;
  [[nodiscard]] bool differs() const noexcept { return (theirs_ & ~kFlags) != kPlain; }

  const unsigned theirs_;
#endif
};

}  // namespace airssys::wasm::base
