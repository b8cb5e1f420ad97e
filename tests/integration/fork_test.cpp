#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <mutex>
#include <optional>

#include "support/host.hpp"

/// A forked child of a program that has an engine, as Python's os.fork makes them.
namespace airssys::wasm::test {
namespace {

constexpr const char* kInterface = "acme:test/host@1.0.0";
constexpr std::string_view kAsk = R"((component
  (import "acme:test/host@1.0.0" (instance $host (export "ask" (func (result u32)))))
  (core func $ask (canon lower (func $host "ask")))
  (core module $m (import "" "ask" (func $ask (result i32)))
    (func (export "run") (result i32) (call $ask)))
  (core instance $i (instantiate $m (with "" (instance (export "ask" (func $ask))))))
  (func (export "run") (result u32) (canon lift (core func $i "run")))))";
const std::string kSpin = component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 0))", kRun);
const std::string kQuick = component(R"((func (export "run") (result i32) i32.const 42))", kRun);

bool is_forked(const Error& error) {
  const auto* exhausted = std::get_if<HostExhausted>(&error.kind);
  return exhausted != nullptr && exhausted->resource == HostResource::Forked;
}

/// Everything that a program may have of an engine, in the middle of its work.
struct Holdings {
  std::optional<WasmEngine> engine = WasmEngine::create(config()).value();
  std::mutex mutex;
  std::optional<HostCompletion> completion;
  std::optional<ComponentHandle> quick, spin, ask;
  std::optional<Instance> instance;
  std::vector<Execution> runs;
  std::optional<Function<std::int32_t()>> bound;
  std::optional<Execution> finished;
  /// Holds the locks of that run now and then.
  std::jthread watcher;

  Holdings() {
    engine->host(kInterface).async_function("ask", [this](HostCall& call, std::span<const Value>) {
      const std::lock_guard lock(mutex);
      completion = call.later();
    });
    quick = engine->load_text(kQuick, {.name = "quick"}).value();
    spin = engine->load_text(kSpin, {.name = "spin"}).value();
    ask = engine->load_text(kAsk, {.name = "ask"}).value();
    instance = engine->instantiate(*quick, small()).value();
    bound = engine->bind<std::int32_t()>(*quick, "run").value();
    for (int i = 0; i < 4; ++i) {
      runs.push_back(engine->start(*spin, "run", {}, with_deadline(20s)));
    }
    runs.push_back(engine->start(*ask, "run", {}, with_deadline(20s)));
    finished = engine->start(*quick, "run", {}, small());
    static_cast<void>(finished->wait());
    watcher = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        static_cast<void>(finished->usage());
      }
    });
    for (bool asked = false; !asked;) {
      std::this_thread::sleep_for(1ms);
      const std::lock_guard lock(mutex);
      asked = completion.has_value();
    }
  }
};

/// In the child: the number of the first thing that is not as it should be; 0 for none.
int what_is_wrong(Holdings& had, std::ptrdiff_t first_end) {
  auto& engine = *had.engine;
  const CallBudget budget{small().limits, small().timeout};
  int number = 0;
  const auto told = [&](const auto& result) { return ++number, !result && is_forked(result.error()); };
  if (!told(engine.run(*had.quick, "run", {}, small())) || !told(engine.start(*had.quick, "run", {}, small()).wait()) ||
      !told(had.runs.front().wait()) || !told(*had.runs.back().wait_for(1s)) || !told((*had.bound)(small())) ||
      !told(engine.load_text(kQuick, {.name = "again"})) || !told(engine.instantiate(*had.quick, small())) ||
      !told(had.instance->run("run", {}, budget)) || !told(had.instance->start("run", {}, budget).wait()) ||
      !told(parse_wave(*had.quick, "run", "()")) || !told(parse_json(*had.quick, "run", "[]")) ||
      !told(engine.load_component({}, {.name = "again"})) || !told(WasmEngine::create(config()))) {
    return number;
  }
  // One that was over when the process was forked, while others were looking at it.
  if (had.finished->wait().value() != Value(std::int32_t{42}) || had.finished->usage().fuel.units == 0 ||
      had.finished->wait_for(0ns) == nullptr || had.finished->state() != ExecutionState::Done) {
    return 200;
  }
  had.runs.front().cancel();
  static_cast<void>(had.runs.front().usage());
  bool heard = false;
  had.runs.front().on_done([&](const Report& report) { heard = !report && is_forked(report.error()); });
  if (!heard || !had.completion->abandoned() || had.completion->complete(std::vector<Value>{}) ||
      engine.flush_output().complete || !engine.flush_cache() || engine.statistics().running != 0) {
    return 100;
  }
  // In any order: whatever these hold stays with the parent.
  std::vector<std::function<void()>> ends = {
      [&] { had.quick.reset(); }, [&] { had.engine.reset(); },     [&] { had.instance.reset(); },
      [&] { had.runs.clear(); },  [&] { had.completion.reset(); }, [&] { had.bound.reset(); },
      [&] { had.spin.reset(); },  [&] { had.ask.reset(); },        [&] { had.finished.reset(); }};
  std::ranges::rotate(ends, ends.begin() + first_end % static_cast<std::ptrdiff_t>(ends.size()));
  for (const auto& end : ends) {
    end();
  }
  return 0;
}

TEST(ForkTest, AChildIsToldAndItsDestructorsReturn) {
  Holdings had;
  // At many moments, since the workers hold a lock now and then.
  constexpr int kChildren = 30;
  for (int i = 0; i < kChildren; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(3);
      ::_exit(what_is_wrong(had, i));
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    ASSERT_EQ(WEXITSTATUS(status), 0);
  }
  // The parent goes on as if nothing had happened.
  EXPECT_TRUE(had.completion->complete(std::vector<Value>{Value(std::uint32_t{42})}));
  EXPECT_EQ(had.runs.back().wait().value(), Value(std::uint32_t{42}));
  EXPECT_NE(had.runs.front().state(), ExecutionState::Done) << "the children have cancelled only their own copy";
  EXPECT_TRUE(had.engine->run(*had.quick, "run", {}, small()));
}

}  // namespace
}  // namespace airssys::wasm::test
