#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "base/sync.hpp"

namespace airssys::wasm::engine {

/// How many instances are kept, and how many may be. Shared with those that outlive their engine.
///
/// Threads: any.
class InstanceQuota {
 public:
  explicit InstanceQuota(unsigned most) noexcept : most_(most) {}
  [[nodiscard]] unsigned most() const noexcept { return most_; }

  /// One of them, given back at its end.
  class Share {
   public:
    /// Nothing when all are taken.
    [[nodiscard]] static std::optional<Share> take(const std::shared_ptr<InstanceQuota>& quota) noexcept {
      if (quota->taken_.fetch_add(1) < quota->most_) {
        return Share(quota);
      }
      --quota->taken_;
      return {};
    }
    Share(Share&&) noexcept = default;
    Share(const Share&) = delete;
    Share& operator=(Share&&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() {
      if (quota_) {
        --quota_->taken_;
      }
    }

   private:
    explicit Share(std::shared_ptr<InstanceQuota> quota) noexcept : quota_(std::move(quota)) {}
    std::shared_ptr<InstanceQuota> quota_;
  };

 private:
  const unsigned most_;
  base::Atomic<unsigned> taken_ = 0;
};

}  // namespace airssys::wasm::engine
