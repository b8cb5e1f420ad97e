#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>

#include "support/host.hpp"

/// What an engine does to the process it is in: its signals, its children, its inherited output. Each of these tests is
/// the first in its process (ctest runs them so), where no engine has been made.
namespace airssys::wasm::test {
namespace {

/// What guests' faults raise. A guest divides by zero in a way that faults on x86-64 only.
#ifdef __x86_64__
constexpr std::array kFaults = {SIGSEGV, SIGILL, SIGFPE};
#else
constexpr std::array kFaults = {SIGSEGV, SIGILL};
#endif

const std::string kTraps = component(R"((memory 1)
  (func (export "memory") (result i32) (i32.load (i32.const 0x7fffffff)))
  (func (export "division") (result i32) (i32.div_s (i32.const 1) (i32.const 0)))
  (func (export "unreachable") (result i32) unreachable))",
                                     R"((func (export "memory") (result s32) (canon lift (core func $i "memory")))
  (func (export "division") (result s32) (canon lift (core func $i "division")))
  (func (export "unreachable") (result s32) (canon lift (core func $i "unreachable"))))");
const std::string kQuick = component(R"((func (export "run") (result i32) i32.const 42))", kRun);

void every_fault_of_a_guest_is_a_trap(WasmEngine& engine) {
  const auto guest = engine.load_text(kTraps, {.name = "traps"}).value();
  for (const auto* function : {"memory", "division", "unreachable"}) {
    EXPECT_THAT(engine.run(guest, function, {}, small()), Stops("trap"));
    EXPECT_THAT(engine.start(guest, function, {}, small()).wait(), Stops("trap"));
  }
}

/// Makes the processor raise it. On purpose, which a sanitizer cannot know.
__attribute__((no_sanitize("undefined"))) void cause(int signal) {
  switch (signal) {
    case SIGSEGV: static_cast<void>(*static_cast<volatile int*>(nullptr)); break;
    case SIGILL:
#ifdef __x86_64__
      asm("ud2");
#else
      asm(".inst 0");
#endif
      break;
    default: {
      volatile int seven = 7;
      volatile int zero = 0;
      seven = seven / zero;
    }
  }
}

volatile sig_atomic_t handled = 0;
sigjmp_buf back;

void note_and_go_back(int signal, siginfo_t*, void*) {
  handled = signal;
  siglongjmp(back, 1);
}

/// The signal that `note_and_go_back` was called with while this caused a fault; 0 for none.
int handled_during(void (*fault)(int), int signal) {
  handled = 0;
  if (sigsetjmp(back, 1) == 0) {
    fault(signal);
  }
  return handled;
}

/// What is handled now of every signal that can be, but for `without`.
std::vector<std::pair<int, void*>> handlers(std::span<const int> without = {}) {
  std::vector<std::pair<int, void*>> out;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    struct sigaction now{};
    if (std::ranges::find(without, signal) == without.end() && ::sigaction(signal, nullptr, &now) == 0) {
      out.emplace_back(signal, reinterpret_cast<void*>(now.sa_handler));
    }
  }
  return out;
}

// A crash reporter, say.
TEST(ProcessTest, FaultsThatAreNoGuestsGoToTheHandlerThatWasThereBefore) {
  struct sigaction mine{};
  mine.sa_sigaction = note_and_go_back;
  mine.sa_flags = SA_SIGINFO;
  for (const int fault : kFaults) {
    ASSERT_EQ(::sigaction(fault, &mine, nullptr), 0);
  }
  auto engine = WasmEngine::create(config()).value();
  every_fault_of_a_guest_is_a_trap(engine);
  EXPECT_EQ(handled, 0) << "a guest's fault does not reach the host's handler";
  for (const int fault : kFaults) {
    EXPECT_EQ(handled_during(cause, fault), fault);
    EXPECT_EQ(handled_during([](int signal) { ::raise(signal); }, fault), fault) << "also where somebody has sent it";
  }
  every_fault_of_a_guest_is_a_trap(engine);
}

/// A core dump would take long: this process has terabytes mapped.
void leave_no_core() { ::prctl(PR_SET_DUMPABLE, 0); }

/// In the process of a death test: an engine has run guests that fault, and then this happens.
void after_guests_that_fault(const std::function<void()>& what) {
  leave_no_core();
  auto engine = WasmEngine::create(config()).value();
  every_fault_of_a_guest_is_a_trap(engine);
  what();
}

// Wasmtime gives the signal back to the system, which sees the next one.
TEST(ProcessDeathTest, ASignalOfAFaultThatSomebodySendsIsLostAndTakesTheHandlerWithIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const int fault : kFaults) {
    const auto sent_twice = [&] {
      ::raise(fault);
      std::fputs("lost", stderr);
      ::raise(fault);
    };
    EXPECT_EXIT(after_guests_that_fault(sent_twice), ::testing::KilledBySignal(fault), "lost");
  }
}

TEST(ProcessDeathTest, AFaultThatIsNoGuestsEndsTheProcessAsItDidBefore) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const int fault : kFaults) {
    EXPECT_EXIT(after_guests_that_fault([&] { cause(fault); }), ::testing::KilledBySignal(fault), "");
  }
}

std::vector<int> blocked_here() {
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  std::vector<int> out;
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    if (::sigismember(&mask, signal) == 1) {
      out.push_back(signal);
    }
  }
  return out;
}

TEST(ProcessTest, TheFirstLoadTakesTheSignalsOfFaultsAndNothingTakesOrBlocksAnother) {
  const auto before = handlers();
  ASSERT_GT(before.size(), 40U);
  const auto others = handlers(kFaults);
  const auto blocked = blocked_here();
  {
    auto settings = config();
    settings.cache = false;  // so that a child compiles
    auto engine = WasmEngine::create(settings).value();
    EXPECT_EQ(handlers(), before) << "an engine takes none before it loads";
    std::vector<int> blocked_inside = {-1};
    engine.host("").function("inside", [&](HostCall&) { blocked_inside = blocked_here(); });
    const auto guest = engine.load_text(calling("inside")).value();
    for (const int fault : kFaults) {
      EXPECT_TRUE(std::ranges::find(before, handlers()[static_cast<std::size_t>(fault) - 1]) == before.end());
    }
    EXPECT_TRUE(engine.run(guest, "run", {}, small()));
    EXPECT_EQ(blocked_inside, blocked);
    EXPECT_TRUE(engine.start(guest, "run", {}, small()).wait());
    EXPECT_EQ(blocked_here(), blocked);
    EXPECT_EQ(handlers(kFaults), others);
  }
  EXPECT_EQ(blocked_here(), blocked);
  EXPECT_EQ(handlers(kFaults), others) << "nor by the end of an engine";
}

std::size_t threads_here() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
}

TEST(ProcessTest, TheLastHandleOfAnEngineTakesItsThreadsWithIt) {
  const auto before = threads_here();
  std::optional<WasmEngine> engine = WasmEngine::create(config()).value();
  std::optional<ComponentHandle> guest = engine->load_text(kQuick, {.name = "quick"}).value();
  EXPECT_TRUE(engine->start(*guest, "run", {}, small()).wait());
  EXPECT_GT(threads_here(), before + 2);
  engine.reset();
  EXPECT_GT(threads_here(), before) << "those for files and timers stay with what was loaded";
  guest.reset();
  // A joined thread may still be listed for a moment.
  for (int i = 0; i < 200 && threads_here() > before; ++i) {
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_EQ(threads_here(), before);
}

/// What a forked child says with its exit code.
int in_a_child(const std::function<int()>& body) {
  const auto child = ::fork();
  if (child == 0) {
    try {
      ::_exit(body());
    } catch (...) {
      ::_exit(255);
    }
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(ProcessTest, AChildThatWasForkedBeforeTheFirstEngineMakesItsOwn) {
  const auto runs = [] {
    auto engine = WasmEngine::create(config());
    if (!engine) {
      return 1;
    }
    const auto guest = engine->load_text(kQuick, {.name = "quick"});
    return guest && engine->run(*guest, "run", {}, small()) && engine->start(*guest, "run", {}, small()).wait() ? 7 : 2;
  };
  EXPECT_EQ(in_a_child(runs), 7);
  EXPECT_EQ(runs(), 7) << "and so does its parent";
}

// Called by a worker, and at once where the run is over.
TEST(ProcessDeathTest, ACallbackThatThrowsEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto throws = [](bool over) {
    leave_no_core();
    auto engine = WasmEngine::create(config()).value();
    const auto guest =
        engine.load_text(component(R"((func (export "run") (result i32) (loop $l (br $l)) i32.const 1))", kRun));
    const auto run = engine.start(guest.value(), "run", {}, with_deadline(200ms));
    if (over) {
      static_cast<void>(run.wait());
    }
    run.on_done([](const Report&) { throw std::runtime_error("out of a callback"); });
    std::this_thread::sleep_for(2s);
  };
  EXPECT_EXIT(throws(false), ::testing::KilledBySignal(SIGABRT), "out of a callback");
  EXPECT_EXIT(throws(true), ::testing::KilledBySignal(SIGABRT), "out of a callback");
}

}  // namespace
}  // namespace airssys::wasm::test
