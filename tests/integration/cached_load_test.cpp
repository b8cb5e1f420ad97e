#include "support/cache.hpp"

namespace airssys::wasm::test {
namespace {

class CachedLoadTest : public ::testing::Test {
 protected:
  CachedLoadTest() { settings.cache_directory = scratch.path(); }
  ComponentHandle load(WasmEngine& engine, int n) {
    const auto text = component("(func (export \"run\") (result i32) i32.const " + std::to_string(n) + ")", kRun);
    return engine.load_text(text).value();
  }
  const Scratch scratch;
  RuntimeConfig settings = config();
};

TEST_F(CachedLoadTest, ALoadTellsWhetherItCameFromTheCache) {
  auto engine = WasmEngine::create(settings).value();
  const auto first = load(engine, 1);
  EXPECT_FALSE(first.load_usage().from_cache);
  EXPECT_GT(first.load_usage().wall_time, 0ns);
  EXPECT_TRUE(load(engine, 1).load_usage().from_cache) << "also while it is on its way to the disk";
  EXPECT_FALSE(engine.flush_cache());
  const auto again = load(engine, 1);
  EXPECT_TRUE(again.load_usage().from_cache);
  const auto report = engine.run(again, "run", {}, small());
  ASSERT_TRUE(report.load);
  EXPECT_TRUE(report.load->from_cache);
  EXPECT_EQ(report.load->wall_time, again.load_usage().wall_time);
  const auto file = scratch.path() / "artefact";
  ASSERT_TRUE(engine.compile_to_file(std::vector<std::uint8_t>{0, 'a', 's', 'm', 0x0d, 0, 1, 0}, file));
  EXPECT_TRUE(engine.load_precompiled(file).value().load_usage().from_cache);
}

// Through engines as programs make them: one load each.
TEST_F(CachedLoadTest, WhatIsRunAgainOutlivesWhatIsRunOnce) {
  {
    auto engine = WasmEngine::create(settings).value();
    static_cast<void>(load(engine, 0));
  }
  const auto file = fs::directory_iterator(scratch.path())->path();
  settings.cache_max = Bytes{fs::file_size(file) * 9 / 2};
  for (const int n : {0, 1, 2, 3, 4, 5, 6, 7, 8}) {
    auto engine = WasmEngine::create(settings).value();
    static_cast<void>(load(engine, n));
  }
  auto engine = WasmEngine::create(settings).value();
  EXPECT_TRUE(load(engine, 0).load_usage().from_cache);
  EXPECT_FALSE(load(engine, 1).load_usage().from_cache);
}

TEST_F(CachedLoadTest, ADiskThatIsFullIsTold) {
  auto engine = WasmEngine::create(settings).value();
  static_cast<void>(load(engine, 1));
  ASSERT_FALSE(engine.flush_cache());
  // Where the file goes there is a directory: as good as a disk that takes nothing.
  const auto kept = fs::directory_iterator(scratch.path())->path();
  fs::remove(kept);
  fs::create_directory(kept);
  static_cast<void>(load(engine, 1));
  EXPECT_TRUE(engine.flush_cache());
  EXPECT_EQ(engine.statistics().not_kept, 1U);
}

}  // namespace
}  // namespace airssys::wasm::test
