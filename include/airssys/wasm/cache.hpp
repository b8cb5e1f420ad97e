#pragma once

#include <airssys/wasm/units.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace airssys::wasm {

/// A compiled component in the cache on disk (`RuntimeConfig::cache`).
struct CachedComponent {
  /// What it was called when it was compiled, at most 256 bytes; empty where an earlier version of this library kept
  /// it.
  std::string name;
  /// BLAKE2b of its bytes, as in `ComponentHandle::digest`; empty like the name.
  std::string digest;
  /// Of the file.
  Bytes size;
  /// To within a minute.
  std::chrono::system_clock::time_point last_used;
  /// It was used after it was compiled, and stays longer than those that were not.
  bool used_again = false;
};

/// What the cache on disk holds, for all processes that share it.
struct CacheContents {
  /// Empty: neither XDG_CACHE_HOME nor HOME says where it could be.
  std::filesystem::path directory;
  Bytes size, size_max;
  /// The one that was used last comes first.
  std::vector<CachedComponent> components;
};

/// What `WasmEngine::clear_cache` removed.
struct CacheCleared {
  std::uint64_t components = 0;
  Bytes size;
};

}  // namespace airssys::wasm
