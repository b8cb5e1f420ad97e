#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>

#include "support/host.hpp"
#include "support/no_more_descriptors.hpp"
#include "support/redirected.hpp"
#include "support/scratch.hpp"
#include "support/wasi_guest.hpp"

namespace airssys::wasm::test {
namespace {

const std::string kWrite = "(call $write (local.get $s) (i32.const 64) (i32.const 6) (i32.const 16))";
const std::string kStrings = R"((result (list string)) (canon lift (core func $i "run") (memory $mem)))";
const std::string kU64 = R"((result u64) (canon lift (core func $i "run")))";

class WasiTest : public HostTest {
 protected:
  const Scratch scratch;
  const std::filesystem::path& directory = scratch.path();
};

TEST_F(WasiTest, OutputIsCapturedAndCounted) {
  const auto report = run(wasi_guest("(local.set $s (call $stdout)) " + kWrite + kWrite + "(i32.const 1)"), small());
  ASSERT_TRUE(report) << report.error();
  EXPECT_EQ(report.stdout_text, "hello\nhello\n");
  EXPECT_EQ(report.usage().host_calls.at("wasi"), 3U);
}

TEST_F(WasiTest, ArgumentsAndEnvironmentAreWhatWasGranted) {
  auto context = small();
  context.wasi.arguments = {"program", "one", "zwei"};
  const auto report = run(wasi_guest("(call $arguments (i32.const 16)) (i32.const 16)", kStrings), context);
  ASSERT_TRUE(report) << report.error();
  EXPECT_EQ(report.value(), Value(List{{Value("program"), Value("one"), Value("zwei")}}));
  const auto none = run(wasi_guest("(call $variables (i32.const 16)) (i32.load (i32.const 20))"), small());
  EXPECT_EQ(none.value(), Value(std::uint32_t{0})) << "nothing of this process's environment";
}

TEST_F(WasiTest, ASeedRepeatsItself) {
  const auto draw = [&](std::optional<std::uint64_t> seed) {
    auto context = small();
    context.wasi.random_seed = seed;
    return run(wasi_guest("(call $random64)", kU64, "i64"), context).value();
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
  EXPECT_NE(draw({}), draw({}));
}

TEST_F(WasiTest, ACoarseClockShowsWholeSteps) {
  auto context = small();
  context.wasi.coarse_clock = 1s;
  EXPECT_EQ(run(wasi_guest("(call $now)", kU64, "i64"), context).value(), Value(std::uint64_t{1'000'000'000}));
}

TEST_F(WasiTest, MoreRandomBytesThanGrantedAreRefused) {
  auto context = small();
  context.limits.max_random = 100_B;
  EXPECT_TRUE(run(wasi_guest("(call $random-bytes (i64.const 100) (i32.const 16)) (i32.const 1)"), context));
  const auto report = run(wasi_guest("(call $random-bytes (i64.const 101) (i32.const 16)) (i32.const 1)"), context);
  const auto kind = kind_of<ResourceLimitExceeded>(report);
  EXPECT_EQ(kind.resource, "random_bytes");
  EXPECT_EQ(kind.limit, 100U);
  EXPECT_EQ(kind.attempted, 101U);
  EXPECT_EQ(report.error().phase, Phase::Call);
}

TEST_F(WasiTest, ExitIsAStopInALibraryCall) {
  const auto report = run(wasi_guest("(call $exit (i32.const 1)) unreachable"), small());
  ASSERT_THAT(report, Stops("exited"));
  EXPECT_EQ(kind_of<Exited>(report).status, 1);
  EXPECT_EQ(report.error().exit_code(), 1);
}

// Between components crossings are asynchronous: nothing there sees that a call was dropped.
TEST_F(WasiTest, TheCallUnderWayAtAStopIsCountedAndPaid) {
  auto plain = wasi_guest("(call $block (call $sleep (i64.const 31536000000000000))) (i32.const 1)");
  auto with_another = plain;
  with_another.insert(with_another.find("(component") + std::string_view("(component").size(), " (component)");
  auto settings = config();
  settings.wasi_call_price = 1'000_fuel;
  auto dear = WasmEngine::create(settings).value();
  // The second of the two may be the one that is past the limit of calls, which is looked at when it returns.
  for (const auto& [wat, most_calls] : {std::pair{plain, 10U}, {plain, 1U}, {with_another, 10U}}) {
    auto context = with_deadline(100ms);
    context.limits.max_host_calls = most_calls;
    const auto report = dear.run(dear.load_text(wat).value(), "run", {}, context);
    ASSERT_THAT(report, Stops("timeout"));
    EXPECT_EQ(report.usage().host_calls.at("wasi"), 2U);
    EXPECT_EQ(report.usage().fuel_precision, FuelPrecision::Exact);
    EXPECT_GT(report.usage().fuel, 2'000_fuel);
    EXPECT_LT(report.usage().fuel, 2'100_fuel);
  }
}

// Blocked in the host, each ends at its deadline and its neighbour does not notice.
TEST_F(WasiTest, ABlockedGuestEndsAtItsDeadline) {
  const auto year = wasi_guest("(call $block (call $sleep (i64.const 31536000000000000))) (i32.const 1)");
  const auto silent = wasi_guest("(call $read (call $stdin) (i64.const 10) (i32.const 16)) (i32.const 1)");
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const base::Fd read(pipe[0]), write(pipe[1]);
  const Redirected in(STDIN_FILENO, read);
  for (const auto& wat : {year, silent}) {
    const Heartbeat neighbour(engine);
    auto context = with_deadline(100ms);
    context.wasi.stdin_source = StdinInherited{};
    for (const bool blocking : {true, false}) {
      const auto component = load(wat);
      const auto report =
          blocking ? engine.run(component, "run", {}, context) : engine.start(component, "run", {}, context).wait();
      ASSERT_THAT(report, Stops("timeout"));
      EXPECT_LT(kind_of<ExecutionTimeout>(report).elapsed, 600ms);
      EXPECT_GT(report.usage().waiting, 50ms) << "waiting holds no thread";
      EXPECT_LT(report.usage().cpu_time, 50ms);
    }
    EXPECT_LT(neighbour.longest_gap(), 500ms);
  }
}

/// A pipe that holds one write of `writer()` and no more.
struct FullPipe {
  static constexpr std::size_t kWrite = 4096;
  base::Fd read, write;

  FullPipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    read = base::Fd(ends[0]);
    write = base::Fd(ends[1]);
    const int holds = ::fcntl(ends[1], F_SETPIPE_SZ, kWrite);
    EXPECT_GT(holds, 0);
    const std::string fill(static_cast<std::size_t>(holds) - kWrite, 'x');
    EXPECT_EQ(::write(ends[1], fill.data(), fill.size()), static_cast<ssize_t>(fill.size()));
  }
  static std::string writer() {
    return wasi_guest(
        "(local.set $s (call $stdout)) (call $write (local.get $s) (i32.const 64) (i32.const 4096) (i32.const 16)) "
        "(i32.const 1)");
  }
  /// Until nothing has come for a while.
  void drain() const {
    std::array<char, kWrite> some{};
    pollfd wait{read.get(), POLLIN, 0};
    while (::poll(&wait, 1, 200) == 1 && ::read(read.get(), some.data(), some.size()) > 0) {
    }
  }
};

TEST_F(WasiTest, RunsThatInheritAnOutputNobodyReadsAreRefusedOnceTooMuchWaits) {
  const auto component = load(FullPipe::writer());
  auto context = with_deadline(2s);
  context.wasi.stdout_target = OutputGrant::Inherited;
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const int saved = ::dup(STDOUT_FILENO);
  ::dup2(pipe[1], STDOUT_FILENO);
  ::close(pipe[1]);

  constexpr int kMost = 64 * 256 + 100;
  Report last;
  int returned = 0;
  while (returned < kMost && (last = engine.run(component, "run", {}, context))) {
    ++returned;
  }
  std::jthread reader([&] {
    std::vector<char> some(1U << 20U);
    while (::read(pipe[0], some.data(), some.size()) > 0) {
    }
  });
  engine.flush_output();
  const auto after = engine.run(component, "run", {}, context);
  engine.flush_output();
  ::dup2(saved, STDOUT_FILENO);
  ::close(saved);
  reader.join();
  ::close(pipe[0]);

  ASSERT_THAT(last, Stops("host_exhausted"));
  EXPECT_EQ(kind_of<HostExhausted>(last).resource, HostResource::UnreadOutput);
  EXPECT_EQ(last.outcome(), Outcome::Refused);
  EXPECT_GT(returned, 64 * 250);
  EXPECT_TRUE(after) << after.error();
}

TEST_F(WasiTest, TheEndOfAnEngineWaitsForAReaderOfInheritedOutput) {
  std::optional<WasmEngine> ending = WasmEngine::create(config()).value();
  const auto guest = ending->load_text(FullPipe::writer()).value();
  auto context = with_deadline(2s);
  context.wasi.stdout_target = OutputGrant::Inherited;
  const FullPipe pipe;
  std::future_status before{}, after{};
  {
    const Redirected out(STDOUT_FILENO, pipe.write);
    static_cast<void>(ending->run(guest, "run", {}, context));
    static_cast<void>(ending->run(guest, "run", {}, context));
    auto end = std::async(std::launch::async, [&] { ending.reset(); });
    before = end.wait_for(100ms);
    pipe.drain();
    after = end.wait_for(2s);
  }
  EXPECT_EQ(before, std::future_status::timeout);
  EXPECT_EQ(after, std::future_status::ready);
}

TEST_F(WasiTest, AnInstanceThatOutlivesItsEngineWaitsForTheReaderInItsPlace) {
  std::optional<WasmEngine> ending = WasmEngine::create(config()).value();
  auto context = with_deadline(2s);
  context.wasi.stdout_target = OutputGrant::Inherited;
  std::optional<Instance> kept = ending->instantiate(ending->load_text(FullPipe::writer()).value(), context).value();
  const FullPipe pipe;
  std::future_status engine_ends{}, before{}, after{};
  {
    const Redirected out(STDOUT_FILENO, pipe.write);
    static_cast<void>(kept->run("run", {}, {context.limits, context.timeout}));
    static_cast<void>(kept->run("run", {}, {context.limits, context.timeout}));
    auto end = std::async(std::launch::async, [&] { ending.reset(); });
    engine_ends = end.wait_for(2s);
    auto last = std::async(std::launch::async, [&] { kept.reset(); });
    before = last.wait_for(100ms);
    pipe.drain();
    after = last.wait_for(2s);
  }
  EXPECT_EQ(engine_ends, std::future_status::ready);
  EXPECT_EQ(before, std::future_status::timeout);
  EXPECT_EQ(after, std::future_status::ready);
}

// The report of a run that was told says how much is lost; what is found later, the flush says.
TEST_F(WasiTest, AGuestIsToldThatItsOutputIsLostAndItsReportCountsIt) {
  const auto component =
      load(wasi_guest("(local.set $s (call $stdout)) (loop $l " + kWrite +
                      " (br_if $l (i32.eqz (i32.load8_u (i32.const 16))))) (i32.load8_u (i32.const 20))"));
  auto context = with_deadline(3s);
  context.wasi.stdout_target = OutputGrant::Inherited;
  Report report;
  FlushedOutput flushed;
  {
    const Redirected out(STDOUT_FILENO, base::Fd(::open("/dev/full", O_WRONLY | O_CLOEXEC)));
    report = engine.run(component, "run", {}, context);
    flushed = engine.flush_output();
  }
  ASSERT_TRUE(report) << report.error();
  EXPECT_EQ(report.value(), Value(std::uint32_t{0})) << "last-operation-failed";
  EXPECT_GT(report.usage().output_lost.count, 0U);
  EXPECT_LE(report.usage().output_lost, flushed.lost);
  EXPECT_EQ(flushed.os_error, ENOSPC);
}

// The reader is slow, not the guest: it waits in its write, holds no thread, and its deadline comes.
TEST_F(WasiTest, AGuestThatWaitsForASlowReaderStopsAtItsDeadline) {
  const auto component =
      load(wasi_guest("(local.set $s (call $stdout)) (loop $l " + kWrite + " (br $l)) (i32.const 1)"));
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const int saved = ::dup(STDOUT_FILENO);
  ::dup2(pipe[1], STDOUT_FILENO);
  ::close(pipe[1]);
  auto context = with_deadline(700ms);
  context.wasi.stdout_target = OutputGrant::Inherited;
  const Heartbeat neighbour(engine);
  const auto report = engine.start(component, "run", {}, context).wait();
  const auto gap = neighbour.longest_gap();
  std::jthread reader([&] {
    std::vector<char> some(1U << 20U);
    while (::read(pipe[0], some.data(), some.size()) > 0) {
    }
  });
  engine.flush_output();
  ::dup2(saved, STDOUT_FILENO);
  ::close(saved);
  reader.join();
  ::close(pipe[0]);
  EXPECT_THAT(report, Stops("timeout"));
  EXPECT_GT(report.usage().waiting, report.usage().running);
  EXPECT_LT(gap, 250ms);
}

// Calls burn hardly any fuel; their price ends slices, so that CPU time, a cancellation and the neighbours are seen to.
TEST_F(WasiTest, AFloodOfCallsEndsItsSlicesLikeALoop) {
  const auto flood = load(wasi_guest("(loop $l (drop (call $now)) (br $l)) (i32.const 1)"));
  auto context = with_deadline(4s);
  context.limits.max_host_calls = 1'000'000'000;
  context.limits.max_cpu_time = 100ms;
  const auto report = engine.run(flood, "run", {}, context);
  ASSERT_THAT(report, Stops("cpu_time"));
  EXPECT_LT(kind_of<CpuTimeExceeded>(report).used, 500ms);
  // A slice is 100,000 fuel and a call 100 and a few: a thousand calls at most.
  EXPECT_GT(report.usage().slices, report.usage().host_calls.at("wasi") / 1'000);
  context.limits.max_cpu_time = 4s;
  const auto execution = engine.start(flood, "run", {}, context);
  while (execution.usage().slices < 10) {
    std::this_thread::yield();
  }
  execution.cancel();
  EXPECT_THAT(execution.wait(), Stops("cancelled"));
  EXPECT_LT(execution.wait().usage().wall_time, 2s);
}

// After calls a slice is short; what follows without calls is not cut into pieces of one unit.
TEST_F(WasiTest, SlicesAfterCallsAreWholeAgain) {
  const auto report = run(
      wasi_guest("(local.set $n (i32.const 1000)) (loop $c (drop (call $now)) "
                 "(br_if $c (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (local.set $n (i32.const 1000000)) "
                 "(loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (i32.const 1)"),
      with_deadline(4s));
  ASSERT_TRUE(report) << report.error();
  EXPECT_LT(report.usage().slices, report.usage().fuel.units / 100'000 + 10);
}

// The time of a wait is no time that the slice after it has had: that would end at its next call, two slices for each
// wait.
TEST_F(WasiTest, AWaitCostsOneSlice) {
  const auto report =
      run(wasi_guest("(local.set $n (i32.const 20)) (loop $l (call $block (call $sleep (i64.const 2000000)))"
                     "(drop (call $now)) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
                     "(i32.const 1)"),
          small());
  ASSERT_TRUE(report) << report.error();
  EXPECT_LE(report.usage().slices, 30U) << "some more than 21, where a busy machine ends one by its time";
}

TEST_F(WasiTest, AFloodOfOutputEndsAtWhicheverBudgetIsFirst) {
  const auto flood = wasi_guest("(local.set $s (call $stdout)) (loop $l " + kWrite + " (br $l)) (i32.const 1)");
  auto context = with_deadline(2s);
  context.limits.max_output = 10'000_B;
  const auto report = run(flood, context);
  ASSERT_THAT(report, Stops("resource_limit"));
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).resource, "output_bytes");
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).attempted, 10'002U);
  EXPECT_EQ(report.stdout_text.size(), 9'996U);
  context = with_deadline(2s);
  context.limits.max_host_calls = 100;
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(run(flood, context)).resource, "host_calls");
  context = with_deadline(100ms);
  context.wasi.stdout_target = OutputGrant::Discarded;
  const Heartbeat neighbour(engine);
  EXPECT_THAT(run(flood, context), Stops("timeout"));
  EXPECT_LT(neighbour.longest_gap(), 500ms);
  context = small();
  context.wasi.stdout_target = OutputGrant::Discarded;
  EXPECT_THAT(run(flood, context), Stops("fuel_exhausted")) << "calls into WASI cost fuel";
}

// Each report hands its call's output over: what earlier calls wrote does not count.
TEST_F(WasiTest, EachCallOfAKeptInstanceHasAnOutputBudget) {
  auto context = small();
  context.limits.max_output = 10_B;
  context.wasi.stdout_target = OutputGrant::Captured;
  const auto guest = load(wasi_guest("(local.set $s (call $stdout)) " + kWrite + "(i32.const 1)"));
  auto instance = engine.instantiate(guest, context).value();
  for (int call = 0; call < 3; ++call) {
    const auto report = instance.run("run", {}, {context.limits, context.timeout});
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report.stdout_text.size(), 6U);
  }
  context.limits.max_output = 5_B;
  const auto refused = instance.run("run", {}, {context.limits, context.timeout});
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(refused).resource, "output_bytes");
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(refused).limit, 5U);
}

TEST_F(WasiTest, BothStreamsShareOneLimit) {
  auto context = small();
  context.limits.max_output = 10_B;
  const auto report = run(wasi_guest("(local.set $s (call $stdout)) " + kWrite + "(local.set $s (call $stderr)) " +
                                     kWrite + "(i32.const 1)"),
                          context);
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).attempted, 12U);
}

TEST_F(WasiTest, PollablesAreCounted) {
  auto context = small();
  context.limits.max_wasi_resources = 20;
  const auto report = run(wasi_guest("(loop $l (drop (call $sleep (i64.const 1))) (br $l)) (i32.const 1)"), context);
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).resource, "wasi_resources");
}

TEST_F(WasiTest, WantOfDescriptorsIsTheHostsAndNotTheDirectorys) {
  if (!NoMoreDescriptors::kBearable) {
    GTEST_SKIP() << "the undefined-behaviour sanitizer needs descriptors of its own to look at memory";
  }
  const auto component = load(wasi_guest("(i32.const 1)"));
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", false}};
  const NoMoreDescriptors none;
  EXPECT_THAT(engine.run(component, "run", {}, context), Stops("host_exhausted"));
}

TEST_F(WasiTest, StdinCanBeBytes) {
  auto context = small();
  context.wasi.stdin_source = StdinBytes{"abc"};
  const auto read = wasi_guest("(call $read (call $stdin) (i64.const 10) (i32.const 16)) (i32.load (i32.const 24))");
  EXPECT_EQ(run(read, context).value(), Value(std::uint32_t{3}));
}

const std::string kU32 = R"((result u32) (canon lift (core func $i "run")))";
/// Opens the name at 64 in the first preopened directory (that of the result at 16); the answer is at 32.
std::string open_call(std::string_view name, int open_flags, int descriptor_flags) {
  return "(call $open (i32.load (i32.load (i32.const 16))) (i32.const 0) (i32.const 64) (i32.const " +
         std::to_string(name.size()) + ") (i32.const " + std::to_string(open_flags) + ") (i32.const " +
         std::to_string(descriptor_flags) + ") (i32.const 32))";
}

/// Opens `name` for reading (or, with `flags` 1, creating and writing) and answers the result's discriminant and, in
/// the second byte, the error code.
std::string opener(std::string_view name, int open_flags, int descriptor_flags) {
  return wasi_guest("(call $dirs (i32.const 16)) " + open_call(name, open_flags, descriptor_flags) +
                        "(i32.or (i32.load8_u (i32.const 32)) (i32.shl (i32.load8_u (i32.const 36)) (i32.const 8)))",
                    kU32, "i32", name);
}

constexpr std::uint32_t kFailed = 1, kNotPermitted = 31, kReadOnly = 33, kNoEntry = 20;
std::uint32_t code_of(const Report& report) {
  const auto* answer = report && report.value() ? report.value()->get<std::uint32_t>() : nullptr;
  if (answer == nullptr) {
    ADD_FAILURE() << report.error() << report.error().guest_text;
    return 999;
  }
  return (*answer & 0xffU) == kFailed ? *answer >> 8U : 0;
}

TEST_F(WasiTest, DirectoriesAreReadOnlyUnlessGrantedOtherwise) {
  std::ofstream(directory / "file") << "x";
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", false}};
  EXPECT_EQ(code_of(run(opener("file", 0, 1), context)), 0U);
  EXPECT_EQ(code_of(run(opener("missing", 0, 1), context)), kNoEntry);
  const auto refused = code_of(run(opener("new", 1, 2), context));
  EXPECT_TRUE(refused == kNotPermitted || refused == kReadOnly) << refused;
  EXPECT_FALSE(std::filesystem::exists(directory / "new"));
  context.wasi.directories[0].writable = true;
  EXPECT_EQ(code_of(run(opener("new", 1, 2), context)), 0U);
  EXPECT_TRUE(std::filesystem::exists(directory / "new"));
}

/// What is written without having asked for room is kept in the host until a thread gets round to it.
TEST_F(WasiTest, AWriteNeedsAPermit) {
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", true}};
  const auto write = [](std::string_view before, int bytes) {
    return wasi_guest("(call $dirs (i32.const 16)) " + open_call("new", 1, 2) +
                          "(call $file-stream (i32.load (i32.const 36)) (i64.const 0) (i32.const 32))"
                          "(local.set $s (i32.load (i32.const 36)))" +
                          std::string(before) + "(call $write-now (local.get $s) (i32.const 0) (i32.const " +
                          std::to_string(bytes) + ") (i32.const 16)) (i32.load8_u (i32.const 16))",
                      kU32, "i32", "new");
  };
  // 64 KiB is what a stream of a file allows at a time.
  const auto allowed = run(write("(call $permit (local.get $s) (i32.const 48))", 65'536), context);
  ASSERT_TRUE(allowed) << allowed.error() << allowed.error().guest_text;
  EXPECT_EQ(allowed.value(), Value(std::uint32_t{0}));
  const auto refused = run(write("", 65'537), context);
  EXPECT_EQ(kind_of<Trapped>(refused).code, TrapCode::Host);
  EXPECT_THAT(refused.error().guest_text, testing::HasSubstr("without a permit"));
  context.wasi.directories.clear();
  const auto to_stdout = run(wasi_guest("(local.set $s (call $stdout)) (call $permit (local.get $s) (i32.const 16)) "
                                        "(call $write-now (local.get $s) (i32.const 64) (i32.const 6) (i32.const 16)) "
                                        "(i32.load8_u (i32.const 16))"),
                             context);
  ASSERT_TRUE(to_stdout) << to_stdout.error();
  EXPECT_EQ(to_stdout.stdout_text, "hello\n");
}

TEST_F(WasiTest, NothingOutsideTheDirectoryCanBeOpened) {
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", true}};
  std::filesystem::create_symlink("/etc/passwd", directory / "link");
  for (const auto* name : {"../x", "/etc/passwd", "link"}) {
    EXPECT_NE(code_of(run(opener(name, 0, 1), context)), 0U) << name;
  }
}

/// `file` is opened `times` times, with `after` the descriptor that is in local `d`.
std::string opens(int times, std::string_view after) {
  return wasi_guest("(call $dirs (i32.const 16)) (local.set $n (i32.const " + std::to_string(times) + ")) (loop $l " +
                        open_call("file", 0, 1) + "(local.set $d (i32.load (i32.const 36)))" + std::string(after) +
                        "(br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) "
                        "(i32.or (i32.load8_u (i32.const 32)) (i32.shl (i32.load8_u (i32.const 36)) (i32.const 8)))",
                    kU32, "i32", "file");
}

// Each is a descriptor of this process, which one guest must not use up.
TEST_F(WasiTest, OpenFilesAreBounded) {
  std::ofstream(directory / "file") << "x";
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", false}};
  context.limits.max_open_files = 4;
  EXPECT_EQ(code_of(run(opens(4, ""), context)), 0U) << "as many as allowed";
  EXPECT_EQ(code_of(run(opens(20, "(call $close (local.get $d))"), context)), 0U) << "what is dropped is not open";
  const auto report = run(opens(5, ""), context);
  const auto kind = kind_of<ResourceLimitExceeded>(report);
  EXPECT_EQ(kind.resource, "open_files");
  EXPECT_EQ(kind.limit, 4U);
  EXPECT_EQ(kind.attempted, 5U);
  EXPECT_EQ(report.error().phase, Phase::Call);
}

TEST_F(WasiTest, TextThatIsNotUtf8IsRefusedBeforeAnythingRuns) {
  auto context = small();
  context.wasi.arguments = {"\xff"};
  const auto report = run(wasi_guest("(i32.const 1)"), context);
  EXPECT_THAT(report, Stops("bad_call"));
  EXPECT_EQ(report.outcome(), Outcome::Refused);
}

// Opening a FIFO would block a thread until somebody opens the other end.
TEST_F(WasiTest, FifosAreRefused) {
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", true}};
  EXPECT_EQ(code_of(run(opener("fifo", 0, 1), context)), kNotPermitted);
}

TEST_F(WasiTest, DevicesAreRefused) {
  auto context = small();
  context.wasi.directories = {{"/dev", "/data", true}};
  for (const auto* device : {"null", "zero", "random"}) {
    EXPECT_EQ(code_of(run(opener(device, 0, 1), context)), kNotPermitted) << device;
  }
}

/// Whoever opens the file waits until the lease is gone, as in a dead network mount.
class Lease {
 public:
  explicit Lease(const std::filesystem::path& path) : file_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    EXPECT_EQ(::fcntl(file_, F_SETLEASE, F_WRLCK), 0) << std::strerror(errno);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    ::close(file_);
    ::signal(SIGIO, before_);
  }

 private:
  /// Sent to the holder when somebody waits.
  sighandler_t before_ = ::signal(SIGIO, SIG_IGN);
  int file_;
};

TEST_F(WasiTest, ADeadMountKeepsNobodyWaitingButThoseWhoWereGrantedIt) {
  auto settings = config();
  settings.file_threads = 1;
  auto host = WasmEngine::create(settings).value();
  const auto open_file = host.load_text(opener("file", 0, 1)).value();
  const auto granted = [&](const char* name) {
    auto context = with_deadline(200ms);
    context.wasi.directories = {{(directory / name).string(), "/data", false}};
    return context;
  };
  for (const auto* name : {"dead", "fine"}) {
    std::filesystem::create_directory(directory / name);
    std::ofstream(directory / name / "file") << "x";
  }
  const Lease lease(directory / "dead" / "file");
  std::array<std::uint64_t, 2> taken{};
  for (auto& descriptors : taken) {
    EXPECT_THAT(host.run(open_file, "run", {}, granted("dead")), Stops("timeout"));
    EXPECT_EQ(code_of(host.run(open_file, "run", {}, granted("fine"))), 0U);
    descriptors = host.statistics().engine.file_descriptors.used;
  }
  EXPECT_EQ(taken[0], taken[1]) << "an open that was not waited for is given back to the ledger";
}

// The kernel gives its thread back when the file opens; until then the end has waited long enough.
TEST_F(WasiTest, TheEndOfAnEngineWaits200MillisecondsForABlockedFileCall) {
  std::optional<WasmEngine> ending = WasmEngine::create(config()).value();
  std::optional<ComponentHandle> guest = ending->load_text(opener("file", 0, 1)).value();
  std::ofstream(directory / "file") << "x";
  const Lease lease(directory / "file");
  auto context = with_deadline(50ms);
  context.wasi.directories = {{directory.string(), "/data", false}};
  EXPECT_THAT(ending->run(*guest, "run", {}, context), Stops("timeout"));
  guest.reset();
  const auto began = std::chrono::steady_clock::now();
  ending.reset();
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_GE(took, 190ms);
  EXPECT_LT(took, 2s);
}

// docs/embedding.md says how many.
TEST_F(WasiTest, TheFirst64SetsOfDirectoriesHaveThreadsOfTheirOwnAndFurtherOnesShare) {
  auto settings = config();
  settings.file_threads = 1;
  settings.max_concurrent = 4;
  settings.max_instances = 70;
  auto host = WasmEngine::create(settings).value();
  const auto open_file = host.load_text(opener("file", 0, 1)).value();
  ASSERT_FALSE(host.flush_cache()) << "its thread is counted as well";
  const auto threads = [&] { return host.statistics().engine.threads.used; };
  std::vector<Instance> kept;
  std::vector<std::uint64_t> used;
  for (int i = 0; i < 67; ++i) {
    const auto own = directory / std::to_string(i);
    std::filesystem::create_directory(own);
    std::ofstream(own / "file") << "x";
    auto context = with_deadline(1000ms);
    context.wasi.directories = {{own.string(), "/data", false}};
    kept.push_back(host.instantiate(open_file, context).value());
    EXPECT_EQ(code_of(kept.back().run("run", {}, {context.limits, context.timeout})), 0U) << i;
    used.push_back(threads());
  }
  EXPECT_EQ(std::ranges::adjacent_find(used) - used.begin(), 63) << "the 65th shares, and no one before it";
  EXPECT_EQ(used[63], used[66]);
}

/// Lists the first preopened directory `times` times, with `after` the listing that is in local `s`.
std::string lister(int times, std::string_view after) {
  return R"((component
 (import "wasi:filesystem/types@0.2.0" (instance $types
   (export "descriptor" (type $d (sub resource))) (export "directory-entry-stream" (type $s (sub resource)))
   (type $ec' (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist" "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop" "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory" "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device" "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
   (export "error-code" (type $ec (eq $ec')))
   (export "[method]descriptor.read-directory" (func (param "self" (borrow $d)) (result (result (own $s) (error $ec)))))))
 (alias export $types "descriptor" (type $descriptor)) (alias export $types "directory-entry-stream" (type $stream))
 (import "wasi:filesystem/preopens@0.2.0" (instance $preopens (alias outer 1 $descriptor (type $od)) (export "descriptor" (type $d (eq $od)))
   (export "get-directories" (func (result (list (tuple (own $d) string)))))))
 (core module $memory (memory (export "mem") 1) (global $top (mut i32) (i32.const 1024))
   (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.get $top) (global.set $top (i32.add (global.get $top) (i32.const 64)))))
 (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem)) (alias core export $mi "realloc" (core func $realloc))
 (core func $dirs (canon lower (func $preopens "get-directories") (memory $mem) (realloc (func $realloc))))
 (core func $drop (canon resource.drop $stream)) (core func $list (canon lower (func $types "[method]descriptor.read-directory") (memory $mem) (realloc (func $realloc))))
 (core module $m (import "w" "mem" (memory 1)) (import "w" "dirs" (func $dirs (param i32))) (import "w" "list" (func $list (param i32 i32))) (import "w" "drop" (func $drop (param i32)))
   (func (export "run") (result i32) (local $n i32) (local $s i32) (call $dirs (i32.const 16)) (local.set $n (i32.const )" +
         std::to_string(times) + R"())
     (loop $l (call $list (i32.load (i32.load (i32.const 16))) (i32.const 32)) (local.set $s (i32.load (i32.const 36))) )" +
         std::string(after) + R"(
       (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
     (i32.load8_u (i32.const 32))))
 (core instance $i (instantiate $m (with "w" (instance (export "mem" (memory $mem)) (export "dirs" (func $dirs)) (export "list" (func $list)) (export "drop" (func $drop))))))
 (func (export "run") (result u32) (canon lift (core func $i "run")))))";
}

// WASI holds all entries of a listed directory in the host's memory until the listing is dropped.
TEST_F(WasiTest, EntriesOfListedDirectoriesAreBounded) {
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", false}};
  context.limits.max_directory_entries = 4;
  for (const auto* name : {"a", "b", "c", "d"}) {
    std::ofstream(directory / name) << "x";
  }
  const auto listed = run(lister(1, ""), context);
  ASSERT_TRUE(listed) << listed.error();
  EXPECT_EQ(listed.value(), Value(std::uint32_t{0})) << "as many as allowed";
  EXPECT_TRUE(run(lister(20, "(call $drop (local.get $s))"), context)) << "what is dropped is not held";
  const auto kind = kind_of<ResourceLimitExceeded>(run(lister(2, ""), context));
  EXPECT_EQ(kind.resource, "directory_entries");
  EXPECT_EQ(kind.limit, 4U);
  std::ofstream(directory / "e") << "x";
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(run(lister(1, ""), context)).resource, "directory_entries");
}

// A list of pollables may name one of them a million times; each naming is a loan.
TEST_F(WasiTest, TheListThatIsPolledIsBoundedByTheHandles) {
  const auto poll = R"((component
 (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource)))
   (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
 (alias export $poll "pollable" (type $pollable))
 (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (alias outer 1 $pollable (type $op)) (export "pollable" (type $p (eq $op)))
   (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
 (core module $memory (memory (export "mem") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8))
 (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem)) (alias core export $mi "realloc" (core func $realloc))
 (core func $sleep (canon lower (func $clock "subscribe-duration")))
 (core func $poll-all (canon lower (func $poll "poll") (memory $mem) (realloc (func $realloc))))
 (core module $m (import "" "mem" (memory 1)) (import "" "sleep" (func $sleep (param i64) (result i32))) (import "" "poll" (func $poll (param i32 i32 i32)))
   (func (export "run") (param $n i32) (result i32) (local $i i32)
     (i32.store (i32.const 1024) (call $sleep (i64.const 1)))
     (loop $l
       (i32.store (i32.add (i32.const 1024) (i32.shl (local.get $i) (i32.const 2))) (i32.load (i32.const 1024)))
       (local.set $i (i32.add (local.get $i) (i32.const 1)))
       (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
     (call $poll (i32.const 1024) (local.get $n) (i32.const 16))
     (i32.load (i32.const 20))))
 (core instance $i (instantiate $m (with "" (instance (export "mem" (memory $mem)) (export "sleep" (func $sleep)) (export "poll" (func $poll-all))))))
 (func (export "run") (param "n" u32) (result u32) (canon lift (core func $i "run")))))";
  auto context = small();
  context.limits.max_fuel = 100'000_fuel;
  context.limits.max_handles = 100;
  EXPECT_EQ(engine.run(load(poll), "run", {std::uint32_t{50}}, context).value(), Value(std::uint32_t{50}));
  const auto kind = kind_of<ResourceLimitExceeded>(engine.run(load(poll), "run", {std::uint32_t{1'000}}, context));
  EXPECT_EQ(kind.resource, "handles");
  EXPECT_EQ(kind.limit, 100U);
}

TEST_F(WasiTest, AGrantThatCannotBeMadeIsSaid) {
  auto context = small();
  context.wasi.directories = {{(directory / "missing").string(), "/data", false}};
  const auto report = run(opener("x", 0, 1), context);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.outcome(), Outcome::Refused);
}

}  // namespace
}  // namespace airssys::wasm::test
