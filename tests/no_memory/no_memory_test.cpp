#include <sys/wait.h>

#include <cerrno>
#include <new>
#include <optional>

#include "no_memory/allocations.hpp"
#include "support/host.hpp"
#include "support/scratch.hpp"
#include "support/wasi_command.hpp"

/// Every allocation of C++ fails once, the first, the second, and so on, in whatever thread it happens: the run or the
/// call ends, the process does not, and nothing stays taken.
namespace airssys::wasm::test {
namespace {

constexpr const char* kInterface = "acme:test/host@1.0.0";

/// Asks `ask` for what it answers.
constexpr std::string_view kAsk = R"((component
  (import "acme:test/host@1.0.0" (instance $host (export "ask" (func (param "n" u32) (result u32)))))
  (core func $ask (canon lower (func $host "ask")))
  (core module $m (import "" "ask" (func $ask (param i32) (result i32)))
    (func (export "run") (result i32) (call $ask (i32.const 7))))
  (core instance $i (instantiate $m (with "" (instance (export "ask" (func $ask))))))
  (func (export "run") (result u32) (canon lift (core func $i "run")))))";
const std::string kSpin = component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 0))", kRun);
/// Takes and gives a text, so that there are arguments and results.
constexpr std::string_view kEcho = R"((component
  (core module $m (memory (export "mem") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) i32.const 16))
  (core instance $i (instantiate $m))
  (func (export "echo") (param "text" string) (result string)
    (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc"))))))";

RuntimeConfig plain() {
  auto out = config();
  out.compile.mode = CompileIsolation::Mode::InProcess;
  out.cache = false;
  out.workers = 2;
  return out;
}

class NoMemoryTest : public ::testing::Test {
 protected:
  NoMemoryTest() {
    engine->host(kInterface).function("ask", [](HostCall&, std::span<const Value> arguments) -> HostAnswer {
      return std::vector<Value>{Value(*arguments[0].get<std::uint32_t>() * 6)};
    });
    echo = engine->load_text(kEcho, {.name = "echo"}).value();
  }

  /// Does `work` with one failing allocation after the other, until none fails any more.
  void for_each_allocation(const std::function<void()>& work) {
    constexpr std::int64_t kMost = 20'000;
    // What is made once and kept is made.
    work();
    expect_sound();
    const auto taken = engine->statistics().process.memory.used;
    // Which threads allocate when is not the same each time: a few in a row must go well.
    constexpr int kWellMost = 4;
    std::int64_t n = 0;
    for (int well = 0; well < kWellMost; ++n) {
      ASSERT_LT(n, kMost);
      fail_allocation(n);
      try {
        work();
      } catch (const std::bad_alloc&) {
        ++thrown;
      }
      well = fail_no_allocation() ? well + 1 : 0;
      expect_sound();
      ASSERT_FALSE(HasFailure()) << "after the failure of allocation " << n;
    }
    EXPECT_GT(n, kWellMost + 2) << "there was something to fail";
    // The thread that writes to the cache gives back what it has when it is through.
    for (int i = 0; i < 1'000 && engine->statistics().process.memory.used > taken; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_LE(engine->statistics().process.memory.used, taken) << "what was taken is given back";
  }
  static bool is_told(const Error& error) {
    const auto* exhausted = std::get_if<HostExhausted>(&error.kind);
    return exhausted != nullptr && exhausted->resource == HostResource::Memory;
  }
  /// A run that ended for want of memory says so; others are as ever.
  void note(const Report& report) {
    if (!report) {
      EXPECT_TRUE(is_told(report.error()) || report.error().reason() == "host_failed") << report.error();
      ++told;
    }
  }
  void expect_sound() {
    const auto report = engine->run(*echo, "echo", {"x"}, small());
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report.value(), Value("x"));
    EXPECT_EQ(engine->statistics().running, 0U);
    EXPECT_EQ(engine->statistics().queued, 0U);
  }

  std::optional<WasmEngine> engine = WasmEngine::create(plain()).value();
  std::optional<ComponentHandle> echo;
  int thrown = 0, told = 0;
};

TEST_F(NoMemoryTest, ABlockingRunEndsAndNothingElse) {
  for_each_allocation(
      [&] { note(engine->run(*echo, "echo", {"some text that is longer than a short one"}, small())); });
  EXPECT_GT(thrown, 0);
  EXPECT_GT(told, 0);
}

TEST_F(NoMemoryTest, AStartedRunEndsWithAReport) {
  for_each_allocation([&] {
    const auto run = engine->start(*echo, "echo", {"some text that is longer than a short one"}, small());
    note(run.wait());
    EXPECT_FALSE(to_json(run.wait()).empty());
  });
  EXPECT_GT(told, 0);
}

TEST_F(NoMemoryTest, ACallOfTheHostFails) {
  const auto ask = engine->load_text(kAsk, {.name = "ask"}).value();
  for_each_allocation([&] {
    note(engine->run(ask, "run", {}, small()));
    note(engine->start(ask, "run", {}, small()).wait());
  });
  EXPECT_GT(told, 0);
}

TEST_F(NoMemoryTest, ARunThatIsCancelledEnds) {
  const auto spin = engine->load_text(kSpin, {.name = "spin"}).value();
  for_each_allocation([&] {
    const auto run = engine->start(spin, "run", {}, with_deadline(10s));
    while (run.state() == ExecutionState::Queued) {
      std::this_thread::yield();
    }
    run.cancel();
    const auto& report = run.wait();
    EXPECT_TRUE(report.error().reason() == "cancelled" || is_told(report.error())) << report.error();
  });
}

TEST_F(NoMemoryTest, ARunThatPrintsEnds) {
  const auto greet =
      engine
          ->load_text(command(R"((call $line (i32.const 64) (i32.const 5)) (i32.const 0))", "hello"), {.name = "greet"})
          .value();
  auto context = small();
  context.limits.max_fuel = 1'000'000_fuel;
  context.wasi.stdout_target = OutputGrant::Captured;
  context.wasi.environment = {{"NAME", "a value that is longer than a short one"}};
  for_each_allocation([&] {
    const auto run = engine->start_command(greet, context);
    note(run.wait());
    EXPECT_EQ(run.wait().stdout_text, run.wait() ? "hello\n" : run.wait().stdout_text);
  });
  context.wasi.stdout_target = OutputGrant::Inherited;
  for_each_allocation([&] {
    note(engine->start_command(greet, context).wait());
    static_cast<void>(engine->flush_output());
  });
  EXPECT_GT(told, 0);
}

TEST_F(NoMemoryTest, AKeptInstanceIsMadeCalledAndGone) {
  for_each_allocation([&] {
    auto instance = engine->instantiate(*echo, small());
    if (!instance) {
      EXPECT_TRUE(is_told(instance.error())) << instance.error();
      return;
    }
    const CallBudget budget{small().limits, small().timeout};
    note(instance->run("echo", {"some text that is longer than a short one"}, budget));
    if (!instance->spent()) {
      note(instance->start("echo", {"some text that is longer than a short one"}, budget).wait());
    }
  });
  EXPECT_GT(told, 0);
}

// One instance all the time: a call that failed must leave it callable, or spent and saying so.
TEST_F(NoMemoryTest, AKeptInstanceIsNeverStuck) {
  const CallBudget budget{small().limits, small().timeout};
  std::optional<Instance> instance;
  for_each_allocation([&] {
    if (!instance || instance->spent()) {
      instance.reset();
      auto made = engine->instantiate(*echo, small());
      if (!made) {
        return;
      }
      instance.emplace(std::move(*made));
    }
    note(instance->start("echo", {"some text that is longer than a short one"}, budget).wait());
    if (!instance->spent()) {
      note(instance->run("echo", {"some text that is longer than a short one"}, budget));
    }
  });
  ASSERT_TRUE(instance && !instance->spent());
  EXPECT_EQ(instance->run("echo", {"x"}, budget).value(), Value("x"));
}

// Whoever is refused a place leaves the queue whole.
TEST_F(NoMemoryTest, ARunThatFindsNoPlaceEnds) {
  auto narrow = plain();
  narrow.max_concurrent = 1;
  narrow.max_queued = 1;
  narrow.queue_timeout = 2ms;
  auto other = WasmEngine::create(narrow).value();
  const auto spin = other.load_text(kSpin, {.name = "spin"}).value();
  const auto blocker = other.start(spin, "run", {}, with_deadline(60s));
  while (blocker.state() == ExecutionState::Queued) {
    std::this_thread::sleep_for(1ms);
  }
  const auto refused = [](const Report& report) {
    EXPECT_FALSE(report);
    const auto reason = report.error().reason();
    EXPECT_TRUE(reason == "queue_full" || reason == "queue_timeout" || is_told(report.error())) << report.error();
  };
  for_each_allocation([&] {
    const auto waits = other.start(spin, "run", {}, small());
    refused(other.run(spin, "run", {}, small()));
    refused(waits.wait());
    refused(other.run(spin, "run", {}, small()));
  });
  blocker.cancel();
  EXPECT_EQ(blocker.wait().error().reason(), "cancelled");
  EXPECT_EQ(other.statistics().queued, 0U);
}

TEST_F(NoMemoryTest, ALoadEnds) {
  for_each_allocation([&] {
    const auto loaded = engine->load_text(kAsk, {.name = "another"});
    EXPECT_TRUE(loaded || is_told(loaded.error())) << loaded.error();
  });
  EXPECT_GT(thrown, 0);
}

// With a child process that compiles, and with the cache: no child stays behind.
TEST_F(NoMemoryTest, ALoadInAChildEnds) {
  auto isolated = config();
  isolated.cache = true;
  const Scratch cache;
  isolated.cache_directory = cache.path();
  auto other = WasmEngine::create(isolated).value();
  std::uint64_t unique = 0;
  for_each_allocation([&] {
    const auto text =
        component("(func (export \"run\") (result i32) i32.const " + std::to_string(unique++ / 4) + ")", kRun);
    const auto loaded = other.load_text(text, {.name = "another"});
    EXPECT_TRUE(loaded || is_told(loaded.error())) << loaded.error();
  });
  EXPECT_EQ(other.statistics().compiling, 0U);
  EXPECT_TRUE(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD) << "a child stays behind";
}

TEST_F(NoMemoryTest, AnEngineIsMadeAndEnds) {
  for_each_allocation([&] {
    auto other = WasmEngine::create(plain());
    EXPECT_TRUE(other || is_told(other.error()));
  });
  EXPECT_GT(thrown, 0);
}

// Nothing that ends an engine may need memory: a destructor has nobody to tell.
TEST_F(NoMemoryTest, AnEngineEndsUnderItsRuns) {
  for_each_allocation([&] {
    auto other = WasmEngine::create(plain());
    if (!other) {
      return;
    }
    const auto spin = other->load_text(kSpin, {.name = "spin"});
    if (!spin) {
      return;
    }
    std::vector<Execution> runs;
    for (int i = 0; i < 4; ++i) {
      runs.push_back(other->start(*spin, "run", {}, with_deadline(10s)));
    }
    std::optional<WasmEngine> ending(std::move(*other));
    ending.reset();
    for (const auto& run : runs) {
      EXPECT_TRUE(run.wait().error().reason() == "cancelled" || is_told(run.wait().error())) << run.wait().error();
    }
  });
}

}  // namespace
}  // namespace airssys::wasm::test
