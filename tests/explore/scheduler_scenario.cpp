#include <airssys/wasm.hpp>
#include <memory>
#include <vector>

#include "base/sync.hpp"
#include "explore/scenarios.hpp"
#include "explore/schedule.hpp"
#include "ledger/ledger.hpp"
#include "scheduler/fake_run.hpp"
#include "scheduler/scheduler.hpp"

/// The scheduler alone.
namespace airssys::wasm::explore {
namespace {

using namespace std::chrono_literals;

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
    scheduler_ = scheduler::Scheduler::create(limits, account_);
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

}  // namespace

void scheduler_scenario(std::uint64_t seed) {
  SchedulerWorld world(seed);
  world.live();
}

}  // namespace airssys::wasm::explore
