#ifdef __x86_64__
#include <xmmintrin.h>
#endif

#include <algorithm>
#include <csignal>
#include <future>
#include <latch>
#include <optional>
#include <semaphore>
#include <set>

#include "support/host.hpp"
#include "support/scratch.hpp"

namespace airssys::wasm::test {
namespace {

constexpr const char* kHost = "acme:test/host@1.0.0";
constexpr int kThreads = 8;

/// `quick` returns 42. `wait` and `late` ask the host, which may take its time; `spin` tells the host and then loops.
/// `f0` ... `f7` ask it for their number.
std::string asking() {
  std::string core, lifted;
  for (int i = 0; i < kThreads; ++i) {
    const auto n = std::to_string(i);
    core += "(func (export \"f" + n + "\") (result i32) (call $now (i32.const " + n + ")))";
    lifted += "(func (export \"f" + n + "\") (result u32) (canon lift (core func $i \"f" + n + "\")))";
  }
  return R"((component
    (import "acme:test/host@1.0.0" (instance $host
      (export "now" (func (param "n" u32) (result u32))) (export "later" (func (param "n" u32) (result u32)))))
    (core func $now (canon lower (func $host "now"))) (core func $later (canon lower (func $host "later")))
    (core module $m (import "" "now" (func $now (param i32) (result i32)))
      (import "" "later" (func $later (param i32) (result i32)))
      (func (export "quick") (result i32) i32.const 42)
      (func (export "wait") (result i32) (call $later (i32.const 7)))
      (func (export "spin") (result i32) (drop (call $now (i32.const 1))) (loop $l (br $l)) i32.const 0))" +
         core + R"()
    (core instance $i (instantiate $m
      (with "" (instance (export "now" (func $now)) (export "later" (func $later))))))
    (func (export "quick") (result u32) (canon lift (core func $i "quick")))
    (func (export "wait") (result u32) (canon lift (core func $i "wait")))
    (func (export "spin") (result u32) (canon lift (core func $i "spin"))))" +
         lifted + ")";
}
const Value k42 = std::uint32_t{42};

std::string answering(int number) {
  return component("(func (export \"run\") (result i32) i32.const " + std::to_string(number) + ")", kRun);
}

/// Calls `what(0)` ... `what(count - 1)` on threads of their own, all at once. All are back when it is.
void at_once(int count, const std::function<void(int)>& what) {
  std::latch all(count);
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      all.arrive_and_wait();
      what(i);
    });
  }
}

/// What happens on other threads, counted: `expect(n)` waits for n more of it.
class Seen {
 public:
  void one() { seen_.release(); }
  void expect(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(seen_.try_acquire_for(10s)) << "only " << i << " of " << count;
    }
  }
  [[nodiscard]] bool more() { return seen_.try_acquire(); }

 private:
  std::counting_semaphore<> seen_{0};
};

/// The host's side of `asking()`.
class ThreadsTest : public HostTest {
 protected:
  ThreadsTest() { offer(engine); }
  void offer(WasmEngine& to) {
    to.host(kHost)
        .function("now",
                  [this](HostCall&, std::uint32_t n) {
                    now.one();
                    return n * 6;
                  })
        .function("later", [this](HostCall&, TypedCompletion<std::uint32_t> completion, std::uint32_t) {
          {
            const std::lock_guard lock(mutex_);
            kept_.push_back(std::move(completion));
          }
          later.one();
        });
  }
  /// Answers all that waits.
  int answer_waiting() {
    const std::lock_guard lock(mutex_);
    int heard = 0;
    for (const auto& completion : kept_) {
      heard += completion.complete(42) ? 1 : 0;
    }
    kept_.clear();
    return heard;
  }
  WasmEngine with(const std::function<void(RuntimeConfig&)>& change) {
    auto settings = config();
    change(settings);
    auto out = WasmEngine::create(settings).value();
    offer(out);
    return out;
  }
  static CallBudget patient() { return {with_deadline(10s).limits, 10s}; }

  Seen now, later;

 private:
  std::mutex mutex_;
  std::vector<TypedCompletion<std::uint32_t>> kept_;
};

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

#ifdef __x86_64__
// A host function computes as the thread that polls does: here the caller's.
TEST_F(ThreadsTest, AHostFunctionComputesInTheModeOfItsThread) {
  unsigned seen = 0;
  auto host = WasmEngine::create(config()).value();
  host.host("").function("now", [&](HostCall&) { seen = _mm_getcsr(); });
  const auto guest = host.load_text(calling("now")).value();
  std::jthread([&] {
    constexpr unsigned kFlushAndRoundUp = 0x1f80U | 0x8000U | 0x0040U | 0x4000U;
    _mm_setcsr(kFlushAndRoundUp);
    EXPECT_TRUE(host.run(guest, "run", {}, small()));
    EXPECT_EQ(seen & ~0x3fU, kFlushAndRoundUp);
    _mm_setcsr(0x1f80);
  }).join();
}

// Programs linked with -ffast-math flush subnormal numbers to zero; others round another way, or let a division fault.
TEST_F(ThreadsTest, GuestsComputeAsWebAssemblySaysWhateverTheThreadDoes) {
  const auto text = component(
      R"((func (export "half") (param f64) (result f64) (f64.div (local.get 0) (f64.const 2)))
         (func (export "third") (param f64) (result f64) (f64.div (local.get 0) (f64.const 3))))",
      R"((func (export "half") (param "x" f64) (result f64) (canon lift (core func $i "half")))
         (func (export "third") (param "x" f64) (result f64) (canon lift (core func $i "third"))))");
  const auto guest = load(text);
  // Half of it is subnormal.
  constexpr double kTiny = 3e-308;
  const auto computed = [&] {
    return std::pair(engine.call<double>(guest, "half", small(), kTiny).value(),
                     engine.call<double>(guest, "third", small(), 1.0).value());
  };
  const auto expected = computed();
  EXPECT_GT(expected.first, 0);
  std::jthread([&] {
    // Flush to zero, denormals are zero, round up, division by zero faults.
    constexpr unsigned kTheirs = (0x1f80U | 0x8000U | 0x0040U | 0x4000U) & ~0x0200U;
    _mm_setcsr(kTheirs);
    EXPECT_EQ(computed(), expected);
    // Its threads begin with this one's mode.
    auto inner = WasmEngine::create(config()).value();
    const auto started = inner.start(inner.load_text(text).value(), "half", {kTiny}, small());
    EXPECT_EQ(started.wait().value(), Value(expected.first));
    EXPECT_EQ(_mm_getcsr() & ~0x3fU, kTheirs & ~0x3fU) << "the thread has its own mode again";
    _mm_setcsr(0x1f80);
  }).join();
}
#endif

/// Which threads the host's functions of one run were called on.
class WhereTest : public HostTest {
 protected:
  WhereTest() {
    settings.workers = 1;
    host.emplace(WasmEngine::create(settings).value());
    host->host(kHost)
        .function("now", [this](HostCall&, std::uint32_t n) { return note(), n; })
        .function("later", [this](HostCall&, TypedCompletion<std::uint32_t> completion, std::uint32_t n) {
          note();
          if (held) {
            held->wait();
          }
          std::jthread([&] { completion.complete(n); }).join();
        });
    guest.emplace(host->load_text(R"((component
    (import "acme:test/host@1.0.0" (instance $host
      (export "now" (func (param "n" u32) (result u32))) (export "later" (func (param "n" u32) (result u32)))))
    (core func $now (canon lower (func $host "now"))) (core func $later (canon lower (func $host "later")))
    (core module $m (import "" "now" (func $now (param i32) (result i32)))
      (import "" "later" (func $later (param i32) (result i32)))
      (func (export "run") (result i32) (call $now (call $later (call $now (i32.const 42))))))
    (core instance $i (instantiate $m (with "" (instance (export "now" (func $now)) (export "later" (func $later))))))
    (func (export "run") (result u32) (canon lift (core func $i "run")))))")
                      .value());
  }
  void note() {
    const std::lock_guard lock(mutex);
    threads.push_back(std::this_thread::get_id());
  }
  /// The only thread that was seen.
  std::thread::id only_thread() {
    EXPECT_EQ(threads.size(), 3U);
    const auto one = std::set(threads.begin(), threads.end());
    threads.clear();
    EXPECT_EQ(one.size(), 1U);
    return *one.begin();
  }

  RuntimeConfig settings = config();
  std::mutex mutex;
  std::vector<std::thread::id> threads;
  /// Keeps runs from ending before it is counted down.
  std::optional<std::latch> held;
  std::optional<WasmEngine> host;
  std::optional<ComponentHandle> guest;
};

TEST_F(WhereTest, WhatBlocksIsPolledByTheCallerToTheEnd) {
  const auto here = std::this_thread::get_id();
  const CallBudget budget{small().limits, small().timeout};
  EXPECT_TRUE(host->run(*guest, "run", {}, small()));
  EXPECT_EQ(only_thread(), here);
  EXPECT_TRUE(host->call<std::uint32_t>(*guest, "run", small()));
  EXPECT_EQ(only_thread(), here);
  EXPECT_TRUE(host->bind<std::uint32_t()>(*guest, "run").value()(small()));
  EXPECT_EQ(only_thread(), here);
  auto instance = host->instantiate(*guest, small()).value();
  EXPECT_TRUE(instance.run("run", {}, budget));
  EXPECT_EQ(only_thread(), here);
  EXPECT_TRUE(instance.bind<std::uint32_t()>("run").value()(budget));
  EXPECT_EQ(only_thread(), here);
}

TEST_F(WhereTest, WhatIsStartedIsPolledAndItsEndToldByAWorker) {
  std::promise<std::thread::id> told;
  held.emplace(1);
  const auto run = host->start(*guest, "run", {}, small());
  run.on_done([&](const Report&) { told.set_value(std::this_thread::get_id()); });
  held->count_down();
  const auto worker = told.get_future().get();
  EXPECT_NE(worker, std::this_thread::get_id());
  EXPECT_EQ(only_thread(), worker);
}

// The worker polls others meanwhile, and so does the thread for files.
TEST_F(WhereTest, WhatWaitsHoldsNoThread) {
  std::vector<HostCompletion> kept;
  host->host("acme:test/other@1.0.0").async_function("never", [&](HostCall& call, std::span<const Value>) {
    kept.push_back(call.later());
    note();
  });
  const auto waits = host->load_text(calling("never", "acme:test/other@1.0.0")).value();
  std::vector<Execution> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(host->start(waits, "run", {}, with_deadline(10s)));
  }
  const auto quick = host->start(*guest, "run", {}, small());
  const auto* report = quick.wait_for(2s);
  ASSERT_NE(report, nullptr);
  EXPECT_TRUE(*report);
  for (const auto& run : waiting) {
    EXPECT_EQ(run.wait_for(0ns), nullptr);
    run.cancel();
    static_cast<void>(run.wait());
  }
}

// Its code is metered as its own engine does, and that engine's end would be the end of its slices.
TEST_F(ThreadsTest, AComponentOfAnotherEngineIsRefused) {
  auto other = with([](RuntimeConfig& c) { c.meter = Meter::Epoch; });
  const auto guest = other.load_text(answering(1)).value();
  EXPECT_THAT(engine.run(guest, "run", {}, small()), Stops("bad_call"));
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
    const auto guest = fresh.load_text(answering(number), "guest " + std::to_string(i));
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
      const auto guest = fresh.load_text(answering(number), "guest");
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

/// A blocking call, fresh or of a kept instance.
class StopTest : public ThreadsTest, public ::testing::WithParamInterface<bool> {
 protected:
  Report blocked(std::string_view function, const std::stop_token& stop) {
    return GetParam() ? kept_.run(function, {}, patient(), stop)
                      : engine.run(guest_, function, std::span<const Value>(), with_deadline(10s), stop);
  }
  [[nodiscard]] bool spent() const { return kept_.spent(); }

 private:
  ComponentHandle guest_ = load(asking());
  Instance kept_ = engine.instantiate(guest_, small()).value();
};

TEST_P(StopTest, AStopBeforeTheCallKeepsTheGuestFromBeginning) {
  std::stop_source source;
  source.request_stop();
  for (const auto* function : {"quick", "wait", "spin"}) {
    const auto report = blocked(function, source.get_token());
    ASSERT_THAT(report, Stops("cancelled")) << function;
    EXPECT_EQ(report.error().phase, Phase::Queue);
    EXPECT_EQ(report.outcome(), Outcome::Refused);
    EXPECT_EQ(report.usage().fuel, 0_fuel);
  }
  EXPECT_FALSE(now.more() || later.more()) << "no guest ran";
  EXPECT_FALSE(spent());
  EXPECT_EQ(blocked("quick", {}).value(), k42);
}

TEST_P(StopTest, AStopEndsACallThatWaits) {
  std::stop_source source;
  std::jthread stopper([&] {
    later.expect(1);
    source.request_stop();
  });
  const auto report = blocked("wait", source.get_token());
  ASSERT_THAT(report, Stops("cancelled"));
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_EQ(report.outcome(), Outcome::Stopped);
  EXPECT_EQ(report.usage().host_calls.at(kHost), 1U);
  EXPECT_EQ(answer_waiting(), 0) << "nobody waits for this answer any more";
  EXPECT_EQ(spent(), GetParam());
}

TEST_P(StopTest, AStopEndsALoop) {
  std::stop_source source;
  std::jthread stopper([&] {
    now.expect(1);
    source.request_stop();
  });
  const auto report = blocked("spin", source.get_token());
  ASSERT_THAT(report, Stops("cancelled"));
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_EQ(report.outcome(), Outcome::Stopped);
  EXPECT_GT(report.usage().fuel, 0_fuel);
  EXPECT_EQ(spent(), GetParam());
}

TEST_P(StopTest, AStopThatComesTooLateDoesNothing) {
  std::stop_source source;
  EXPECT_EQ(blocked("quick", source.get_token()).value(), k42);
  std::jthread answerer([&] {
    later.expect(1);
    EXPECT_EQ(answer_waiting(), 1);
  });
  EXPECT_EQ(blocked("wait", source.get_token()).value(), k42);
  source.request_stop();
  EXPECT_FALSE(spent());
  EXPECT_EQ(blocked("quick", {}).value(), k42);
}

INSTANTIATE_TEST_SUITE_P(Blocking, StopTest, ::testing::Bool(),
                         [](const auto& kept) { return kept.param ? "Instance" : "Run"; });

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

/// One place, which `wait` holds until it is answered.
class QueueTest : public ThreadsTest {
 protected:
  void queue(unsigned most, std::chrono::nanoseconds patience) {
    engine = with([&](auto& settings) {
      settings.max_concurrent = 1;
      settings.max_queued = most;
      settings.queue_timeout = patience;
    });
    guest.emplace(load(asking()));
  }
  Report quick(const std::stop_token& stop = {}) {
    return engine.run(*guest, "quick", std::span<const Value>(), small(), stop);
  }

  std::optional<ComponentHandle> guest;
};

// What docs/embedding.md warns of.
TEST_F(QueueTest, AHostFunctionThatRunsAComponentTakesASecondPlace) {
  for (const unsigned places : {1U, 2U}) {
    auto host = with([&](RuntimeConfig& settings) {
      settings.max_concurrent = places;
      settings.queue_timeout = 50ms;
    });
    std::optional<ComponentHandle> inner;
    Report nested;
    host.host("").function("nest", [&](HostCall&) { nested = host.run(*inner, "quick", {}, small()); });
    inner = host.load_text(asking()).value();
    const auto outer = host.load_text(calling("nest")).value();
    EXPECT_TRUE(host.run(outer, "run", {}, small()));
    if (places == 1) {
      EXPECT_THAT(nested, Stops("queue_timeout"));
    } else {
      EXPECT_EQ(nested.value(), k42);
    }
  }
}

TEST_F(QueueTest, ARunThatMayNotWaitIsRefusedAtOnce) {
  queue(0, 50ms);
  std::jthread blocker([&] { EXPECT_EQ(engine.run(*guest, "wait", {}, with_deadline(10s)).value(), k42); });
  later.expect(1);
  for (int i = 0; i < 5; ++i) {
    const auto report = i % 2 == 0 ? quick() : engine.start(*guest, "quick", {}, small()).wait();
    ASSERT_THAT(report, Stops("queue_full"));
    EXPECT_EQ(kind_of<QueueFull>(report).limit, 0U);
    EXPECT_EQ(report.error().phase, Phase::Queue);
    EXPECT_EQ(report.outcome(), Outcome::Refused);
  }
  EXPECT_EQ(answer_waiting(), 1);
  blocker.join();
  EXPECT_EQ(quick().value(), k42);
}

TEST_F(QueueTest, ARunWaitsAsLongAsTheQueueDoes) {
  queue(1, 50ms);
  const auto blocker = engine.start(*guest, "wait", {}, with_deadline(10s));
  later.expect(1);
  for (int i = 0; i < 4; ++i) {
    const auto report = i % 2 == 0 ? quick() : engine.start(*guest, "quick", {}, small()).wait();
    ASSERT_THAT(report, Stops("queue_timeout"));
    const auto kind = kind_of<QueueTimeout>(report);
    EXPECT_EQ(kind.limit, 50ms);
    EXPECT_GE(kind.waited, 50ms);
    EXPECT_GE(report.usage().queued, kind.waited);
    EXPECT_LT(report.usage().queued, 10s);
    EXPECT_EQ(report.usage().wall_time, 0ns);
    EXPECT_EQ(report.error().phase, Phase::Queue);
    EXPECT_EQ(report.outcome(), Outcome::Refused);
  }
  EXPECT_EQ(answer_waiting(), 1);
  EXPECT_EQ(blocker.wait().value(), k42);
  EXPECT_EQ(quick().value(), k42);
}

TEST_F(QueueTest, ARunBeyondTheQueueIsRefusedAndThoseInItHaveTheirTurn) {
  queue(1, 60s);
  const auto blocker = engine.start(*guest, "wait", {}, with_deadline(10s));
  later.expect(1);
  const auto queued = engine.start(*guest, "quick", {}, small());
  EXPECT_EQ(queued.state(), ExecutionState::Queued);
  const auto refused = quick();
  EXPECT_EQ(kind_of<QueueFull>(refused).limit, 1U);
  EXPECT_EQ(refused.error().phase, Phase::Queue);
  EXPECT_EQ(refused.usage().slices, 0U);
  EXPECT_EQ(answer_waiting(), 1);
  EXPECT_EQ(queued.wait().value(), k42);
  EXPECT_GT(queued.wait().usage().queued, 0ns);
  EXPECT_EQ(blocker.wait().value(), k42);
  EXPECT_EQ(quick().value(), k42);
}

// The caller that waits for a place hears of it, whoever gives it back.
TEST_F(QueueTest, BlockingRunsWaitTheirTurn) {
  queue(100, 60s);
  const auto blocker = engine.start(*guest, "wait", {}, with_deadline(10s));
  later.expect(1);
  at_once(kThreads + 1, [&](int i) {
    if (i == kThreads) {
      EXPECT_EQ(answer_waiting(), 1);
      return;
    }
    for (int j = 0; j < 10; ++j) {
      EXPECT_EQ(quick().value(), k42);
    }
  });
  EXPECT_EQ(blocker.wait().value(), k42);
}

// A place is free when its run is over, and a run is over when its report is there.
TEST_F(QueueTest, WhoHasSeenTheEndOfARunFindsItsPlaceFree) {
  queue(0, 50ms);
  for (int i = 0; i < 500; ++i) {
    const auto started = engine.start(*guest, "quick", {}, small()).wait();
    ASSERT_TRUE(started) << "after " << i << ": " << started.error();
    const auto report = quick();
    ASSERT_TRUE(report) << "after " << i << ": " << report.error();
  }
}

TEST_F(QueueTest, AStopEndsTheWaitForAPlace) {
  queue(1, 60s);
  const auto blocker = engine.start(*guest, "wait", {}, with_deadline(10s));
  later.expect(1);
  for (int i = 0; i < 10; ++i) {
    std::stop_source source;
    std::jthread stopper([&] { source.request_stop(); });
    const auto report = quick(source.get_token());
    ASSERT_THAT(report, Stops("cancelled"));
    EXPECT_EQ(report.error().phase, Phase::Queue);
    EXPECT_EQ(report.outcome(), Outcome::Refused);
  }
  const auto queued = engine.start(*guest, "quick", {}, small());
  EXPECT_EQ(queued.state(), ExecutionState::Queued) << "who was stopped has left the queue";
  EXPECT_EQ(answer_waiting(), 1);
  EXPECT_EQ(queued.wait().value(), k42);
}

TEST_F(ThreadsTest, TheEndIsToldOnceToWhoAsksBeforeAndToWhoAsksAfterwards) {
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

TEST_F(ThreadsTest, ARunThatWasRefusedOrLetGoTellsItsEndToo) {
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
TEST_F(ThreadsTest, WhoAsksWhileARunEndsIsToldOnce) {
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

TEST_F(ThreadsTest, TheEndOfAnEngineCancelsWhatWaitsLoopsAndQueues) {
  std::optional<WasmEngine> ending = with([](auto& settings) { settings.max_concurrent = 4; });
  const auto guest = ending->load_text(asking(), "guest").value();
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

TEST_F(ThreadsTest, AnInstanceWithoutItsEngineAnswersCancelled) {
  std::optional<WasmEngine> ending = with([](auto&) {});
  std::optional<Instance> instance = ending->instantiate(ending->load_text(asking(), "guest").value(), small()).value();
  const auto quick = instance->bind<std::uint32_t()>("quick").value();
  ASSERT_EQ(quick(patient()).value(), 42U);
  const auto waiting = instance->start("wait", {}, patient());
  later.expect(1);
  ending.reset();
  EXPECT_THAT(waiting.wait(), Stops("cancelled"));
  EXPECT_EQ(answer_waiting(), 0);
}

TEST_F(ThreadsTest, AnIdleInstanceWithoutItsEngineAnswersCancelledHoweverItIsCalled) {
  std::optional<WasmEngine> ending = with([](auto&) {});
  std::optional<Instance> instance = ending->instantiate(ending->load_text(asking(), "guest").value(), small()).value();
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

// It would wait for itself.
TEST(EngineDeathTest, AnEngineThatEndsInsideItselfSaysSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto in_callback = [] {
    auto host = std::make_unique<WasmEngine>(WasmEngine::create(config()).value());
    const auto guest =
        host->load_text(component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 1))", kRun));
    const auto run = host->start(guest.value(), "run", {}, with_deadline(200ms));
    run.on_done([&](const Report&) { host.reset(); });
    std::this_thread::sleep_for(5s);
  };
  EXPECT_DEATH(in_callback(), "destroyed inside one of its own callbacks");
  const auto in_host_function = [] {
    auto host = std::make_unique<WasmEngine>(WasmEngine::create(config()).value());
    host->host(kHost).function("now", [&](HostCall&, std::uint32_t n) {
      host.reset();
      return n;
    });
    host->host(kHost).function("later", [](HostCall&, std::uint32_t n) { return n; });
    static_cast<void>(host->run(host->load_text(asking()).value(), "f0", {}, small()));
  };
  EXPECT_DEATH(in_host_function(), "destroyed inside one of its own callbacks");
}

}  // namespace
}  // namespace airssys::wasm::test
