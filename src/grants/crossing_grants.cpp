#include "grants/crossing_grants.hpp"

namespace airssys::wasm::grants {

namespace {

bridge::BridgeSlice slice(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

CrossingGrants::CrossingGrants(const WasiGrants& grants, Bytes max_random, WrittenOutput output)
    : crossing_{{}, std::move(output.output), output.written} {
  for (const auto& argument : grants.arguments) {
    arguments_.push_back(slice(argument));
  }
  for (const auto& [name, value] : grants.environment) {
    environment_.push_back({slice(name), slice(value)});
  }
  for (const auto& directory : grants.directories) {
    directories_.push_back({slice(directory.host), slice(directory.guest), directory.writable});
  }
  auto& raw = crossing_.raw;
  raw.arguments = arguments_.data();
  raw.argument_count = arguments_.size();
  raw.environment = environment_.data();
  raw.variable_count = environment_.size();
  raw.directories = directories_.data();
  raw.directory_count = directories_.size();
  if (const auto* bytes = std::get_if<StdinBytes>(&grants.stdin_source)) {
    raw.stdin_source = bridge::BridgeStdin::Bytes;
    raw.stdin_content = slice(bytes->bytes);
  } else if (const auto* file = std::get_if<StdinFile>(&grants.stdin_source)) {
    stdin_path_ = file->host.string();
    raw.stdin_source = bridge::BridgeStdin::File;
    raw.stdin_content = slice(stdin_path_);
  } else if (const auto* inherited = std::get_if<StdinInherited>(&grants.stdin_source)) {
    raw.stdin_source =
        inherited->typing_counts ? bridge::BridgeStdin::Inherited : bridge::BridgeStdin::InheritedUntimed;
  }
  raw.coarse_clock_ns = grants.coarse_clock ? static_cast<std::uint64_t>(grants.coarse_clock->count()) : 0;
  raw.random_is_seeded = grants.random_seed.has_value();
  raw.random_seed = grants.random_seed.value_or(0);
  raw.random_bytes_max = max_random.count;
}

}  // namespace airssys::wasm::grants
