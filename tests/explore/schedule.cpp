#include "explore/schedule.hpp"

#include <sanitizer/common_interface_defs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <semaphore>
#include <utility>
#include <vector>

namespace airssys::wasm::explore {

namespace {

using namespace std::chrono_literals;

/// An exploration of some thousand steps is over; one that goes on so long never is.
constexpr std::uint64_t kStepsMost = 400'000;
/// A thread that waits for a time may be let go on early, since every machine is that slow now and then.
constexpr unsigned kTimePassesIn = 300;
constexpr unsigned kLightIn = 8;

struct State {
  unsigned number = 0;
  std::binary_semaphore turn{0};
  enum class Is : std::uint8_t { Ready, Waiting, Over } is = Is::Ready;
  const void* waits_for = nullptr;
  const char* doing = "";
  std::optional<TimePoint> until;
  bool told = false;
  std::uint64_t priority = 0;
  std::int64_t cpu_ns = 0;
};

thread_local State* self = nullptr;

class Schedule {
 public:
  explicit Schedule(std::uint64_t seed) : seed_(seed), random_(seed) {
    // Two ways to choose, each with its own chances: at random, or always the most urgent, where who is that changes a
    // few times (Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", 2010).
    constexpr unsigned kChanges = 4, kStepsTypical = 4'000;
    if (below(2) == 0) {
      switch_in_ = 1U << (1 + below(6));
    } else {
      for (unsigned i = 0; i < kChanges; ++i) {
        changes_.push_back(below(kStepsTypical));
      }
    }
  }

  State& add() {
    auto& state = *states_.emplace_back(std::make_unique<State>());
    state.number = static_cast<unsigned>(states_.size() - 1);
    state.priority = kUrgent + random_();
    return state;
  }
  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return random_() % n; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  [[nodiscard]] Explored explored() const noexcept { return {steps_, trace_}; }
  [[nodiscard]] const auto& states() const noexcept { return states_; }
  [[nodiscard]] TimePoint look() {
    constexpr unsigned kLongIn = 16;
    clock_ += below(kLongIn) == 0 ? 1ms : 1us;
    return clock_;
  }

  /// This thread may go on, or another.
  void point() {
    if (++steps_ > kStepsMost) {
      fail("no end in sight");
    }
    if (std::ranges::find(changes_, steps_) != changes_.end()) {
      self->priority = kUrgent - steps_;
    }
    hand_to(choose());
  }
  /// Another goes on; this one when it is ready again.
  void give_way() {
    ++steps_;
    hand_to(choose());
  }
  /// The last step of this thread.
  void leave() {
    ++steps_;
    self->is = State::Is::Over;
    if (std::ranges::all_of(states_, [](const auto& state) { return state->is == State::Is::Over; })) {
      return;
    }
    choose().turn.release();
  }
  void await_turn() {
    self->turn.acquire();
    if (dumping_) {
      // The places of all threads are printed one after the other.
      std::fprintf(stderr, "thread %u waits for %s:\n", self->number, self->doing);
      __sanitizer_print_stack_trace();
      dumped_.release();
      ::pause();
    }
  }
  [[noreturn]] void print_places_and_end() {
    dumping_ = true;
    for (const auto& state : states_) {
      if (state.get() != self && state->is != State::Is::Over) {
        state->turn.release();
        dumped_.acquire();
      }
    }
    ::_exit(1);
  }

 private:
  static constexpr std::uint64_t kUrgent = 1ULL << 32U;

  void hand_to(State& next) {
    trace_ = trace_ * 1'000'003 + next.number;
    if (&next != self) {
      next.turn.release();
      await_turn();
    }
  }
  State& choose() {
    auto& ready = ready_;
    ready.clear();
    State* earliest = nullptr;
    for (const auto& state : states_) {
      if (state->is == State::Is::Waiting && state->until &&
          (earliest == nullptr || *state->until < *earliest->until)) {
        earliest = state.get();
      }
      if (state->is == State::Is::Ready) {
        ready.push_back(state.get());
      }
    }
    if (earliest != nullptr && (ready.empty() || *earliest->until <= clock_ || below(kTimePassesIn) == 0)) {
      clock_ = std::max(clock_, *earliest->until);
      earliest->is = State::Is::Ready;
      earliest->until.reset();
      ready.push_back(earliest);
    }
    if (ready.empty()) {
      fail("all threads wait for each other");
    }
    if (switch_in_ == 0) {
      return **std::ranges::max_element(ready, {}, &State::priority);
    }
    if (self->is == State::Is::Ready && below(switch_in_) != 0) {
      return *self;
    }
    return *ready.at(below(ready.size()));
  }

  const std::uint64_t seed_;
  std::mt19937_64 random_;
  /// At random: one step in so many. 0: by priority.
  unsigned switch_in_ = 0;
  std::vector<std::uint64_t> changes_;
  std::vector<std::unique_ptr<State>> states_;
  std::vector<State*> ready_;
  TimePoint clock_{1h};
  std::uint64_t steps_ = 0, trace_ = 0;
  bool dumping_ = false;
  std::binary_semaphore dumped_{0};
};

Schedule* schedule = nullptr;

void print_seed() {
  if (schedule != nullptr) {
    std::fprintf(stderr, "\nfound with seed %llu: ./dev explore --seed %llu\n",
                 static_cast<unsigned long long>(schedule->seed()), static_cast<unsigned long long>(schedule->seed()));
  }
}

}  // namespace

Explored explore(std::uint64_t seed, const std::function<void()>& scenario) {
  Schedule here(seed);
  schedule = &here;
  self = &here.add();
  __sanitizer_set_death_callback(print_seed);
  scenario();
  if (std::ranges::any_of(here.states(),
                          [](const auto& state) { return state.get() != self && state->is != State::Is::Over; })) {
    fail("threads are left when everything has ended");
  }
  self = nullptr;
  schedule = nullptr;
  return here.explored();
}

void fail(const std::string& why) {
  std::fprintf(stderr, "\n%s\n", why.c_str());
  print_seed();
  if (self != nullptr) {
    std::fprintf(stderr, "thread %u is here:\n", self->number);
  }
  __sanitizer_print_stack_trace();
  if (schedule == nullptr || self == nullptr) {
    ::_exit(1);
  }
  schedule->print_places_and_end();
}

void point(Weight weight) noexcept {
  if (self != nullptr && (weight == Weight::Full || schedule->below(kLightIn) == 0)) {
    schedule->point();
  }
}

bool wait(const void* what, const char* doing, std::optional<TimePoint> until) noexcept {
  if (self == nullptr) {
    fail("something waits outside of an exploration");
  }
  self->is = State::Is::Waiting;
  self->waits_for = what;
  self->doing = doing;
  self->until = until;
  self->told = false;
  schedule->give_way();
  return self->told;
}

namespace {

void tell(State& state) noexcept {
  state.is = State::Is::Ready;
  state.until.reset();
  state.told = true;
}

std::vector<State*> waiting_for(const void* what) {
  std::vector<State*> out;
  for (const auto& state : schedule->states()) {
    if (state->is == State::Is::Waiting && state->waits_for == what) {
      out.push_back(state.get());
    }
  }
  return out;
}

}  // namespace

void tell_one(const void* what) noexcept {
  if (self != nullptr) {
    if (const auto all = waiting_for(what); !all.empty()) {
      tell(*all.at(schedule->below(all.size())));
    }
  }
}

void tell_all(const void* what) noexcept {
  if (self != nullptr) {
    for (auto* state : waiting_for(what)) {
      tell(*state);
    }
  }
}

bool one_in(unsigned n) noexcept { return self != nullptr && schedule->below(n) == 0; }

TimePoint now() noexcept { return self != nullptr ? schedule->look() : TimePoint(); }

std::int64_t thread_cpu_ns() noexcept {
  constexpr std::int64_t kLook = 1'000;
  return self != nullptr ? self->cpu_ns += kLook : 0;
}

const void* this_thread() noexcept { return self; }

Thread::Thread(std::function<void()> work) {
  if (self == nullptr) {
    fail("a thread begins outside of an exploration");
  }
  auto& state = schedule->add();
  state_ = &state;
  thread_ = std::thread([&state, work = std::move(work)]() mutable {
    self = &state;
    schedule->await_turn();
    work();
    work = nullptr;
    tell_all(&state);
    schedule->leave();
    self = nullptr;
  });
  point();
}

Thread::Thread(Thread&& other) noexcept
    : state_(std::exchange(other.state_, nullptr)), thread_(std::move(other.thread_)) {}

Thread& Thread::operator=(Thread&& other) noexcept {
  state_ = std::exchange(other.state_, nullptr);
  thread_ = std::move(other.thread_);
  return *this;
}

Thread::~Thread() {
  if (thread_.joinable()) {
    fail("a thread's owner ends before it");
  }
}

void Thread::join() {
  auto& state = *static_cast<State*>(state_);
  if (&state == self) {
    fail("a thread waits for its own end");
  }
  point();
  while (state.is != State::Is::Over) {
    wait(&state, "the end of a thread");
  }
  thread_.join();
}

}  // namespace airssys::wasm::explore
