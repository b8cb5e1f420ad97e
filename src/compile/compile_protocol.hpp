#pragma once

#include <airssys/wasm/limits.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "wasmtime/door.hpp"

/// What the compiling child and its parent agree on.
namespace airssys::wasm::compile::protocol {

inline constexpr int kInput = 3;
inline constexpr int kOutput = 4;
/// An eventfd that the child's last act adds its status to. Not an exit code: in a program that ignores SIGCHLD, or
/// that reaps whatever child there is, the parent may never see that.
inline constexpr int kStatus = 5;
enum class Status : std::uint8_t {
  /// It died before it could say.
  None,
  /// The outcome is written.
  Done,
  /// A failure record is written.
  Refused,
  /// It could not even begin.
  Unusable,
  /// It ran into its address-space limit, or into that of CPU time.
  OutOfMemory,
  OutOfCpu,
};
inline constexpr std::size_t kRecordMax = 8192;

enum class Task : std::uint8_t { Compile, Translate };

struct Command {
  Task task = Task::Compile;
  wasmtime::Settings settings;
  std::uint64_t address_space = 0;
  std::uint64_t cpu_seconds = 0;
  /// Size of what is written.
  std::uint64_t output_max = 0;
};
[[nodiscard]] Command compiling(const wasmtime::Settings& settings, const LoadLimits& limits);
[[nodiscard]] Command translating(const LoadLimits& limits);

/// The command as the child's arguments: numbers, after the one that tells a helper of another version.
[[nodiscard]] std::vector<std::string> command_line(std::string program, const Command& command);
[[nodiscard]] std::optional<Command> parse(std::span<char*> words);

[[nodiscard]] std::vector<std::uint8_t> encode(const wasmtime::Failure& failure);
[[nodiscard]] wasmtime::Failure decode(std::span<const std::uint8_t> record);

}  // namespace airssys::wasm::compile::protocol
