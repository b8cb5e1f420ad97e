#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <spawn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/child.hpp"
#include "support/scratch.hpp"
#include "support/wasi_command.hpp"

namespace airssys::wasm::test {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

const std::string kArguments = command(R"((call $arguments (i32.const 16))
  (call $lines (i32.load (i32.const 16)) (i32.load (i32.const 20))) (i32.const 0))");
/// Names and values on lines of their own.
const std::string kVariables = command(R"((call $variables (i32.const 16))
  (call $lines (i32.load (i32.const 16)) (i32.shl (i32.load (i32.const 20)) (i32.const 1))) (i32.const 0))");
/// Shows the first directory's name in the guest and the content of its `file`, and makes a `copy` of that there.
const std::string kCopy = command(R"((call $dirs (i32.const 16)) (local.set $s (i32.load (i32.const 16)))
  (call $line (i32.load offset=4 (local.get $s)) (i32.load offset=8 (local.get $s)))
  (call $open (i32.load (local.get $s)) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 32))
  (if (i32.load8_u (i32.const 32)) (then unreachable))
  (call $read-file (i32.load (i32.const 36)) (i64.const 4096) (i64.const 0) (i32.const 16))
  (call $out (i32.load (i32.const 20)) (i32.load (i32.const 24)))
  (call $open (i32.load (local.get $s)) (i32.const 0) (i32.const 68) (i32.const 4) (i32.const 1) (i32.const 2) (i32.const 32))
  (if (i32.load8_u (i32.const 32)) (then (return (i32.const 1))))
  (call $write-file (i32.load (i32.const 36)) (i32.load (i32.const 20)) (i32.load (i32.const 24)) (i64.const 0) (i32.const 32))
  (i32.load8_u (i32.const 32)))",
                                  "filecopy");
const std::string kHello = command("(call $out (i32.const 64) (i32.const 6)) (i32.const 0)", R"(hello\n)");
const std::string kRandom =
    command(R"((i64.store (i32.const 16) (call $random64)) (call $out (i32.const 16) (i32.const 8))
  (call $random-bytes (i64.const 8) (i32.const 32)) (call $out (i32.load (i32.const 32)) (i32.const 8)) (i32.const 0))");
/// A function that answers what it is given, and one that answers a number.
constexpr std::string_view kMirror = R"((component
 (core module $m (memory (export "mem") 1) (global $top (mut i32) (i32.const 1024))
   (func (export "realloc") (param i32 i32 i32 i32) (result i32)
     (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
     (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3))))
   (func (export "mirror") (param i32 i32 i32 i32 i32 i32) (result i32)
     (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.store (i32.const 24) (local.get 2))
     (i32.store (i32.const 28) (local.get 3)) (i32.store8 (i32.const 32) (local.get 4)) (i32.store8 (i32.const 33) (local.get 5)) (i32.const 16))
   (func (export "answer") (result i32) (i32.const 42)))
 (core instance $i (instantiate $m))
 (type $r' (record (field "name" string) (field "at" (list s32)) (field "set" (option bool)))) (export $r "r" (type $r'))
 (func (export "mirror") (param "r" $r) (result $r) (canon lift (core func $i "mirror") (memory $i "mem") (realloc (func $i "realloc"))))
 (func (export "answer") (result s32) (canon lift (core func $i "answer")))))";

/// The command while it runs.
class Running {
 public:
  Running(pid_t child, int out, int err) : child_(child), out_(out), err_(err) {}
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() = default;

  [[nodiscard]] Ended end() const { return end_of(child_, out_, err_); }

 private:
  pid_t child_;
  int out_, err_;
};

class GrantsTest : public ::testing::Test {
 protected:
  void write(const std::string& name, std::string_view bytes) { std::ofstream(directory / name) << bytes; }
  [[nodiscard]] std::string content(const std::string& name) const {
    std::stringstream bytes;
    bytes << std::ifstream(directory / name).rdbuf();
    return bytes.str();
  }

  Running start(std::vector<std::string> words, std::string_view input = "") {
    words.insert(words.begin(), AIRSSYS_WASM_TEST_PROGRAM);
    std::vector<std::string> variables;
    for (const auto& [name, value] : environment) {
      variables.push_back(name + "=" + value);
    }
    for (char** inherited = environ; *inherited != nullptr; ++inherited) {
      variables.emplace_back(*inherited);  // The first of a name counts.
    }
    std::array<std::array<int, 2>, 3> pipes{};
    for (auto& pipe : pipes) {
      EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    }
    // A pipe holds more than any of these.
    EXPECT_EQ(::write(pipes[0][1], input.data(), input.size()), static_cast<ssize_t>(input.size()));
    ::close(pipes[0][1]);
    if (stderr_is_terminal) {
      ::close(pipes[2][0]);
      ::close(pipes[2][1]);
      EXPECT_EQ(::openpty(&pipes[2][0], &pipes[2][1], nullptr, nullptr, nullptr), 0);
    }
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
    ::posix_spawn_file_actions_adddup2(&actions, pipes[0][0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, one_place ? pipes[2][1] : pipes[1][1], STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, pipes[2][1], STDERR_FILENO);
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> out;
      for (auto& text : texts) {
        out.push_back(text.data());
      }
      out.push_back(nullptr);
      return out;
    };
    pid_t child = 0;
    EXPECT_EQ(::posix_spawn(&child, words.front().c_str(), &actions, nullptr, pointers(words).data(),
                            pointers(variables).data()),
              0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(pipes[0][0]);
    ::close(pipes[1][1]);
    ::close(pipes[2][1]);
    return {child, pipes[1][0], pipes[2][0]};
  }
  Ended run(std::vector<std::string> words, std::string_view input = "") {
    return start(std::move(words), input).end();
  }

  const Scratch scratch;
  const std::filesystem::path& directory = scratch.path();
  std::map<std::string, std::string> environment = {
      {"XDG_CACHE_HOME", AIRSSYS_WASM_TEST_CACHE}, {"TERM", "xterm"}, {"NO_COLOR", ""}};
  bool stderr_is_terminal = false;
  /// stdout goes where stderr goes.
  bool one_place = false;
};

/// All bytes there are, more of them than one read or write of a guest takes.
std::string many_bytes() {
  std::string bytes;
  for (int i = 0; i < 20'000; ++i) {
    bytes += static_cast<char>(i * 7 + i / 256);
  }
  return bytes;
}

TEST_F(GrantsTest, ArgumentsReachTheGuest) {
  write("args.wat", kArguments);
  const auto ended = run({"run", "args.wat", "one", "--fuel", "10M", "zwei drei", "ß", "", "--", "--fuel", "-5", "--"});
  EXPECT_EQ(ended.out, "args.wat\none\nzwei drei\nß\n\n--fuel\n-5\n--\n");
  EXPECT_EQ(ended.err, "");
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(run({"run", "args.wat"}).out, "args.wat\n");
}

TEST_F(GrantsTest, AFileNameThatIsNoTextIsRepairedForTheGuest) {
  write("a\xff.wat", kArguments);
  EXPECT_EQ(run({"run", "a\xff.wat"}).out, "a\xef\xbf\xbd.wat\n");
}

TEST_F(GrantsTest, OnlyVariablesThatAreGrantedReachTheGuest) {
  write("env.wat", kVariables);
  environment["OURS"] = "1";
  EXPECT_EQ(run({"run", "env.wat"}).out, "");
  const auto ended = run({"run", "env.wat", "--env", "A=B", "--env", "C=d e=ß", "--env", "EMPTY="});
  EXPECT_EQ(ended.out, "A\nB\nC\nd e=ß\nEMPTY\n\n");
  EXPECT_EQ(ended.status, 0);
}

TEST_F(GrantsTest, ADirectoryIsReadOnlyUnlessItIsGrantedForWriting) {
  write("copy.wat", kCopy);
  std::filesystem::create_directory(directory / "data");
  const auto bytes = many_bytes().substr(0, 1000);
  write("data/file", bytes);
  for (const auto* grant : {"data::/in/guest", "data::/in/guest:ro"}) {
    const auto refused = run({"run", "copy.wat", "--dir", grant, "--report", "report.json"});
    EXPECT_EQ(refused.out, "/in/guest\n" + bytes);
    EXPECT_EQ(refused.status, 1);
    EXPECT_FALSE(std::filesystem::exists(directory / "data" / "copy"));
    EXPECT_EQ(Json::parse(content("report.json"))["denials"],
              Json::parse(R"([{"capability": "filesystem", "target": "copy", "count": 1}])"));
  }
  const auto granted = run({"run", "copy.wat", "--dir", "data::/in/guest:rw", "--report", "report.json"});
  EXPECT_EQ(granted.out, "/in/guest\n" + bytes);
  EXPECT_EQ(granted.status, 0) << granted.err;
  EXPECT_EQ(content("data/copy"), bytes);
  EXPECT_EQ(Json::parse(content("report.json"))["denials"], Json::array());
}

TEST_F(GrantsTest, EachDirectoryHasItsOwnRights) {
  // It reads from the first directory and writes to the second.
  write("copy.wat", command(R"((call $dirs (i32.const 16)) (local.set $s (i32.load (i32.const 16)))
    (call $line (i32.load offset=4 (local.get $s)) (i32.load offset=8 (local.get $s)))
    (call $line (i32.load offset=16 (local.get $s)) (i32.load offset=20 (local.get $s)))
    (call $open (i32.load offset=12 (local.get $s)) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 1) (i32.const 2) (i32.const 32))
    (i32.load8_u (i32.const 32)))",
                            "copy"));
  std::filesystem::create_directory(directory / "a");
  std::filesystem::create_directory(directory / "b");
  const auto ended = run({"run", "copy.wat", "--dir", "a::/a", "--dir", "b::/b:rw"});
  EXPECT_EQ(ended.out, "/a\n/b\n");
  EXPECT_EQ(ended.status, 0);
  EXPECT_TRUE(std::filesystem::exists(directory / "b" / "copy"));
  EXPECT_EQ(run({"run", "copy.wat", "--dir", "b::/b:rw", "--dir", "a::/a"}).status, 1);
  EXPECT_FALSE(std::filesystem::exists(directory / "a" / "copy"));
}

TEST_F(GrantsTest, StdinIsAPipeOrAFileByteByByte) {
  write("cat.wat", kCat);
  const auto bytes = many_bytes();
  const auto piped = run({"run", "cat.wat"}, bytes);
  EXPECT_EQ(piped.out, bytes);
  EXPECT_EQ(piped.err, "");
  EXPECT_EQ(piped.status, 0);
  write("input", bytes);
  const auto from_file = run({"run", "cat.wat", "--stdin", "input"}, "not this");
  EXPECT_EQ(from_file.out, bytes);
  EXPECT_EQ(from_file.status, 0);
  EXPECT_EQ(run({"run", "cat.wat"}).out, "") << "an empty stdin has an end";
}

// What a terminal would act on, what is no text, and no line break at the end.
TEST_F(GrantsTest, OutputComesThroughAsItWasWritten) {
  write("both.wat", command(R"((call $out (i32.const 64) (i32.const 8)) (local.set $s (call $stderr))
    (call $write (local.get $s) (i32.const 72) (i32.const 7) (i32.const 16)) (call $out (i32.const 64) (i32.const 3)) (i32.const 0))",
                            R"(\00\ff\0d\0a\1b[1m\fe\c3\00e\0a\0d\e2)"));
  const auto ended = run({"run", "both.wat"});
  EXPECT_EQ(ended.out, std::string_view("\x00\xff\r\n\x1b[1m\x00\xff\r", 11));
  EXPECT_EQ(ended.err, std::string_view("\xfe\xc3\x00"
                                        "e\n\r\xe2",
                                        7));
  EXPECT_EQ(ended.status, 0);
}

TEST_F(GrantsTest, StdoutAndStderrKeepTheirOrderInOnePlace) {
  write("both.wat", command(R"((local.set $s (call $stderr)) (call $out (i32.const 64) (i32.const 2))
    (call $write (local.get $s) (i32.const 66) (i32.const 2) (i32.const 16)) (call $out (i32.const 68) (i32.const 1))
    (call $write (local.get $s) (i32.const 69) (i32.const 1) (i32.const 16)) (i32.const 0))",
                            "1 2 34"));
  one_place = true;
  EXPECT_EQ(run({"run", "both.wat"}).err, "1 2 34");
  stderr_is_terminal = true;
  EXPECT_TRUE(run({"run", "both.wat"}).err.starts_with("1 2 34\r\n")) << "the report begins a line";
}

TEST_F(GrantsTest, OnATerminalTheReportBeginsALineAfterUnfinishedStdout) {
  write("hell.wat", command("(call $out (i32.const 64) (i32.const 4)) (i32.const 0)", "hell"));
  one_place = stderr_is_terminal = true;
  EXPECT_TRUE(run({"run", "hell.wat"}).err.starts_with("hell\r\n"));
}

TEST_F(GrantsTest, TheExitStatusIsTheGuests) {
  write("zero.wat",
        command("(call $out (i32.const 64) (i32.const 6)) (call $exit (i32.const 0)) unreachable", R"(hello\n)"));
  write("one.wat",
        command("(call $out (i32.const 64) (i32.const 6)) (call $exit (i32.const 1)) unreachable", R"(hello\n)"));
  write("ok.wat", command("(i32.const 0)"));
  write("err.wat", command("(i32.const 1)"));
  for (const auto& [guest, status] :
       std::vector<std::pair<std::string, int>>{{"zero.wat", 0}, {"one.wat", 1}, {"ok.wat", 0}, {"err.wat", 1}}) {
    SCOPED_TRACE(guest);
    const auto ended = run({"run", guest, "--report", "report.json"});
    EXPECT_EQ(ended.out, guest == "zero.wat" || guest == "one.wat" ? "hello\n" : "");
    EXPECT_EQ(ended.err, "") << "it is the guest who says why";
    EXPECT_EQ(ended.status, status);
    const auto report = Json::parse(content("report.json"));
    EXPECT_EQ(report["outcome"], status == 0 ? "returned" : "stopped");
    EXPECT_EQ(report["stop"].is_null(), status == 0);
    if (status != 0) {
      EXPECT_EQ(report["stop"]["reason"], "exited");
      EXPECT_EQ(report["stop"]["exit_status"], status);
    }
  }
}

TEST_F(GrantsTest, AnExitWithANumberHasThatStatus) {
  write("exit.wat", R"((component
    (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit-with-code" (func (param "status-code" u8)))))
    (import "wasi:cli/environment@0.2.0" (instance $environment (export "get-arguments" (func (result (list string))))))
    (core module $memory (memory (export "mem") 1) (global $top (mut i32) (i32.const 64))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.get $top) (global.set $top (i32.add (global.get $top) (i32.const 64)))))
    (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem)) (alias core export $mi "realloc" (core func $realloc))
    (core func $exit (canon lower (func $exit "exit-with-code")))
    (core func $arguments (canon lower (func $environment "get-arguments") (memory $mem) (realloc (func $realloc))))
    (core module $m (import "" "mem" (memory 1)) (import "" "exit" (func $exit (param i32))) (import "" "arguments" (func $arguments (param i32)))
      (func (export "run") (result i32) (call $arguments (i32.const 16)) (call $exit (i32.sub (i32.load8_u (i32.load offset=8 (i32.load (i32.const 16)))) (i32.const 48))) unreachable))
    (core instance $i (instantiate $m (with "" (instance (export "mem" (memory $mem)) (export "exit" (func $exit)) (export "arguments" (func $arguments))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $runs (export "run" (func $run))) (export "wasi:cli/run@0.2.0" (instance $runs))))");
  EXPECT_EQ(run({"run", "exit.wat", "0"}).status, 0);
  const auto ended = run({"run", "exit.wat", "7", "--report", "report.json"});
  EXPECT_EQ(ended.status, 7);
  EXPECT_EQ(ended.err, "");
  EXPECT_EQ(Json::parse(content("report.json"))["stop"]["exit_status"], 7);
}

TEST_F(GrantsTest, ASeedRepeatsItself) {
  write("random.wat", kRandom);
  const auto draw = [&](const std::vector<std::string>& options) {
    std::vector<std::string> words = {"run", "random.wat"};
    words.insert(words.end(), options.begin(), options.end());
    const auto ended = run(words);
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_EQ(ended.out.size(), 16U);
    return ended.out;
  };
  EXPECT_EQ(draw({"--random-seed", "7"}), draw({"--random-seed", "7"}));
  EXPECT_NE(draw({"--random-seed", "7"}), draw({"--random-seed", "8"}));
  EXPECT_EQ(draw({"--random-seed", "0"}), draw({"--random-seed", "0"})) << "zero is a seed like others";
  EXPECT_NE(draw({}), draw({}));
}

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

TEST_F(GrantsTest, TheReportIsOneLineAfterTheResultOrInAFile) {
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

TEST_F(GrantsTest, TheReportOfACommandComesAfterItsOutput) {
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

TEST_F(GrantsTest, TheReportBeginsALineAlsoWhereTheGuestEndedNone) {
  write("hell.wat", command("(call $out (i32.const 64) (i32.const 4)) (i32.const 0)", "hell"));
  const auto ended = run({"run", "hell.wat", "--report", "-"});
  EXPECT_EQ(ended.status, 0);
  ASSERT_TRUE(ended.out.starts_with("hell\n{")) << ended.out;
  EXPECT_EQ(Json::parse(ended.out.substr(5))["outcome"], "returned");
}

TEST_F(GrantsTest, TheTextReportIsShownOnAPipeWhenAskedFor) {
  write("hello.wat", kHello);
  const auto silent = run({"run", "hello.wat", "--fuel", "70K"});
  EXPECT_EQ(silent.err, "");
  const auto shown = run({"run", "hello.wat", "--fuel", "70K", "--show-report"});
  EXPECT_EQ(shown.out, silent.out);
  EXPECT_THAT(shown.err, ContainsRegex("fuel [0-9]+ of 70 K .*memory 512 KiB of 128 MiB .*2 calls of wasi\n"));
  EXPECT_EQ(shown.status, 0);
}

TEST_F(GrantsTest, EscapeSequencesAreForTerminalsWithColour) {
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

TEST_F(GrantsTest, TheTickIsForTerminalsWithColour) {
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

TEST_F(GrantsTest, ValidateNamesTheDigest) {
  write("mirror.wat", kMirror);
  const auto valid = run({"validate", "mirror.wat"});
  EXPECT_EQ(valid.status, 0);
  EXPECT_EQ(valid.err, "");
  EXPECT_EQ(valid.out.find('\n'), valid.out.size() - 1) << "one line";
  EXPECT_THAT(valid.out, ContainsRegex("blake2b [0-9a-f]{64}\n"));
  const auto reported = Json::parse(run({"inspect", "--json", "mirror.wat"}).out)["digest"].get<std::string>();
  EXPECT_THAT(valid.out, HasSubstr("blake2b " + reported.substr(std::string("blake2b:").size())));
}

TEST_F(GrantsTest, ArgumentsAndResultsAreWaveOrJson) {
  write("mirror.wat", kMirror);
  const std::string wave = R"({name: "ß\"\n", at: [-1, 2147483647], set: some(false)})";
  const std::string json = R"({"name":"ß\"\n","at":[-1,2147483647],"set":false})";
  for (const auto& ended : {run({"run", "mirror.wat", "--invoke", "mirror(" + wave + ")"}),
                            run({"run", "mirror.wat", "--invoke", "mirror", "--args-json", "[" + json + "]"})}) {
    EXPECT_EQ(ended.out, wave + "\n");
    EXPECT_EQ(ended.err, "");
    EXPECT_EQ(ended.status, 0);
  }
  for (const auto& ended :
       {run({"run", "mirror.wat", "--json", "--invoke", "mirror(" + wave + ")"}),
        run({"run", "mirror.wat", "--json", "--invoke", "mirror", "--args-json", "[" + json + "]"})}) {
    EXPECT_EQ(ended.out, json + "\n");
    EXPECT_EQ(ended.err, "");
    EXPECT_EQ(ended.status, 0);
  }
  EXPECT_EQ(run({"run", "mirror.wat", "--json", "--invoke", "answer", "--args-json", "[]"}).out, "42\n");
}

TEST_F(GrantsTest, EpochsMeterNoFuel) {
  write("mirror.wat", kMirror);
  const auto ended = run({"run", "mirror.wat", "--epochs", "--invoke", "answer()", "--report", "report.json"});
  EXPECT_EQ(ended.out, "42\n");
  EXPECT_EQ(ended.status, 0) << ended.err;
  const auto report = Json::parse(content("report.json"));
  EXPECT_EQ(report["usage"]["fuel_precision"], "none");
  EXPECT_EQ(report["usage"]["fuel"], nullptr);
  EXPECT_EQ(report["limits"]["fuel"], nullptr);
  write("broken.wat", "(component");
  run({"run", "broken.wat", "--epochs", "--invoke", "answer()", "--report", "report.json"});
  EXPECT_EQ(Json::parse(content("report.json"))["limits"]["fuel"], nullptr);
}

TEST_F(GrantsTest, TwoAtOnceShareACacheThatIsNotThereYet) {
  write("hello.wat", kHello);
  environment["XDG_CACHE_HOME"] = directory / "cache";
  auto one = start({"run", "hello.wat"});
  auto other = start({"run", "hello.wat"});
  for (auto* running : {&one, &other}) {
    const auto ended = running->end();
    EXPECT_EQ(ended.out, "hello\n");
    EXPECT_EQ(ended.err, "");
    EXPECT_EQ(ended.status, 0);
  }
  const auto look = [&] {
    std::vector<ino_t> kept;
    for (const auto& file :
         std::filesystem::recursive_directory_iterator(directory / "cache" / "airssys-wasm" / "artefacts")) {
      struct stat found{};
      if (file.is_regular_file() && ::stat(file.path().c_str(), &found) == 0) {
        kept.push_back(found.st_ino);
      }
    }
    return kept;
  };
  const auto before = look();
  EXPECT_EQ(before.size(), 1U) << "whole, and nothing that was on its way";
  EXPECT_EQ(run({"run", "hello.wat"}).out, "hello\n");
  EXPECT_EQ(look(), before) << "found, not made again";
}

TEST_F(GrantsTest, ACommandFromStdinHasAFileForItsOwn) {
  write("input", "from the file\n");
  const auto ended = run({"run", "-", "--stdin", "input", "--report", "report.json"}, kCat);
  EXPECT_EQ(ended.out, "from the file\n");
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(Json::parse(content("report.json"))["component"]["name"], "stdin");
  EXPECT_EQ(run({"run", "-"}, kCat).out, "") << "what remains of stdin is nothing";
  EXPECT_EQ(run({"run", "-", "one"}, kArguments).out, "-\none\n");
}

}  // namespace
}  // namespace airssys::wasm::test
