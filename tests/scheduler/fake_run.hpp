#pragma once

#include <gtest/gtest.h>

#include <airssys/wasm/report.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "scheduler/shared_run.hpp"

namespace airssys::wasm::test {

/// What one poll of a fake guest does.
using Step = std::function<wasmtime::Poll(wasmtime::Counters&, const std::shared_ptr<wasmtime::WakeTarget>&)>;

/// A guest that follows a script: the last step repeats for ever.
class FakeRun final : public wasmtime::Run {
 public:
  explicit FakeRun(std::vector<Step> script) : script_(std::move(script)) {}

  void wake_to(const std::shared_ptr<wasmtime::WakeTarget>& target) override { waker_ = target; }
  void let_go() noexcept override { delete this; }
  [[nodiscard]] bool owns_store() const noexcept override { return true; }
  wasmtime::Poll poll(const wasmtime::Times& /*times*/) override {
    EXPECT_FALSE(polling_.exchange(true)) << "two threads poll one run";
    wasmtime::Counters now = counters();
    ++now.slices;
    now.phase = wasmtime::RunPhase::Call;
    const auto result = script_.at(std::min(at_, script_.size() - 1))(now, waker_);
    ++at_;
    {
      const std::lock_guard lock(mutex_);
      counters_ = now;
    }
    polling_ = false;
    return result == wasmtime::Poll::Waiting && !waker_ ? wasmtime::Poll::Slice : result;
  }
  std::expected<wasmtime::Answer, wasmtime::Failure> take_result() override { return wasmtime::Answer{}; }
  wasmtime::Failure cancel() noexcept override { return {wasmtime::Cause::Halted, 0, false, {}, {}}; }
  [[nodiscard]] wasmtime::Counters counters() const noexcept override {
    const std::lock_guard lock(mutex_);
    return counters_;
  }
  [[nodiscard]] std::shared_ptr<wasmtime::HostCalls> host_calls() override { return nullptr; }
  [[nodiscard]] std::vector<Denial> denials() const override { return {}; }

 private:
  std::vector<Step> script_;
  std::shared_ptr<wasmtime::WakeTarget> waker_;
  std::size_t at_ = 0;
  std::atomic<bool> polling_ = false;
  mutable std::mutex mutex_;
  wasmtime::Counters counters_ = [] {
    wasmtime::Counters begun{};
    begun.fuel_left = 1'000;
    return begun;
  }();
};

class FakeCall final : public execution::Call {
 public:
  explicit FakeCall(std::vector<Step> script, const ledger::Amounts& needs = {})
      : script_(std::move(script)), needs_(needs) {}
  [[nodiscard]] const ledger::Amounts& needs() const override { return needs_; }
  std::expected<wasmtime::RunPtr, wasmtime::Failure> make_run(wasmtime::Budget&) override {
    return wasmtime::RunPtr(new FakeRun(script_));
  }
  void host_call(const execution::MeteredRun&, const std::shared_ptr<wasmtime::HostCalls>&,
                 wasmtime::ParkedCall) override {}
  [[nodiscard]] std::optional<ledger::Shortage> polled() override { return {}; }
  std::expected<std::optional<Value>, Error> result(wasmtime::Answer) override { return std::nullopt; }
  void count_host_calls(HostCallCounts&) const override {}
  void complete(Report&) override {}
  [[nodiscard]] std::string_view last_host_call() const override { return {}; }

 private:
  std::vector<Step> script_;
  ledger::Amounts needs_;
};

struct FakeParts {
  Report its_report;
  FakeCall call;
};
/// A run of a fake guest, with its report.
class FakeExecution final : private FakeParts, public scheduler::SharedRun {
 public:
  FakeExecution(std::vector<Step> script, const CallBudget& budget, const ledger::Amounts& needs = {})
      : FakeParts{{}, FakeCall(std::move(script), needs)}, SharedRun(&call, its_report, {}) {
    its_report.budget = budget;
  }
};

/// An operation of a fake guest for a caller that polls it itself.
class FakeOperation final : private FakeParts, public execution::MeteredRun {
 public:
  FakeOperation(std::vector<Step> script, const CallBudget& budget, const ledger::Amounts& needs = {})
      : FakeParts{{}, FakeCall(std::move(script), needs)}, MeteredRun(call, its_report, {}) {
    its_report.budget = budget;
  }
};

inline Step slice() {
  return [](auto&, const auto&) { return wasmtime::Poll::Slice; };
}
inline Step done() {
  return [](auto&, const auto&) { return wasmtime::Poll::Done; };
}
inline Step wait_forever() {
  return [](auto&, const auto&) { return wasmtime::Poll::Waiting; };
}
/// Waits, and is woken by another thread, perhaps before the poll has returned.
inline Step wait_and_be_woken(std::chrono::nanoseconds after) {
  return [after](auto&, const std::shared_ptr<wasmtime::WakeTarget>& waker) {
    std::thread([waker, after] {
      std::this_thread::sleep_for(after);
      waker->wake();
    }).detach();
    return wasmtime::Poll::Waiting;
  };
}

/// Waits at a terminal until somebody has typed two lines, each after that time; then goes on with `then`. As the real
/// guest it may be polled in between, which changes nothing.
inline Step type_twice(std::chrono::nanoseconds each, Step then = done()) {
  struct Typing {
    int lines = 0;
    std::chrono::steady_clock::time_point until{};
  };
  return [=, typing = std::make_shared<Typing>()](auto& counters, const auto& waker) {
    const auto now = std::chrono::steady_clock::now();
    if (!waker) {
      return wasmtime::Poll::Slice;
    }
    if (now < typing->until) {
      return wasmtime::Poll::Terminal;
    }
    if (typing->lines++ == 2) {
      --typing->lines;
      return then(counters, waker);
    }
    typing->until = now + each;
    static_cast<void>(wait_and_be_woken(each)(counters, waker));
    return wasmtime::Poll::Terminal;
  };
}

}  // namespace airssys::wasm::test
