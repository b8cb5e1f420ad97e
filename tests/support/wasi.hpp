#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>

#include "support/host.hpp"
#include "support/no_more_descriptors.hpp"
#include "support/redirected.hpp"
#include "support/scratch.hpp"
#include "support/wasi_guest.hpp"

namespace airssys::wasm::test {

inline const std::string kWrite = "(call $write (local.get $s) (i32.const 64) (i32.const 6) (i32.const 16))";
inline const std::string kStrings = R"((result (list string)) (canon lift (core func $i "run") (memory $mem)))";
inline const std::string kU64 = R"((result u64) (canon lift (core func $i "run")))";

class WasiTest : public HostTest {
 protected:
  const Scratch scratch;
  const std::filesystem::path& directory = scratch.path();
};

}  // namespace airssys::wasm::test
