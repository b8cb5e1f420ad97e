#include "engine/compile_protocol.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

namespace airssys::wasm::engine::protocol {

namespace {
constexpr std::size_t kWords = 6;
}

std::vector<std::string> command_line(std::string program, const Settings& settings, const LoadLimits& limits) {
  return {std::move(program),
          settings.fuel ? "1" : "0",
          settings.concurrency ? "1" : "0",
          std::to_string(settings.wasm_stack_bytes),
          std::to_string(limits.max_compile_memory.count),
          std::to_string(limits.max_compile_cpu.count())};
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
  Command command;
  command.settings.fuel = numbers[1] != 0;
  command.settings.concurrency = numbers[2] != 0;
  command.settings.wasm_stack_bytes = numbers[3];
  command.address_space = numbers[4];
  command.cpu_seconds = numbers[5];
  return command;
}

std::vector<std::uint8_t> encode(const Failure& failure) {
  constexpr std::size_t kHead = sizeof(std::uint32_t) + sizeof(std::uint64_t);
  const auto cause = static_cast<std::uint32_t>(failure.cause);
  const auto text_size = std::min(failure.message.size(), kRecordMax - kHead);
  std::vector<std::uint8_t> record(kHead + text_size);
  std::memcpy(record.data(), &cause, sizeof cause);
  std::memcpy(record.data() + sizeof cause, &failure.code, sizeof failure.code);
  std::memcpy(record.data() + kHead, failure.message.data(), text_size);
  return record;
}

Failure decode(std::span<const std::uint8_t> record) {
  Failure failure;
  std::uint32_t cause = 0;
  constexpr std::size_t kHead = sizeof cause + sizeof failure.code;
  if (record.size() < kHead) {
    failure.message = "the compiler said nothing";
    return failure;
  }
  std::memcpy(&cause, record.data(), sizeof cause);
  std::memcpy(&failure.code, record.data() + sizeof cause, sizeof failure.code);
  failure.cause = cause <= static_cast<std::uint32_t>(Cause::Other) ? static_cast<Cause>(cause) : Cause::Other;
  const auto text = record.subspan(kHead);
  failure.message.assign(text.begin(), text.end());
  return failure;
}

}  // namespace airssys::wasm::engine::protocol
