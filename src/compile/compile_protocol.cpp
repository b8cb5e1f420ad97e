#include "compile/compile_protocol.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

namespace airssys::wasm::compile::protocol {

namespace {
constexpr std::size_t kWords = 9;
/// Another one whenever these words, the numbers of causes or those of load limits change.
constexpr std::uint64_t kGeneration = 5;
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

namespace {

/// How a record of a failure begins; its message follows.
struct Head {
  std::uint32_t cause, load_limit;
  std::uint64_t code;
};
static_assert(sizeof(Head) == 2 * sizeof(std::uint64_t));

/// A number that is none of the enum is the last resort.
template <class Enum>
Enum known(std::uint32_t number, std::uint32_t count, Enum otherwise) {
  return number < count ? static_cast<Enum>(number) : otherwise;
}

}  // namespace

std::vector<std::uint8_t> encode(const wasmtime::Failure& failure) {
  const Head head{static_cast<std::uint32_t>(failure.cause), static_cast<std::uint32_t>(failure.load_limit),
                  failure.code};
  const auto text_size = std::min(failure.message.size(), kRecordMax - sizeof head);
  std::vector<std::uint8_t> record(sizeof head + text_size);
  std::memcpy(record.data(), &head, sizeof head);
  std::memcpy(record.data() + sizeof head, failure.message.data(), text_size);
  return record;
}

wasmtime::Failure decode(std::span<const std::uint8_t> record) {
  using wasmtime::Cause;
  wasmtime::Failure failure;
  Head head{};
  if (record.size() < sizeof head) {
    failure.message = "the compiler said nothing";
    return failure;
  }
  std::memcpy(&head, record.data(), sizeof head);
  failure.cause = known(head.cause, static_cast<std::uint32_t>(Cause::Other), Cause::Other);
  failure.load_limit = known(head.load_limit, bridge::LOAD_LIMITS, wasmtime::LoadLimit::Artefact);
  failure.code = head.code;
  const auto text = record.subspan(sizeof head);
  failure.message.assign(text.begin(), text.end());
  return failure;
}

}  // namespace airssys::wasm::compile::protocol
