#pragma once

#include <airssys/wasm/engine.hpp>
#include <airssys/wasm/error.hpp>
#include <airssys/wasm/limits.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/buffer.hpp"
#include "base/fd.hpp"
#include "base/sync.hpp"
#include "compile/artefact.hpp"
#include "compile/compile_protocol.hpp"
#include "compile/compile_queue.hpp"
#include "ledger/ledger.hpp"

namespace airssys::wasm::compile {

/// How long a load may go on.
struct Patience {
  base::Clock::time_point began, deadline;
  std::stop_token stop;
  /// In whose name, where places to compile are shared out.
  std::string principal{};
  /// For a place to compile. The deadline has moved by as much.
  std::chrono::nanoseconds queued{};

  void has_queued(std::chrono::nanoseconds time) noexcept {
    queued += time;
    deadline += time;
  }
};

/// Components of at most so many bytes are small ones to the `CompileQueue`.
inline constexpr std::size_t kSmallToCompile = 256U << 10U;

/// Parses strangers' texts and compiles their components in child processes with limits of their own, a few at a time.
///
/// Threads: safe from any thread; blocks the caller until the child is gone. Errors of both: LoadFailed with
/// `compile_memory`, `compile_cpu_time` or `load_timeout`, with the limit that the outcome passes, or with what is
/// wrong with the input; QueueFull and QueueTimeout when there was no place; Cancelled, also while it waits for others;
/// HostExhausted when no helper or no process can be had, or somebody else killed it.
class ChildCompiler {
 public:
  /// `helper`: the program; empty to look beside this program and in the libexec directory. Its descriptors here and
  /// its threads are taken from `account`.
  ChildCompiler(const CompileIsolation& how, std::shared_ptr<ledger::Account> account)
      : helper_(how.helper), account_(std::move(account)), queue_({how.children, how.max_queued, how.queue_timeout}) {}

  /// What others have made, which may be the same.
  struct Shared {
    /// Asked once there is a place, if that was waited for.
    std::function<std::optional<Artefact>()> find;
    /// Takes what was made, before the place is given to the next.
    std::function<void(const Artefact& made)> take;
  };
  [[nodiscard]] Result<Artefact> compile(std::span<const std::uint8_t> bytes, const wasmtime::Settings& settings,
                                         const LoadLimits& limits, Patience& patience, const Shared& shared);
  /// The component that a text stands for.
  [[nodiscard]] Result<base::Buffer> translate(std::string_view text, const LoadLimits& limits, Patience& patience);
  /// Those at work, and loads that wait for a place.
  [[nodiscard]] std::uint64_t running() { return queue_.running(); }
  [[nodiscard]] std::uint64_t waiting() { return queue_.waiting(); }

 private:
  struct Output {
    base::Fd file;
    std::uint64_t size = 0;
  };
  [[nodiscard]] Result<Output> work(std::span<const std::uint8_t> input, const protocol::Command& command,
                                    const LoadLimits& limits, const Patience& patience);
  /// A child that is paid for: what it gives back is worth waiting for, and is given back before it no longer counts.
  class Counted {
   public:
    explicit Counted(base::Atomic<unsigned>& all) : all_(&all) { ++all; }
    Counted(Counted&& other) noexcept : all_(std::exchange(other.all_, nullptr)) {}
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    Counted& operator=(Counted&&) = delete;
    ~Counted() {
      if (all_ != nullptr) {
        --*all_;
      }
    }

   private:
    base::Atomic<unsigned>* all_;
  };
  struct Admission {
    CompileQueue::Place place;
    Counted counted;
    ledger::Reservation paid;
  };
  [[nodiscard]] Result<Admission> admit(bool small, Patience& patience);
  [[nodiscard]] Result<CompileQueue::Place> wait_for_place(bool small, const Patience& patience);
  [[nodiscard]] Result<ledger::Reservation> pay_for_a_child(const Patience& patience) const;
  base::Atomic<unsigned> paid_ = 0;
  std::filesystem::path helper_;
  std::shared_ptr<ledger::Account> account_;
  CompileQueue queue_;
};

}  // namespace airssys::wasm::compile
