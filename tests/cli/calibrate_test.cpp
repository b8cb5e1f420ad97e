#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "support/granted_command.hpp"

namespace airssys::wasm::test {
namespace {

class CalibrateTest : public GrantsTest {};

TEST_F(CalibrateTest, TheMachineIsMeasuredWithItsSpread) {
  const auto ended = run({"calibrate", "--json"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  const auto speeds = Json::parse(ended.out)["fuel_per_ms"];
  for (const auto* work : {"arithmetic", "calls", "memory", "host_calls"}) {
    SCOPED_TRACE(work);
    // Anything that is not a thousand times slower or faster than what there is today.
    EXPECT_GT(speeds[work]["slowest"], 100);
    EXPECT_LE(speeds[work]["slowest"], speeds[work]["median"]);
    EXPECT_LE(speeds[work]["median"], speeds[work]["fastest"]);
    EXPECT_LT(speeds[work]["fastest"], 1'000'000'000);
  }
  EXPECT_LT(speeds["host_calls"]["median"], speeds["arithmetic"]["fastest"]);
}

TEST_F(CalibrateTest, WhatIsProposedLetsTheComponentRun) {
  write("mirror.wat", kMirror);
  const std::string call = "mirror({name: \"abcdefgh\", at: [1, 2, 3], set: some(true)})";
  const auto ended = run({"calibrate", "mirror.wat", "--invoke", call, "--runs", "7", "--json"});
  ASSERT_EQ(ended.status, 0) << ended.err;
  const auto seen = Json::parse(ended.out);
  EXPECT_EQ(seen["runs"], 7);
  EXPECT_EQ(seen["component"], "mirror.wat");
  for (const auto* key : {"fuel", "timeout_ns", "cpu_time_ns", "memory_bytes", "host_calls", "output_bytes"}) {
    SCOPED_TRACE(key);
    EXPECT_LE(seen["used"][key]["p50"], seen["used"][key]["p99"]);
    EXPECT_LE(seen["used"][key]["p99"], seen["used"][key]["max"]);
    EXPECT_GT(seen["proposed"][key], seen["used"][key]["max"]);
  }
  EXPECT_EQ(seen["used"]["memory_bytes"]["p50"], 65536);
  std::vector<std::string> words = {"run", "mirror.wat", "--invoke", call, "--report", "-"};
  std::istringstream options(seen["options"].get<std::string>());
  for (std::string word; options >> word;) {
    words.push_back(word);
  }
  EXPECT_EQ(words.size(), 6U + 12U);
  const auto again = run(words);
  ASSERT_EQ(again.status, 0) << again.err;
  const auto report = Json::parse(again.out.substr(again.out.find("\n{") + 1));
  for (const auto& [key, value] : seen["proposed"].items()) {
    EXPECT_EQ(report["limits"][key], value) << key;
  }
  const auto text = run({"calibrate", "mirror.wat", "--invoke", call, "--runs", "2"}).out;
  EXPECT_THAT(text, HasSubstr("2 runs of mirror.wat mirror("));
  EXPECT_THAT(text, HasSubstr("\n  --fuel "));
}

/// Reads its stdin once; fails like grep when there is nothing.
const std::string kReadsStdin = command(R"((call $read (call $stdin) (i64.const 100) (i32.const 16))
  (if (i32.load8_u (i32.const 16)) (then (return (i32.const 1))))
  (call $out (i32.load (i32.const 20)) (i32.load (i32.const 24))) (i32.const 0))");

TEST_F(CalibrateTest, ACommandReadsTheSameStdinInEachRun) {
  write("reads.wat", kReadsStdin);
  const auto ended = run({"calibrate", "reads.wat", "--runs", "5", "--json"}, "something");
  ASSERT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out.find("something"), std::string::npos) << "its output is not ours";
  const auto seen = Json::parse(ended.out);
  EXPECT_EQ(seen["exited"], 0);
  EXPECT_EQ(seen["used"]["host_calls"]["p50"], seen["used"]["host_calls"]["max"]);
  EXPECT_GT(seen["used"]["host_calls"]["max"], 1);
  EXPECT_EQ(seen["used"]["output_bytes"]["max"], 9);
  EXPECT_GT(seen["proposed"]["output_bytes"], 9);
  const auto empty = run({"calibrate", "reads.wat", "--runs", "5"});
  EXPECT_EQ(empty.status, 1);
  EXPECT_THAT(empty.err, HasSubstr("all 5 runs of reads.wat exited with another status than 0"));
  EXPECT_EQ(empty.out, "") << "nothing is proposed from runs that failed";
}

TEST_F(CalibrateTest, ARunThatMeetsALimitEndsItWithThatReason) {
  write("mirror.wat", kMirror);
  const auto ended = run({"calibrate", "mirror.wat", "--invoke", "answer()", "--fuel", "1"});
  EXPECT_EQ(ended.status, 105);
  EXPECT_EQ(ended.out, "");
  EXPECT_THAT(ended.err, HasSubstr("raise it with --fuel 4"));
  EXPECT_EQ(run({"calibrate", "mirror.wat"}).status, 104) << "nothing is named to call";
  EXPECT_EQ(run({"calibrate", "--invoke", "answer()"}).status, 2);
  EXPECT_EQ(run({"calibrate", "mirror.wat", "--invoke", "answer()", "--runs", "0"}).status, 2);
}

}  // namespace
}  // namespace airssys::wasm::test
