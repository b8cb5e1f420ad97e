#pragma once

#include <string>

namespace airssys::wasm::test {

/// A text of 800 KB for which its parser needs some seconds: each of many branches looks for its label among many.
inline std::string slow_text() {
  constexpr int kLabels = 30'000, kBranches = 60'000;
  std::string open, branches, close;
  for (int i = 0; i < kLabels; ++i) {
    open += "block $l" + std::to_string(i) + " ";
    close += "end ";
  }
  for (int i = 0; i < kBranches; ++i) {
    branches += "$l0 ";
  }
  return "(component (core module (func " + open + "i32.const 0 br_table " + branches + close + ")))";
}

}  // namespace airssys::wasm::test
