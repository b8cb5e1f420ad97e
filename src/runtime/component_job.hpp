#pragma once

#include <airssys/wasm/context.hpp>
#include <map>
#include <memory>
#include <string>

#include "runtime/call_plan.hpp"
#include "runtime/execution_core.hpp"
#include "runtime/guest_streams.hpp"

namespace airssys::wasm::runtime {

/// One operation of a component: a call in a fresh instance, or anything that happens in a kept one.
class ComponentJob final : public Job {
 public:
  /// `wasi` is looked at only when this makes a store.
  ComponentJob(CallPlan plan, const WasiGrants& wasi, const ResourceLimits& limits, std::shared_ptr<OutputRelay> relay);

  std::expected<std::unique_ptr<engine::Run>, engine::Failure> begin(const std::shared_ptr<engine::WakeTarget>& waker,
                                                                     const engine::Budget& budget) override;
  void host_call(const ExecutionCore& run, const std::shared_ptr<engine::HostCalls>& calls,
                 engine::ParkedCall call) noexcept override;
  void polled() override;
  std::expected<std::optional<Value>, Error> result(engine::Answer answer) override;
  void complete(Report& report) override;
  [[nodiscard]] std::string_view last_host_call() const override { return last_host_call_; }

 private:
  CallPlan plan_;
  /// What a store of a component with WASI is made with.
  struct OwnStore {
    OwnStore(WasiGrants grants, const ResourceLimits& allowed, std::shared_ptr<OutputRelay> relay)
        : wasi(std::move(grants)), limits(allowed), streams(std::move(relay)) {}
    WasiGrants wasi;
    ResourceLimits limits;
    GuestStreams streams;
  };
  std::optional<OwnStore> own_;
  /// Those of `own_`, those of the kept instance, or null without WASI.
  GuestStreams* streams_ = nullptr;
  std::map<std::string, std::uint64_t> host_calls_;
  std::string last_host_call_;
  std::uint64_t bytes_out_ = 0;
};

}  // namespace airssys::wasm::runtime
