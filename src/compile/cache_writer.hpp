#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/sync.hpp"
#include "compile/artefact.hpp"
#include "compile/artefact_cache.hpp"
#include "ledger/ledger.hpp"

namespace airssys::wasm::compile {

/// Writes to the cache apart from the loads, which do not wait until something is written: on one thread, which is
/// there while there is something to write. What waits to be written is found here.
///
/// Threads: safe from any thread. Its end waits until everything is written, however long the disk takes.
class CacheWriter {
 public:
  /// Where it writes to: `store` says why that failed.
  struct Target {
    std::function<std::optional<std::string>(const std::string& key, const Artefact& artefact,
                                             const ArtefactCache::About& about)>
        store;
    std::function<void(const std::string& key)> used;
  };
  /// Artefacts that wait at a time, each an open file and memory, of the account; and notes of use.
  static constexpr std::size_t kWaitingMost = 16, kNotesMost = 1'000;

  CacheWriter(Target target, std::shared_ptr<ledger::Account> account)
      : target_(std::move(target)), account_(std::move(account)) {}
  CacheWriter(const CacheWriter&) = delete;
  CacheWriter& operator=(const CacheWriter&) = delete;
  ~CacheWriter();

  /// A copy of what waits under this key.
  [[nodiscard]] std::optional<Artefact> find(const std::string& key);
  /// Has it written. A sentence says why it will not be.
  [[nodiscard]] std::optional<std::string> store(const std::string& key, const Artefact& artefact,
                                                 ArtefactCache::About about = {});
  /// Has its use noted, once while it waits; a note that finds no room is let go.
  void used(const std::string& key);
  /// Waits until all that came before is written, and says why the latest that could not be was not, unless an earlier
  /// call has said so.
  [[nodiscard]] std::optional<std::string> flush();
  /// How many could not be written.
  [[nodiscard]] std::uint64_t failed();

 private:
  struct Work {
    std::string key;
    /// None: the use of what is there is noted.
    std::optional<Artefact> artefact;
    ArtefactCache::About about;
    ledger::Reservation paid;
  };
  [[nodiscard]] std::size_t waiting(bool artefacts) const;
  [[nodiscard]] std::optional<std::string> enqueue(Work work);
  [[nodiscard]] bool start();
  void work() noexcept;
  void failed_by(std::string why);

  const Target target_;
  const std::shared_ptr<ledger::Account> account_;
  base::Mutex mutex_;
  base::Condition written_;
  /// The first is under way.
  std::deque<Work> work_;
  base::Thread writer_;
  ledger::Reservation writer_paid_;
  bool writing_ = false;
  /// Works that were ever accepted, and those of them that are done.
  std::uint64_t accepted_ = 0, done_ = 0;
  std::uint64_t failed_ = 0;
  std::optional<std::string> why_;
};

}  // namespace airssys::wasm::compile
