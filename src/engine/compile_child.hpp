#pragma once

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/limits.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>

#include "base/fd.hpp"
#include "engine/door.hpp"

namespace airssys::wasm::engine {

/// A compiled component in a sealed memory file: nobody can change it any more, so it can be mapped.
struct Artefact {
  base::Fd file;
  std::uint64_t size = 0;
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(file.get()); }
};

/// The bytes in a sealed memory file. Errors: HostExhausted.
[[nodiscard]] Result<Artefact> seal(std::span<const std::uint8_t> bytes);

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

/// Compiles strangers' components in child processes with limits of their own, a few at a time.
///
/// Threads: safe from any thread; blocks the caller until the child is gone.
class ChildCompiler {
 public:
  /// `helper`: the program; empty to look beside this program and in the libexec directory.
  explicit ChildCompiler(std::filesystem::path helper) : helper_(std::move(helper)) {}

  /// Errors: LoadFailed with `compile_memory`, `compile_cpu_time` or `load_timeout`, or with the offset of what is
  /// malformed; Cancelled, also while it waits for others; HostExhausted when no helper or no process can be had, or
  /// somebody else killed it.
  [[nodiscard]] Result<Artefact> compile(std::span<const std::uint8_t> bytes, const Settings& settings,
                                         const LoadLimits& limits, std::chrono::steady_clock::time_point deadline,
                                         const std::stop_token& stop);

 private:
  static constexpr int kChildrenMax = 2;
  std::filesystem::path helper_;
  Places places_{kChildrenMax};
};

/// `LoadFailed` and its kin from what the door said while loading.
[[nodiscard]] Error load_error(Failure failure, const LoadLimits& limits);

}  // namespace airssys::wasm::engine
