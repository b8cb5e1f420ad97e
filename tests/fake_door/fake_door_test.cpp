#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <airssys/wasm.hpp>
#include <latch>
#include <mutex>
#include <thread>

#include "support/at_once.hpp"

namespace airssys::wasm::test {
namespace {

using namespace std::chrono_literals;

constexpr int kThreads = 6;
const Value k42 = std::uint32_t{42};

RuntimeConfig config() {
  RuntimeConfig out;
  out.compile.mode = CompileIsolation::Mode::InProcess;
  out.cache = false;
  out.workers = 2;
  return out;
}
ExecutionContext patient() {
  ExecutionContext context;
  context.limits.max_fuel = Fuel{1ULL << 60U};
  context.timeout = 30s;
  return context;
}
CallBudget patient_call() { return {patient().limits, patient().timeout}; }

/// The whole library on a door without Wasmtime: under the thread sanitizer.
class FakeDoorTest : public ::testing::Test {
 protected:
  FakeDoorTest() {
    engine->host("acme:test/host@1.0.0")
        .function("now", [](HostCall& call, std::uint32_t n) { return call.cancelled() ? 0 : n * 6; })
        .function("later", [this](HostCall&, TypedCompletion<std::uint32_t> completion, std::uint32_t) {
          const std::lock_guard lock(mutex_);
          kept_.push_back(std::move(completion));
        });
  }
  std::vector<TypedCompletion<std::uint32_t>> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(kept_, {});
  }
  ComponentHandle load() { return engine->load_text("(component)", {.name = "guest"}).value(); }

  std::optional<WasmEngine> engine = WasmEngine::create(config()).value();

 private:
  std::mutex mutex_;
  std::vector<TypedCompletion<std::uint32_t>> kept_;
};

TEST_F(FakeDoorTest, ComponentsAreLoadedLinkedAndRunFromManyThreads) {
  const auto shared = load();
  at_once(kThreads, [&](int i) {
    for (int round = 0; round < 20; ++round) {
      const auto guest = round % 2 == 0 ? shared : load();
      const auto blocking = engine->run(guest, "now", {}, patient());
      const auto started = engine->start(guest, "quick", {}, patient());
      ASSERT_TRUE(blocking) << blocking.error();
      EXPECT_EQ(blocking.value(), k42);
      EXPECT_EQ(engine->call<std::uint32_t>(guest, "quick", patient()).value(), 42U);
      EXPECT_FALSE(engine->run(guest, "quack", {}, patient()));
      EXPECT_EQ(guest.functions().size() + guest.imports().size(), 8U) << i;
      EXPECT_TRUE(engine->run(guest, "type", {}, patient())) << "its time at the terminal is excused";
      EXPECT_TRUE(guest.check_imports());
      EXPECT_EQ(started.wait().value(), k42);
    }
  });
}

TEST_F(FakeDoorTest, OneExecutionIsWatchedAndCancelledFromManyThreads) {
  const auto guest = load();
  std::atomic<int> told = 0;
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    const auto run = engine->start(guest, "spin", {}, patient());
    at_once(kThreads, [&](int) {
      run.on_done([&](const Report& report) {
        EXPECT_FALSE(report);
        ++told;
      });
      EXPECT_THAT(run.usage().host_calls, ::testing::IsEmpty());
      while (run.usage().slices < 3 && run.state() != ExecutionState::Done) {
        std::this_thread::yield();
      }
      run.cancel();
      EXPECT_EQ(run.wait().error().reason(), "cancelled");
      EXPECT_EQ(run.usage().fuel, run.wait().usage().fuel);
    });
  }
  engine.reset();
  EXPECT_EQ(told, kRounds * kThreads);
}

TEST_F(FakeDoorTest, HostCallsAreCountedUnderTheEyesOfOthers) {
  const auto guest = load();
  for (int round = 0; round < 10; ++round) {
    const auto run = engine->start(guest, "often", {}, patient());
    at_once(kThreads, [&](int) {
      std::uint64_t last = 0;
      while (run.state() != ExecutionState::Done) {
        const auto counts = run.usage().host_calls;
        const auto now = counts.empty() ? 0 : counts.begin()->second;
        EXPECT_GE(now, last);
        last = now;
      }
    });
    EXPECT_EQ(run.wait().usage().host_calls.at("acme:test/host@1.0.0"), 300U);
  }
}

TEST_F(FakeDoorTest, LateAnswersComeWhileRunsAreCancelledAndEnd) {
  const auto guest = load();
  std::atomic<bool> over = false;
  std::atomic<int> heard = 0;
  std::jthread answerer([&] {
    while (!over) {
      for (const auto& completion : take()) {
        const bool late = completion.abandoned();
        const bool was_heard = completion.complete(42);
        EXPECT_FALSE(late && was_heard);
        heard += was_heard ? 1 : 0;
      }
    }
  });
  std::atomic<int> returned = 0;
  at_once(kThreads, [&](int i) {
    for (int round = 0; round < 40; ++round) {
      const auto run = engine->start(guest, "later", {}, patient());
      if ((i + round) % 3 == 0) {
        run.cancel();
      }
      const auto& report = i % 2 == 0 ? run.wait() : *run.wait_for(30s);
      EXPECT_TRUE(report ? report.value() == k42 : report.error().reason() == "cancelled");
      returned += report ? 1 : 0;
    }
  });
  over = true;
  answerer.join();
  EXPECT_GT(returned, 0);
  EXPECT_GE(heard, returned);
}

TEST_F(FakeDoorTest, BlockingRunsAreStoppedFromOtherThreads) {
  const auto guest = load();
  at_once(kThreads, [&](int i) {
    for (int round = 0; round < 10; ++round) {
      std::stop_source source;
      const std::jthread stopper([&] { source.request_stop(); });
      const auto* function = i % 2 == 0 ? "spin" : "later";
      EXPECT_EQ(engine->run(guest, function, {}, patient(), source.get_token()).error().reason(), "cancelled");
    }
  });
}

TEST_F(FakeDoorTest, OneInstanceIsCalledFromManyThreads) {
  auto instance = engine->instantiate(load(), patient()).value();
  const auto quick = instance.bind<std::uint32_t()>("quick").value();
  std::atomic<int> returned = 0;
  at_once(kThreads, [&](int) {
    for (int round = 0; round < 40; ++round) {
      for (const auto& report : {instance.run("quick", {}, patient_call()), quick.run(patient_call()).report,
                                 instance.start("now", {}, patient_call()).wait()}) {
        EXPECT_TRUE(report || report.error().reason() == "bad_call");
        returned += report ? 1 : 0;
      }
    }
  });
  EXPECT_GT(returned, 0);
  EXPECT_FALSE(instance.spent());
  const auto last = instance.start("spin", {}, patient_call());
  at_once(kThreads, [&](int) { last.cancel(); });
  EXPECT_EQ(last.wait().error().reason(), "cancelled");
  EXPECT_TRUE(instance.spent());
}

TEST_F(FakeDoorTest, TheEngineEndsUnderRunsThatOthersWaitFor) {
  const auto guest = load();
  std::vector<Execution> runs;
  for (int i = 0; i < 60; ++i) {
    runs.push_back(engine->start(guest, i % 3 == 0 ? "later" : "spin", {}, patient()));
  }
  auto instance = engine->instantiate(guest, patient()).value();
  runs.push_back(instance.start("spin", {}, patient_call()));
  auto another = engine->instantiate(guest, patient()).value();
  std::vector<std::jthread> waiters;
  std::latch in(1);
  waiters.emplace_back([&] {
    in.count_down();
    EXPECT_EQ(another.run("spin", {}, patient_call()).error().reason(), "cancelled");
  });
  in.wait();
  for (const auto& run : runs) {
    waiters.emplace_back([&run] { EXPECT_EQ(run.wait().error().reason(), "cancelled"); });
  }
  engine.reset();
  waiters.clear();
  for (const auto& completion : take()) {
    EXPECT_TRUE(completion.abandoned());
    EXPECT_FALSE(completion.complete(1));
  }
}

}  // namespace
}  // namespace airssys::wasm::test
