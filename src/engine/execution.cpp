#include <airssys/wasm/execution.hpp>

#include "base/forked.hpp"
#include "scheduler/shared_run.hpp"

namespace airssys::wasm {

namespace {

/// Of a run that goes on in the parent, if at all. It stays.
const Report& forked_report() {
  static const auto* const report = [] {
    auto* made = new Report;
    made->result = std::unexpected(base::forked_error());
    return made;
  }();
  return *report;
}
/// What a forked child can be told of a run: its locks may be held by threads that are not here.
const Report& told_in_a_child(const scheduler::SharedRun& core) {
  const auto* const finished = core.finished();
  return finished != nullptr ? *finished : forked_report();
}

}  // namespace

const Report& Execution::wait() const& { return base::forked() ? told_in_a_child(*behind_) : behind_->wait(); }
const Report* Execution::wait_for(std::chrono::nanoseconds patience) const& {
  return base::forked() ? &told_in_a_child(*behind_) : behind_->wait_for(patience);
}
void Execution::on_done(std::move_only_function<void(const Report&)> done) const {
  if (!base::forked()) {
    behind_->on_done(std::move(done));
  } else if (done) {
    scheduler::SharedRun::tell(done, told_in_a_child(*behind_));
  }
}
void Execution::cancel() const {
  if (!base::forked()) {
    behind_->cancel();
  }
}
ExecutionState Execution::state() const { return behind_->state(); }
ResourceUsage Execution::usage() const {
  return base::forked() ? told_in_a_child(*behind_).resource_usage : behind_->usage();
}
RunId Execution::id() const { return behind_->id(); }

}  // namespace airssys::wasm
