#include "support/granted_command.hpp"

namespace airssys::wasm::test {
namespace {

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
  EXPECT_TRUE(run({"run", "--show-report", "both.wat"}).err.starts_with("1 2 34\r\n")) << "the report begins a line";
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

TEST_F(GrantsTest, AWriteToADirectoryThatIsForReadingIsToldWithTheGrantThatAllowsIt) {
  write("copy.wat", kCopy);
  std::filesystem::create_directory(directory / "data");
  write("data/file", "text");
  const auto ended = run({"run", "--show-report", "copy.wat", "--dir", "data::/d"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("help:   /d is granted for reading only: --dir data::/d:rw"));
  EXPECT_EQ(run({"run", "copy.wat", "--dir", "data::/d:rw"}).status, 0);
}

}  // namespace
}  // namespace airssys::wasm::test
