#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <span>

#include "engine/compile_protocol.hpp"
#include "engine/door.hpp"

/// The child that compiles: limits itself before it looks at the input, then writes the artefact or why there is none.
namespace {

namespace engine = airssys::wasm::engine;
namespace protocol = engine::protocol;

bool limit(int what, rlim_t soft, rlim_t hard) {
  const rlimit value{soft, hard};
  return ::setrlimit(static_cast<__rlimit_resource>(what), &value) == 0;
}

bool write_all(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(protocol::kOutput, bytes.data(), bytes.size());
    if (n <= 0) {
      return false;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const auto command = protocol::parse({argv, static_cast<std::size_t>(argc)});
  if (!command || !limit(RLIMIT_AS, command->address_space, command->address_space) ||
      !limit(RLIMIT_CPU, command->cpu_seconds, command->cpu_seconds + 1) || !limit(RLIMIT_CORE, 0, 0)) {
    return protocol::kUnusable;
  }
  const auto size = ::lseek(protocol::kInput, 0, SEEK_END);
  if (size < 0) {
    return protocol::kUnusable;
  }
  std::span<const std::uint8_t> input;
  if (size > 0) {
    void* mapped = ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_PRIVATE, protocol::kInput, 0);
    if (mapped == MAP_FAILED) {
      return protocol::kUnusable;
    }
    input = {static_cast<const std::uint8_t*>(mapped), static_cast<std::size_t>(size)};
  }
  const auto artefact = engine::compile(command->settings, input);
  if (!artefact) {
    return write_all(protocol::encode(artefact.error())) ? protocol::kRefused : protocol::kUnusable;
  }
  return write_all(artefact->bytes()) ? protocol::kCompiled : protocol::kUnusable;
}
