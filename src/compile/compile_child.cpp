#include "compile/compile_child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

#include "compile/load_error.hpp"
#include "ledger/exhausted.hpp"

namespace airssys::wasm::compile {

namespace {

namespace fs = std::filesystem;

#if !defined(AIRSSYS_WASM_LIBEXEC) || !defined(AIRSSYS_WASM_LIBEXEC_FROM_BIN)
#error "the build names the libexec directory"
#endif
constexpr const char* kHelperName = "airssys-wasm-compile";

}  // namespace

/// Defined in programs that have found this library by find_package: cmake/compile_helper.cpp.in.
extern "C" {
[[gnu::weak]] extern const char airssys_wasm_compile_helper[];
}

namespace {

Result<fs::path> find_helper(const fs::path& given) {
  std::vector<fs::path> places;
  if (!given.empty()) {
    places.push_back(given);
  } else {
    std::error_code ignored;  // Without /proc there is simply one place less to look at, and the error names the rest.
    const auto bin = fs::read_symlink("/proc/self/exe", ignored).parent_path();
    places.push_back(bin / kHelperName);
    places.push_back((bin / AIRSSYS_WASM_LIBEXEC_FROM_BIN / kHelperName).lexically_normal());
    if (const char* const found = airssys_wasm_compile_helper; found != nullptr) {
      places.emplace_back(found);
    }
    places.emplace_back(fs::path(AIRSSYS_WASM_LIBEXEC) / kHelperName);
  }
  std::string looked;
  for (const auto& place : places) {
    if (::access(place.c_str(), X_OK) == 0) {
      return place;
    }
    looked += (looked.empty() ? "" : ", ") + place.string();
  }
  auto error =
      host_exhausted(HostResource::CompileHelper, ENOENT, fmt::format("the compile helper is not at {}", looked));
  error.help = "name it in RuntimeConfig::compile.helper, or install airssys-wasm-compile beside the program";
  return std::unexpected(std::move(error));
}

/// The three descriptors of the protocol, as this process has them.
struct Descriptors {
  int input, output, status;
};

/// Something is there, but it does not do the helper's work.
Error cannot_work(const fs::path& helper, std::string_view why, int os_error = 0) {
  return host_exhausted(
      HostResource::CompileHelper, os_error,
      fmt::format("the compile helper {} cannot work ({}): is it of this version?", helper.string(), why));
}

/// posix_spawn with exactly these descriptors and an empty environment: what the compiler does depends on nothing else.
Result<pid_t> spawn(const fs::path& helper, const std::vector<std::string>& words, const Descriptors& given) {
  // None may sit on another's final number: dup2 would then lose one of them.
  constexpr int kFree = protocol::kStatus + 1;
  const base::Fd input(::fcntl(given.input, F_DUPFD_CLOEXEC, kFree));
  const base::Fd output(::fcntl(given.output, F_DUPFD_CLOEXEC, kFree));
  const base::Fd status(::fcntl(given.status, F_DUPFD_CLOEXEC, kFree));
  if (!input || !output || !status) {
    return std::unexpected(os_failure("no descriptor"));
  }
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const auto& word : words) {
    argv.push_back(const_cast<char*>(word.c_str()));  // posix_spawn takes char* for history's sake and changes nothing.
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input.get(), protocol::kInput);
  ::posix_spawn_file_actions_adddup2(&actions, output.get(), protocol::kOutput);
  ::posix_spawn_file_actions_adddup2(&actions, status.get(), protocol::kStatus);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kFree);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  // What this program blocks, the child does not.
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  // A group of its own: Ctrl-C at a terminal reaches us, and we end the child.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  std::array<char*, 1> environment = {nullptr};
  pid_t child = -1;
  const int failed = ::posix_spawn(&child, helper.c_str(), &actions, &attributes, argv.data(), environment.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed == EAGAIN || failed == ENOMEM) {
    errno = failed;
    return std::unexpected(os_failure("no process"));
  }
  if (failed != 0) {
    return std::unexpected(cannot_work(helper, std::strerror(failed), failed));
  }
  return child;
}

enum class Ending : std::uint8_t { Exited, Late, Stopped, Unwatched };

Ending watch(int process, int alarm, base::Clock::time_point deadline, const std::stop_token& stop) {
  constexpr std::int64_t kLongestPollMs = 1'000'000;
  for (;;) {
    std::array<pollfd, 2> watched = {pollfd{process, POLLIN, 0}, pollfd{alarm, POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - base::Clock::now()).count();
    const int n =
        ::poll(watched.data(), watched.size(), static_cast<int>(std::clamp<std::int64_t>(left, 0, kLongestPollMs)));
    if (n < 0 && errno != EINTR) {
      return Ending::Unwatched;
    }
    if (n > 0 && (watched[0].revents & POLLIN) != 0) {
      return Ending::Exited;
    }
    if (stop.stop_requested()) {
      return Ending::Stopped;
    }
    if (base::Clock::now() >= deadline) {
      return Ending::Late;
    }
  }
}

/// How the child ended, as far as that can be known; `si_code` is 0 when somebody else has reaped it.
using Ended = std::pair<Ending, siginfo_t>;

/// Waits for the child, the deadline or a stop request, and reaps the child whichever comes first.
Result<Ended> await(pid_t child, base::Clock::time_point deadline, const std::stop_token& stop) {
  const base::Fd alarm(::eventfd(0, EFD_CLOEXEC));
  const base::Fd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  Ending ending = Ending::Exited;
  if (!process && errno == ESRCH) {
    // It is over, and where SIGCHLD is ignored there is nothing left of it.
  } else if (process && alarm) {
    const base::StopCallback ring(stop, [&] {
      const std::uint64_t one = 1;
      static_cast<void>(::write(alarm.get(), &one, sizeof one));
    });
    ending = watch(process.get(), alarm.get(), deadline, stop);
  } else {
    ending = Ending::Unwatched;
  }
  const int why_unwatched = errno;
  if (ending == Ending::Unwatched) {
    ::kill(child, SIGKILL);
  } else if (ending != Ending::Exited) {
    ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  }
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED) != 0) {
    if (errno == ECHILD) {
      info.si_code = 0;
      break;
    }
    if (errno != EINTR) {
      return std::unexpected(os_failure("the child cannot be waited for"));
    }
  }
  if (ending == Ending::Unwatched) {
    errno = why_unwatched;
    return std::unexpected(os_failure("the child cannot be watched"));
  }
  return std::pair{ending, info};
}

protocol::Status status_from(int eventfd) {
  std::uint64_t status = 0;
  return ::read(eventfd, &status, sizeof status) == sizeof status ? static_cast<protocol::Status>(status)
                                                                  : protocol::Status::None;
}

/// A child that died before it could say why.
Error died(const siginfo_t& info, const fs::path& helper) {
  if (info.si_code == CLD_EXITED) {
    return cannot_work(helper, fmt::format("exit code {}", info.si_status));
  }
  if (info.si_code != 0 && info.si_code != CLD_EXITED && info.si_status != SIGKILL) {
    return compiler_gave_up(fmt::format("signal {}", info.si_status));
  }
  if (info.si_code == 0) {
    return host_exhausted(HostResource::CompileHelper, 0,
                          "the compiler ended without a word, and this program has reaped it");
  }
  auto error = host_exhausted(HostResource::CompileHelper, 0, "the compiler was killed from outside");
  error.help = "see whether the kernel ran out of memory: dmesg";
  return error;
}

Error refused(int output, std::uint64_t size, const LoadLimits& limits) {
  std::vector<std::uint8_t> record(std::min<std::uint64_t>(size, protocol::kRecordMax));
  const auto n = ::pread(output, record.data(), record.size(), 0);
  record.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return compile_error(protocol::decode(record), limits);
}

}  // namespace

Result<CompileQueue::Place> ChildCompiler::wait_for_place(bool small, const Patience& patience) {
  const auto began = base::Clock::now();
  auto place = queue_.take({patience.principal, small}, patience.stop);
  if (place) {
    return std::move(*place);
  }
  const auto& limits = queue_.limits();
  switch (place.error()) {
    case CompileQueue::Refused::Full: return std::unexpected(compile_queue_full(limits.waiting_max));
    case CompileQueue::Refused::Late:
      return std::unexpected(compile_queue_timeout(limits.timeout, base::Clock::now() - began));
    case CompileQueue::Refused::Stopped: break;
  }
  return std::unexpected(load_cancelled());
}

/// Waiting is no part of the load's own time.
Result<ChildCompiler::Admission> ChildCompiler::admit(bool small, Patience& patience) {
  const auto began = base::Clock::now();
  auto place = wait_for_place(small, patience);
  if (!place) {
    return std::unexpected(std::move(place.error()));
  }
  auto paid = pay_for_a_child(patience);
  if (!paid) {
    return std::unexpected(std::move(paid.error()));
  }
  patience.has_queued(base::Clock::now() - began);
  return Admission{std::move(*place), Counted(paid_), std::move(*paid)};
}

/// Waits for what a child takes of the process: others give it back.
Result<ledger::Reservation> ChildCompiler::pay_for_a_child(const Patience& patience) const {
  // Input, output, status, a copy of each for the child, a pidfd, an alarm.
  constexpr std::uint64_t kDescriptors = 8;
  constexpr std::chrono::milliseconds kLookAgain{10};
  // For runs that may end; another child is waited for as long as it may take to get a place.
  constexpr std::chrono::seconds kForRuns{1};
  const auto began = base::Clock::now();
  ledger::Amounts cost;
  cost[ledger::Kind::FileDescriptors] = kDescriptors;
  // The compiler has a thread for each processor. They are of another process, and the same pids limit.
  cost[ledger::Kind::Threads] = 1 + std::max(1U, std::thread::hardware_concurrency());
  auto look = ledger::Look::First;
  for (;;) {
    // Before the look at the ledger: the last one may end in between.
    const bool others = paid_.load() > 0;
    const auto shortage = account_->take(cost, std::exchange(look, ledger::Look::Again));
    if (!shortage) {
      return ledger::Reservation(account_, cost);
    }
    if (patience.stop.stop_requested()) {
      return std::unexpected(load_cancelled());
    }
    const auto now = base::Clock::now();
    if (shortage->for_ever() || now - began >= queue_.limits().timeout || (!others && now - began >= kForRuns)) {
      return std::unexpected(ledger::exhausted(*shortage, Phase::Load));
    }
    base::sleep_for(kLookAgain);
  }
}

Result<ChildCompiler::Output> ChildCompiler::work(std::span<const std::uint8_t> given, const protocol::Command& command,
                                                  const LoadLimits& limits, const Patience& patience) {
  auto helper = find_helper(helper_);
  if (!helper) {
    return std::unexpected(std::move(helper.error()));
  }
  auto input = memory_file("component");
  auto output = memory_file("artefact");
  if (!input || !output) {
    return std::unexpected(std::move((!input ? input : output).error()));
  }
  if (!base::write_all(input->get(), given)) {
    return std::unexpected(os_failure("no memory"));
  }
  const base::Fd status(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!status) {
    return std::unexpected(os_failure("no descriptor"));
  }
  const auto child =
      spawn(*helper, protocol::command_line(kHelperName, command), {input->get(), output->get(), status.get()});
  if (!child) {
    return std::unexpected(child.error());
  }
  const auto ended = await(*child, patience.deadline, patience.stop);
  if (!ended) {
    return std::unexpected(ended.error());
  }
  const auto& [ending, info] = *ended;
  if (ending == Ending::Stopped) {
    return std::unexpected(load_cancelled());
  }
  if (ending == Ending::Late) {
    return std::unexpected(load_late(limits));
  }
  const auto size = static_cast<std::uint64_t>(std::max<off_t>(::lseek(output->get(), 0, SEEK_END), 0));
  switch (status_from(status.get())) {
    case protocol::Status::Done: return Output{std::move(*output), size};
    case protocol::Status::Refused: return std::unexpected(refused(output->get(), size, limits));
    case protocol::Status::Unusable: return std::unexpected(cannot_work(*helper, "it says so"));
    case protocol::Status::OutOfMemory: return std::unexpected(passed(wasmtime::LoadLimit::CompileMemory, limits));
    case protocol::Status::OutOfCpu: return std::unexpected(passed(wasmtime::LoadLimit::CompileCpu, limits));
    case protocol::Status::None: break;
  }
  return std::unexpected(died(info, *helper));
}

Result<Artefact> ChildCompiler::compile(std::span<const std::uint8_t> bytes, const wasmtime::Settings& settings,
                                        const LoadLimits& limits, Patience& patience, const Shared& shared) {
  constexpr std::chrono::milliseconds kNoWait{1};
  const auto before = patience.queued;
  const auto admission = admit(bytes.size() <= kSmallToCompile, patience);
  if (!admission) {
    return std::unexpected(admission.error());
  }
  if (patience.queued - before > kNoWait) {
    if (auto made = shared.find()) {
      return std::move(*made);
    }
  }
  auto done = work(bytes, protocol::compiling(settings, limits), limits, patience);
  if (!done) {
    return std::unexpected(std::move(done.error()));
  }
  auto made = seal(std::move(done->file), done->size);
  if (made) {
    shared.take(*made);
  }
  return made;
}

Result<base::Buffer> ChildCompiler::translate(std::string_view text, const LoadLimits& limits, Patience& patience) {
  const std::span input(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  const auto admission = admit(text.size() <= kSmallToCompile, patience);
  if (!admission) {
    return std::unexpected(admission.error());
  }
  const auto done = work(input, protocol::translating(limits), limits, patience);
  if (!done) {
    return std::unexpected(done.error());
  }
  auto* data = new std::uint8_t[done->size];
  base::Buffer bytes(data, done->size, done->size,
                     [](std::uint8_t* owned, std::size_t, std::size_t) noexcept { delete[] owned; });
  if (!base::read_all(done->file.get(), {data, done->size})) {
    return std::unexpected(os_failure("no answer"));
  }
  return bytes;
}

}  // namespace airssys::wasm::compile
