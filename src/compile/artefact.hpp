#pragma once

#include <airssys/wasm/error.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/fd.hpp"

namespace airssys::wasm::compile {

/// A file in memory that can be sealed. Errors: HostExhausted.
[[nodiscard]] Result<base::Fd> memory_file(const char* name);

/// What the operating system refused, by errno.
[[nodiscard]] Error os_failure(std::string_view what);

/// A compiled component in a sealed memory file: nobody can change it any more, so it can be mapped.
struct Artefact {
  base::Fd file;
  std::uint64_t size = 0;
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(file.get()); }
};

[[nodiscard]] Result<Artefact> seal(base::Fd memory_file, std::uint64_t size);
/// The bytes in a sealed memory file. Errors: HostExhausted.
[[nodiscard]] Result<Artefact> seal(std::span<const std::uint8_t> bytes);

}  // namespace airssys::wasm::compile
