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

TEST_F(CommandTest, PrintsTheResultAsWave) {
  write("echo.wat", kEcho);
  const auto ended = run({"run", "echo.wat", "--invoke", R"(echo("a \"b\" ß"))"});
  EXPECT_EQ(ended.out, "\"a \\\"b\\\" ß\"\n");
  EXPECT_EQ(ended.err, "");
  EXPECT_EQ(ended.status, 0);
}

TEST_F(CommandTest, TakesAndPrintsJson) {
  write("echo.wat", kEcho);
  const auto ended = run({"run", "echo.wat", "--invoke", "echo", "--args-json", R"(["x\ny"])", "--json"});
  EXPECT_EQ(ended.out, "\"x\\ny\"\n");
  EXPECT_EQ(ended.status, 0);
  const auto wrong = run({"run", "echo.wat", "--invoke", "echo", "--args-json", "[1]"});
  EXPECT_EQ(wrong.status, 104);
  EXPECT_THAT(wrong.err, HasSubstr("argument s: 1 is not a string"));
}

TEST_F(CommandTest, ReadsTheComponentFromStdin) {
  const auto ended = run({"run", "-", "--invoke", "hello()"}, kHello);
  EXPECT_EQ(ended.out, "42\n");
  EXPECT_EQ(ended.status, 0);
}

TEST_F(CommandTest, ATimeoutSaysSoWithItsNumbersAndTheAdviceWorks) {
  write("spin.wat", kLoop);
  const auto ended = run({"run", "spin.wat", "--invoke", "spin()", "--timeout", "50ms", "--fuel", "1000G"});
  EXPECT_EQ(ended.status, 124);
  EXPECT_EQ(ended.out, "");
  EXPECT_THAT(ended.err, ContainsRegex("error: spin stopped: time limit of 50 ms reached \\(used 5[0-9.]* ms\\)"));
  EXPECT_THAT(ended.err, HasSubstr("help:   raise it with --timeout 200ms"));
  EXPECT_EQ(run({"run", "spin.wat", "--invoke", "spin()", "--timeout", "200ms", "--fuel", "1000G"}).status, 124);
}

TEST_F(CommandTest, FuelSaysSoWithItsNumbers) {
  write("spin.wat", kLoop);
  const auto ended = run({"run", "spin.wat", "--invoke", "spin()", "--fuel", "10K"});
  EXPECT_EQ(ended.status, 105);
  EXPECT_THAT(ended.err, HasSubstr("error: spin stopped: fuel limit of 10 K reached\n"));
  EXPECT_THAT(ended.err, HasSubstr("help:   raise it with --fuel 40K\n"));
}

TEST_F(CommandTest, TheReportIsOneJsonObject) {
  write("hello.wat", kHello);
  const auto ended = run({"run", "hello.wat", "--invoke", "hello()", "--report", "report.json"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  const auto report = Json::parse(std::ifstream(directory / "report.json"));
  EXPECT_EQ(report["schema"], 1);
  EXPECT_EQ(report["outcome"], "returned");
  EXPECT_EQ(report["result"], 42);
  EXPECT_EQ(report["stop"], nullptr);
  EXPECT_EQ(report["function"], "hello");
  EXPECT_EQ(report["component"]["name"], "hello.wat");
  EXPECT_GT(report["usage"]["fuel"], 0);
  EXPECT_EQ(report["usage"]["fuel_precision"], "exact");
  EXPECT_EQ(report["limits"]["fuel"], 1'000'000'000);
  EXPECT_EQ(report["limits"]["stack_bytes"], 512 << 10);
}

TEST_F(CommandTest, AWrongNameAnswersWithTheNearest) {
  write("hello.wat", kHello);
  const auto ended = run({"run", "hello.wat", "--invoke", "helo()"});
  EXPECT_EQ(ended.status, 104);
  EXPECT_EQ(ended.err,
            "error: hello.wat has no function helo\n  help:   did you mean hello: func() -> s32 ?   (all: airssys-wasm "
            "inspect hello.wat)\n");
}

TEST_F(CommandTest, WrongTypesAnswerWithTheRealSignature) {
  write("echo.wat", kEcho);
  const auto ended = run({"run", "echo.wat", "--invoke", "echo(1)"});
  EXPECT_EQ(ended.status, 104);
  EXPECT_THAT(ended.err, HasSubstr("its type is func(s: string) -> string"));
}

TEST_F(CommandTest, NothingToInvokeListsWhatCanBeCalled) {
  write("hello.wat", kHello);
  const auto ended = run({"run", "hello.wat"});
  EXPECT_EQ(ended.status, 104);
  EXPECT_THAT(ended.err, HasSubstr("hello: func() -> s32"));
  write("it's  two.wat", kHello);
  const auto quoted = run({"run", "it's  two.wat"});
  const auto line = std::string_view(quoted.err).substr(quoted.err.find("airssys-wasm run"));
  EXPECT_EQ(type(line.substr(0, line.find('\n'))).out, "42\n") << line;
}

// What the help says can be typed as it stands, for every type a parameter can have.
TEST_F(CommandTest, TheSuggestedCallWorks) {
  write("types.wat", R"((component (core module $m (memory (export "mem") 1) (global $top (mut i32) (i32.const 64))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8))) (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3))))
    (func (export "f") (param i32 f32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) i32.const 42))
   (core instance $i (instantiate $m))
   (type $r' (record (field "true" bool) (field "b" (tuple f32 char)))) (export $r "r" (type $r'))
   (type $v' (variant (case "some" u64) (case "d"))) (export $v "v" (type $v'))
   (type $e' (enum "none" "y")) (export $e "e" (type $e'))
   (type $f' (flags "inf" "q")) (export $f "f2" (type $f'))
   (func (export "f") (param "r" $r) (param "v" $v) (param "e" $e) (param "f" $f) (param "l" (list string)) (param "o" (option s8)) (param "w" (result u16 (error string))) (result s32)
     (canon lift (core func $i "f") (memory $i "mem") (realloc (func $i "realloc"))))))");
  const auto listed = run({"run", "types.wat"});
  EXPECT_EQ(listed.status, 104);
  const auto line = std::string_view(listed.err).substr(listed.err.find("airssys-wasm run"));
  const auto ended = type(line.substr(0, line.find('\n')));
  EXPECT_EQ(ended.out, "42\n") << line << "\n" << ended.err;
}

// What would steer a terminal is shown as what it is: DEL, a control character of C1, a mark that turns the direction.
TEST_F(CommandTest, ResultsSteerNoTerminal) {
  write("echo.wat", kEcho);
  const std::string steering = "a\x7f\u009b31m\u202e";
  const auto arguments = Json::array({steering}).dump();
  const auto json = run({"run", "echo.wat", "--invoke", "echo", "--args-json", arguments, "--json"});
  EXPECT_EQ(json.out, "\"a\\u007f\\u009b31m\\u202e\"\n");
  EXPECT_EQ(Json::parse(json.out), steering) << "and means the same";
  const auto wave = run({"run", "echo.wat", "--invoke", "echo", "--args-json", arguments, "--report", "-"});
  for (const std::string_view sign : {"\x7f", "\u009b", "\u202e"}) {
    EXPECT_FALSE(wave.out.contains(sign)) << wave.out;
  }
}

TEST_F(CommandTest, TheReportIsNotWrittenOverTheInput) {
  write("hello.wat", kHello);
  write("input", "kept");
  EXPECT_EQ(run({"run", "hello.wat", "--invoke", "hello()", "--stdin", "input", "--report", "input"}).status, 2);
  EXPECT_EQ(std::filesystem::file_size(directory / "input"), 4U);
  EXPECT_EQ(run({"run", "hello.wat", "--invoke", "hello()", "--stdin", "/dev/null", "--report", "/dev/null"}).status, 0)
      << "nothing there to lose";
}

TEST_F(CommandTest, AComponentThatDoesNotLoadIsToldBeforeAMissingInput) {
  write("empty.wasm", "");
  const auto ended = run({"run", "empty.wasm", "--stdin", "missing"});
  EXPECT_EQ(ended.status, 102) << ended.err;
}

// What was refused before it began has its report too.
TEST_F(CommandTest, ARefusalIsReported) {
  write("empty.wasm", "");
  EXPECT_EQ(run({"run", "empty.wasm", "--invoke", "f()", "--report", "r.json"}).status, 102);
  const auto report = Json::parse(std::ifstream(directory / "r.json"));
  EXPECT_EQ(report["outcome"], "refused");
  EXPECT_EQ(report["stop"]["reason"], "load_failed");
  EXPECT_EQ(report["stop"]["phase"], "load");
}

TEST_F(CommandTest, UsageErrorsAreOneLineAndAHelp) {
  write("hello.wat", kHello);
  write("hello", kHello);
  for (const auto& [words, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"frob"}, "error: "},
           {{"run"}, "component is required"},
           {{"run", "hello.wat", "--fuel", "3x"}, "'3x' has no known unit; write it like"},
           {{"run", "hello.wat", "--timeout", "10x"}, "'10x' has no known unit; write it like 500us"},
           {{"run", "hello.wat", "--env", "=X"}, "'=X' has no name"},
           {{"run", "hello.wat", "--dir", "here"}, "here: No such file or directory"},
           {{"run", "hello.wat", "--dir", "::/d"}, "names no directory of this machine"},
           {{"run", "hello.wat", "--dir", "a::"}, "names no directory for the guest"},
           {{"run", "hello.wat", "--dir", "a::b:rx"}, "use :ro or :rw"},
           {{"run", "hello.wat", "--dir", "nowhere::/d"}, "nowhere: No such file or directory"},
           {{"run", "hello.wat", "--dir", "hello.wat::/d"}, "hello.wat: it is a file, not a directory"},
           {{"run", "hello.wat", "--stdin", "."}, "--stdin .: Is a directory"},
           {{"run", "hello.wat", "--memory", "128", "MiB"}, "one word: --memory 128MiB"},
           {{"run", "hello.wat", "--invoke", "hello()", "more"}, "'more' is not used"},
           {{"run", "hello.wat", "--report", ""}, "--report is empty"},
           {{"run", "hello.wat", "--invoke", ""}, "--invoke is empty"},
           {{"run", "hello.wat", "--fuel"}, "--fuel needs a value"},
           {{"run", "hello.wat", "--fuel", "1", "--fuel=2"}, "--fuel is given 2 times"},
           {{"run", "hello.wat", "-v"}, "there is no option -v"},
           {{"hello"}, "did you mean run hello?"},
           {{"compile", "hello.wat", "-o", "-"}, "--output writes to a file"},
           {{"run", "-", "--precompiled"}, "read from a file, not from stdin"}}) {
    const auto ended = run(words);
    EXPECT_EQ(ended.status, 2) << ended.err;
    EXPECT_THAT(ended.err, HasSubstr(message));
    EXPECT_THAT(ended.err, HasSubstr("help:   airssys-wasm "));
    EXPECT_EQ(ended.out, "");
  }
}

TEST_F(CommandTest, ZeroIsNoBudget) {
  write("hello.wat", kHello);
  const auto ended = run({"run", "hello.wat", "--invoke", "hello()", "--fuel", "0"});
  EXPECT_EQ(ended.status, 2);
  EXPECT_THAT(ended.err, HasSubstr("--fuel: '0' is zero"));
}

TEST_F(CommandTest, WhatIsNoComponentIsRefusedWithItsReason) {
  write("empty.wasm", "");
  write("core.wasm", std::string_view("\0asm\1\0\0\0", 8));
  write("garbage.wasm", std::string_view("\0nothing like it", 16));
  write("cut.wasm", std::string_view("\0asm\x0d\0\1\0\1", 9));
  write("text.wat", "(component (core module");
  for (const auto& [file, message] :
       std::vector<std::pair<std::string, std::string>>{{"empty.wasm", "the file is empty"},
                                                        {"core.wasm", "a core WebAssembly module, not a component"},
                                                        {"garbage.wasm", "this is not a WebAssembly component"},
                                                        {"cut.wasm", "malformed or unsupported at byte"},
                                                        {"text.wat", "the text is not a component"},
                                                        {"missing.wasm", "No such file or directory"},
                                                        {".", "not a regular file"}}) {
    const auto ended = run({"run", file, "--invoke", "f()"});
    EXPECT_EQ(ended.status, 102) << file;
    EXPECT_THAT(ended.err, HasSubstr(message)) << file;
  }
}

TEST_F(CommandTest, InspectShowsTheWorld) {
  write("echo.wat", kEcho);
  const auto ended = run({"inspect", "echo.wat"});
  EXPECT_EQ(ended.status, 0);
  EXPECT_THAT(ended.out, HasSubstr("export echo: func(s: string) -> string;"));
  EXPECT_THAT(ended.out, ContainsRegex("blake2b [0-9a-f]{64}"));
  const auto json = Json::parse(run({"inspect", "--json", "echo.wat"}).out);
  EXPECT_EQ(json["functions"][0]["type"], "func(s: string) -> string");
  EXPECT_EQ(json["required"]["memories"], 1);
  EXPECT_TRUE(json["link_error"].is_null());
}

TEST_F(CommandTest, InspectSaysWhatNobodyOffers) {
  write("missing.wat", R"((component (import "acme:a/b@1.0.0" (instance (export "f" (func (param "n" u32)))))))");
  const auto ended = run({"inspect", "missing.wat"});
  EXPECT_EQ(ended.status, 0);
  const std::string why = "the import acme:a/b@1.0.0#f is not available: func(n: u32)";
  EXPECT_THAT(ended.out, HasSubstr("// cannot be run by this command: " + why));
  const auto json = Json::parse(run({"inspect", "--json", "missing.wat"}).out);
  EXPECT_EQ(json["link_error"], why);
  EXPECT_EQ(json["imports"][0]["functions"][0]["type"], "func(n: u32)");
}

TEST_F(CommandTest, CompiledAheadItRunsOnlyWhenAskedTo) {
  write("hello.wat", kHello);
  ASSERT_EQ(run({"compile", "hello.wat", "-o", "hello.cwasm"}).status, 0);
  EXPECT_EQ(run({"run", "--precompiled", "hello.cwasm", "--invoke", "hello()"}).out, "42\n");
  EXPECT_EQ(run({"run", "hello.cwasm", "--invoke", "hello()"}).status, 102);
}

TEST_F(CommandTest, WordsOfTheGuestMayLookLikeUnits) {
  write("hello.wat", kHello);
  for (const std::string_view line :
       {"--json 5 m", "--host-calls 5 s", "--timeout=10s 5 m", "--fuel 5 MiB", "--random-seed 5 m"}) {
    const auto ended = type("airssys-wasm run hello.wat " + std::string(line));
    EXPECT_EQ(ended.status, 104) << line << ended.err;
    EXPECT_THAT(ended.err, HasSubstr("is not a command"));
  }
}

// A default that is shown can be typed.
TEST_F(CommandTest, DefaultsAreOneWord) {
  const auto help = run({"run", "--help", "limits"}).out;
  EXPECT_THAT(help, HasSubstr("[128MiB]"));
  EXPECT_THAT(help, ::testing::Not(ContainsRegex("\\[[0-9]+ [A-Za-z]")));
}

TEST_F(CommandTest, TheLastOfAVariableCountsAndTheFirstArgumentHidesThePath) {
  write("show.wat", "(component " + std::string(kWasi) + "(core module $m " + std::string(kWasiCore) + R"(
    (func (export "run") (result i32) (local $at i32) (call $variables (i32.const 16)) (local.set $at (i32.load (i32.const 16)))
      (call $write (call $stdout) (i32.load offset=8 (local.get $at)) (i32.load offset=12 (local.get $at)) (i32.const 48))
      (call $arguments (i32.const 24)) (local.set $at (i32.load (i32.const 24)))
      (call $write (call $stdout) (i32.load (local.get $at)) (i32.load offset=4 (local.get $at)) (i32.const 48)) (i32.load (i32.const 20))))
   (core instance $i (instantiate $m (with "w" (instance $wasi))))
   (func (export "run") (result u32) (canon lift (core func $i "run")))))");
  const auto ended =
      run({"run", (directory / "show.wat").string(), "--invoke", "run()", "--env", "A=first", "--env", "A=last"});
  EXPECT_EQ(ended.out, "lastshow.wat\n1\n");
}

TEST_F(CommandTest, WhereNoFunctionCanBeTypedTheHelpSaysSo) {
  write("handles.wat", R"((component (type $r' (resource (rep i32))) (export $r "r" (type $r'))
    (core module $m (func (export "f") (param i32))) (core instance $i (instantiate $m))
    (func (export "f") (param "r" (own $r)) (canon lift (core func $i "f")))))");
  const auto ended = run({"run", "handles.wat"});
  EXPECT_EQ(ended.status, 104);
  EXPECT_THAT(ended.err, HasSubstr("none of its functions can be called from a shell"));
}

TEST_F(CommandTest, OtherVersionsAndOtherFilesAreNamed) {
  using namespace std::string_literals;
  write("new.wasm", "\0asm\x0e\0\1\0"s);
  EXPECT_THAT(run({"validate", "new.wasm"}).err, HasSubstr("new.wasm: this is a component of format version 14"));
  write("packed.wasm", "\x1f\x8b\x08\xff"s);
  EXPECT_THAT(run({"validate", "packed.wasm"}).err, HasSubstr("neither a WebAssembly component nor text"));
}

TEST_F(CommandTest, HelpHoldsTheTableOfReasons) {
  const auto ended = run({"--help", "exit-codes"});
  EXPECT_EQ(ended.status, 0);
  EXPECT_THAT(ended.out, ContainsRegex("124 +timeout"));
  EXPECT_THAT(ended.out, ContainsRegex("105 +fuel_exhausted"));
}

TEST_F(CommandTest, AProposalThatIsOffIsNamed) {
  write("gc.wat", R"((component (core module $m (type $s (struct (field i32)))
    (func (export "run") (result i32) (struct.get $s 0 (struct.new $s (i32.const 42)))))
    (core instance $i (instantiate $m)) (func (export "run") (result s32) (canon lift (core func $i "run")))))");
  write("wide.wat", R"((component (core module (func (param i64 i64 i64 i64) (result i64 i64)
    (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3))))))");
  const auto gc = run({"validate", "gc.wat"});
  EXPECT_EQ(gc.status, 102);
  EXPECT_THAT(gc.err, HasSubstr("the component needs garbage collection, a proposal of WebAssembly that is off"));
  EXPECT_THAT(gc.err, HasSubstr("help:   build it without garbage collection"));
  EXPECT_THAT(run({"validate", "wide.wat"}).err, HasSubstr("needs wide arithmetic"));
}

TEST_F(CommandTest, TheAdviceFollowsFromWhatTheReportKnows) {
  // An allocator that does not look at what memory.grow answers.
  write("careless.wat", R"((component (core module $m (memory 1) (func (export "f") (param i32) (local $at i32)
      (local.set $at (i32.shl (memory.size) (i32.const 16))) (drop (memory.grow (local.get 0)))
      (i32.store8 (local.get $at) (i32.const 1))))
    (core instance $i (instantiate $m)) (func (export "f") (param "n" u32) (canon lift (core func $i "f")))))");
  const auto careless = run({"run", "careless.wat", "--invoke", "f(100)", "--memory", "1MiB"});
  EXPECT_EQ(careless.status, 111);
  EXPECT_THAT(careless.err, HasSubstr("help:   a growth of memory was refused before: raise it with --memory 4MiB"));
  EXPECT_EQ(run({"run", "careless.wat", "--invoke", "f(10)", "--memory", "4MiB"}).status, 0);
  write("later.wat", R"((component (core module $m (func (export "run") (result i32) (i32.const 0))
      (func (export "cb") (param i32 i32 i32) (result i32) (i32.const 0))) (core instance $i (instantiate $m))
    (func (export "run") async (canon lift (core func $i "run") async (callback (func $i "cb"))))))");
  EXPECT_THAT(run({"run", "later.wat"}).err, HasSubstr("its functions are async in their type"));
  write("missing.wat", R"((component (import "acme:a/b@1.0.0" (instance (export "f" (func))))))");
  EXPECT_THAT(run({"run", "missing.wat", "--invoke", "f()"}).err,
              HasSubstr("help:   compose it with a component that exports it: wac plug"));
}

TEST_F(CommandTest, AMistakeInALongTypeIsALine) {
  std::string cases;
  for (int i = 0; i < 1424; ++i) {
    cases += " \"icon-" + std::to_string(i) + "\"";
  }
  write("icons.wat",
        "(component (core module $m (func (export \"f\") (param i32))) (core instance $i (instantiate $m)) "
        "(type $i' (enum" +
            cases +
            ")) (export $icon \"icon\" (type $i')) "
            "(func (export \"f\") (param \"x\" $icon) (canon lift (core func $i \"f\"))))");
  for (const auto& words :
       {std::vector<std::string>{"run", "icons.wat", "--invoke", "f(icon-5x)"},
        std::vector<std::string>{"run", "icons.wat", "--invoke", "f", "--args-json", "[\"icon-5x\"]"},
        std::vector<std::string>{"run", "icons.wat", "--invoke", "g(icon-5)"}}) {
    const auto ended = run(words);
    EXPECT_EQ(ended.status, 104);
    EXPECT_LT(ended.err.size(), 600U) << ended.err;
  }
  EXPECT_THAT(run({"run", "icons.wat", "--invoke", "f(icon-5x)"}).err, HasSubstr("did you mean icon-5?"));
}

}  // namespace
}  // namespace airssys::wasm::test
