#include <iterator>
#include <map>
#include <utility>

#include "support/command.hpp"
#include "support/slow_text.hpp"
#include "support/wasi_guest.hpp"

namespace airssys::wasm::test {
namespace {

class OptionsTest : public CommandTest {};

// Every figure differs, so that no option can stand in for another.
TEST_F(OptionsTest, EachLimitIsSetByTheOptionOfItsName) {
  write("hello.wat", kHello);
  const std::map<std::string, std::pair<std::string, Json>> limits = {
      {"--fuel", {"10001", {{"fuel", 10001}}}},
      {"--timeout", {"1002ms", {{"timeout_ns", 1'002'000'000}}}},
      {"--cpu-time", {"1003ms", {{"cpu_time_ns", 1'003'000'000}}}},
      {"--memory", {"1004KiB", {{"memory_bytes", 1004 << 10}}}},
      {"--instance-bytes", {"10018B", {{"instance_bytes", 10018}}}},
      {"--stack", {"105KiB", {{"stack_bytes", 105 << 10}}}},
      {"--host-buffer", {"1006B", {{"host_buffer_bytes", 1006}}}},
      {"--output", {"1007B", {{"output_bytes", 1007}}}},
      {"--random", {"1008B", {{"random_bytes", 1008}}}},
      {"--handles", {"1009", {{"handles", 1009}}}},
      {"--wasi-resources", {"1010", {{"wasi_resources", 1010}}}},
      {"--async-resources", {"1011", {{"async_resources", 1011}}}},
      {"--host-calls", {"1012", {{"host_calls", 1012}}}},
      {"--directory-entries", {"1013", {{"directory_entries", 1013}}}},
      {"--open-files", {"1014", {{"open_files", 1014}}}},
      {"--instances", {"15", {{"instances", 15}}}},
      {"--memories", {"16", {{"memories", 16}}}},
      {"--tables", {"17", {{"tables", 17}}}},
  };
  std::vector<std::string> words = {"run", "hello.wat", "--invoke", "hello()", "--report", "-"};
  Json expected;
  for (const auto& [option, value] : limits) {
    words.insert(words.end(), {option, value.first});
    expected.update(value.second);
  }
  const auto ended = run(words);
  ASSERT_EQ(ended.status, 0) << ended.err;
  const auto seen = Json::parse(ended.out.substr(ended.out.find('{')))["limits"];
  for (const auto& [key, value] : expected.items()) {
    EXPECT_EQ(seen[key], value) << key;
  }
}

TEST_F(OptionsTest, EachLimitOfALoadIsSetByTheOptionOfItsName) {
  write("hello.wat", kHello);
  write("slow.wat", slow_text());
  // One of each, and one more where a limit of none would be met by another first.
  write("all.wat", R"((component (import "a" (func)) (import "b" (func)) (type (func (param "x" (list (list u8)))))
    (component (component (component)))
    (core module $m (type (func)) (memory 1) (table 1 funcref) (func (export "f")) (func (export "g") nop nop))
    (core instance $i (instantiate $m)) (core instance (instantiate $m)) (func (export "f") (canon lift (core func $i "f")))))");
  const auto refused_by = [&](const std::string& file, std::vector<std::string> options) {
    options.insert(options.begin(), {"run", file, "--invoke", "hello()", "--no-cache", "--report", "-"});
    const auto ended = run(options);
    EXPECT_EQ(ended.status, 102) << ended.err;
    return ended.out.empty() ? Json() : Json::parse(ended.out)["stop"]["limits"][0]["resource"];
  };
  EXPECT_EQ(refused_by("hello.wat", {"--component-size", "10B"}), "bytes");
  EXPECT_EQ(refused_by("hello.wat", {"--artefact-size", "100B"}), "artefact_bytes");
  EXPECT_EQ(refused_by("hello.wat", {"--compile-memory", "1MiB"}), "compile_memory");
  EXPECT_EQ(refused_by("slow.wat", {"--load-timeout", "200ms"}), "load_timeout");
  EXPECT_EQ(refused_by("slow.wat", {"--compile-cpu-time", "1s"}), "compile_cpu_time");
  for (const auto* limit : {"nesting=2", "modules=0", "components=2", "instances=1", "functions=1", "body_bytes=1B",
                            "types=1", "imports=1", "exports=1", "memories=0", "tables=0", "linking_steps=1",
                            "metadata_bytes=1KiB", "type_depth=0", "type_nodes=1", "text_bytes=10B"}) {
    const std::string name(limit, std::string_view(limit).find('='));
    EXPECT_EQ(refused_by("all.wat", {"--load-limit", limit}), name);
  }
}

TEST_F(OptionsTest, ACoarseClockShowsWholeSteps) {
  write("now.wat", wasi_guest("(call $now)", R"((result u64) (canon lift (core func $i "run")))", "i64"));
  const auto now = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"run", "now.wat", "--invoke", "run()"});
    return std::stoull(run(options).out);
  };
  EXPECT_EQ(now({"--coarse-clock", "1s"}), 1'000'000'000U);
  EXPECT_LT(now({}), 1'000'000'000U);
}

TEST_F(OptionsTest, WithoutACacheNothingIsKept) {
  write("hello.wat", kHello);
  const auto kept = [&](const std::string& option) {
    std::filesystem::remove_all(directory / "cache");
    std::filesystem::create_directory(directory / "cache");
    EXPECT_EQ(execute({"/bin/sh", "-c",
                       "XDG_CACHE_HOME=\"$PWD/cache\" " AIRSSYS_WASM_TEST_PROGRAM " run hello.wat --invoke 'hello()' " +
                           option})
                  .out,
              "42\n");
    return std::distance(std::filesystem::recursive_directory_iterator(directory / "cache"), {});
  };
  EXPECT_EQ(kept("--no-cache"), 0);
  EXPECT_GT(kept(""), 0);
}

// Whoever looks for the reason finds it also while the guest's reader is stuck.
TEST_F(OptionsTest, TheReportWaitsForNoReaderOfTheOutput) {
  write("flood.wat",
        wasi_guest("(local.set $s (call $stdout)) (loop $l (call $write (local.get $s) (i32.const 0) (i32.const 4096) "
                   "(i32.const 48)) (br $l)) (i32.const 1)"));
  const auto ended = execute(
      {"/bin/sh", "-c",
       AIRSSYS_WASM_TEST_PROGRAM
       " run flood.wat --invoke 'run()' --timeout 300ms --report r.json 2>err | "
       "{ for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do test -s r.json && break; sleep 0.1; done; "
       "cat r.json; cat > all; }"});
  EXPECT_EQ(Json::parse(ended.out)["stop"]["reason"], "timeout");
  EXPECT_GT(std::filesystem::file_size(directory / "all"), 0U);
}

TEST_F(OptionsTest, AWrongOptionLosesNoEarlierReport) {
  write("hello.wat", kHello);
  write("r.json", "an earlier one, longer than that of hello" + std::string(5000, '.'));
  EXPECT_EQ(run({"run", "hello.wat", "--invoke", "hello()", "--stdin", "absent", "--report", "r.json"}).status, 2);
  EXPECT_GT(std::filesystem::file_size(directory / "r.json"), 5000U);
  EXPECT_EQ(run({"run", "hello.wat", "--invoke", "hello()", "--report", "r.json"}).status, 0);
  EXPECT_EQ(Json::parse(std::ifstream(directory / "r.json"))["result"], 42);
}

}  // namespace
}  // namespace airssys::wasm::test
