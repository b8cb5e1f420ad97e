#include <chrono>
#include <thread>

#include "support/granted_command.hpp"
#include "support/slow_text.hpp"

namespace airssys::wasm::test {
namespace {

/// What people type who come from other tools.
class HabitsTest : public GrantsTest {
 protected:
  static constexpr std::string_view kNext = R"((component
    (core module $m (func (export "next") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))
    (core instance $i (instantiate $m))
    (func (export "next") (param "n" s32) (result s32) (canon lift (core func $i "next")))))";
};

TEST_F(HabitsTest, AFileAloneIsRun) {
  write("args.wat", kArguments);
  EXPECT_EQ(run({"args.wat", "one"}).out, "args.wat\none\n");
  std::filesystem::create_directory(directory / "bin");
  write("bin/args", kArguments);
  EXPECT_EQ(run({"bin/args", "one"}).out, "args\none\n");
}

TEST_F(HabitsTest, TheComponentMayComeAfterTheDashes) {
  write("args.wat", kArguments);
  EXPECT_EQ(run({"run", "--fuel", "10M", "--", "args.wat", "--fuel"}).out, "args.wat\n--fuel\n");
  const auto none = run({"run", "--"});
  EXPECT_EQ(none.status, 2);
  EXPECT_THAT(none.err, ::testing::HasSubstr("component is required"));
}

TEST_F(HabitsTest, TheGuestsOwnNameCanBeGiven) {
  write("args.wat", kArguments);
  EXPECT_EQ(run({"run", "--argv0", "ls", "args.wat", "one"}).out, "ls\none\n");
}

TEST_F(HabitsTest, QuietPrintsTheOutputTheResultAndErrors) {
  write("next.wat", kNext);
  stderr_is_terminal = true;
  EXPECT_THAT(run({"run", "next.wat", "--invoke", "next(41)"}).err, ::testing::HasSubstr("returned in"));
  const auto quiet = run({"run", "-q", "next.wat", "--invoke", "next(41)"});
  EXPECT_EQ(quiet.out, "42\n");
  EXPECT_EQ(quiet.err, "");
  EXPECT_THAT(run({"run", "-q", "next.wat", "--invoke", "next(41)", "--fuel", "1"}).err, ::testing::HasSubstr("fuel"));
  EXPECT_EQ(run({"run", "-q", "--show-report", "next.wat", "--invoke", "next(41)"}).status, 2);
}

TEST_F(HabitsTest, AVariablesNameAloneIsInherited) {
  write("env.wat", kVariables);
  environment["OURS"] = "here";
  EXPECT_EQ(run({"run", "env.wat", "--env", "OURS", "--env", "NOT_SET_ANYWHERE"}).out, "OURS\nhere\n");
  EXPECT_EQ(run({"run", "env.wat", "--env", "OURS=there", "--env", "OURS"}).out, "OURS\nhere\n");
}

TEST_F(HabitsTest, ADirectoryAloneHasTheSameNameInside) {
  write("copy.wat", kCopy);
  std::filesystem::create_directory(directory / "data");
  write("data/file", "text");
  EXPECT_EQ(run({"run", "copy.wat", "--dir", "data"}).out, "data\ntext");
  EXPECT_FALSE(std::filesystem::exists(directory / "data" / "copy"));
  EXPECT_EQ(run({"run", "copy.wat", "--dir", "data:rw"}).status, 0);
  EXPECT_EQ(content("data/copy"), "text");
}

TEST_F(HabitsTest, TwoModesAndTwoDirectoriesOfOneNameAreRefused) {
  write("copy.wat", kCopy);
  std::filesystem::create_directory(directory / "a");
  std::filesystem::create_directory(directory / "b");
  const auto refused = [&](const std::vector<std::string>& grants) {
    std::vector<std::string> words{"run", "copy.wat"};
    for (const auto& grant : grants) {
      words.insert(words.end(), {"--dir", grant});
    }
    const auto ended = run(words);
    EXPECT_EQ(ended.status, 2);
    return ended.err;
  };
  EXPECT_THAT(refused({"a::/d:ro:rw"}), ::testing::HasSubstr("two modes"));
  EXPECT_THAT(refused({"a::/d", "b::/d/"}), ::testing::HasSubstr("both a and b as /d"));
}

TEST_F(HabitsTest, JsonArgumentsComeFromAFileOrStdin) {
  write("next.wat", kNext);
  write("in.json", "[41]\n");
  EXPECT_EQ(run({"run", "next.wat", "--invoke", "next", "--args-json", "@in.json"}).out, "42\n");
  EXPECT_EQ(run({"run", "next.wat", "--invoke", "next", "--args-json", "-"}, "[41]").out, "42\n");
  const auto absent = run({"run", "next.wat", "--invoke", "next", "--args-json", "@absent"});
  EXPECT_EQ(absent.status, 2);
  EXPECT_THAT(absent.err, ::testing::HasSubstr("--args-json @absent: No such file"));
  EXPECT_EQ(run({"run", "-", "--invoke", "next", "--args-json", "-"}, kNext).status, 2);
}

TEST_F(HabitsTest, AFunctionsShortNameIsEnoughWhereItIsTheOnlyOne) {
  write("math.wat", R"((component
    (core module $m (func (export "next") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))
    (core instance $i (instantiate $m))
    (func $next (param "n" s32) (result s32) (canon lift (core func $i "next")))
    (instance $one (export "next" (func $next)) (export "after" (func $next))) (export "acme:one/math" (instance $one))
    (instance $two (export "next" (func $next))) (export "acme:two/math" (instance $two))))");
  EXPECT_EQ(run({"run", "math.wat", "--invoke", "after(41)"}).out, "42\n");
  EXPECT_EQ(run({"run", "math.wat", "--invoke", "after", "--args-json", "[41]"}).out, "42\n");
  EXPECT_EQ(run({"run", "math.wat", "--invoke", "acme:two/math#next(41)"}).out, "42\n");
  const auto ambiguous = run({"run", "math.wat", "--invoke", "next(41)"});
  EXPECT_EQ(ambiguous.status, 104);
  EXPECT_THAT(ambiguous.err, ::testing::HasSubstr("give it whole: acme:one/math#next or acme:two/math#next"));
}

TEST_F(HabitsTest, ABareTimeIsInSeconds) {
  write("next.wat", kNext);
  const auto ended = run({"run", "next.wat", "--invoke", "next(1)", "--timeout", "1.5", "--report", "r.json"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(Json::parse(content("r.json"))["limits"]["timeout_ns"], 1'500'000'000);
}

TEST_F(HabitsTest, LoadLimitsMayFollowOneAnother) {
  write("next.wat", kNext);
  for (const auto& limits : std::vector<std::vector<std::string>>{{"--load-limit", "nesting=9", "functions=0"},
                                                                  {"--load-limit=nesting=9", "functions=0"}}) {
    std::vector<std::string> words{"run"};
    words.insert(words.end(), limits.begin(), limits.end());
    words.insert(words.end(), {"next.wat", "--invoke", "next(1)"});
    const auto ended = run(words);
    EXPECT_EQ(ended.status, 102);
    EXPECT_THAT(ended.err, ::testing::HasSubstr("functions"));
  }
}

TEST_F(HabitsTest, ACoarseClockTakesSecondsWithoutAUnitToo) {
  write("next.wat", kNext);
  EXPECT_EQ(run({"run", "--coarse-clock", "1.5", "next.wat", "--invoke", "next(1)"}).out, "2\n");
  EXPECT_THAT(run({"run", "--coarse-clock", "0", "next.wat", "--invoke", "next(1)"}).err,
              HasSubstr("the step is zero"));
}

TEST_F(HabitsTest, ACommandsOwnEndIsItsOwnAlsoOnATerminal) {
  stderr_is_terminal = true;
  write("fails.wat", command("(i32.const 1)"));
  const auto ended = run({"run", "fails.wat"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(ended.err, "");
  write("args.wat", kArguments);
  EXPECT_EQ(run({"run", "args.wat"}).err, "");
  EXPECT_THAT(run({"run", "fails.wat", "--show-report"}).err, HasSubstr("exited"));
  EXPECT_THAT(run({"run", "args.wat", "--show-report"}).err, HasSubstr("returned in"));
  EXPECT_THAT(run({"run", "args.wat", "--fuel", "1"}).err, HasSubstr("fuel limit of 1 reached"));
}

/// A terminal at which somebody types after a while.
class Typist {
 public:
  Typist(std::string text, std::chrono::milliseconds after) {
    EXPECT_EQ(::openpty(&keyboard_, &screen_, nullptr, nullptr, nullptr), 0);
    typing_ = std::jthread([this, text = std::move(text), after] {
      std::this_thread::sleep_for(after);
      EXPECT_EQ(::write(keyboard_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    });
  }
  Typist(const Typist&) = delete;
  Typist& operator=(const Typist&) = delete;
  ~Typist() {
    typing_.join();
    ::close(keyboard_);
    ::close(screen_);
  }
  [[nodiscard]] int terminal() const { return screen_; }

 private:
  int keyboard_ = -1, screen_ = -1;
  std::jthread typing_;
};

TEST_F(HabitsTest, WhoTypesSlowlyIsWaitedForUnlessATimeoutIsGiven) {
  write("cat.wat", kCat);
  // The end of the input at a terminal.
  constexpr const char* kLine = "typed\n\x04";
  {
    const Typist typist(kLine, std::chrono::milliseconds(400));
    stdin_instead = typist.terminal();
    const auto ended = run({"run", "cat.wat", "--report", "report.json"});
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_EQ(ended.out, "typed\n");
    const auto usage = Json::parse(content("report.json"))["usage"];
    EXPECT_GT(usage["terminal_wait_ns"], 200'000'000);
    EXPECT_LT(usage["wall_ns"], 200'000'000);
  }
  const Typist typist(kLine, std::chrono::milliseconds(800));
  stdin_instead = typist.terminal();
  EXPECT_EQ(run({"run", "cat.wat", "--timeout", "200ms"}).status, 124) << "an explicit limit counts everything";
}

TEST_F(HabitsTest, CompilingACommandIsShownAndTheLineIsGoneWhenItStarts) {
  auto slow = kHello;
  const std::string_view open = "(component ";
  const auto text = slow_text();
  const auto module = text.substr(open.size(), text.size() - open.size() - 1);
  slow.insert(open.size(), module);
  write("slow.wat", slow);
  stderr_is_terminal = one_place = true;
  const auto ended = run({"run", "--no-cache", "slow.wat"});
  EXPECT_EQ(ended.status, 0);
  EXPECT_THAT(ended.err, HasSubstr("compiling slow.wat (1 s)"));
  EXPECT_TRUE(ended.err.ends_with("\r\x1b[Khello\r\n")) << ended.err;
}

TEST_F(HabitsTest, WhatCannotBeLinkedIsSaidBeforeACallIsSuggested) {
  write("missing.wat", R"((component (import "acme:a/b@1.0.0" (instance (export "f" (func (param "n" u32)))))
    (core module $m (func (export "run") (result i32) i32.const 1)) (core instance $i (instantiate $m))
    (func (export "run") (result s32) (canon lift (core func $i "run")))))");
  for (const auto& words : {std::vector<std::string>{"run", "missing.wat"},
                            std::vector<std::string>{"run", "missing.wat", "--invoke", "typo("}}) {
    const auto ended = run(words);
    EXPECT_EQ(ended.status, 103);
    EXPECT_THAT(ended.err, HasSubstr("acme:a/b@1.0.0"));
    EXPECT_THAT(ended.err, Not(HasSubstr("--invoke")));
  }
}

TEST_F(HabitsTest, InspectShowsFirstWhatCanBeTypedAndWasiOnlyWhenAsked) {
  write("args.wat", kArguments);
  const auto seen = run({"inspect", "args.wat"}).out;
  EXPECT_THAT(seen, HasSubstr("// a command: airssys-wasm run args.wat\n"));
  EXPECT_THAT(seen, HasSubstr("import wasi:cli/environment@0.2.0;"));
  EXPECT_THAT(seen, Not(HasSubstr("package wasi:cli")));
  EXPECT_THAT(run({"inspect", "--wasi", "args.wat"}).out, HasSubstr("package wasi:cli@0.2.0 {"));
  EXPECT_THAT(Json::parse(run({"inspect", "--json", "args.wat"}).out)["wit"].get<std::string>(),
              HasSubstr("package wasi:cli@0.2.0 {"));
  write("mirror.wat", kMirror);
  const auto mirror = run({"inspect", "mirror.wat"}).out;
  EXPECT_LT(mirror.find("//   mirror: func(r: r) -> r\n"), mirror.find("world root"));
  EXPECT_THAT(mirror, HasSubstr("// for example: airssys-wasm run mirror.wat --invoke 'mirror({name: \"x\", at: [1], "
                                "set: some(true)})'\n"));
}

}  // namespace
}  // namespace airssys::wasm::test
