#pragma once

#include <airssys/wasm/limits.hpp>
#include <string>
#include <vector>

namespace airssys::wasm::cli {

/// The words before `--`, written out where people leave something out: `FILE` alone is `run FILE`, and
/// `--load-limit a=1 b=2` are two limits. `limits`: whose names count.
[[nodiscard]] std::vector<std::string> as_meant(std::vector<std::string> words, const LoadLimits& limits);

}  // namespace airssys::wasm::cli
