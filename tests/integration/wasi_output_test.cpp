#include "support/wasi.hpp"

namespace airssys::wasm::test {
namespace {

class WasiOutputTest : public WasiTest {};

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

TEST_F(WasiOutputTest, OutputIsCapturedAndCounted) {
  const auto report = run(wasi_guest("(local.set $s (call $stdout)) " + kWrite + kWrite + "(i32.const 1)"), small());
  ASSERT_TRUE(report) << report.error();
  EXPECT_EQ(report.stdout_text, "hello\nhello\n");
  EXPECT_EQ(report.usage().host_calls.at("wasi"), 3U);
}

TEST_F(WasiOutputTest, RunsThatInheritAnOutputNobodyReadsAreRefusedOnceTooMuchWaits) {
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
  EXPECT_TRUE(engine.flush_output().complete);
  const auto after = engine.run(component, "run", {}, context);
  EXPECT_TRUE(engine.flush_output().complete);
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

TEST_F(WasiOutputTest, TheEndOfAnEngineWaitsForAReaderOfInheritedOutput) {
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

TEST_F(WasiOutputTest, AnInstanceThatOutlivesItsEngineWaitsForTheReaderInItsPlace) {
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
TEST_F(WasiOutputTest, AGuestIsToldThatItsOutputIsLostAndItsReportCountsIt) {
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
TEST_F(WasiOutputTest, AGuestThatWaitsForASlowReaderStopsAtItsDeadline) {
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
  EXPECT_TRUE(engine.flush_output().complete);
  ::dup2(saved, STDOUT_FILENO);
  ::close(saved);
  reader.join();
  ::close(pipe[0]);
  EXPECT_THAT(report, Stops("timeout"));
  EXPECT_GT(report.usage().waiting, report.usage().running);
  EXPECT_LT(gap, 250ms);
}

TEST_F(WasiOutputTest, AFloodOfOutputEndsAtWhicheverBudgetIsFirst) {
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
TEST_F(WasiOutputTest, EachCallOfAKeptInstanceHasAnOutputBudget) {
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

TEST_F(WasiOutputTest, BothStreamsShareOneLimit) {
  auto context = small();
  context.limits.max_output = 10_B;
  const auto report = run(wasi_guest("(local.set $s (call $stdout)) " + kWrite + "(local.set $s (call $stderr)) " +
                                     kWrite + "(i32.const 1)"),
                          context);
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).attempted, 12U);
}

}  // namespace
}  // namespace airssys::wasm::test
