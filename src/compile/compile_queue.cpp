#include "compile/compile_queue.hpp"

#include <algorithm>
#include <new>
#include <tuple>

namespace airssys::wasm::compile {

bool CompileQueue::fits(const Job& job) const noexcept {
  return running_ < limits_.places && (job.small || large_ < large_most());
}

std::uint64_t CompileQueue::in_state(State state) const {
  return static_cast<std::uint64_t>(std::ranges::count(waiting_, state, &Waiter::state));
}

void CompileQueue::forget_idle(Principals::iterator principal) {
  if (principal->second.holds == 0 && principal->second.waits == 0) {
    principals_.erase(principal);
  }
}

/// Gives every free place to whoever is next.
void CompileQueue::hand_out() {
  for (;;) {
    const auto turn = [&](const Waiter& waiter) {
      const auto& principal = principals_.at(waiter.job.principal);
      return std::tuple{waiter.state != State::Waiting || !fits(waiter.job), principal.holds, principal.last_served};
    };
    const auto next = std::ranges::min_element(waiting_, {}, turn);
    if (next == waiting_.end() || std::get<0>(turn(*next))) {
      return;
    }
    auto& principal = principals_.at(next->job.principal);
    ++principal.holds;
    --principal.waits;
    principal.last_served = clock_ += 2;
    ++running_;
    large_ += next->job.small ? 0 : 1;
    next->state = State::Admitted;
    changed_.notify_all();
  }
}

/// Where as many wait as may: the last of whoever has the most in the queue gives way to one who has fewer.
bool CompileQueue::displace_for(const Principal& newcomer) {
  const auto waits = [&](const auto& one) { return one.second.waits; };
  const auto greedy = std::ranges::max_element(principals_, {}, waits);
  if (greedy->second.waits <= newcomer.waits) {
    return false;
  }
  const auto last = std::find_if(waiting_.rbegin(), waiting_.rend(), [&](const Waiter& waiter) {
    return waiter.state == State::Waiting && waiter.job.principal == greedy->first;
  });
  last->state = State::Displaced;
  --greedy->second.waits;  // More wait than of the newcomer, which waits: it is not idle.
  changed_.notify_all();
  return true;
}

std::expected<CompileQueue::Place, CompileQueue::Refused> CompileQueue::take(Job job, const std::stop_token& stop) {
  const auto deadline = base::Clock::now() + limits_.timeout;
  // Before the lock, which the callback takes: its end waits for one that is under way.
  const base::StopCallback on_stop(stop, [&] {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  });
  std::unique_lock lock(mutex_);
  const auto principal = principals_.try_emplace(job.principal, Principal{.last_served = clock_ - 1}).first;
  auto mine = waiting_.end();
  try {
    mine = waiting_.insert(mine, {std::move(job)});
  } catch (const std::bad_alloc&) {
    forget_idle(principal);
    throw;
  }
  ++principal->second.waits;
  hand_out();
  bool full = false;
  if (mine->state == State::Waiting) {
    full = in_state(State::Waiting) > limits_.waiting_max && !displace_for(principal->second);
    if (!full) {
      changed_.wait_until(lock, deadline, [&] { return mine->state != State::Waiting || stop.stop_requested(); });
    }
  }
  const auto state = mine->state;
  job = std::move(mine->job);
  waiting_.erase(mine);
  if (state == State::Admitted) {
    return Place(this, std::move(job));
  }
  // That of one that was displaced may be forgotten already.
  if (state == State::Waiting) {
    --principal->second.waits;
    forget_idle(principal);
  }
  return std::unexpected(full || state == State::Displaced ? Refused::Full
                         : stop.stop_requested()           ? Refused::Stopped
                                                           : Refused::Late);
}

void CompileQueue::give_back(const Job& job) {
  const std::lock_guard lock(mutex_);
  --running_;
  large_ -= job.small ? 0 : 1;
  const auto principal = principals_.find(job.principal);
  --principal->second.holds;
  forget_idle(principal);
  hand_out();
}

std::uint64_t CompileQueue::running() {
  const std::lock_guard lock(mutex_);
  return running_;
}

std::uint64_t CompileQueue::waiting() {
  const std::lock_guard lock(mutex_);
  return in_state(State::Waiting);
}

}  // namespace airssys::wasm::compile
