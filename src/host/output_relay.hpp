#pragma once

#include <airssys/wasm/context.hpp>
#include <airssys/wasm/limits.hpp>
#include <chrono>
#include <list>
#include <memory>

#include "base/sync.hpp"
#include "wasmtime/output.hpp"

namespace airssys::wasm::host {

/// Writes guests' output to this process's own streams, on a thread of its own: a slow reader fills the guest's bounded
/// buffer and so slows the guest, and nobody else. A guest whose output cannot be written is told (`Output::fail`).
///
/// The thread raises neither SIGPIPE nor SIGXFSZ.
///
/// Threads: every function from any thread.
class OutputRelay {
 public:
  /// Errors: std::system_error when no thread can be had.
  OutputRelay() : thread_([this] { work(); }) {}
  OutputRelay(const OutputRelay&) = delete;
  OutputRelay& operator=(const OutputRelay&) = delete;
  /// Writes out what has been handed over, then ends.
  ~OutputRelay();

  /// What ended runs have left that nobody has read yet: more, and no further output is attached. Beside it each run
  /// that is attached has at most the buffers of its two streams here, and as much again in them.
  static constexpr std::size_t kLeftBytesMax = 64U << 20U;

  /// The descriptor for each stream; -1 for one that is not the relay's.
  struct Descriptors {
    int out = -1, err = -1;
  };
  /// From now on what `output` holds goes there, in the order in which it was written. False when too much waits
  /// already.
  [[nodiscard]] bool attach(std::shared_ptr<wasmtime::Output> output, Descriptors to);
  /// There may be something to write.
  void nudge() noexcept;
  /// Takes the rest and forgets the output.
  void detach(const std::shared_ptr<wasmtime::Output>& output) noexcept;
  /// Blocks until everything that was there before the call is written or lost, for at most so long, and says what
  /// became of all of it so far.
  FlushedOutput flush(std::chrono::nanoseconds patience = std::chrono::hours{24});

 private:
  struct Chunk {
    base::Buffer pieces;
    Descriptors to;
    /// Who is told when it is lost. Its run may be over.
    std::shared_ptr<wasmtime::Output> from;
    /// Of a run that has ended.
    bool left = false;
  };
  using Chunks = std::list<Chunk>;
  struct Source {
    std::shared_ptr<wasmtime::Output> output;
    Descriptors to;
    /// One chunk, made in advance: whoever detaches must not have to allocate it.
    Chunks spare;
    /// The number of its last chunk. While that is not out, nothing further is taken: so the guest's buffer is its
    /// bound.
    std::uint64_t last = 0;
    [[nodiscard]] base::Buffer take() const { return output->take({to.out >= 0, to.err >= 0}); }
  };
  /// What was not written of a chunk, by stream, and why.
  struct Lost {
    int out_error = 0, err_error = 0;
    std::uint64_t bytes = 0;
  };
  /// So that those who wrote one byte each count, too.
  [[nodiscard]] static std::size_t weight(const base::Buffer& pieces) noexcept { return pieces.size() + sizeof(Chunk); }
  void work();
  [[nodiscard]] bool gather();
  [[nodiscard]] bool gather_and_write(std::unique_lock<base::Mutex>& lock, base::Clock::time_point until);
  [[nodiscard]] static Lost write(const Chunk& chunk) noexcept;
  static void tell(const Chunk& chunk, Lost& lost) noexcept;
  void note(const Chunk& chunk, const Lost& lost) noexcept;

  base::Mutex mutex_;
  base::Condition wake_;
  base::Condition written_;
  std::list<Source> sources_;
  Chunks chunks_;
  std::size_t left_bytes_ = 0;
  /// Chunks that there ever were, and those of them that are out.
  std::uint64_t come_ = 0, gone_ = 0;
  FlushedOutput so_far_;
  bool nudged_ = false;
  bool closing_ = false;
  base::Thread thread_;
};

}  // namespace airssys::wasm::host
