#include <fcntl.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <utility>

#include "base/fd.hpp"
#include "support/host.hpp"
#include "support/redirected.hpp"
#include "support/scratch.hpp"
#include "support/wasi_guest.hpp"

namespace airssys::wasm::test {
namespace {

/// Another input in the place of this process's stdin; what was there before comes back at the end.
class Input {
 public:
  void become(const base::Fd& input, base::Fd other_end = {}) {
    stdin_.emplace(STDIN_FILENO, input);
    other_end_ = std::move(other_end);
  }
  void become_pipe() {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe(pipe.data()), 0);
    become(base::Fd(pipe[0]), base::Fd(pipe[1]));
  }
  void become_terminal() {
    std::array<int, 2> terminal{};
    EXPECT_EQ(::openpty(&terminal[1], &terminal[0], nullptr, nullptr, nullptr), 0);
    become(base::Fd(terminal[0]), base::Fd(terminal[1]));
  }
  void write(std::string_view text) const {
    EXPECT_EQ(::write(other_end_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void end() { other_end_ = {}; }

 private:
  std::optional<Redirected> stdin_;
  base::Fd other_end_;
};

class StdinTest : public HostTest {
 protected:
  /// Reads once, up to `most` bytes: their number and then the first of them in the next byte; 0 at the end.
  ComponentHandle reader(int most) {
    return load(wasi_guest("(call $read (call $stdin) (i64.const " + std::to_string(most) + ") (i32.const 16)) " +
                           std::string(kAnswer)));
  }
  static ExecutionContext context() {
    auto out = with_deadline(3s);
    out.wasi.stdin_source = StdinInherited{};
    return out;
  }
  static Value read(std::uint32_t count, char first) { return count | static_cast<std::uint32_t>(first) << 8U; }

  /// What a read left at 16, as a number.
  static constexpr std::string_view kAnswer =
      "(if (result i32) (i32.load8_u (i32.const 16)) (then (i32.const 0)) (else (i32.add (i32.load (i32.const 24)) "
      "(i32.shl (i32.load8_u (i32.load (i32.const 20))) (i32.const 8)))))";

  Input input;
  const Value end{std::uint32_t{0}};
};

TEST_F(StdinTest, ARunTakesWhatItAskedForAndNothingIsKeptForTheNext) {
  input.become_pipe();
  const auto two = reader(2);
  input.write("secret");
  EXPECT_EQ(engine.run(two, "run", {}, context()).value(), read(2, 's'));
  std::array<char, 8> rest{};
  EXPECT_EQ(::read(STDIN_FILENO, rest.data(), rest.size()), 4) << "the host's own";

  auto soon = context();
  soon.timeout = 50ms;
  EXPECT_THAT(engine.run(two, "run", {}, soon), Stops("timeout"));
  input.write("x");
  EXPECT_EQ(::read(STDIN_FILENO, rest.data(), rest.size()), 1) << "a stopped run reads no more";

  input.end();
  EXPECT_EQ(engine.run(two, "run", {}, context()).value(), end);
  input.become_pipe();
  input.write("b");
  EXPECT_EQ(engine.run(two, "run", {}, context()).value(), read(1, 'b')) << "another input has its own end";
}

TEST_F(StdinTest, ManyRunsShareItAndEachWaitsItsTurn) {
  input.become_pipe();
  const auto one = reader(1);
  // More than the attempts that wasmtime-wasi-io grants to a read that others are faster than.
  constexpr int kRuns = 14;
  std::vector<Execution> runs;
  runs.reserve(kRuns);
  for (int i = 0; i < kRuns; ++i) {
    runs.push_back(engine.start(one, "run", {}, context()));
  }
  for (int i = 0; i < kRuns; ++i) {
    std::this_thread::sleep_for(5ms);
    input.write("z");
  }
  for (const auto& run : runs) {
    EXPECT_EQ(run.wait().value(), read(1, 'z'));
  }
}

TEST_F(StdinTest, AllStreamsOfARunReadFromOnePlaceAndCanBeWaitedFor) {
  input.become_pipe();
  // Nothing there: an empty list. Then a wait for one stream, a read from another.
  const auto guest = load(wasi_guest(
      "(call $read-now (call $stdin) (i64.const 8) (i32.const 16)) "
      "(if (i32.or (i32.load8_u (i32.const 16)) (i32.load (i32.const 24))) (then (return (i32.const 77)))) "
      "(call $block (call $input (call $stdin))) (call $read-now (call $stdin) (i64.const 2) (i32.const 16)) "
      "(local.set $n " +
      std::string(kAnswer) +
      ") (call $read (call $stdin) (i64.const 1) (i32.const 16)) (i32.add (i32.shl (local.get $n) (i32.const 16)) " +
      std::string(kAnswer) + ")"));
  const auto run = engine.start(guest, "run", {}, context());
  std::this_thread::sleep_for(20ms);
  input.write("abc");
  EXPECT_EQ(run.wait().value(), Value(std::uint32_t{('a' << 24U) + (2U << 16U) + ('c' << 8U) + 1U}));
}

TEST_F(StdinTest, ANamedPipeEndsWithItsWriterAndTheNextWriterIsHeard) {
  const Scratch scratch;
  const auto path = (scratch.path() / "pipe").string();
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  // Opened for both for a moment: neither open waits.
  base::Fd both(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  input.become(base::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), std::move(both));

  // Ends, with a pause after each, until there is a byte.
  const auto guest = load(
      wasi_guest("(local.set $s (call $stdin)) (loop $again (call $read (local.get $s) (i64.const 4) (i32.const 16)) "
                 "(if (i32.load8_u (i32.const 16)) (then (local.set $n (i32.const 65536)) "
                 "(call $block (call $sleep (i64.const 1000000))) (br $again)))) (i32.add (local.get $n) " +
                 std::string(kAnswer) + ")"));
  const auto run = engine.start(guest, "run", {}, context());
  std::this_thread::sleep_for(20ms);
  input.end();
  std::this_thread::sleep_for(20ms);
  base::Fd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(::write(writer.get(), "next", 4), 4);
  const Report report = run.wait();
  EXPECT_EQ(report.value(), Value(std::uint32_t{65536U + ('n' << 8U) + 4U})) << "an end, then the next writer's";
  EXPECT_LT(report.usage().slices, 200U) << "the silent 100 ms were waited for";
  writer = {};
  EXPECT_EQ(engine.run(reader(4), "run", {}, context()).value(), end) << "opened again after its writer went";
}

TEST_F(StdinTest, OneThatDoesNotBlockIsWaitedForAllTheSame) {
  input.become_pipe();
  ::fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  const auto run = engine.start(reader(4), "run", {}, context());
  std::this_thread::sleep_for(20ms);
  input.write("late");
  EXPECT_EQ(run.wait().value(), read(4, 'l'));
}

TEST_F(StdinTest, ASocketIsReadWithoutBlockingAndWithoutAChangeToIt) {
  std::array<int, 2> sockets{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()), 0);
  input.become(base::Fd(sockets[0]), base::Fd(sockets[1]));
  const auto run = engine.start(reader(3), "run", {}, context());
  std::this_thread::sleep_for(20ms);
  input.write("abcd");
  EXPECT_EQ(run.wait().value(), read(3, 'a'));
  EXPECT_EQ(::fcntl(STDIN_FILENO, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(engine.run(reader(3), "run", {}, context()).value(), read(1, 'd'));
  input.end();
  EXPECT_EQ(engine.run(reader(3), "run", {}, context()).value(), end);
}

TEST_F(StdinTest, ATerminalIsReadByLinesAndItsOwnerByReadsOfFileThreads) {
  int owner = -1;
  int terminal = -1;
  ASSERT_EQ(::openpty(&owner, &terminal, nullptr, nullptr, nullptr), 0);
  const base::Fd kept(::dup(terminal));
  input.become(base::Fd(terminal), base::Fd(owner));
  const auto run = engine.start(reader(9), "run", {}, context());
  input.write("no line");
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(run.state(), ExecutionState::Waiting);
  input.write("\x04");
  EXPECT_EQ(run.wait().value(), read(7, 'n'));

  input.become(base::Fd(::dup(owner)));
  EXPECT_EQ(engine.run(reader(7), "run", {}, context()).value(), read(7, 'n')) << "the echo";
}

TEST_F(StdinTest, AFileIsReadWhereItStands) {
  std::array<char, 32> name{"/tmp/airssys-test-XXXXXX"};
  base::Fd file(::mkstemp(name.data()));
  ::unlink(name.data());
  EXPECT_EQ(::pwrite(file.get(), "abcdef", 6, 0), 6);
  ::lseek(file.get(), 1, SEEK_SET);
  input.become(std::move(file));
  const auto three = reader(3);
  EXPECT_EQ(engine.run(three, "run", {}, context()).value(), read(3, 'b'));
  EXPECT_EQ(engine.run(three, "run", {}, context()).value(), read(2, 'e'));
  EXPECT_EQ(engine.run(three, "run", {}, context()).value(), end);
}

// Each reads in a thread for files; none may wait there for what another took.
TEST_F(StdinTest, RunsThatShareADeviceGetAByteEach) {
  int owner = -1;
  int terminal = -1;
  ASSERT_EQ(::openpty(&owner, &terminal, nullptr, nullptr, nullptr), 0);
  input.become(base::Fd(owner), base::Fd(terminal));
  const auto one = reader(1);
  std::vector<Execution> runs;
  for (int i = 0; i < 3; ++i) {
    runs.push_back(engine.start(one, "run", {}, context()));
  }
  std::vector<Value> got;
  for (const auto* text : {"a", "b", "c"}) {
    input.write(text);
    std::this_thread::sleep_for(10ms);
  }
  for (const auto& run : runs) {
    ASSERT_TRUE(run.wait()) << run.wait().error();
    got.push_back(*run.wait().value());
  }
  EXPECT_THAT(got, ::testing::UnorderedElementsAre(read(1, 'a'), read(1, 'b'), read(1, 'c')));
}

TEST_F(StdinTest, OneThatCanOnlyBeWrittenHasEnded) {
  const Scratch scratch;
  base::Fd file(::open((scratch.path() / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_EQ(::pwrite(file.get(), "secret", 6, 0), 6);
  input.become(std::move(file));
  EXPECT_EQ(engine.run(reader(3), "run", {}, context()).value(), end);
}

TEST_F(StdinTest, OneThatIsClosedHasEnded) {
  ::close(STDIN_FILENO);
  EXPECT_EQ(engine.run(reader(3), "run", {}, context()).value(), end);
}

TEST_F(StdinTest, TypingCountsOrDoesNotAsTheGrantSays) {
  const auto one = reader(1);
  for (const bool counts : {true, false}) {
    input.become_terminal();
    auto soon = context();
    soon.timeout = 100ms;
    soon.wasi.stdin_source = StdinInherited{.typing_counts = counts};
    const auto run = engine.start(one, "run", {}, soon);
    std::this_thread::sleep_for(200ms);
    input.write("x\n");
    const auto& report = run.wait();
    if (counts) {
      EXPECT_THAT(report, Stops("timeout"));
      EXPECT_EQ(report.usage().terminal_wait, 0ns);
    } else {
      EXPECT_EQ(report.value(), read(1, 'x'));
      EXPECT_GE(report.usage().terminal_wait, 150ms);
      EXPECT_LT(report.usage().wall_time, 100ms);
    }
  }
  input.become_pipe();
  auto soon = context();
  soon.timeout = 50ms;
  soon.wasi.stdin_source = StdinInherited{.typing_counts = false};
  EXPECT_THAT(engine.run(one, "run", {}, soon), Stops("timeout")) << "a pipe is no terminal";
}

// Whether a key was pressed may be asked at any time; what is waited for afterwards is not the terminal.
TEST_F(StdinTest, AskingATerminalExcusesNoOtherWait) {
  const auto asks =
      load(wasi_guest("(drop (call $is-ready (call $input (call $stdin)))) (call $block (call $sleep (i64.const "
                      "60000000000))) (i32.const 1)"));
  input.become_terminal();
  auto soon = context();
  soon.timeout = 100ms;
  soon.wasi.stdin_source = StdinInherited{.typing_counts = false};
  const auto run = engine.start(asks, "run", {}, soon);
  const auto* report = run.wait_for(2s);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(*report, Stops("timeout"));
  EXPECT_LT(report->usage().terminal_wait, 50ms);
}

}  // namespace
}  // namespace airssys::wasm::test
