#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/command.hpp"
#include "support/slow_text.hpp"
#include "support/wasi_guest.hpp"

namespace airssys::wasm::test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class CommandProcessTest : public CommandTest {};

/// Creates `new` in the first directory and writes three bytes there a megabyte away; answers 1 when that failed.
const std::string kFarWrite =
    "(component " + std::string(kWasi) + "(core module $m " + std::string(kWasiCore) +
    R"((data (i32.const 64) "new") (func (export "run") (result i32) (call $dirs (i32.const 16))
    (call $open (i32.load (i32.load (i32.const 16))) (i32.const 0) (i32.const 64) (i32.const 3) (i32.const 1) (i32.const 2) (i32.const 32))
    (call $write-file (i32.load (i32.const 36)) (i32.const 64) (i32.const 3) (i64.const 1000000) (i32.const 32))
    (i32.load8_u (i32.const 32))))
  (core instance $i (instantiate $m (with "w" (instance $wasi))))
  (func (export "run") (result u32) (canon lift (core func $i "run")))))";

TEST_F(CommandProcessTest, CtrlCCancelsAndStillReports) {
  write("spin.wat", kLoop);
  const auto ended =
      run({"run", "spin.wat", "--invoke", "spin()", "--fuel", "1000000G", "--timeout", "20s", "--report", "r.json"}, "",
          once_it_spins(SIGINT));
  EXPECT_EQ(ended.status, 130) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("spin stopped: cancelled"));
  EXPECT_EQ(Json::parse(std::ifstream(directory / "r.json"))["stop"]["reason"], "cancelled");
}

TEST_F(CommandProcessTest, WaitingForAFifoEndsWithCtrlC) {
  write("hello.wat", kHello);
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  const auto ended = run({"run", "hello.wat", "--invoke", "hello()", "--report", "fifo"}, "", after(300ms, SIGINT));
  EXPECT_EQ(ended.status, 130);
  EXPECT_THAT(ended.err, HasSubstr("interrupted while waiting for its other end"));
  EXPECT_THAT(ended.err, Not(HasSubstr("could not be written"))) << "it is said once";
}

TEST_F(CommandProcessTest, AComponentThatTricklesInMeetsTheLoadTimeout) {
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  const auto ended = type(
      "airssys-wasm run - --load-timeout 300ms <fifo & p=$!; (while printf '('; do sleep 0.02; done) >fifo; wait $p");
  EXPECT_EQ(ended.status, 102);
  EXPECT_THAT(ended.err, HasSubstr("load_timeout"));
}

TEST_F(CommandProcessTest, AFifoIsWrittenOnceItsOtherEndIsThere) {
  write("hello.wat", kHello);
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  const auto ended = type("airssys-wasm run hello.wat --invoke 'hello()' --report fifo & sleep 0.1; cat fifo; wait");
  EXPECT_THAT(ended.out, ContainsRegex("\"outcome\":\"returned\"")) << ended.err;
}

TEST_F(CommandProcessTest, AReaderThatLeavesHearsNothing) {
  write("hello.wat", kHello);
  const auto line = "(sleep 0.2; " + std::string(AIRSSYS_WASM_TEST_PROGRAM) + " inspect hello.wat) | true";
  EXPECT_EQ(execute({"/bin/sh", "-c", line}).err, "");
}

// nohup, and a shell's background jobs.
TEST_F(CommandProcessTest, ASignalThatIsIgnoredStaysIgnored) {
  write("spin.wat", kLoop);
  const auto ended =
      execute({"/bin/sh", "-c",
               "trap '' HUP; " AIRSSYS_WASM_TEST_PROGRAM
               " run spin.wat --invoke 'spin()' --fuel 1000G --timeout 400ms & sleep 0.2; kill -HUP $!; wait $!"});
  EXPECT_EQ(ended.status, 124) << ended.err;
}

TEST_F(CommandProcessTest, ASignalThatAsksToEndCancelsAndStillReports) {
  write("spin.wat", kLoop);
  for (const int signal : {SIGHUP, SIGTERM}) {
    const auto ended =
        run({"run", "spin.wat", "--invoke", "spin()", "--fuel", "1000G", "--report", "-"}, "", once_it_spins(signal));
    EXPECT_EQ(ended.status, 130) << signal;
    EXPECT_EQ(Json::parse(ended.out)["stop"]["reason"], "cancelled") << signal;
  }
}

// The numbers of closed streams are those of the next files: what the guest writes must not get into the report.
TEST_F(CommandProcessTest, ClosedStreamsAreNobodysFiles) {
  write("hello.wat", kHello);
  EXPECT_EQ(type("airssys-wasm run hello.wat --invoke 'hello()' --report report.json <&- >&- 2>&-").status, 1)
      << "the result is lost";
  std::ifstream file(directory / "report.json");
  EXPECT_EQ(Json::parse(file)["result"], 42);
  EXPECT_EQ(type("airssys-wasm run hello.wat 2>&-").status, 104);
  EXPECT_EQ(type("airssys-wasm validate - <&-").status, 102) << "an empty stdin";
  for (const std::string_view lost :
       {"run hello.wat --invoke 'hello()' >&-", "inspect hello.wat >&-", "--help >/dev/full"}) {
    const auto ended = type("airssys-wasm " + std::string(lost));
    EXPECT_EQ(ended.status, 1) << lost;
    EXPECT_THAT(ended.err, HasSubstr("not everything could be written to stdout"));
  }
}

TEST_F(CommandProcessTest, AFileSizeLimitIsTheGuestsError) {
  write("far.wat", kFarWrite);
  std::filesystem::create_directory(directory / "data");
  const std::string line = AIRSSYS_WASM_TEST_PROGRAM " run far.wat --dir data::/d:rw --invoke 'run()'";
  EXPECT_EQ(execute({"/bin/sh", "-c", line}).out, "0\n");
  const auto limited = execute({"/bin/sh", "-c", "ulimit -f 100; " + line});
  EXPECT_EQ(limited.out, "1\n") << limited.status << limited.err;
}

TEST_F(CommandProcessTest, ASmallerLimitOfTheUsersHoldsForTheCompilerToo) {
  write("hello.wat", kHello);
  const auto ended = execute(
      {"/bin/sh", "-c", "ulimit -t 100; " AIRSSYS_WASM_TEST_PROGRAM " run hello.wat --no-cache --invoke 'hello()'"});
  EXPECT_EQ(ended.out, "42\n") << ended.err;
}

TEST_F(CommandProcessTest, TheCompilerDiesWithItsParent) {
  write("slow.wat", slow_text());
  const auto ended = execute({"/bin/sh", "-c",
                              AIRSSYS_WASM_TEST_PROGRAM
                              " validate slow.wat & parent=$!; child=; "
                              "while [ -z \"$child\" ]; do child=$(cat /proc/$parent/task/*/children); done; "
                              "sleep 0.1; kill -0 $child && kill -9 $parent; sleep 0.2; "
                              "grep -q 'State:.[RSD]' /proc/$child/status 2>/dev/null && echo alive || echo gone"});
  EXPECT_EQ(ended.out, "gone\n") << ended.err;
}

}  // namespace
}  // namespace airssys::wasm::test
