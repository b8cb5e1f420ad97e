#include "runtime/output_relay.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

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

bool OutputRelay::attach(std::shared_ptr<engine::Output> output, int descriptor) {
  const std::lock_guard lock(mutex_);
  if (left_bytes_ >= kLeftBytesMax) {
    return false;
  }
  sources_.push_back({std::move(output), descriptor});
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
    auto bytes = output->take();
    if (bytes.size() > 0) {
      left_bytes_ += weight(bytes);
      chunks_.push_back({std::move(bytes), found->descriptor, true});
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
    auto bytes = source.output->take();
    if (bytes.size() > 0) {
      chunks_.push_back({std::move(bytes), source.descriptor, false});
    }
  }
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
      lock.unlock();
      // What cannot be written (a closed pipe, a full disk) is lost; the guest is not told, whoever flushes is.
      const int error = base::write_all(chunk.descriptor, chunk.bytes.bytes()) ? 0 : errno;
      lock.lock();
      writing_ = false;
      written_.os_error = written_.os_error != 0 ? written_.os_error : error;
      auto& in_line = chunk.descriptor == STDERR_FILENO ? written_.stderr_in_line : written_.stdout_in_line;
      in_line = chunk.bytes.bytes().back() != '\n';
      left_bytes_ -= chunk.left ? weight(chunk.bytes) : 0;
    }
    idle_.notify_all();
  }
}

}  // namespace airssys::wasm::runtime
