#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <airssys/wasm.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <list>
#include <random>
#include <span>
#include <string_view>

#include "base/fd.hpp"
#include "base/sync.hpp"
#include "compile/cache_writer.hpp"
#include "compile/compile_queue.hpp"
#include "host/output_relay.hpp"
#include "ledger/ledger.hpp"
#include "scheduler/fake_run.hpp"
#include "scheduler/scheduler.hpp"

/// Threads that do to engines what users do, in any order and at any moment, under every seed: what must hold is that
/// everything ends, once, and that nothing is used after its end.
namespace airssys::wasm::explore {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return random_() % n; }
  [[nodiscard]] bool one_in(std::uint64_t n) { return below(n) == 0; }
  template <class T>
  [[nodiscard]] auto& of(T& all) {
    return *std::next(std::begin(all), static_cast<std::ptrdiff_t>(below(std::size(all))));
  }

 private:
  std::mt19937_64 random_;
};

void expect(bool good, std::string_view what) {
  if (!good) {
    fail(fmt::format("this does not hold: {}", what));
  }
}

using Kept = std::vector<TypedCompletion<std::uint32_t>>;

/// One engine and those who use it. Calls begin only before it is about to end; those whose runs the engine knows by
/// then may still be under way.
class EngineWorld {
 public:
  explicit EngineWorld(std::uint64_t seed) : dice_(seed), seed_(seed) {
    RuntimeConfig config;
    config.compile.mode = CompileIsolation::Mode::InProcess;
    config.cache = false;
    config.workers = 1 + static_cast<unsigned>(dice_.below(2));
    config.max_concurrent = 1 + static_cast<unsigned>(dice_.below(3));
    config.max_queued = 1 + static_cast<unsigned>(dice_.below(4));
    config.queue_timeout = 5ms;
    engine_.emplace(WasmEngine::create(config).value());
    engine_->host("acme:test/host@1.0.0")
        .function("now",
                  [this](HostCall& call, std::uint32_t n) {
                    is_inside();
                    return call.cancelled() ? 0 : n * 6;
                  })
        .function("later", [this](HostCall&, TypedCompletion<std::uint32_t> completion, std::uint32_t) {
          is_inside();
          const std::lock_guard lock(mutex_);
          kept_.push_back(std::move(completion));
        });
    guest_ = engine_->load_text("(component)", "guest").value();
  }

  void live() {
    constexpr unsigned kActors = 3;
    std::list<Actor> actors;
    std::vector<base::Thread> threads;
    for (unsigned i = 0; i < kActors; ++i) {
      auto& actor = actors.emplace_back(Dice(seed_ * kActors + i), guest_);
      threads.emplace_back([this, &actor] { act(actor); });
    }
    for (auto i = dice_.below(6); i > 0; --i) {
      base::sleep_for(300us);
    }
    {
      std::unique_lock lock(mutex_);
      closing_ = true;
      known_.wait(lock, [&] { return std::ranges::none_of(actors, [](const Actor& a) { return a.entering; }); });
    }
    if (dice_.one_in(2)) {
      guest_.reset();
    }
    engine_.reset();
    guest_.reset();
    if (dice_.one_in(2)) {
      answer(dice_);
    }
    for (auto& thread : threads) {
      thread.join();
    }
    for (auto& actor : actors) {
      for (const auto& execution : actor.executions) {
        expect(execution.state() == ExecutionState::Done, "an execution is done when its engine has ended");
        expect(execution.wait_for(0ns) != nullptr, "its report is there");
      }
    }
    expect(told_ == to_be_told_, "each callback is called once");
    actors.clear();
    answer(dice_);
  }

  /// Nothing but callers that block, and an engine that ends as soon as it knows of them.
  void end_under_callers() {
    std::list<Actor> actors;
    std::vector<base::Thread> threads;
    for (unsigned i = 0; i < 2; ++i) {
      auto& actor = actors.emplace_back(Dice(seed_ * 2 + i), guest_);
      actor.entering = true;
      threads.emplace_back([this, &actor] {
        current_ = &actor;
        check(engine_->run(*actor.guest, actor.dice.one_in(3) ? "often" : "now", {}, context(actor.dice)));
        leave(actor);
        current_ = nullptr;
      });
    }
    {
      std::unique_lock lock(mutex_);
      known_.wait(lock, [&] { return std::ranges::none_of(actors, [](const Actor& a) { return a.entering; }); });
    }
    engine_.reset();
    for (auto& thread : threads) {
      thread.join();
    }
    guest_.reset();
  }

 private:
  struct Actor {
    Actor(Dice own, std::optional<ComponentHandle> handle) : dice(own), guest(std::move(handle)) {}
    Dice dice;
    std::optional<ComponentHandle> guest;
    /// In a call of which the engine may not know yet.
    bool entering = false;
    std::vector<Execution> executions;
    std::optional<Instance> instance;
  };
  /// Whose call runs on this thread.
  static inline thread_local Actor* current_ = nullptr;

  void is_inside() {
    if (current_ != nullptr) {
      const std::lock_guard lock(mutex_);
      current_->entering = false;
      known_.notify_all();
    }
  }
  bool enter(Actor& actor) {
    const std::lock_guard lock(mutex_);
    actor.entering = !closing_;
    return actor.entering;
  }
  void leave(Actor& actor) {
    const std::lock_guard lock(mutex_);
    actor.entering = false;
    known_.notify_all();
  }

  void act(Actor& actor) {
    current_ = &actor;
    for (auto i = 3 + actor.dice.below(6); i > 0 && enter(actor); --i) {
      one_thing(actor);
      leave(actor);
    }
    if (actor.dice.one_in(2)) {
      actor.guest.reset();
    }
    if (actor.dice.one_in(2)) {
      actor.instance.reset();
    }
    if (actor.dice.one_in(3)) {
      answer(actor.dice);
    }
    current_ = nullptr;
  }

  void one_thing(Actor& actor) {
    switch (actor.dice.below(10)) {
      case 0:
      case 1:
      case 2: start(actor); break;
      case 3:
      case 4: block(actor); break;
      case 5: answer(actor.dice); break;
      case 6: keep_instance(actor); break;
      case 7: watch(actor); break;
      case 8: stop(actor.dice); break;
      default:
        if (actor.dice.one_in(2)) {
          actor.guest = engine_->load_text("(component)", "another").value();
        } else {
          static_cast<void>(engine_->flush_output());
        }
        break;
    }
  }

  static ExecutionContext context(Dice& dice) {
    ExecutionContext out;
    out.limits.max_fuel = Fuel{dice.one_in(4) ? 100U : 1U << 20U};
    out.timeout = 1ms + 1ms * dice.below(10);
    return out;
  }
  static const char* function(Dice& dice) {
    static constexpr std::array kAll = {"quick", "spin", "now", "later", "often", "sleep", "sleep"};
    return dice.of(kAll);
  }
  static void check(const Report& report) {
    static constexpr std::array<std::string_view, 8> kEnds = {"returned",       "cancelled",  "timeout",
                                                              "fuel_exhausted", "queue_full", "queue_timeout",
                                                              "host_failed",    "cpu_limit"};
    const std::string_view reason = report ? "returned" : report.error().reason();
    expect(std::ranges::find(kEnds, reason) != kEnds.end(),
           fmt::format("a run ends for a reason that it can have, not {}", reason));
  }

  void start(Actor& actor) {
    auto& dice = actor.dice;
    auto execution = engine_->start(*actor.guest, function(dice), {}, context(dice));
    if (dice.one_in(2)) {
      ++to_be_told_;
      execution.on_done([this, told = std::make_shared<bool>(false)](const Report& report) {
        check(report);
        expect(!std::exchange(*told, true), "a callback is called once");
        ++told_;
      });
    }
    if (dice.one_in(4)) {
      execution.cancel();
    }
    switch (dice.below(4)) {
      case 0: check(execution.wait()); break;
      case 1: static_cast<void>(execution.wait_for(1ms)); break;
      case 2: return;  // Nobody keeps it.
      default: break;
    }
    actor.executions.push_back(std::move(execution));
  }

  void block(Actor& actor) {
    auto& dice = actor.dice;
    std::stop_token token;
    if (dice.one_in(2)) {
      const std::lock_guard lock(mutex_);
      token = stops_.emplace_back().get_token();
    }
    check(engine_->run(*actor.guest, function(dice), {}, context(dice), token));
  }

  void stop(Dice& dice) {
    std::vector<std::stop_source> stops;
    {
      const std::lock_guard lock(mutex_);
      stops.swap(stops_);
    }
    for (auto& stop : stops) {
      if (dice.one_in(2)) {
        stop.request_stop();
      }
    }
  }

  void answer(Dice& dice) {
    Kept kept;
    {
      const std::lock_guard lock(mutex_);
      kept.swap(kept_);
    }
    for (const auto& completion : kept) {
      if (!dice.one_in(4)) {
        static_cast<void>(completion.complete(42));
      }
    }
  }

  void keep_instance(Actor& actor) {
    auto& dice = actor.dice;
    if (!actor.instance) {
      if (auto instance = engine_->instantiate(*actor.guest, context(dice))) {
        actor.instance.emplace(std::move(*instance));
      }
      return;
    }
    const CallBudget budget{context(dice).limits, context(dice).timeout};
    if (dice.one_in(2)) {
      actor.executions.push_back(actor.instance->start(function(dice), {}, budget));
    } else {
      static_cast<void>(actor.instance->run(function(dice), {}, budget));
    }
    if (dice.one_in(4)) {
      actor.instance.reset();
    }
  }

  static void watch(Actor& actor) {
    if (actor.executions.empty()) {
      return;
    }
    auto& dice = actor.dice;
    auto& execution = dice.of(actor.executions);
    const auto usage = execution.usage();
    expect(usage.running <= usage.wall_time, "a run does not run longer than it lasts");
    if (dice.one_in(2)) {
      execution.cancel();
    }
    if (dice.one_in(2)) {
      actor.executions.clear();
    }
  }

  Dice dice_;
  const std::uint64_t seed_;
  base::Mutex mutex_;
  base::Condition known_;
  bool closing_ = false;
  Kept kept_;
  std::vector<std::stop_source> stops_;
  unsigned to_be_told_ = 0, told_ = 0;
  std::optional<WasmEngine> engine_;
  std::optional<ComponentHandle> guest_;
};

/// The ledger of the process: when everything has ended, nothing is taken.
void nothing_is_taken() {
  const auto figures = ledger::Account::open({})->process_figures();
  for (const auto& row :
       {figures.memory, figures.mappings, figures.address_space, figures.file_descriptors, figures.threads}) {
    expect(row.used == 0, fmt::format("all is given back, not {} of {} kept", row.used, row.capacity));
  }
}

void engine_scenario(std::uint64_t seed) {
  {
    EngineWorld world(seed);
    world.live();
  }
  nothing_is_taken();
}

void ending_scenario(std::uint64_t seed) {
  {
    EngineWorld world(seed);
    world.end_under_callers();
  }
  nothing_is_taken();
}

/// A scheduler with runs whose owners' destructors come back to it, in a process that has room for few of them.
class SchedulerWorld {
 public:
  explicit SchedulerWorld(std::uint64_t seed) : dice_(seed), seed_(seed) {
    ledger::Amounts capacity;
    capacity[ledger::Kind::Memory] = 60 + dice_.below(100);
    account_ = ledger::Account::simulated(capacity);
    scheduler::SchedulerLimits limits;
    limits.workers = 1 + static_cast<unsigned>(dice_.below(3));
    limits.concurrent_max = 1 + static_cast<unsigned>(dice_.below(4));
    limits.queued_max = 1 + static_cast<unsigned>(dice_.below(4));
    limits.queue_timeout = 5ms;
    limits.place = memory(10);
    limits.residue = memory(1);
    scheduler_ = scheduler::Scheduler::start(limits, account_);
  }

  void live() {
    constexpr unsigned kActors = 3;
    std::vector<base::Thread> threads;
    for (unsigned i = 0; i < kActors; ++i) {
      threads.emplace_back([this, dice = Dice(seed_ * kActors + i)]() mutable {
        for (auto n = 2 + dice.below(6); n > 0; --n) {
          one_thing(dice);
        }
      });
    }
    // Wake-ups come when they come, also at the end and after it.
    base::Thread waker([this, turns = 2 + dice_.below(4)] {
      for (auto n = turns; n > 0; --n) {
        wake_all();
        base::sleep_for(200us);
      }
    });
    for (auto& thread : threads) {
      thread.join();
    }
    scheduler_->shutdown();
    const std::weak_ptr<scheduler::Scheduler> gone = scheduler_;
    scheduler_.reset();
    waker.join();
    wake_all();
    expect(gone.expired(), "nothing keeps a scheduler that has ended");
    expect(account_->figures().memory.used == 0, "all that was taken of the ledger is given back");
  }

 private:
  using Core = std::shared_ptr<scheduler::SharedRun>;

  static ledger::Amounts memory(std::uint64_t n) {
    ledger::Amounts out;
    out[ledger::Kind::Memory] = n;
    return out;
  }
  /// What a user's destructor may do: it comes back to the scheduler.
  struct Parting {
    explicit Parting(const std::shared_ptr<scheduler::Scheduler>& its_scheduler) : scheduler(its_scheduler) {}
    Parting(const Parting&) = delete;
    Parting& operator=(const Parting&) = delete;
    ~Parting() {
      if (const auto there = scheduler.lock()) {
        static_cast<void>(there->queued());
      }
    }
    std::weak_ptr<scheduler::Scheduler> scheduler;
  };

  std::vector<test::Step> script(Dice& dice) {
    std::vector<test::Step> out;
    const auto parting = std::make_shared<Parting>(scheduler_);
    for (auto n = dice.below(4); n > 0; --n) {
      if (dice.one_in(2)) {
        out.push_back(test::slice());
      } else {
        out.emplace_back([this, parting](auto&, const std::shared_ptr<wasmtime::WakeTarget>& target) {
          const std::lock_guard lock(mutex_);
          wakers_.emplace_back(target);
          return wasmtime::Poll::Waiting;
        });
      }
    }
    out.emplace_back([parting, last = dice.one_in(4) ? wasmtime::Poll::Slice : wasmtime::Poll::Done](
                         auto&, const auto&) { return last; });
    return out;
  }
  static CallBudget budget(Dice& dice) {
    CallBudget out;
    out.timeout = 1ms + 1ms * dice.below(6);
    return out;
  }

  void wake_all() {
    std::vector<std::weak_ptr<wasmtime::WakeTarget>> wakers;
    {
      const std::lock_guard lock(mutex_);
      wakers.swap(wakers_);
    }
    for (const auto& waker : wakers) {
      if (const auto target = waker.lock()) {
        target->wake();
      }
    }
  }

  void one_thing(Dice& dice) {
    switch (dice.below(4)) {
      case 0: {
        std::stop_source stop;
        if (dice.one_in(3)) {
          stop.request_stop();
        }
        test::FakeOperation operation(script(dice), budget(dice), memory(dice.below(3) * 20));
        scheduler_->run_here(operation, dice.one_in(2) ? stop.get_token() : std::stop_token());
        break;
      }
      case 1: wake_all(); break;
      default: {
        Core core = std::make_shared<test::FakeExecution>(script(dice), budget(dice), memory(dice.below(3) * 20));
        scheduler_->submit(core);
        if (dice.one_in(4)) {
          core->cancel();
        }
        if (dice.one_in(4)) {
          static_cast<void>(core->wait());
        } else if (dice.one_in(2)) {
          static_cast<void>(core->usage());
        }
        break;
      }
    }
  }

  Dice dice_;
  const std::uint64_t seed_;
  std::shared_ptr<ledger::Account> account_;
  std::shared_ptr<scheduler::Scheduler> scheduler_;
  base::Mutex mutex_;
  std::vector<std::weak_ptr<wasmtime::WakeTarget>> wakers_;
};

void scheduler_scenario(std::uint64_t seed) {
  SchedulerWorld world(seed);
  world.live();
}

/// Loads that want places to compile, of several principals, some of whom lose patience.
void compile_queue_scenario(std::uint64_t seed) {
  Dice dice(seed);
  const unsigned places = 1 + static_cast<unsigned>(dice.below(3));
  compile::CompileQueue queue({places, static_cast<unsigned>(dice.below(3)), 2ms});
  std::array<std::stop_source, 2> stops;
  base::Atomic<unsigned> at_work = 0;
  std::vector<base::Thread> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, own = Dice(seed * 4 + i)]() mutable {
      for (auto n = 1 + own.below(3); n > 0; --n) {
        const auto token = own.one_in(2) ? own.of(stops).get_token() : std::stop_token();
        if (auto place = queue.take({own.one_in(2) ? "a" : "b", own.one_in(2)}, token)) {
          expect(++at_work <= places, "no more compile than there are places");
          base::sleep_for(100us);
          --at_work;
        }
        if (own.one_in(6)) {
          own.of(stops).request_stop();
        }
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  expect(queue.running() == 0 && queue.waiting() == 0, "all places are given back");
}

/// What guests have written, endlessly.
class FlowingOutput final : public wasmtime::Output {
 public:
  explicit FlowingOutput(base::Atomic<bool>& failed) : failed_(failed) {}
  [[nodiscard]] base::Buffer take(wasmtime::Streams) override {
    constexpr std::array<std::uint8_t, 6> kPiece = {0, 1, 0, 0, 0, 'y'};
    auto* bytes = new std::uint8_t[kPiece.size()];
    std::ranges::copy(kPiece, bytes);
    ++taken_;
    return {bytes, kPiece.size(), kPiece.size(),
            [](std::uint8_t* p, std::size_t, std::size_t) noexcept { delete[] p; }};
  }
  void allow(std::uint64_t) override {}
  std::uint64_t fail(wasmtime::Streams, const Failing&) noexcept override {
    failed_ = true;
    return 0;
  }
  [[nodiscard]] std::uint64_t lost() noexcept override { return 0; }
  [[nodiscard]] unsigned taken() const noexcept { return taken_; }

 private:
  base::Atomic<bool>& failed_;
  base::Atomic<unsigned> taken_ = 0;
};

/// Runs that come and go while others wait for what was written; nobody waits for the flood to end.
void output_relay_scenario(std::uint64_t seed) {
  Dice dice(seed);
  const base::Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  base::Atomic<bool> failed = false;
  {
    host::OutputRelay relay;
    std::vector<base::Thread> threads;
    for (unsigned i = 0; i < 3; ++i) {
      threads.emplace_back([&, own = Dice(seed * 3 + i)]() mutable {
        const auto output = std::make_shared<FlowingOutput>(failed);
        expect(relay.attach(output, {.out = null.get()}), "there is room");
        for (auto n = 1 + own.below(4); n > 0; --n) {
          relay.nudge();
          if (own.one_in(2)) {
            const auto before = output->taken();
            // Its patience may be over: time passes when the seed says so.
            if (relay.flush().complete) {
              expect(output->taken() > before, "a flush takes what there is");
            }
          }
        }
        relay.detach(output);
      });
    }
    for (auto& thread : threads) {
      thread.join();
    }
  }
  expect(!failed, "nothing is lost");
}

/// Artefacts that are kept while others look for them, and a writer that ends.
void cache_writer_scenario(std::uint64_t seed) {
  const std::vector<std::uint8_t> bytes = {1, 2, 3};
  base::Atomic<unsigned> stored = 0;
  unsigned accepted = 0;
  {
    base::Mutex mutex;
    compile::CacheWriter writer({[&](const std::string&, const compile::Artefact&) -> std::optional<std::string> {
                                   base::sleep_for(10us);
                                   ++stored;
                                   return {};
                                 },
                                 [](const std::string&) {}},
                                ledger::Account::open({}));
    std::vector<base::Thread> threads;
    for (unsigned i = 0; i < 3; ++i) {
      threads.emplace_back([&, own = Dice(seed * 3 + i)]() mutable {
        const auto artefact = compile::seal(bytes).value();
        for (auto n = 1 + own.below(3); n > 0; --n) {
          const auto key = std::to_string(own.below(3));
          switch (own.below(4)) {
            case 0: static_cast<void>(writer.find(key)); break;
            case 1: writer.used(key); break;
            case 2: static_cast<void>(writer.flush()); break;
            default:
              if (!writer.store(key, artefact)) {
                const std::lock_guard lock(mutex);
                ++accepted;
              }
          }
        }
      });
    }
    for (auto& thread : threads) {
      thread.join();
    }
  }
  expect(stored == accepted, "what was accepted is written before the writer ends");
  nothing_is_taken();
}

struct Scenario {
  std::string_view name;
  void (*run)(std::uint64_t seed);
  /// Of a hundred seeds.
  unsigned share;
};
constexpr std::array kScenarios = {Scenario{"engine", engine_scenario, 40},
                                   Scenario{"output relay", output_relay_scenario, 5},
                                   Scenario{"an engine that ends under callers", ending_scenario, 20},
                                   Scenario{"scheduler", scheduler_scenario, 25},
                                   Scenario{"compile queue", compile_queue_scenario, 5},
                                   Scenario{"cache writer", cache_writer_scenario, 5}};

const Scenario& scenario_of(std::uint64_t seed) {
  auto at = seed % 100;
  const auto* scenario = kScenarios.data();
  while (at >= scenario->share) {
    at -= scenario->share;
    ++scenario;
  }
  return *scenario;
}

Explored explore_seed(std::uint64_t seed) {
  const auto explored = explore(seed, [&] {
    scenario_of(seed).run(seed);
    if (::testing::UnitTest::GetInstance()->failed_test_count() != 0 || ::testing::Test::HasFailure()) {
      fail("an expectation was not met");
    }
  });
  return explored;
}

/// The same seed is the same schedule: without that no finding could be looked into.
int replays(std::uint64_t seeds) {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const auto once = explore_seed(seed), again = explore_seed(seed);
    if (once.steps != again.steps || once.trace != again.trace) {
      fmt::print(stderr, "seed {} ({}) took {} steps, and {} when it was repeated\n", seed, scenario_of(seed).name,
                 once.steps, again.steps);
      return 1;
    }
  }
  return 0;
}

int run(std::span<const std::string_view> words) {
  std::uint64_t first = 0, most = 1'000, seconds = 0;
  bool twice = false;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const auto name = words[i];
    std::uint64_t value = 0;
    const auto text = i + 1 < words.size() ? words[i + 1] : std::string_view();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    static constexpr std::array kNames = {"--seed"sv, "--seeds"sv, "--first"sv, "--seconds"sv, "--replay"sv};
    const bool known = std::ranges::find(kNames, name) != kNames.end();
    if (!known || text.empty() || error != std::errc{} || end != text.data() + text.size()) {
      fmt::print(stderr, "explorer [--seeds N] [--first N] [--seconds N] [--seed N] [--replay N]\n");
      return 2;
    }
    if (name == "--seed") {
      first = value;
      most = 1;
    } else {
      (name == "--seeds" ? most : name == "--first" ? first : name == "--replay" ? most : seconds) = value;
      twice = twice || name == "--replay";
    }
  }
  if (twice) {
    return replays(most);
  }
  const auto began = std::chrono::steady_clock::now();
  const auto took = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count(); };
  std::uint64_t steps = 0, done = 0;
  while (done < most && (seconds == 0 || took() < static_cast<double>(seconds))) {
    steps += explore_seed(first + done).steps;
    ++done;
  }
  fmt::print("{} seeds from {} on, {} steps, {:.1f} s: nothing found\n", done, first, steps, took());
  return 0;
}

}  // namespace
}  // namespace airssys::wasm::explore

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  return airssys::wasm::explore::run(words);
}
