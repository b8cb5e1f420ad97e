#include "support/granted_command.hpp"

namespace airssys::wasm::test {
namespace {

class ShownReportTest : public GrantsTest {};

/// What is the same in every run of the same call.
Json steady(const std::string& line) {
  auto report = Json::parse(line);
  report.erase("id");
  report.erase("started_at");
  for (const auto* time :
       {"cpu_ns", "wall_ns", "running_ns", "waiting_ns", "queued_ns", "starting_ns", "teardown_ns"}) {
    report["usage"].erase(time);
  }
  report.erase("load");
  return report;
}

TEST_F(ShownReportTest, OnATerminalTheReportBeginsALineAfterUnfinishedStdout) {
  write("hell.wat", command("(call $out (i32.const 64) (i32.const 4)) (i32.const 0)", "hell"));
  one_place = stderr_is_terminal = true;
  EXPECT_TRUE(run({"run", "--show-report", "hell.wat"}).err.starts_with("hell\r\n"));
}

TEST_F(ShownReportTest, TheReportIsOneLineAfterTheResultOrInAFile) {
  write("mirror.wat", kMirror);
  const std::vector<std::string> call = {"run", "mirror.wat", "--invoke", "answer()", "--report"};
  auto words = call;
  words.emplace_back("-");
  const auto both = run(words);
  EXPECT_EQ(both.status, 0);
  EXPECT_EQ(both.err, "");
  ASSERT_TRUE(both.out.starts_with("42\n{")) << both.out;
  const auto line = both.out.substr(3);
  EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
  words.back() = "report.json";
  const auto apart = run(words);
  EXPECT_EQ(apart.status, 0);
  EXPECT_EQ(apart.out, "42\n");
  EXPECT_EQ(apart.err, "");
  const auto file = content("report.json");
  EXPECT_EQ(file.find('\n'), file.size() - 1) << file;
  EXPECT_EQ(steady(file), steady(line));
  EXPECT_EQ(steady(file)["result"], 42);
  EXPECT_EQ(steady(file)["outcome"], "returned");
}

TEST_F(ShownReportTest, TheReportOfACommandComesAfterItsOutput) {
  write("hello.wat", kHello);
  const auto ended = run({"run", "hello.wat", "--report", "-"});
  ASSERT_TRUE(ended.out.starts_with("hello\n{")) << ended.out;
  const auto line = ended.out.substr(6);
  EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
  const auto report = Json::parse(line);
  EXPECT_EQ(report["outcome"], "returned");
  EXPECT_EQ(report["result"], nullptr);
  EXPECT_EQ(report["usage"]["host_calls"]["wasi"], 2);
}

TEST_F(ShownReportTest, TheReportBeginsALineAlsoWhereTheGuestEndedNone) {
  write("hell.wat", command("(call $out (i32.const 64) (i32.const 4)) (i32.const 0)", "hell"));
  const auto ended = run({"run", "hell.wat", "--report", "-"});
  EXPECT_EQ(ended.status, 0);
  ASSERT_TRUE(ended.out.starts_with("hell\n{")) << ended.out;
  EXPECT_EQ(Json::parse(ended.out.substr(5))["outcome"], "returned");
}

TEST_F(ShownReportTest, TheTextReportIsShownOnAPipeWhenAskedFor) {
  write("hello.wat", kHello);
  const auto silent = run({"run", "hello.wat", "--fuel", "70K"});
  EXPECT_EQ(silent.err, "");
  const auto shown = run({"run", "hello.wat", "--fuel", "70K", "--show-report"});
  EXPECT_EQ(shown.out, silent.out);
  EXPECT_THAT(shown.err, ContainsRegex("fuel [0-9]+ of 70 K .*memory 512 KiB of 128 MiB .*2 calls of wasi\n"));
  EXPECT_EQ(shown.status, 0);
}

TEST_F(ShownReportTest, EscapeSequencesAreForTerminalsWithColour) {
  write("mirror.wat", kMirror);
  const std::vector<std::vector<std::string>> commands = {
      {"run", "mirror.wat", "--invoke", "answer()", "--show-report"},
      {"run", "mirror.wat", "--invoke", "answer()", "--fuel", "1"},
      {"run", "mirror.wat", "--invoke", "nobody()"},
      {"run", "mirror.wat", "--frob"}};
  const auto escapes = [&](const std::vector<std::string>& words) {
    const auto ended = run(words);
    EXPECT_FALSE(ended.err.empty());
    EXPECT_THAT(ended.out, Not(HasSubstr("\x1b")));
    return ended.err.contains('\x1b');
  };
  for (const auto& words : commands) {
    SCOPED_TRACE(words.back());
    stderr_is_terminal = false;
    environment["NO_COLOR"] = "";
    environment["TERM"] = "xterm";
    EXPECT_FALSE(escapes(words)) << "a pipe";
    stderr_is_terminal = true;
    EXPECT_TRUE(escapes(words)) << "an empty NO_COLOR is none";
    environment["NO_COLOR"] = "1";
    EXPECT_FALSE(escapes(words)) << "a terminal without colour";
    environment["NO_COLOR"] = "";
    environment["TERM"] = "dumb";
    EXPECT_FALSE(escapes(words)) << "a terminal that knows none";
  }
}

TEST_F(ShownReportTest, TheTickIsForTerminalsWithColour) {
  write("mirror.wat", kMirror);
  const auto shown = [&] {
    return run({"run", "mirror.wat", "--invoke", "answer()", "--show-report"}).err.contains("✔");
  };
  EXPECT_FALSE(shown());
  stderr_is_terminal = true;
  EXPECT_TRUE(shown());
  environment["NO_COLOR"] = "1";
  EXPECT_FALSE(shown());
}

}  // namespace
}  // namespace airssys::wasm::test
