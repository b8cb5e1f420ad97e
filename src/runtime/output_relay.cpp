#include "runtime/output_relay.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace airssys::wasm::runtime {

namespace {

/// What cannot be written (a closed pipe, a full disk) is dropped: the guest has been told nothing else by any pipe.
void write_all(int descriptor, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
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

void OutputRelay::attach(std::shared_ptr<engine::Output> output, int descriptor) {
  const std::lock_guard lock(mutex_);
  sources_.push_back({std::move(output), descriptor});
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
    chunks_.push_back({output->take(), found->descriptor});
    sources_.erase(found);
  }
  wake_.notify_one();
}

void OutputRelay::flush() {
  nudge();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return chunks_.empty() && !writing_ && !nudged_; });
}

void OutputRelay::gather() {
  nudged_ = false;
  for (const auto& source : sources_) {
    auto bytes = source.output->take();
    if (bytes.size() > 0) {
      chunks_.push_back({std::move(bytes), source.descriptor});
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
      write_all(chunk.descriptor, chunk.bytes.bytes());
      lock.lock();
      writing_ = false;
    }
    idle_.notify_all();
  }
}

}  // namespace airssys::wasm::runtime
