#pragma once

#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "base/buffer.hpp"
#include "wasmtime/bridge/bridge.h"
#include "wasmtime/run.hpp"

/// The bridge's raw pointers, owned. Only sources of this room include this.
namespace airssys::wasm::wasmtime {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* raw) const noexcept {
    Free(raw);
  }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, FreeWith<Free>>;

using HostHandle = Owned<bridge::BridgeHost, &bridge::bridge_host_free>;
using EngineHandle = Owned<bridge::BridgeEngine, &bridge::bridge_engine_free>;
using ComponentHandle = Owned<bridge::BridgeComponent, &bridge::bridge_component_free>;
using FunctionHandle = Owned<bridge::BridgeFunction, &bridge::bridge_function_free>;
using PreparedHandle = Owned<bridge::BridgePrepared, &bridge::bridge_prepared_free>;
using RunHandle = Owned<bridge::BridgeRun, &bridge::bridge_run_free>;
using CallsHandle = Owned<bridge::BridgeCalls, &bridge::bridge_calls_free>;
using OutputHandle = Owned<bridge::BridgeOutput, &bridge::bridge_output_free>;

[[nodiscard]] inline bridge::BridgeSlice slice(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
[[nodiscard]] inline bridge::BridgeSlice slice(std::span<const std::uint8_t> bytes) noexcept {
  return {bytes.data(), bytes.size()};
}

/// Takes over bytes that Rust allocated, if it did.
[[nodiscard]] inline base::Buffer take(const bridge::BridgeBytes& bytes) noexcept {
  if (bytes.capacity == 0) {
    return {};
  }
  return {bytes.data, bytes.size, bytes.capacity,
          [](std::uint8_t* data, std::size_t size, std::size_t capacity) noexcept {
            bridge::BridgeBytes back{data, size, capacity};
            bridge::bridge_bytes_free(&back);
          }};
}
[[nodiscard]] inline std::string text_of(const base::Buffer& buffer) {
  const auto bytes = buffer.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// An empty failure for the bridge to fill in: `OutFailure out; if (!bridge_x(…, out)) return
/// std::unexpected(out.take());`
class OutFailure {
 public:
  operator bridge::BridgeFailure*() noexcept {
    return &raw_;
  }  // NOLINT(google-explicit-constructor): it is an out-parameter.
  [[nodiscard]] Failure take() {
    // Both first: what follows may throw.
    const auto message = wasmtime::take(raw_.message);
    auto frames = wasmtime::take(raw_.frames);
    const auto& s = raw_.shortage;
    return {raw_.cause,         raw_.code,
            raw_.wasm_on_stack, text_of(message),
            std::move(frames),  {static_cast<ledger::Kind>(s.resource), s.needed, s.used, s.capacity, s.by_share},
            raw_.limit,         raw_.load_limit};
  }

 private:
  bridge::BridgeFailure raw_{};
};

}  // namespace airssys::wasm::wasmtime
