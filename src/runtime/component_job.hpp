#pragma once

#include <airssys/wasm/context.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/execution_core.hpp"
#include "runtime/loaded_component.hpp"
#include "runtime/output_relay.hpp"

namespace airssys::wasm::runtime {

/// What exactly is to be called.
struct CallPlan {
  std::shared_ptr<LoadedComponent> component;
  const engine::Prepared* prepared = nullptr;
  const CallableFunction* function = nullptr;
  /// Encoded.
  std::vector<std::uint8_t> arguments;
  /// A `wasi:cli/run`: exit(0) and an ok result are a return, anything else a status.
  bool command = false;
};

/// One call of a component's function.
class ComponentJob final : public Job {
 public:
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
  struct Stream {
    std::shared_ptr<engine::Output> output;
    OutputGrant grant = OutputGrant::Discarded;
    std::string captured;
  };
  void open(Stream& stream, std::shared_ptr<engine::Output> output, OutputGrant grant, int descriptor);
  void drain(Stream& stream, bool last);

  CallPlan plan_;
  WasiGrants wasi_;
  std::uint64_t output_max_;
  std::uint64_t random_max_;
  std::shared_ptr<OutputRelay> relay_;
  Stream out_, err_;
  std::map<std::string, std::uint64_t> host_calls_;
  std::string last_host_call_;
  std::uint64_t bytes_out_ = 0;
};

}  // namespace airssys::wasm::runtime
