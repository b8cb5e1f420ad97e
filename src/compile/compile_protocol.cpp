#include "compile/compile_protocol.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

namespace airssys::wasm::compile::protocol {

namespace {
constexpr std::size_t kWords = 9;
/// Another one whenever these words or the numbers of causes change.
constexpr std::uint64_t kGeneration = 4;
}  // namespace

Command compiling(const wasmtime::Settings& settings, const LoadLimits& limits) {
  return {Task::Compile, settings, limits.max_compile_memory.count,
          static_cast<std::uint64_t>(limits.max_compile_cpu.count()), limits.max_artefact.count};
}

Command translating(const LoadLimits& limits) {
  return {Task::Translate,
          {},
          limits.max_compile_memory.count,
          static_cast<std::uint64_t>(limits.max_compile_cpu.count()),
          limits.max_bytes.count};
}

std::vector<std::string> command_line(std::string program, const Command& command) {
  return {std::move(program),
          std::to_string(kGeneration),
          std::to_string(static_cast<unsigned>(command.task)),
          command.settings.fuel ? "1" : "0",
          command.settings.concurrency ? "1" : "0",
          std::to_string(command.settings.wasm_stack_bytes),
          std::to_string(command.address_space),
          std::to_string(command.cpu_seconds),
          std::to_string(command.output_max)};
}

std::optional<Command> parse(std::span<char*> words) {
  if (words.size() != kWords) {
    return {};
  }
  std::array<std::uint64_t, kWords> numbers{};
  for (std::size_t i = 1; i < kWords; ++i) {
    const std::string_view word = words[i];
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), numbers.at(i));
    if (error != std::errc{} || end != word.data() + word.size()) {
      return {};
    }
  }
  if (numbers[1] != kGeneration) {
    return {};
  }
  Command command;
  command.task = numbers[2] == 0 ? Task::Compile : Task::Translate;
  command.settings.fuel = numbers[3] != 0;
  command.settings.concurrency = numbers[4] != 0;
  command.settings.wasm_stack_bytes = numbers[5];
  command.address_space = numbers[6];
  command.cpu_seconds = numbers[7];
  command.output_max = numbers[8];
  return command;
}

std::vector<std::uint8_t> encode(const wasmtime::Failure& failure) {
  constexpr std::size_t kHead = sizeof(std::uint32_t) + sizeof(std::uint64_t);
  const auto cause = static_cast<std::uint32_t>(failure.cause);
  const auto text_size = std::min(failure.message.size(), kRecordMax - kHead);
  std::vector<std::uint8_t> record(kHead + text_size);
  std::memcpy(record.data(), &cause, sizeof cause);
  std::memcpy(record.data() + sizeof cause, &failure.code, sizeof failure.code);
  std::memcpy(record.data() + kHead, failure.message.data(), text_size);
  return record;
}

wasmtime::Failure decode(std::span<const std::uint8_t> record) {
  wasmtime::Failure failure;
  std::uint32_t cause = 0;
  constexpr std::size_t kHead = sizeof cause + sizeof failure.code;
  if (record.size() < kHead) {
    failure.message = "the compiler said nothing";
    return failure;
  }
  std::memcpy(&cause, record.data(), sizeof cause);
  std::memcpy(&failure.code, record.data() + sizeof cause, sizeof failure.code);
  failure.cause = cause <= static_cast<std::uint32_t>(wasmtime::Cause::Other) ? static_cast<wasmtime::Cause>(cause)
                                                                              : wasmtime::Cause::Other;
  const auto text = record.subspan(kHead);
  failure.message.assign(text.begin(), text.end());
  return failure;
}

}  // namespace airssys::wasm::compile::protocol
