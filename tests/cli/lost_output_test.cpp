#include "support/command.hpp"
#include "support/wasi_command.hpp"

/// Output of a guest that nobody takes: the guest is told, and so is whoever reads the report.
namespace airssys::wasm::test {
namespace {

/// Says y until writing fails, and exits well when it was told why: last-operation-failed, not closed.
const std::string kYes = command(R"((block $end (loop $more
   (call $out (i32.const 64) (i32.const 2)) (br_if $end (i32.load8_u (i32.const 48))) (br $more)))
   (i32.load8_u (i32.const 52)))",
                                 "y\\n");
/// The same, and then writes once more: it exits well when the stream is closed by then.
const std::string kYesAndMore = command(R"((block $end (loop $more
   (call $out (i32.const 64) (i32.const 2)) (br_if $end (i32.load8_u (i32.const 48))) (br $more)))
   (call $out (i32.const 64) (i32.const 2))
   (i32.eqz (i32.and (i32.load8_u (i32.const 48)) (i32.load8_u (i32.const 52)))))",
                                        "y\\n");
/// Writes ten times and looks at nothing.
const std::string kCareless = command(R"((local.set $s (i32.const 10)) (loop $more
   (call $out (i32.const 64) (i32.const 2)) (br_if $more (local.tee $s (i32.sub (local.get $s) (i32.const 1)))))
   (i32.const 0))",
                                      "y\\n");

class LostOutputTest : public CommandTest {
 protected:
  Ended shell(std::string line) {
    for (std::size_t at = 0; (at = line.find("RUN", at)) != std::string::npos;) {
      line.replace(at, 3, std::string(AIRSSYS_WASM_TEST_PROGRAM) + " run");
    }
    return execute({"/bin/bash", "-c", "set -o pipefail; " + line});
  }
  Json report() {
    std::ifstream in(directory / "report.json");
    return Json::parse(in);
  }
};

TEST_F(LostOutputTest, AGuestWhoseReaderGoesAwayIsToldAndEndsQuietly) {
  write("yes.wat", kYes);
  const auto ended = shell("RUN yes.wat --fuel 10G --output 1GiB --timeout 4s --report report.json | head -n 1");
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out, "y\n");
  EXPECT_EQ(ended.err, "");
  EXPECT_EQ(report()["outcome"], "returned");
  EXPECT_GT(report()["usage"]["output_lost"], 0);
}

TEST_F(LostOutputTest, TheStreamIsClosedAfterTheFailureWasTold) {
  write("yes.wat", kYesAndMore);
  const auto ended = shell("RUN yes.wat --fuel 10G --output 1GiB --timeout 4s | head -n 1");
  EXPECT_EQ(ended.status, 0) << ended.err;
}

TEST_F(LostOutputTest, AFullDiskIsToldToTheGuestAndAtTheShell) {
  write("yes.wat", kYes);
  const auto ended = shell("RUN yes.wat --fuel 10G --output 1GiB --timeout 4s --report report.json > /dev/full");
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err,
              ::testing::ContainsRegex("error: .* of the guest's output could not be written: No space left"));
  EXPECT_EQ(report()["outcome"], "returned");
  EXPECT_GT(report()["usage"]["output_lost"], 0);
}

// It has ended before anybody could tell it: the report still counts what is lost.
TEST_F(LostOutputTest, WhatAGuestLeftIsCountedWhenItIsLost) {
  write("careless.wat", kCareless);
  const auto ended = shell("RUN careless.wat --report report.json > /dev/full");
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(report()["usage"]["output_lost"], 20);
}

// Why the guest stopped decides, also where its output is lost.
TEST_F(LostOutputTest, TheReasonDecidesTheExitCode) {
  write("careless.wat", command(R"((call $out (i32.const 64) (i32.const 2)) unreachable)", "y\\n"));
  EXPECT_EQ(shell("RUN careless.wat > /dev/full").status, 111);
  write("flood.wat",
        command(R"((loop $more (call $out (i32.const 64) (i32.const 2)) (br $more)) unreachable)", "y\\n"));
  EXPECT_EQ(shell("RUN flood.wat --fuel 100K > /dev/full").status, 105);
}

TEST_F(LostOutputTest, AResultForAClosedPipeIsNoError) {
  write("hello.wat", kHello);
  const auto ended = shell("exec 3> >(:); wait $!; RUN hello.wat --invoke 'hello()' >&3");
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(ended.err, "");
}

}  // namespace
}  // namespace airssys::wasm::test
