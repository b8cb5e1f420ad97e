#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fd.hpp"

namespace airssys::wasm::test {

/// Another file in the place of one of this process's streams while it lives; what was there before comes back.
class Redirected {
 public:
  Redirected(int stream, const base::Fd& to) : stream_(stream), saved_(::dup(stream)) {
    EXPECT_EQ(::dup2(to.get(), stream), stream);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;
  ~Redirected() { ::dup2(saved_.get(), stream_); }

 private:
  int stream_;
  base::Fd saved_;
};

}  // namespace airssys::wasm::test
