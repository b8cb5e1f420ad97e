#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>

#include "compile/artefact_cache.hpp"
#include "compile/cache_writer.hpp"
#include "ledger/ledger.hpp"
#include "support/host.hpp"
#include "support/scratch.hpp"

namespace airssys::wasm::test {

namespace fs = std::filesystem;
using compile::Artefact;
using compile::ArtefactCache;

inline Artefact artefact(std::size_t size) {
  const std::vector<std::uint8_t> bytes(size, 7);
  return compile::seal(bytes).value();
}

}  // namespace airssys::wasm::test
