#include "load/recognise.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/utf8.hpp"

namespace airssys::wasm::load {

namespace {

bool is_component(std::span<const std::uint8_t> bytes) {
  static constexpr std::array<std::uint8_t, 8> kPreamble = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
  return bytes.size() >= kPreamble.size() && std::equal(kPreamble.begin(), kPreamble.end(), bytes.begin());
}

bool is_core_module(std::span<const std::uint8_t> bytes) {
  static constexpr std::array<std::uint8_t, 8> kPreamble = {0, 'a', 's', 'm', 1, 0, 0, 0};
  return bytes.size() >= kPreamble.size() && std::equal(kPreamble.begin(), kPreamble.end(), bytes.begin());
}

/// How what `compile_to_file` wrote begins, as any other object file does.
constexpr std::string_view kElf =
    "\x7f"
    "ELF";

/// What begins with a zero and is no component that can be read.
std::string what_else(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kMagic("\0asm", 4);
  constexpr std::size_t kPreamble = 8, kVersion = 4, kLayer = 6;
  if (bytes.size() < kPreamble || !std::equal(kMagic.begin(), kMagic.end(), bytes.begin())) {
    return "this is not a WebAssembly component";
  }
  const auto version = bytes[kVersion] + bytes[kVersion + 1] * 0x100;
  return bytes[kLayer] == 1 && bytes[kLayer + 1] == 0
             ? fmt::format("this is a component of format version {}; 13 is the one that can be read", version)
             : fmt::format("this is WebAssembly of version {}, not a component", version);
}

}  // namespace

Error load_failed(std::string message, std::string help) {
  return {LoadFailed{}, Phase::Load, std::move(message), std::move(help), {}, {}};
}

Result<void> check_binary(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) {
    return std::unexpected(load_failed("the file is empty", kWhatIsOne));
  }
  if (is_core_module(bytes)) {
    return std::unexpected(load_failed(
        "this is a core WebAssembly module, not a component",
        "make a component of it: wasm-tools component new module.wasm -o component.wasm (for WASI preview 1 "
        "with --adapt wasi_snapshot_preview1.command.wasm, which Wasmtime's releases have)"));
  }
  if (!is_component(bytes)) {
    return std::unexpected(load_failed(what_else(bytes), kWhatIsOne));
  }
  return {};
}

Result<void> check_text(std::string_view text, std::uint64_t looked_at_most) {
  if (text.starts_with(kElf)) {
    return std::unexpected(load_failed("this is native code, not a component",
                                       "only if you compiled it yourself: airssys-wasm run --precompiled FILE"));
  }
  if (text.size() <= looked_at_most && !base::is_utf8(text)) {
    return std::unexpected(load_failed("this is neither a WebAssembly component nor text", kWhatIsOne));
  }
  return {};
}

bool begins_like_wat(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (text[first] == '(' || text[first] == ';');
}

}  // namespace airssys::wasm::load
