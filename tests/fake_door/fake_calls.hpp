#pragma once

#include <airssys/wasm/value.hpp>
#include <algorithm>
#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/buffer.hpp"
#include "base/sync.hpp"
#include "wasmtime/run.hpp"
#include "wit/codec.hpp"

/// Calls of host functions by guests of the fake door.
namespace airssys::wasm::wasmtime {

inline base::Buffer copied(std::span<const std::uint8_t> bytes) {
  auto* data = new std::uint8_t[bytes.size()];
  std::ranges::copy(bytes, data);
  return {data, bytes.size(), bytes.size(), [](std::uint8_t* p, std::size_t, std::size_t) noexcept { delete[] p; }};
}

inline std::vector<std::uint8_t> number(std::uint32_t n) {
  const Value value(n);
  return wit::encode_all({&value, 1});
}

class FakeCalls final : public HostCalls {
 public:
  void wake_to(const std::shared_ptr<WakeTarget>& target) {
    const std::lock_guard lock(mutex_);
    target_ = target;
  }
  [[nodiscard]] bool has_target() const {
    const std::lock_guard lock(mutex_);
    return target_ != nullptr;
  }
  std::uint64_t park(std::uint32_t function) {
    const std::lock_guard lock(mutex_);
    parked_.push_back({function, next_, copied(number(7))});
    waiting_.emplace(next_, std::nullopt);
    return next_++;
  }
  [[nodiscard]] bool any_parked() const {
    const std::lock_guard lock(mutex_);
    return !parked_.empty();
  }
  /// The answer to a ticket, taken: encoded, or a refusal's code.
  using Said = std::expected<std::vector<std::uint8_t>, std::uint64_t>;
  std::optional<Said> said(std::uint64_t ticket) {
    const std::lock_guard lock(mutex_);
    const auto at = waiting_.find(ticket);
    if (at == waiting_.end() || !at->second) {
      return {};
    }
    auto out = std::move(at->second);
    waiting_.erase(at);
    return out;
  }
  void withdraw() {
    const std::lock_guard lock(mutex_);
    parked_.clear();
    waiting_.clear();
    target_.reset();
  }

  std::optional<ParkedCall> next() override {
    const std::lock_guard lock(mutex_);
    if (parked_.empty()) {
      return {};
    }
    auto call = std::move(parked_.front());
    parked_.pop_front();
    return call;
  }
  [[nodiscard]] bool waits(std::uint64_t ticket) const override {
    const std::lock_guard lock(mutex_);
    const auto at = waiting_.find(ticket);
    return at != waiting_.end() && !at->second;
  }
  bool answer(std::uint64_t ticket, std::span<const std::uint8_t> results) override {
    return say(ticket, std::vector<std::uint8_t>(results.begin(), results.end()));
  }
  bool refuse(std::uint64_t ticket, std::uint64_t code, std::string_view /*message*/) override {
    return say(ticket, std::unexpected(code));
  }

 private:
  bool say(std::uint64_t ticket, Said what) {
    std::shared_ptr<WakeTarget> target;
    {
      const std::lock_guard lock(mutex_);
      const auto at = waiting_.find(ticket);
      if (at == waiting_.end() || at->second) {
        return false;
      }
      at->second = std::move(what);
      target = target_;
    }
    if (target) {
      target->wake();
    }
    return true;
  }

  mutable base::Mutex mutex_;
  std::deque<ParkedCall> parked_;
  std::map<std::uint64_t, std::optional<Said>> waiting_;
  std::shared_ptr<WakeTarget> target_;
  std::uint64_t next_ = 0;
};

}  // namespace airssys::wasm::wasmtime
