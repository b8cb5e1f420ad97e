#pragma once

#include <airssys/wasm/report.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "runtime/execution_core.hpp"

namespace airssys::wasm::test {

/// What one poll of a fake guest does.
using Step = std::function<engine::Poll(engine::Counters&, const std::shared_ptr<engine::WakeTarget>&)>;

/// A guest that follows a script: the last step repeats for ever.
class FakeRun final : public engine::Run {
 public:
  explicit FakeRun(std::vector<Step> script) : script_(std::move(script)) {}

  void wake_to(const std::shared_ptr<engine::WakeTarget>& target) override { waker_ = target; }
  void let_go() noexcept override { delete this; }
  [[nodiscard]] bool owns_store() const noexcept override { return true; }
  engine::Poll poll(const engine::CpuLimit& /*cpu*/) override {
    EXPECT_FALSE(polling_.exchange(true)) << "two threads poll one run";
    engine::Counters now = counters();
    ++now.slices;
    now.phase = engine::RunPhase::Call;
    const auto result = script_.at(std::min(at_, script_.size() - 1))(now, waker_);
    ++at_;
    {
      const std::lock_guard lock(mutex_);
      counters_ = now;
    }
    polling_ = false;
    return result == engine::Poll::Waiting && !waker_ ? engine::Poll::Slice : result;
  }
  std::expected<engine::Answer, engine::Failure> take_result() override { return engine::Answer{}; }
  engine::Failure cancel() noexcept override { return {engine::Cause::Halted, 0, false, {}, {}}; }
  [[nodiscard]] engine::Counters counters() const noexcept override {
    const std::lock_guard lock(mutex_);
    return counters_;
  }
  [[nodiscard]] std::shared_ptr<engine::HostCalls> host_calls() override { return nullptr; }
  [[nodiscard]] std::vector<engine::Denial> denials() const override { return {}; }

 private:
  std::vector<Step> script_;
  std::shared_ptr<engine::WakeTarget> waker_;
  std::size_t at_ = 0;
  std::atomic<bool> polling_ = false;
  mutable std::mutex mutex_;
  engine::Counters counters_{.fuel_left = 1'000};
};

class FakeJob final : public runtime::Job {
 public:
  explicit FakeJob(std::vector<Step> script, const ledger::Amounts& needs = {})
      : script_(std::move(script)), needs_(needs) {}
  [[nodiscard]] const ledger::Amounts& needs() const override { return needs_; }
  std::expected<engine::RunPtr, engine::Failure> begin(engine::Budget&) override {
    return engine::RunPtr(new FakeRun(script_));
  }
  void host_call(const runtime::Operation&, const std::shared_ptr<engine::HostCalls>&, engine::ParkedCall) override {}
  [[nodiscard]] std::optional<ledger::Shortage> polled() override { return {}; }
  std::expected<std::optional<Value>, Error> result(engine::Answer) override { return std::nullopt; }
  void count_host_calls(HostCallCounts&) const override {}
  void complete(Report&) override {}
  [[nodiscard]] std::string_view last_host_call() const override { return {}; }

 private:
  std::vector<Step> script_;
  ledger::Amounts needs_;
};

struct FakeParts {
  Report its_report;
  FakeJob job;
};
/// A run of a fake guest, with its report.
class FakeExecution final : private FakeParts, public runtime::ExecutionCore {
 public:
  FakeExecution(std::vector<Step> script, const CallBudget& budget, const ledger::Amounts& needs = {})
      : FakeParts{{}, FakeJob(std::move(script), needs)}, ExecutionCore(&job, its_report, {}) {
    its_report.budget = budget;
  }
};

/// An operation of a fake guest for a caller that polls it itself.
class FakeOperation final : private FakeParts, public runtime::Operation {
 public:
  FakeOperation(std::vector<Step> script, const CallBudget& budget, const ledger::Amounts& needs = {})
      : FakeParts{{}, FakeJob(std::move(script), needs)}, Operation(job, its_report, {}) {
    its_report.budget = budget;
  }
};

inline Step slice() {
  return [](auto&, const auto&) { return engine::Poll::Slice; };
}
inline Step done() {
  return [](auto&, const auto&) { return engine::Poll::Done; };
}
inline Step wait_forever() {
  return [](auto&, const auto&) { return engine::Poll::Waiting; };
}
/// Waits, and is woken by another thread, perhaps before the poll has returned.
inline Step wait_and_be_woken(std::chrono::nanoseconds after) {
  return [after](auto&, const std::shared_ptr<engine::WakeTarget>& waker) {
    std::thread([waker, after] {
      std::this_thread::sleep_for(after);
      waker->wake();
    }).detach();
    return engine::Poll::Waiting;
  };
}

}  // namespace airssys::wasm::test
