#pragma once

#include <fstream>
#include <iterator>
#include <string>

namespace airssys::wasm::test {

/// A guest whose `run` starts a task after the other; each waits for what never comes.
inline std::string waiting_tasks() {
  std::ifstream file(AIRSSYS_WASM_TEST_SUPPORT "/waiting_tasks.wat");
  return {std::istreambuf_iterator(file), {}};
}

}  // namespace airssys::wasm::test
