#pragma once

#include <airssys/wasm/context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "wasmtime/door.hpp"

namespace airssys::wasm::grants {

/// Where the output of a store goes; what is not written is discarded.
struct WrittenOutput {
  std::shared_ptr<wasmtime::Output> output;
  wasmtime::Streams written;
};

/// What one run may touch, as the one structure that crosses. It borrows from the grants, which outlive it.
class CrossingGrants {
 public:
  CrossingGrants(const WasiGrants& grants, Bytes max_random, WrittenOutput output);
  CrossingGrants(const CrossingGrants&) = delete;
  CrossingGrants& operator=(const CrossingGrants&) = delete;

  [[nodiscard]] const wasmtime::Grants& crossing() const noexcept { return crossing_; }

 private:
  std::vector<bridge::BridgeSlice> arguments_;
  std::vector<bridge::BridgeVariable> environment_;
  std::vector<bridge::BridgeDirectory> directories_;
  std::string stdin_path_;
  wasmtime::Grants crossing_;
};

}  // namespace airssys::wasm::grants
