#pragma once

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/limits.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <span>
#include <stop_token>
#include <string_view>

#include "base/buffer.hpp"
#include "base/fd.hpp"
#include "engine/artefact.hpp"
#include "engine/compile_protocol.hpp"
#include "ledger/ledger.hpp"

namespace airssys::wasm::engine {

/// Room for so many at a time.
class Places {
 public:
  explicit Places(int free) noexcept : free_(free) {}
  /// Waits for a place; false when the deadline or a stop request came first.
  [[nodiscard]] bool take(std::chrono::steady_clock::time_point deadline, const std::stop_token& stop);
  void give_back();

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int free_;
};

/// How long a load may go on.
struct Patience {
  std::chrono::steady_clock::time_point deadline;
  std::stop_token stop;
};

/// Parses strangers' texts and compiles their components in child processes with limits of their own, a few at a time.
///
/// Threads: safe from any thread; blocks the caller until the child is gone. Errors of both: LoadFailed with
/// `compile_memory`, `compile_cpu_time` or `load_timeout`, with the limit that the outcome passes, or with what is
/// wrong with the input; Cancelled, also while it waits for others; HostExhausted when no helper or no process can be
/// had, or somebody else killed it.
class ChildCompiler {
 public:
  /// `helper`: the program; empty to look beside this program and in the libexec directory. Its descriptors here and
  /// its threads are taken from `account`.
  ChildCompiler(std::filesystem::path helper, std::shared_ptr<ledger::Account> account)
      : helper_(std::move(helper)), account_(std::move(account)) {}

  [[nodiscard]] Result<Artefact> compile(std::span<const std::uint8_t> bytes, const Settings& settings,
                                         const LoadLimits& limits, const Patience& patience);
  /// The component that a text stands for.
  [[nodiscard]] Result<base::Buffer> translate(std::string_view text, const LoadLimits& limits,
                                               const Patience& patience);

 private:
  struct Output {
    base::Fd file;
    std::uint64_t size = 0;
  };
  [[nodiscard]] Result<Output> work(std::span<const std::uint8_t> input, const protocol::Command& command,
                                    const LoadLimits& limits, const Patience& patience);

  static constexpr int kChildrenMax = 2;
  [[nodiscard]] Result<ledger::Reservation> pay_for_a_child(const Patience& patience) const;
  /// Children that are paid for: what they give back is worth waiting for.
  std::atomic<unsigned> paid_ = 0;
  std::filesystem::path helper_;
  std::shared_ptr<ledger::Account> account_;
  Places places_{kChildrenMax};
};

}  // namespace airssys::wasm::engine
