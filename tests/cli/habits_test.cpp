#include "support/granted_command.hpp"

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

}  // namespace
}  // namespace airssys::wasm::test
