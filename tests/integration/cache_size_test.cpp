#include "support/load.hpp"

namespace airssys::wasm::test {
namespace {

// The oldest goes first; what was kept is mapped and not compiled again.
TEST(CacheSizeTest, HoldsNoMoreThanItMay) {
  const Scratch scratch;
  const auto files = [&] {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(scratch.path())) {
      bytes += entry.file_size();
      ++count;
    }
    return std::pair{count, bytes};
  };
  auto settings = config();
  settings.cache_directory = scratch.path();
  const auto numbered = [](int n) {
    return component("(func (export \"run\") (result i32) i32.const " + std::to_string(n) + ")", kRun);
  };
  ASSERT_TRUE(WasmEngine::create(settings).value().load_text(numbered(0)));
  const auto one = files().second;
  ASSERT_EQ(files().first, 1U);
  settings.cache_max = Bytes{one * 7 / 2};
  auto engine = WasmEngine::create(settings).value();
  for (int n = 1; n < 8; ++n) {
    const auto loaded = engine.load_text(numbered(n));
    ASSERT_TRUE(loaded);
    EXPECT_TRUE(loaded->notes().empty());
    EXPECT_FALSE(engine.flush_cache());
    EXPECT_LE(files().second, settings.cache_max.count);
  }
  EXPECT_EQ(files().first, 3U);
  settings.cache_max = 1_KiB;
  const auto too_large = WasmEngine::create(settings).value().load_text(numbered(9));
  ASSERT_TRUE(too_large);
  EXPECT_EQ(too_large->notes().size(), 1U) << "it says that it was not kept";
}

}  // namespace
}  // namespace airssys::wasm::test
