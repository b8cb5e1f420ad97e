#pragma once

#include <memory>
#include <string_view>

#include "wasmtime/bridge_handles.hpp"
#include "wasmtime/door.hpp"

/// The door's objects that calls and runs work with, as they are behind the door.
namespace airssys::wasm::wasmtime {

class BridgedFunction final : public Function {
 public:
  explicit BridgedFunction(FunctionHandle owned)
      : handle(std::move(owned)), takes_bytes_(bridge::bridge_function_takes_bytes(handle.get())) {}
  [[nodiscard]] Try<base::Buffer> parse_wave(std::string_view arguments) const override {
    bridge::BridgeBytes out{};
    OutFailure failure;
    if (!bridge::bridge_wave_parse(handle.get(), slice(arguments), &out, failure)) {
      return std::unexpected(failure.take());
    }
    return take(out);
  }
  [[nodiscard]] bool takes_bytes() const noexcept override { return takes_bytes_; }
  FunctionHandle handle;

 private:
  bool takes_bytes_;
};

class BridgedOutput final : public Output {
 public:
  explicit BridgedOutput(OutputHandle owned) : handle(std::move(owned)) {}
  [[nodiscard]] base::Buffer take(Streams chosen) override {
    bridge::BridgeBytes out{};
    bridge::bridge_output_take(handle.get(), chosen.out, chosen.err, &out);
    return wasmtime::take(out);
  }
  void allow(std::uint64_t total_max) override { bridge::bridge_output_allow(handle.get(), total_max); }
  std::uint64_t fail(Streams chosen, const Failing& how) noexcept override {
    return bridge::bridge_output_fail(handle.get(), chosen.out, chosen.err, how.os_error, how.stays, how.lost);
  }
  [[nodiscard]] std::uint64_t lost() noexcept override { return bridge::bridge_output_lost(handle.get()); }
  OutputHandle handle;
};

/// `engine` lives as long as what is made.
[[nodiscard]] std::unique_ptr<Prepared> bridged_prepared(std::shared_ptr<Engine> engine, PreparedHandle handle);

}  // namespace airssys::wasm::wasmtime
