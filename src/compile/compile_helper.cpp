#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>

#include "base/fd.hpp"
#include "compile/compile_protocol.hpp"
#include "compile/load_error.hpp"
#include "wasmtime/door.hpp"

/// The child that compiles: limits itself before it looks at the input, then writes the artefact or why there is none.
namespace {

namespace base = airssys::wasm::base;
namespace compile = airssys::wasm::compile;
namespace wasmtime = airssys::wasm::wasmtime;
namespace protocol = compile::protocol;

constexpr std::array<std::uint8_t, 8> kEmptyComponent = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};

/// Sets what the user's own limits leave of it, since those cannot be raised. The soft limit now in force, or nothing.
std::optional<rlim_t> limit(int what, rlim_t soft, rlim_t hard) {
  rlimit value{};
  const auto resource = static_cast<__rlimit_resource>(what);
  if (::getrlimit(resource, &value) != 0) {
    return {};
  }
  value = {std::min(soft, value.rlim_max), std::min(hard, value.rlim_max)};
  return ::setrlimit(resource, &value) == 0 ? std::optional(value.rlim_cur) : std::nullopt;
}

/// The component, mapped; nothing when that fails.
std::optional<std::span<const std::uint8_t>> map_input() {
  const auto size = ::lseek(protocol::kInput, 0, SEEK_END);
  if (size <= 0) {
    return size == 0 ? std::optional<std::span<const std::uint8_t>>(std::in_place) : std::nullopt;
  }
  void* mapped = ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_PRIVATE, protocol::kInput, 0);
  if (mapped == MAP_FAILED) {
    return {};
  }
  return std::span(static_cast<const std::uint8_t*>(mapped), static_cast<std::size_t>(size));
}

/// Written once, before anything grows. No limit until then.
rlim_t address_space_limit = RLIM_INFINITY;

/// Whether so little address space is left that a failure is the limit's doing. Async-signal-safe.
bool at_the_limit() {
  constexpr rlim_t kSlack = 16U << 20U, kPage = 4096, kDecimal = 10;
  std::array<char, 32> text{};
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  const auto n = ::read(file, text.data(), text.size());
  rlim_t pages = 0;
  for (ssize_t i = 0; i < n && text.at(static_cast<std::size_t>(i)) >= '0'; ++i) {
    pages = pages * kDecimal + static_cast<rlim_t>(text.at(static_cast<std::size_t>(i)) - '0');
  }
  return n > 0 && pages * kPage + kSlack >= address_space_limit;
}

/// Async-signal-safe. Of several threads that come here, by signals or not, the first speaks: an eventfd adds up.
[[noreturn]] void end(protocol::Status status) {
  static std::atomic_flag spoken;
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (spoken.test_and_set()) {
    ::pause();
  }
  const auto value = static_cast<std::uint64_t>(status);
  ::_exit(::write(protocol::kStatus, &value, sizeof value) == sizeof value ? EXIT_SUCCESS : EXIT_FAILURE);
}

/// A stack that cannot grow any more faults; whether that was the limit is for the address space to say.
void on_fault(int signal) {
  if (at_the_limit()) {
    end(protocol::Status::OutOfMemory);
  }
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

/// A failed allocation in Rust aborts.
void on_abort(int /*signal*/) { end(protocol::Status::OutOfMemory); }
void on_cpu_limit(int /*signal*/) { end(protocol::Status::OutOfCpu); }

bool watch_faults() {
  constexpr std::size_t kStack = 64U << 10U;
  static std::array<std::byte, kStack> stack;
  const stack_t alternative{stack.data(), 0, stack.size()};
  const auto on = [](int signal, void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = SA_ONSTACK;
    return ::sigaction(signal, &action, nullptr) == 0;
  };
  return ::sigaltstack(&alternative, nullptr) == 0 && on(SIGSEGV, on_fault) && on(SIGBUS, on_fault) &&
         on(SIGABRT, on_abort) && on(SIGXCPU, on_cpu_limit);
}

bool limit_myself(const protocol::Command& command) {
  const auto space = limit(RLIMIT_AS, command.address_space, command.address_space);
  address_space_limit = space.value_or(RLIM_INFINITY);
  return space && watch_faults() && limit(RLIMIT_CPU, command.cpu_seconds, command.cpu_seconds + 1) &&
         limit(RLIMIT_CORE, 0, 0);
}

wasmtime::Try<base::Buffer> work(const protocol::Command& command, std::span<const std::uint8_t> input) {
  const bool text = command.task == protocol::Task::Translate;
  auto made = text ? wasmtime::wat_to_bytes({reinterpret_cast<const char*>(input.data()), input.size()})
                   : wasmtime::compile(command.settings, input);
  if (made && made->size() > command.output_max) {
    wasmtime::Failure too_large{wasmtime::Cause::LoadLimit, made->size(), false, {}, {}};
    too_large.load_limit = text ? wasmtime::LoadLimit::Bytes : wasmtime::LoadLimit::Artefact;
    return std::unexpected(std::move(too_large));
  }
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  // Nobody waits for what it does once its parent is gone; the thread that started it waits for its end.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // When memory runs out, the kernel is to end this and not the program that waits for it.
  if (const base::Fd score(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)); score) {
    static_cast<void>(::write(score.get(), "1000", 4));  // Without it the kernel chooses by size.
  }
  // A file that may not grow is an error of the write.
  std::signal(SIGXFSZ, SIG_IGN);
  const auto command = protocol::parse({argv, static_cast<std::size_t>(argc)});
  const auto input = map_input();
  // The compiler's threads start before the limits: one that cannot start would be a panic, not a refusal.
  if (!command || !input || !wasmtime::compile(command->settings, kEmptyComponent) || !limit_myself(*command)) {
    end(protocol::Status::Unusable);
  }
  const auto made = work(*command, *input);
  if (!made && at_the_limit()) {
    end(protocol::Status::OutOfMemory);
  }
  const bool written = made ? base::write_all(protocol::kOutput, made->bytes())
                            : base::write_all(protocol::kOutput, protocol::encode(made.error()));
  end(!written ? protocol::Status::Unusable : made ? protocol::Status::Done : protocol::Status::Refused);
}
