#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "support/host.hpp"
#include "support/wasi_guest.hpp"

namespace airssys::wasm::test {
namespace {

/// A pipe in the place of this process's stdin; what was there before comes back at the end.
class Input {
 public:
  Input() : saved_(::dup(STDIN_FILENO)) { renew(); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  ~Input() {
    close();
    ::dup2(saved_, STDIN_FILENO);
    ::close(saved_);
  }

  void renew() {
    close();
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe(pipe.data()), 0);
    ::dup2(pipe[0], STDIN_FILENO);
    ::close(pipe[0]);
    write_to_ = pipe[1];
  }
  void write(std::string_view text) const {
    EXPECT_EQ(::write(write_to_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void close() {
    if (write_to_ >= 0) {
      ::close(std::exchange(write_to_, -1));
    }
  }

 private:
  int saved_;
  int write_to_ = -1;
};

class StdinTest : public HostTest {
 protected:
  /// Reads once, up to `most` bytes: their number and then the first of them in the next byte; 0 at the end.
  ComponentHandle reader(int most) {
    return load(wasi_guest("(call $read (call $stdin) (i64.const " + std::to_string(most) +
                           R"() (i32.const 16)) (if (result i32) (i32.load8_u (i32.const 16)) (then (i32.const 0))
      (else (i32.add (i32.load (i32.const 24)) (i32.shl (i32.load8_u (i32.load (i32.const 20))) (i32.const 8))))))"));
  }
  static ExecutionContext context() {
    auto out = with_deadline(2s);
    out.wasi.stdin_source = StdinInherited{};
    return out;
  }
  static Value read(std::uint32_t count, char first) { return count | static_cast<std::uint32_t>(first) << 8U; }
};

TEST_F(StdinTest, ARunTakesWhatItAskedForAndNothingIsKeptForTheNext) {
  Input input;
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

  input.close();
  EXPECT_EQ(engine.run(two, "run", {}, context()).value(), Value(std::uint32_t{0})) << "the end";
  input.renew();
  input.write("b");
  EXPECT_EQ(engine.run(two, "run", {}, context()).value(), read(1, 'b')) << "another input has its own end";
}

TEST_F(StdinTest, ManyRunsShareItAndEachWaitsItsTurn) {
  const Input input;
  const auto one = reader(1);
  // More than the attempts that wasmtime-wasi-io grants to a read that others are faster than.
  constexpr int kRuns = 14;
  std::vector<Execution> runs;
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

TEST_F(StdinTest, OneThatDoesNotBlockIsWaitedForAllTheSame) {
  const Input input;
  ::fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  const auto run = engine.start(reader(4), "run", {}, context());
  std::this_thread::sleep_for(20ms);
  input.write("late");
  EXPECT_EQ(run.wait().value(), read(4, 'l'));
}

TEST_F(StdinTest, AFileIsReadWhereItStands) {
  const Input input;
  std::array<char, 32> name{"/tmp/airssys-test-XXXXXX"};
  const int file = ::mkstemp(name.data());
  ::unlink(name.data());
  EXPECT_EQ(::pwrite(file, "abcdef", 6, 0), 6);
  ::lseek(file, 1, SEEK_SET);
  ::dup2(file, STDIN_FILENO);
  ::close(file);
  const auto three = reader(3);
  EXPECT_EQ(engine.run(three, "run", {}, context()).value(), read(3, 'b'));
  EXPECT_EQ(engine.run(three, "run", {}, context()).value(), read(2, 'e'));
  EXPECT_EQ(engine.run(three, "run", {}, context()).value(), Value(std::uint32_t{0}));
}

}  // namespace
}  // namespace airssys::wasm::test
