#pragma once

#include <airssys/wasm/units.hpp>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "base/fd.hpp"
#include "engine/artefact.hpp"

namespace airssys::wasm::engine {

/// Compiled components on disk. They are native code, so what is read back is trusted only because nobody but this user
/// can have written it: the directory is the user's and closed to others, each file a plain file of the user's that
/// nobody else may write, put there whole by a rename. Behind the artefact follows its checksum, since native code that
/// a disk has changed would end the process or give a false reason.
///
/// Threads: safe from any thread and any number of processes.
class ArtefactCache {
 public:
  /// Empty `directory`: `$XDG_CACHE_HOME/airssys-wasm/artefacts`, or `~/.cache/...`.
  ArtefactCache(std::filesystem::path directory, Bytes size_max);

  /// The file of this key, open, when it is there and trusted.
  [[nodiscard]] std::optional<Artefact> find(const std::string& key) const;
  /// Whether what `find` found is as it was written. Reads all of it.
  [[nodiscard]] static bool is_whole(const Artefact& kept);
  /// Keeps a copy. A sentence says why that failed; the artefact itself is as good as before.
  [[nodiscard]] std::optional<std::string> store(const std::string& key, const Artefact& artefact) const;
  /// Forgets a file that turned out to be unusable (another Wasmtime, another processor).
  void forget(const std::string& key) const;

 private:
  [[nodiscard]] std::optional<std::string> prepare_directory() const;
  void evict(std::uint64_t coming) const;
  std::filesystem::path directory_;
  Bytes size_max_;
};

/// Writes `path` whole or not at all, the artefact and what is to follow; or says why not.
[[nodiscard]] std::optional<base::FileError> copy_to(const Artefact& artefact, const std::filesystem::path& path,
                                                     std::span<const std::uint8_t> after = {});

}  // namespace airssys::wasm::engine
