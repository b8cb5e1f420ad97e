#include "host/output_relay.hpp"

#include <poll.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <new>
#include <utility>

#include "base/fd.hpp"

namespace airssys::wasm::host {

namespace {

/// A pipe that nobody reads stays one. A disk that is full may have room again.
bool stays(int error) { return error != ENOSPC && error != EDQUOT && error != EFBIG; }

/// Pieces for one place, written by one system call where they are few: a guest that changes streams with every byte
/// costs no more of them than others.
class Vectors {
 public:
  explicit Vectors(int descriptor) noexcept : descriptor_(descriptor) {}

  void add(std::span<const std::uint8_t> bytes) noexcept {
    if (count_ == vectors_.size()) {
      write();
    }
    // writev reads what it is given, whatever its type says.
    vectors_.at(count_++) = {const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  }
  /// After an error the rest is lost, too.
  void write() noexcept {
    std::span<iovec> rest(vectors_.data(), std::exchange(count_, 0));
    while (!rest.empty() && error_ == 0) {
      const auto n = ::writev(descriptor_, rest.data(), static_cast<int>(rest.size()));
      if (n < 0 && (errno == EINTR || (errno == EAGAIN && has_room()))) {
        continue;
      }
      if (n <= 0) {
        error_ = n < 0 ? errno : EIO;
        continue;
      }
      auto done = static_cast<std::size_t>(n);
      while (!rest.empty() && done >= rest.front().iov_len) {
        done -= rest.front().iov_len;
        rest = rest.subspan(1);
      }
      if (!rest.empty()) {
        auto& part = rest.front();
        part.iov_base = static_cast<std::uint8_t*>(part.iov_base) + done;
        part.iov_len -= done;
      }
    }
    for (const auto& part : rest) {
      lost_ += part.iov_len;
    }
  }
  [[nodiscard]] int error() const noexcept { return error_; }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  /// Whoever has opened it for us need not have meant it to block.
  [[nodiscard]] bool has_room() const noexcept {
    pollfd watched{descriptor_, POLLOUT, 0};
    int n = 0;
    do {
      n = ::poll(&watched, 1, -1);
    } while (n < 0 && errno == EINTR);
    return n > 0;
  }

  static constexpr std::size_t kAtOnce = 64;
  const int descriptor_;
  std::array<iovec, kAtOnce> vectors_{};
  std::size_t count_ = 0;
  int error_ = 0;
  std::uint64_t lost_ = 0;
};

/// What cannot be written is an error of the write here, whatever the program thinks of these signals.
void raise_no_signals() noexcept {
  sigset_t raised;
  ::sigemptyset(&raised);
  ::sigaddset(&raised, SIGPIPE);
  ::sigaddset(&raised, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &raised, nullptr);
}

}  // namespace

OutputRelay::~OutputRelay() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool OutputRelay::attach(std::shared_ptr<wasmtime::Output> output, Descriptors to) {
  Chunks spare(1);
  const std::lock_guard lock(mutex_);
  if (left_bytes_ >= kLeftBytesMax) {
    return false;
  }
  sources_.push_back({std::move(output), to, std::move(spare)});
  return true;
}

void OutputRelay::nudge() noexcept {
  {
    const std::lock_guard lock(mutex_);
    nudged_ = true;
  }
  wake_.notify_one();
}

void OutputRelay::detach(const std::shared_ptr<wasmtime::Output>& output) noexcept {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(sources_, output, &Source::output);
    if (found == sources_.end()) {
      return;
    }
    auto pieces = found->take();
    if (pieces.size() > 0) {
      left_bytes_ += weight(pieces);
      found->spare.front() = {std::move(pieces), found->to, output, true};
      chunks_.splice(chunks_.end(), found->spare);
      ++come_;
    }
    sources_.erase(found);
  }
  wake_.notify_one();
}

FlushedOutput OutputRelay::flush(std::chrono::nanoseconds patience) {
  const auto until = base::Clock::now() + std::min<std::chrono::nanoseconds>(patience, kTimeMost);
  std::unique_lock lock(mutex_);
  // Twice: what could not be taken the first time follows a chunk that was on its way. That is out then, and what has
  // been taken since, or is taken now, holds all that was there before the call.
  const bool complete = gather_and_write(lock, until) && gather_and_write(lock, until);
  auto out = so_far_;
  out.complete = complete;
  return out;
}

/// Until all that has been taken by then is out. False when that took too long.
bool OutputRelay::gather_and_write(std::unique_lock<base::Mutex>& lock, base::Clock::time_point until) {
  while (!gather()) {
    // There may be memory again; what could not be taken is still with its guest.
    if (base::Clock::now() >= until) {
      return false;
    }
    lock.unlock();
    base::sleep_for(std::chrono::milliseconds{1});
    lock.lock();
  }
  wake_.notify_one();
  return written_.wait_until(lock, until, [&, last = come_] { return gone_ >= last; });
}

/// Takes what there is of those that have nothing on its way. Under the lock. False when something was left for want of
/// memory.
bool OutputRelay::gather() {
  nudged_ = false;
  for (auto& source : sources_) {
    if (source.last > gone_) {
      // Once that is out: nobody else may come to say so.
      nudged_ = true;
      continue;
    }
    try {
      Chunks one(1);
      auto pieces = source.take();
      if (pieces.size() > 0) {
        one.front() = {std::move(pieces), source.to, source.output, false};
        chunks_.splice(chunks_.end(), one);
        source.last = ++come_;
      }
    } catch (const std::bad_alloc&) {
      nudged_ = true;
      return false;
    }
  }
  return true;
}

OutputRelay::Lost OutputRelay::write(const Chunk& chunk) noexcept {
  const bool together = base::same_place(chunk.to.out, chunk.to.err);
  Vectors out(chunk.to.out), err(chunk.to.err);
  wasmtime::OutputPieces pieces(chunk.pieces);
  bool any_err = false;
  while (const auto piece = pieces.next()) {
    any_err = any_err || piece->is_err;
    (piece->is_err && !together ? err : out).add(piece->bytes);
  }
  out.write();
  err.write();
  return {out.error(), together && any_err ? out.error() : err.error(), out.lost() + err.lost()};
}

/// Adds to `lost` what the guest's buffers held, too.
void OutputRelay::tell(const Chunk& chunk, Lost& lost) noexcept {
  // The chunk's bytes once, with the first of the two that failed.
  auto bytes = lost.bytes;
  if (lost.out_error != 0) {
    lost.bytes += chunk.from->fail({.out = true}, {lost.out_error, stays(lost.out_error), std::exchange(bytes, 0)});
  }
  if (lost.err_error != 0) {
    lost.bytes += chunk.from->fail({.err = true}, {lost.err_error, stays(lost.err_error), bytes});
  }
}

/// Under the lock.
void OutputRelay::note(const Chunk& chunk, const Lost& lost) noexcept {
  so_far_.lost.count += lost.bytes;
  for (const int error : {lost.out_error, lost.err_error}) {
    // A pipe that was closed on purpose must not hide a disk that is full.
    if (error != 0 && (so_far_.os_error == 0 || so_far_.os_error == EPIPE)) {
      so_far_.os_error = error;
    }
  }
  wasmtime::OutputPieces pieces(chunk.pieces);
  while (const auto piece = pieces.next()) {
    (piece->is_err ? so_far_.stderr_in_line : so_far_.stdout_in_line) = piece->bytes.back() != '\n';
  }
}

void OutputRelay::work() {
  raise_no_signals();
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return nudged_ || closing_ || !chunks_.empty(); });
    if (chunks_.empty() && !gather()) {
      lock.unlock();
      base::sleep_for(std::chrono::milliseconds{1});
      lock.lock();
      continue;
    }
    if (chunks_.empty() && closing_) {
      return;
    }
    if (!chunks_.empty()) {
      Chunks now;
      now.splice(now.end(), chunks_, chunks_.begin());
      const auto& chunk = now.front();
      lock.unlock();
      auto lost = write(chunk);
      tell(chunk, lost);
      lock.lock();
      note(chunk, lost);
      left_bytes_ -= chunk.left ? weight(chunk.pieces) : 0;
      ++gone_;
      written_.notify_all();
      // What is freed here may be the last of a run's output.
      lock.unlock();
      now.clear();
      lock.lock();
    }
  }
}

}  // namespace airssys::wasm::host
