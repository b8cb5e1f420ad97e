#include "runtime/output_relay.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/fd.hpp"

namespace airssys::wasm::runtime {

OutputRelay::~OutputRelay() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool OutputRelay::attach(std::shared_ptr<engine::Output> output, Descriptors to) {
  const std::lock_guard lock(mutex_);
  if (left_bytes_ >= kLeftBytesMax) {
    return false;
  }
  sources_.push_back({std::move(output), to});
  return true;
}

void OutputRelay::nudge() {
  {
    const std::lock_guard lock(mutex_);
    nudged_ = true;
  }
  wake_.notify_one();
}

void OutputRelay::detach(const std::shared_ptr<engine::Output>& output) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(sources_, output, &Source::output);
    if (found == sources_.end()) {
      return;
    }
    auto pieces = found->take();
    if (pieces.size() > 0) {
      left_bytes_ += weight(pieces);
      chunks_.push_back({std::move(pieces), found->to, true});
    }
    sources_.erase(found);
  }
  wake_.notify_one();
}

FlushedOutput OutputRelay::flush() {
  nudge();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return chunks_.empty() && !writing_ && !nudged_; });
  return written_;
}

void OutputRelay::gather() {
  nudged_ = false;
  for (const auto& source : sources_) {
    auto pieces = source.take();
    if (pieces.size() > 0) {
      chunks_.push_back({std::move(pieces), source.to, false});
    }
  }
}

/// Pieces that follow each other to one place are written at once: a guest that changes streams with every byte costs
/// no more system calls than others.
FlushedOutput OutputRelay::write(const Chunk& chunk, FlushedOutput so_far) {
  std::vector<std::uint8_t> out, err;
  const bool together = base::same_place(chunk.to.out, chunk.to.err);
  engine::OutputPieces pieces(chunk.pieces);
  while (const auto piece = pieces.next()) {
    auto& joined = piece->is_err && !together ? err : out;
    joined.insert(joined.end(), piece->bytes.begin(), piece->bytes.end());
    (piece->is_err ? so_far.stderr_in_line : so_far.stdout_in_line) = piece->bytes.back() != '\n';
  }
  // What cannot be written (a closed pipe, a full disk) is lost; the guest is not told, whoever flushes is.
  for (const auto& [descriptor, bytes] : {std::pair{chunk.to.out, &out}, std::pair{chunk.to.err, &err}}) {
    const int error = base::write_all(descriptor, *bytes) ? 0 : errno;
    so_far.os_error = so_far.os_error != 0 ? so_far.os_error : error;
  }
  return so_far;
}

void OutputRelay::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return nudged_ || closing_ || !chunks_.empty(); });
    if (chunks_.empty()) {
      gather();
    }
    if (chunks_.empty() && closing_) {
      return;
    }
    if (!chunks_.empty()) {
      const Chunk chunk = std::move(chunks_.front());
      chunks_.pop_front();
      writing_ = true;
      const auto so_far = written_;
      lock.unlock();
      const auto now = write(chunk, so_far);
      lock.lock();
      writing_ = false;
      written_ = now;
      left_bytes_ -= chunk.left ? weight(chunk.pieces) : 0;
    }
    idle_.notify_all();
  }
}

}  // namespace airssys::wasm::runtime
