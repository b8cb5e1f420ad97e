#pragma once

#include <airssys/wasm/host.hpp>
#include <airssys/wasm/type.hpp>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/sync.hpp"
#include "wasmtime/run.hpp"

namespace airssys::wasm::host {

using AnyHostFunction = std::variant<HostFunction, AsyncHostFunction, EncodedHostFunction>;

struct HostEntry {
  std::string interface;
  std::string name;
  /// One for all components that may call it, whenever they were loaded.
  std::shared_ptr<AnyHostFunction> function;
  /// Of a typed one: what the import must be.
  [[nodiscard]] const FunctionType* type() const {
    const auto* typed = std::get_if<EncodedHostFunction>(function.get());
    return typed != nullptr ? &typed->type : nullptr;
  }
  [[nodiscard]] std::string path() const { return interface.empty() ? name : interface + "#" + name; }
};

using HostEntries = std::shared_ptr<const std::vector<HostEntry>>;

/// What an engine offers to the components that it loads. It may outlive the engine.
///
/// Threads: safe from any thread.
class HostTable {
 public:
  /// One of the same name takes the place of an earlier one.
  void add(HostEntry entry);
  /// As it is now; it stays so.
  [[nodiscard]] HostEntries entries() const;

 private:
  mutable base::Mutex mutex_;
  HostEntries entries_ = std::make_shared<const std::vector<HostEntry>>();
};

/// One host call that has not been answered. Whoever lets go of the last reference without an answer refuses it.
class PendingCall {
 public:
  /// `result`: what the guest expects; null for nothing. It lives as long as the component, which `alive` holds.
  PendingCall(std::shared_ptr<wasmtime::HostCalls> calls, std::uint64_t ticket, const std::optional<Type>* result,
              std::shared_ptr<const void> alive)
      : calls_(std::move(calls)), ticket_(ticket), result_(result), alive_(std::move(alive)) {}
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;
  ~PendingCall();

  [[nodiscard]] bool abandoned() const { return !calls_->waits(ticket_); }
  bool complete(HostAnswer answer);
  /// The same with an answer that was encoded for a checked type.
  bool complete(HostResult<std::vector<std::uint8_t>> encoded);
  /// The host function failed, unless it has answered.
  void refuse(std::string_view why) noexcept;

 private:
  std::shared_ptr<wasmtime::HostCalls> calls_;
  std::uint64_t ticket_;
  const std::optional<Type>* result_;
  std::shared_ptr<const void> alive_;
  base::Atomic<bool> answered_ = false;
};

/// Calls `entry` with the encoded `arguments`; whatever it throws becomes a refusal.
void call_host(const HostEntry& entry, HostCall& call, std::span<const std::uint8_t> arguments,
               const std::shared_ptr<PendingCall>& pending) noexcept;

}  // namespace airssys::wasm::host
