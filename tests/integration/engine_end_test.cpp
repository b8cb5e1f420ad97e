#include "support/threads.hpp"

namespace airssys::wasm::test {
namespace {

class EngineEndTest : public ThreadsTest {};

TEST_F(EngineEndTest, TheEndIsToldOnceToWhoAsksBeforeAndToWhoAsksAfterwards) {
  const auto guest = load(asking());
  Seen told;
  const auto tell = [&](const Report& report) {
    EXPECT_EQ(report.value(), k42);
    told.one();
  };
  const auto run = engine.start(guest, "wait", {}, with_deadline(10s));
  later.expect(1);
  run.on_done(tell);
  run.on_done(tell);
  EXPECT_FALSE(told.more()) << "it is not over";
  EXPECT_EQ(answer_waiting(), 1);
  told.expect(2);
  EXPECT_EQ(run.wait().value(), k42);
  const auto here = std::this_thread::get_id();
  run.on_done([&](const Report& report) {
    EXPECT_EQ(&report, &run.wait());
    EXPECT_EQ(std::this_thread::get_id(), here);
    told.one();
  });
  EXPECT_TRUE(told.more()) << "at once";
  engine = with([](auto&) {});
  EXPECT_FALSE(told.more()) << "and never again";
}

TEST_F(EngineEndTest, ARunThatWasRefusedOrLetGoTellsItsEndToo) {
  const auto guest = load(asking());
  Seen told;
  engine.start(guest, "quik", {}, small()).on_done([&](const Report& report) {
    EXPECT_THAT(report, Stops("bad_call"));
    told.one();
  });
  EXPECT_TRUE(told.more()) << "it was over at once";
  engine.start(guest, "wait", {}, with_deadline(10s)).on_done([&](const Report& report) {
    EXPECT_EQ(report.value(), k42);
    told.one();
  });
  later.expect(1);
  EXPECT_EQ(answer_waiting(), 1) << "dropping the handle did not stop it";
  told.expect(1);
  EXPECT_FALSE(told.more());
}

// Some ask before the end, some after it, some in the middle of it.
TEST_F(EngineEndTest, WhoAsksWhileARunEndsIsToldOnce) {
  const auto guest = load(asking());
  constexpr int kRounds = 20, kEach = 20;
  std::vector<std::atomic<int>> told(kRounds * kThreads * kEach);
  for (int round = 0; round < kRounds; ++round) {
    const auto run = engine.start(guest, "wait", {}, with_deadline(10s));
    later.expect(1);
    at_once(kThreads, [&](int i) {
      for (int j = 0; j < kEach; ++j) {
        if (i == 0 && j == kEach / 2) {
          EXPECT_EQ(answer_waiting(), 1);
        }
        auto& mine = told.at(static_cast<std::size_t>((round * kThreads + i) * kEach + j));
        run.on_done([&mine](const Report&) { ++mine; });
      }
    });
    EXPECT_EQ(run.wait().value(), k42);
  }
  engine = with([](auto&) {});
  EXPECT_TRUE(std::ranges::all_of(told, [](const auto& times) { return times == 1; }));
}

TEST_F(EngineEndTest, TheEndOfAnEngineCancelsWhatWaitsLoopsAndQueues) {
  std::optional<WasmEngine> ending = with([](auto& settings) { settings.max_concurrent = 4; });
  const auto guest = ending->load_text(asking(), {.name = "guest"}).value();
  std::vector<Execution> runs;
  for (const auto* function : {"wait", "spin", "wait", "spin", "quick", "wait", "spin", "quick"}) {
    runs.push_back(ending->start(guest, function, {}, with_deadline(10s)));
  }
  later.expect(2);
  now.expect(2);
  Seen told;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(runs[i].state() == ExecutionState::Queued, i >= 4);
    runs[i].on_done([&](const Report&) { told.one(); });
  }
  at_once(static_cast<int>(runs.size()) + 1, [&](int i) {
    if (i == static_cast<int>(runs.size())) {
      const auto began = std::chrono::steady_clock::now();
      ending.reset();
      EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
      return;
    }
    const auto& report = runs.at(static_cast<std::size_t>(i)).wait();
    ASSERT_THAT(report, Stops("cancelled")) << i;
    EXPECT_EQ(report.error().phase, i < 4 ? Phase::Call : Phase::Queue);
    EXPECT_EQ(report.outcome(), i < 4 ? Outcome::Stopped : Outcome::Refused);
  });
  told.expect(8);
  EXPECT_FALSE(told.more());
  EXPECT_FALSE(now.more() || later.more()) << "none of the queued has begun";
  EXPECT_EQ(answer_waiting(), 0);
  for (const auto& run : runs) {
    run.cancel();
    EXPECT_EQ(run.state(), ExecutionState::Done);
    EXPECT_EQ(run.usage().fuel, run.wait().usage().fuel);
  }
}

TEST_F(EngineEndTest, AnInstanceWithoutItsEngineAnswersCancelled) {
  std::optional<WasmEngine> ending = with([](auto&) {});
  std::optional<Instance> instance =
      ending->instantiate(ending->load_text(asking(), {.name = "guest"}).value(), small()).value();
  const auto quick = instance->bind<std::uint32_t()>("quick").value();
  ASSERT_EQ(quick(patient()).value(), 42U);
  const auto waiting = instance->start("wait", {}, patient());
  later.expect(1);
  ending.reset();
  EXPECT_THAT(waiting.wait(), Stops("cancelled"));
  EXPECT_EQ(answer_waiting(), 0);
}

TEST_F(EngineEndTest, AnIdleInstanceWithoutItsEngineAnswersCancelledHoweverItIsCalled) {
  std::optional<WasmEngine> ending = with([](auto&) {});
  std::optional<Instance> instance =
      ending->instantiate(ending->load_text(asking(), {.name = "guest"}).value(), small()).value();
  const auto quick = instance->bind<std::uint32_t()>("quick").value();
  ending.reset();
  std::jthread([&] {
    for (int i = 0; i < 2; ++i) {
      EXPECT_THAT(instance->run("quick", {}, patient()), Stops("cancelled"));
      EXPECT_THAT(instance->start("quick", {}, patient()).wait(), Stops("cancelled"));
      EXPECT_THAT(quick.run(patient()).report, Stops("cancelled"));
    }
    EXPECT_THAT(instance->run("quik", {}, patient()), Stops("bad_call"));
    instance.reset();
    EXPECT_THAT(quick.run(patient()).report, Stops("cancelled")) << "what is bound keeps its instance";
  }).join();
}

}  // namespace
}  // namespace airssys::wasm::test
