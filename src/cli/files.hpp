#pragma once

#include <airssys/wasm/error.hpp>
#include <airssys/wasm/limits.hpp>
#include <cstdint>
#include <cstdio>
#include <expected>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

/// The files that a user names.
namespace airssys::wasm::cli {

/// A file of the standard library's with one owner.
struct CloseFile {
  void operator()(std::FILE* file) const noexcept { static_cast<void>(std::fclose(file)); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

/// What to do about a component that cannot be read.
inline constexpr const char* kNameAComponent = "give the path of a component: ls *.wasm *.wat";
/// The component's bytes; `-` is stdin.
[[nodiscard]] Result<std::vector<std::uint8_t>> read_input(const std::string& path, const LoadLimits& limits,
                                                           const std::stop_token& interrupted);
/// All of a text, at most 256 MiB; `-` is stdin. Errors: why it cannot be read.
[[nodiscard]] std::expected<std::string, std::string> read_text(const std::string& path);
/// To write to; made where there is none. A FIFO is waited for until somebody reads it. Errors: why it cannot be
/// opened, also that it was interrupted.
[[nodiscard]] std::expected<File, std::string> open_output(const std::string& path, const std::stop_token& interrupted);
/// Two names of one regular file: writing to the one would lose what the other has.
[[nodiscard]] bool same_file(const std::string& a, const std::string& b);

}  // namespace airssys::wasm::cli
