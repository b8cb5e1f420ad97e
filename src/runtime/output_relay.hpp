#pragma once

#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include <airssys/wasm/context.hpp>

#include "engine/output.hpp"

namespace airssys::wasm::runtime {

/// Writes guests' output to this process's own streams, on a thread of its own: a slow reader fills the guest's bounded
/// buffer and so slows the guest, and nobody else.
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
  [[nodiscard]] bool attach(std::shared_ptr<engine::Output> output, Descriptors to);
  /// There may be something to write.
  void nudge();
  /// Takes the rest and forgets the output.
  void detach(const std::shared_ptr<engine::Output>& output);
  /// Blocks until everything handed over is written, and says what became of all of it so far.
  FlushedOutput flush();

 private:
  struct Source {
    std::shared_ptr<engine::Output> output;
    Descriptors to;
    [[nodiscard]] base::Buffer take() const { return output->take({to.out >= 0, to.err >= 0}); }
  };
  struct Chunk {
    base::Buffer pieces;
    Descriptors to;
    /// Of a run that has ended.
    bool left = false;
  };
  /// So that those who wrote one byte each count, too.
  [[nodiscard]] static std::size_t weight(const base::Buffer& pieces) noexcept { return pieces.size() + sizeof(Chunk); }
  void work();
  void gather();
  /// With the stream positions and the first error so far.
  [[nodiscard]] static FlushedOutput write(const Chunk& chunk, FlushedOutput so_far);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::list<Source> sources_;
  std::deque<Chunk> chunks_;
  std::size_t left_bytes_ = 0;
  FlushedOutput written_;
  bool nudged_ = false;
  bool writing_ = false;
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace airssys::wasm::runtime
