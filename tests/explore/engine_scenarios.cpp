#include <fmt/format.h>

#include <airssys/wasm.hpp>
#include <algorithm>
#include <array>
#include <list>
#include <string_view>

#include "base/sync.hpp"
#include "explore/scenarios.hpp"
#include "explore/schedule.hpp"

/// Engines as their users have them.
namespace airssys::wasm::explore {
namespace {

using namespace std::chrono_literals;

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
    guest_ = engine_->load_text("(component)", {.name = "guest"}).value();
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
          actor.guest = engine_->load_text("(component)", {.name = "another"}).value();
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
    static constexpr std::array kAll = {"quick", "spin", "now", "later", "often", "sleep", "sleep", "type", "type"};
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

}  // namespace

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

}  // namespace airssys::wasm::explore
