#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/command.hpp"

namespace airssys::wasm::test {
namespace {

using ::testing::HasSubstr;

/// `cache` and `stats`, with a cache of the test's own.
class CacheCommandTest : public CommandTest {
 protected:
  Ended with_cache(const std::string& words) {
    return execute({"/bin/sh", "-c", "XDG_CACHE_HOME=\"$PWD/cache\" " AIRSSYS_WASM_TEST_PROGRAM " " + words});
  }
};

TEST_F(CacheCommandTest, WhatWasRunIsListedAndCleared) {
  write("hello.wat", kHello);
  write("loop.wat", kLoop);
  EXPECT_THAT(with_cache("cache").out, HasSubstr("0 compiled components, 0 B of 2 GiB in "));
  ASSERT_EQ(with_cache("run hello.wat --invoke 'hello()'").status, 0);
  ASSERT_EQ(with_cache("validate loop.wat").status, 0);
  const auto list = with_cache("cache list");
  EXPECT_EQ(list.status, 0);
  EXPECT_THAT(list.out, ::testing::ContainsRegex("  [0-9a-f]{12}  hello.wat\n"));
  EXPECT_THAT(list.out, ::testing::ContainsRegex("  [0-9a-f]{12}  loop.wat\n"));
  const auto all = Json::parse(with_cache("cache list --json").out);
  ASSERT_EQ(all["components"].size(), 2U);
  const auto& hello = all["components"][all["components"][0]["name"] == "hello.wat" ? 0 : 1];
  EXPECT_EQ(hello["used_again"], false);
  const auto digest = Json::parse(with_cache("inspect --json hello.wat").out)["digest"];
  EXPECT_EQ(hello["digest"], digest);
  const auto size = Json::parse(with_cache("cache size --json").out);
  EXPECT_EQ(size["components"], 2);
  EXPECT_EQ(size["size_bytes"], all["size_bytes"]);
  EXPECT_THAT(with_cache("cache size").out, HasSubstr("2 compiled components, "));
  EXPECT_EQ(Json::parse(with_cache("stats --json").out)["cache"]["components"], 2);
  EXPECT_THAT(with_cache("cache clear").out, HasSubstr("removed 2 compiled components, "));
  EXPECT_THAT(with_cache("cache size").out, HasSubstr("0 compiled components, "));
  EXPECT_EQ(with_cache("run hello.wat --invoke 'hello()'").out, "42\n");
  EXPECT_EQ(Json::parse(with_cache("cache clear --json").out)["components"], 1);
}

TEST_F(CacheCommandTest, WithoutAPlaceForACacheThatIsSaid) {
  const auto ended = execute({"/bin/sh", "-c", "unset HOME XDG_CACHE_HOME; " AIRSSYS_WASM_TEST_PROGRAM " cache"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("neither XDG_CACHE_HOME nor HOME is an absolute path"));
  EXPECT_EQ(run({"cache", "burn"}).status, 2);
}

TEST_F(CacheCommandTest, StatsShowsWhatGuestsMayTakeOfTheProcess) {
  const auto few = execute({"/bin/sh", "-c", "ulimit -n 100; " AIRSSYS_WASM_TEST_PROGRAM " stats --json"});
  ASSERT_EQ(few.status, 0) << few.err;
  const auto process = Json::parse(few.out)["process"];
  EXPECT_LT(process["file_descriptors"]["capacity"], 100);
  EXPECT_GT(process["file_descriptors"]["capacity"], 50);
  EXPECT_GT(process["memory_bytes"]["capacity"], 1 << 20);
  EXPECT_THAT(run({"stats"}).out, HasSubstr("file descriptors"));
}

}  // namespace
}  // namespace airssys::wasm::test
