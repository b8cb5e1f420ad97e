#include "support/threads.hpp"

namespace airssys::wasm::test {
namespace {

std::string answering(int number) {
  return component("(func (export \"run\") (result i32) i32.const " + std::to_string(number) + ")", kRun);
}

// A program that waits for its signals by signalfd or sigwait blocks them all, in the threads that we start too.
TEST_F(ThreadsTest, AFaultIsATrapWhereSignalsAreBlocked) {
  const auto trap = component(R"((memory 1)
    (func (export "run") (result i32) (i32.load (i32.const 0x7fffffff))))",
                              kRun);
  std::jthread([&] {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    auto inner = WasmEngine::create(config()).value();
    const auto guest = inner.load_text(trap).value();
    EXPECT_THAT(inner.run(guest, "run", {}, small()), Stops("trap"));
    EXPECT_THAT(inner.start(guest, "run", {}, small()).wait(), Stops("trap"));
    auto instance = inner.instantiate(guest, small()).value();
    std::jthread([&] {
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
      EXPECT_THAT(instance.run("run", {}, patient()), Stops("trap"));
    }).join();
    ::pthread_sigmask(SIG_SETMASK, nullptr, &all);
    EXPECT_EQ(::sigismember(&all, SIGTERM), 1) << "what is not a guest's fault stays blocked";
  }).join();
}

// Its code is metered as its own engine does, and that engine's end would be the end of its slices.
TEST_F(ThreadsTest, AComponentOfAnotherEngineIsRefused) {
  auto other = with([](RuntimeConfig& c) { c.meter = Meter::Epoch; });
  const auto guest = other.load_text(answering(1)).value();
  EXPECT_EQ(kind_of<BadCall>(engine.run(guest, "run", {}, small())).cause, BadCallCause::OtherEngine);
  EXPECT_THAT(engine.start(guest, "run", {}, small()).wait(), Stops("bad_call"));
  EXPECT_FALSE(engine.instantiate(guest, small()));
  EXPECT_THAT(engine.call<std::int32_t>(guest, "run", small()).error().message, ::testing::HasSubstr("another engine"));
  EXPECT_TRUE(other.run(guest, "run", {}, small()));
}

TEST_F(ThreadsTest, PatienceHasNoEnd) {
  const auto guest = load(asking());
  const auto run = engine.start(guest, "wait", {}, with_deadline(10s));
  later.expect(1);
  std::jthread answer([&] {
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(answer_waiting(), 1);
  });
  const auto* report = run.wait_for(std::chrono::nanoseconds::max());
  ASSERT_NE(report, nullptr);
  EXPECT_TRUE(*report);
}

// Whoever cancels may hold a lock that the callback takes.
TEST_F(ThreadsTest, ACallbackNeverRunsInTheThreadThatCancelsOrEndsTheEngine) {
  auto host = std::optional(with([](RuntimeConfig& c) {
    c.max_concurrent = 1;
    c.workers = 1;
  }));
  const auto guest = host->load_text(asking()).value();
  const auto holds = host->start(guest, "wait", {}, with_deadline(10s));
  const auto here = std::this_thread::get_id();
  Seen over;
  const auto elsewhere = [&](const Report& report) {
    EXPECT_THAT(report, Stops("cancelled"));
    EXPECT_NE(std::this_thread::get_id(), here);
    over.one();
  };
  const auto cancelled = host->start(guest, "wait", {}, small());
  cancelled.on_done(elsewhere);
  EXPECT_EQ(cancelled.state(), ExecutionState::Queued);
  cancelled.cancel();
  over.expect(1);
  const auto ended = host->start(guest, "wait", {}, small());
  ended.on_done(elsewhere);
  holds.on_done(elsewhere);
  host.reset();
  over.expect(2);
  EXPECT_FALSE(over.more());
}

// Description, linked form and functions are made when they are first wanted, by whoever comes first.
TEST_F(ThreadsTest, ManyThreadsUseAHandleForTheFirstTime) {
  const auto wat = asking();
  for (int round = 0; round < 10; ++round) {
    std::optional<ComponentHandle> shared = load(wat);
    at_once(kThreads, [&](int i) {
      const ComponentHandle guest = *shared;
      if (i % 4 == 1) {
        EXPECT_EQ(guest.functions().size(), 3U + kThreads);
      } else if (i % 4 == 2) {
        EXPECT_EQ(guest.imports().at(0).functions.size(), 2U);
      } else if (i % 4 == 3) {
        EXPECT_FALSE(guest.is_command());
      }
      for (int j = i; j < i + kThreads; ++j) {
        const auto number = static_cast<std::uint32_t>(j % kThreads);
        const auto path = "f" + std::to_string(number);
        const auto report =
            j % 2 == 0 ? engine.run(guest, path, {}, small()) : engine.start(guest, path, {}, small()).wait();
        ASSERT_TRUE(report) << report.error();
        EXPECT_EQ(report.value(), Value(number * 6)) << path;
        EXPECT_EQ(report.function, path);
        EXPECT_EQ(report.usage().host_calls.at(kHost), 1U);
      }
      const auto wrong = engine.run(guest, "f9", {}, small());
      EXPECT_THAT(wrong, Stops("bad_call"));
    });
    now.expect(kThreads * kThreads);
    EXPECT_FALSE(now.more()) << "each run asks once";
  }
}

TEST_F(ThreadsTest, OneTypedFunctionIsCalledFromManyThreads) {
  const auto three = engine.bind<std::uint32_t()>(load(asking()), "f3").value();
  at_once(kThreads, [&](int) {
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(three(small()).value(), 18U);
    }
  });
}

// Nothing is compiled yet when they come.
TEST_F(ThreadsTest, TheSameAndOthersAreLoadedAtOnce) {
  const Scratch scratch;
  auto fresh = with([&](auto& settings) { settings.cache_directory = scratch.path(); });
  std::vector<std::string> digests(kThreads);
  at_once(kThreads, [&](int i) {
    const int number = i / 2;
    const auto guest = fresh.load_text(answering(number), {.name = "guest " + std::to_string(i)});
    ASSERT_TRUE(guest) << guest.error();
    EXPECT_EQ(guest->name(), "guest " + std::to_string(i));
    EXPECT_THAT(guest->notes(), ::testing::IsEmpty());
    digests.at(static_cast<std::size_t>(i)) = guest->digest();
    EXPECT_EQ(fresh.run(*guest, "run", {}, small()).value(), Value(std::int32_t{number}));
  });
  for (std::size_t i = 0; i < digests.size(); i += 2) {
    EXPECT_EQ(digests[i], digests[i + 1]);
  }
  EXPECT_EQ(std::set(digests.begin(), digests.end()).size(), digests.size() / 2);
}

TEST_F(ThreadsTest, RunsGoOnWhileOthersLoad) {
  const Scratch scratch;
  auto fresh = with([&](auto& settings) { settings.cache_directory = scratch.path(); });
  const Heartbeat beat(fresh);
  const auto before = beat.beats();
  at_once(4, [&](int i) {
    for (int j = 0; j < 3; ++j) {
      const int number = 10 * i + j;
      const auto guest = fresh.load_text(answering(number), {.name = "guest"});
      ASSERT_TRUE(guest) << guest.error();
      EXPECT_EQ(fresh.run(*guest, "run", {}, small()).value(), Value(std::int32_t{number}));
    }
  });
  EXPECT_GT(beat.beats(), before + 3);
  EXPECT_LT(beat.longest_gap(), 2s);
}

TEST_F(ThreadsTest, ManyThreadsWatchOneExecutionAndCancelIt) {
  const auto guest = load(asking());
  Seen told;
  for (int round = 0; round < 10; ++round) {
    const auto run = engine.start(guest, "spin", {}, with_deadline(10s));
    at_once(kThreads, [&](int) {
      const Execution mine = run;
      mine.on_done([&](const Report& report) {
        EXPECT_THAT(report, Stops("cancelled"));
        told.one();
      });
      ResourceUsage last;
      while (last.slices < 2 && mine.state() != ExecutionState::Done) {
        const auto usage = mine.usage();
        EXPECT_GE(usage.slices, last.slices);
        EXPECT_GE(usage.fuel, last.fuel);
        EXPECT_GE(usage.cpu_time, last.cpu_time);
        EXPECT_EQ(usage.running + usage.waiting, usage.wall_time);
        last = usage;
      }
      mine.cancel();
      const auto& report = mine.wait();
      EXPECT_EQ(&report, &run.wait()) << "there is one report";
      EXPECT_EQ(mine.wait_for(0ns), &report);
      EXPECT_EQ(mine.state(), ExecutionState::Done);
      EXPECT_EQ(mine.id(), report.id);
      EXPECT_EQ(mine.usage().fuel, report.usage().fuel);
      EXPECT_GE(report.usage().fuel, last.fuel);
      EXPECT_GE(report.usage().slices, last.slices);
      mine.cancel();
    });
    EXPECT_THAT(run.wait(), Stops("cancelled"));
    EXPECT_EQ(run.wait().error().phase, Phase::Call);
    told.expect(kThreads);
  }
  EXPECT_FALSE(told.more());
}

TEST_F(ThreadsTest, AnInstanceInACallRefusesAllOthers) {
  auto instance = engine.instantiate(load(asking()), small()).value();
  const auto quick = instance.bind<std::uint32_t()>("quick").value();
  std::jthread first([&] { EXPECT_EQ(instance.run("wait", {}, patient()).value(), k42); });
  later.expect(1);
  at_once(kThreads, [&](int) {
    for (int i = 0; i < 20; ++i) {
      for (const auto& report : {instance.run("quick", {}, patient()), instance.start("quick", {}, patient()).wait(),
                                 quick.run(patient()).report}) {
        EXPECT_THAT(report, Stops("bad_call"));
        EXPECT_EQ(report.outcome(), Outcome::Refused);
      }
    }
  });
  EXPECT_EQ(answer_waiting(), 1);
  first.join();
  EXPECT_FALSE(instance.spent());
  EXPECT_EQ(instance.run("quick", {}, patient()).value(), k42);
}

// A counter tells whether two were in there at once, or one was lost.
TEST_F(ThreadsTest, CallsOfASharedInstanceFollowEachOther) {
  auto counter = engine
                     .instantiate(load(component(
                                      R"((global $n (mut i32) (i32.const 0))
       (func (export "next") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))",
                                      R"((func (export "next") (result u32) (canon lift (core func $i "next"))))")),
                                  small())
                     .value();
  constexpr int kEach = 30;
  std::vector<std::vector<std::uint32_t>> answers(kThreads);
  at_once(kThreads, [&](int i) {
    auto& mine = answers.at(static_cast<std::size_t>(i));
    while (mine.size() < kEach) {
      const auto report = i % 2 == 0 ? counter.run("next", {}, patient()) : counter.start("next", {}, patient()).wait();
      if (report) {
        mine.push_back(*report.value()->get<std::uint32_t>());
      } else {
        ASSERT_THAT(report, Stops("bad_call"));
        std::this_thread::yield();
      }
    }
    EXPECT_TRUE(std::ranges::is_sorted(mine));
  });
  std::set<std::uint32_t> all;
  for (const auto& mine : answers) {
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(all.size(), kThreads * kEach) << "no two calls saw the same number";
  EXPECT_EQ(*all.rbegin(), kThreads * kEach);
  EXPECT_EQ(counter.run("next", {}, patient()).value(), Value(std::uint32_t{kThreads * kEach + 1}));
}

TEST_F(ThreadsTest, OneStopEndsAllThatListenToIt) {
  const auto guest = load(asking());
  std::stop_source source;
  std::jthread stopper([&] {
    later.expect(kThreads / 2);
    now.expect(kThreads / 2);
    source.request_stop();
  });
  at_once(kThreads, [&](int i) {
    const auto report = engine.run(guest, i % 2 == 0 ? "wait" : "spin", std::span<const Value>(), with_deadline(10s),
                                   source.get_token());
    EXPECT_THAT(report, Stops("cancelled"));
  });
}

}  // namespace
}  // namespace airssys::wasm::test
