#include "compile/cache_writer.hpp"

#include <fcntl.h>

#include <algorithm>
#include <exception>
#include <system_error>

#include "wasmtime/costs.hpp"

namespace airssys::wasm::compile {

namespace {

std::optional<Artefact> copy(const Artefact& artefact) {
  base::Fd again(::fcntl(artefact.file.get(), F_DUPFD_CLOEXEC, 0));
  return again ? std::optional(Artefact{std::move(again), artefact.size}) : std::nullopt;
}

}  // namespace

CacheWriter::~CacheWriter() {
  if (writer_.joinable()) {
    writer_.join();
  }
}

std::optional<Artefact> CacheWriter::find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto waits = std::ranges::find_if(work_, [&](const Work& w) { return w.key == key && w.artefact; });
  return waits == work_.end() ? std::nullopt : copy(*waits->artefact);
}

std::optional<std::string> CacheWriter::store(const std::string& key, const Artefact& artefact,
                                              ArtefactCache::About about) {
  ledger::Amounts cost;
  cost[ledger::Kind::Memory] = artefact.size;
  cost[ledger::Kind::FileDescriptors] = 1;
  if (account_->take(cost)) {
    return "the process has no room to write it in the background";
  }
  ledger::Reservation paid(account_, cost);
  auto copied = copy(artefact);
  if (!copied) {
    return "no descriptor is left to write it in the background";
  }
  const std::lock_guard lock(mutex_);
  return waiting(true) < kWaitingMost ? enqueue({key, std::move(copied), std::move(about), std::move(paid)})
                                      : "too many others wait to be written";
}

void CacheWriter::used(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto noted = [&](const Work& w) { return w.key == key && !w.artefact; };
  if (!std::ranges::any_of(work_, noted) && waiting(false) < kNotesMost) {
    static_cast<void>(enqueue({key, {}, {}, {}}));
  }
}

/// Under the lock.
std::size_t CacheWriter::waiting(bool artefacts) const {
  const auto counts = [&](const Work& w) { return w.artefact.has_value() == artefacts; };
  return static_cast<std::size_t>(std::ranges::count_if(work_, counts));
}

/// Under the lock.
std::optional<std::string> CacheWriter::enqueue(Work work) {
  if (!writing_ && !start()) {
    return "no thread is left to write it in the background";
  }
  work_.push_back(std::move(work));
  ++accepted_;
  return {};
}

/// Under the lock, which the thread waits for first.
bool CacheWriter::start() {
  if (writer_.joinable()) {
    writer_.join();  // It has let go of the lock for the last time.
  }
  const auto cost = wasmtime::thread_cost(1);
  if (account_->take(cost)) {
    return false;
  }
  ledger::Reservation paid(account_, cost);
  try {
    writer_ = base::Thread([this] { this->work(); });
  } catch (const std::system_error&) {
    return false;
  }
  writer_paid_ = std::move(paid);
  writing_ = true;
  return true;
}

void CacheWriter::failed_by(std::string why) {
  ++failed_;
  why_ = std::move(why);
}

void CacheWriter::work() noexcept {
  std::unique_lock lock(mutex_);
  while (!work_.empty()) {
    // Others only append: it stays where it is, and is found, while it is written.
    const auto& next = work_.front();
    lock.unlock();
    std::optional<std::string> why;
    try {
      if (next.artefact) {
        why = target_.store(next.key, *next.artefact, next.about);
      } else {
        target_.used(next.key);
      }
    } catch (const std::exception&) {
      why.emplace("no memory");
    }
    lock.lock();
    if (why) {
      failed_by(std::move(*why));
    }
    work_.pop_front();
    ++done_;
    written_.notify_all();
  }
  writing_ = false;
  writer_paid_ = {};
}

std::optional<std::string> CacheWriter::flush() {
  std::unique_lock lock(mutex_);
  written_.wait(lock, [&, last = accepted_] { return done_ >= last; });
  return std::exchange(why_, {});
}

std::uint64_t CacheWriter::failed() {
  const std::lock_guard lock(mutex_);
  return failed_;
}

}  // namespace airssys::wasm::compile
