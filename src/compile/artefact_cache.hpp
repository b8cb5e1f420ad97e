#pragma once

#include <airssys/wasm/cache.hpp>
#include <airssys/wasm/units.hpp>
#include <expected>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "base/fd.hpp"
#include "compile/artefact.hpp"

namespace airssys::wasm::compile {

/// Compiled components on disk. They are native code, so what is read back is trusted only because nobody but this user
/// can have written it: the directory is the user's and closed to others, each file a plain file of the user's that
/// nobody else may write, put there whole by a rename. Behind the artefact follow its checksum, since native code that
/// a disk has changed would end the process or give a false reason, and what people call it.
///
/// A segmented LRU (Karedla, Love and Wherry, "Caching strategies to improve disk system performance", 1994): what was
/// used once lies in the directory itself, what was used again in `again` below it, where four fifths of the room are.
/// Only what was used once makes room, so that a stream of strangers cannot push out what everybody runs.
///
/// Threads: safe from any thread and any number of processes.
class ArtefactCache {
 public:
  /// Empty `directory`: `$XDG_CACHE_HOME/airssys-wasm/artefacts`, or `~/.cache/...`.
  ArtefactCache(std::filesystem::path directory, Bytes size_max);

  /// What people call it, for `contents`.
  struct About {
    std::string name, digest;
  };
  struct Found {
    Artefact artefact;
    /// That it was used is not written down, or was long ago: `used` would do so.
    bool worth_noting = false;
  };
  /// The file of this key, open, when it is there and trusted.
  [[nodiscard]] std::optional<Found> find(const std::string& key) const;
  /// Whether what `find` found is as it was written. Reads all of it.
  [[nodiscard]] static bool is_whole(const Artefact& kept);
  /// Whether one of this size could be kept at all; a sentence says why not. Makes the directory.
  [[nodiscard]] std::optional<std::string> refusal(std::uint64_t artefact_bytes) const;
  /// Keeps a copy. A sentence says why that failed; the artefact itself is as good as before.
  [[nodiscard]] std::optional<std::string> store(const std::string& key, const Artefact& artefact,
                                                 const About& about = {}) const;
  /// What `find` found was of use: it is protected from now on. Without effect when it is gone.
  void used(const std::string& key) const;
  /// Forgets a file that turned out to be unusable (another Wasmtime, another processor).
  void forget(const std::string& key) const;
  /// What is there, the one used last first.
  [[nodiscard]] CacheContents contents() const;
  /// Removes all of it, but for what is being written. Errors: which file could not be removed, and why.
  [[nodiscard]] std::expected<CacheCleared, base::FileError> clear() const;

 private:
  [[nodiscard]] std::optional<std::string> prepare_directory() const;
  [[nodiscard]] std::filesystem::path once(const std::string& key) const { return directory_ / key; }
  [[nodiscard]] std::filesystem::path again(const std::string& key) const { return protected_ / key; }
  void evict(std::uint64_t coming) const;
  void demote() const;
  std::filesystem::path directory_, protected_;
  Bytes size_max_;
};

/// Writes `path` whole or not at all, the artefact and what is to follow; or says why not.
[[nodiscard]] std::optional<base::FileError> copy_to(const Artefact& artefact, const std::filesystem::path& path,
                                                     std::span<const std::uint8_t> after = {});

}  // namespace airssys::wasm::compile
