#include "support/load.hpp"

namespace airssys::wasm::test {
namespace {

/// A component of at least this size.
std::vector<std::uint8_t> padded(std::size_t size) {
  std::vector<std::uint8_t> bytes = {0, 'a', 's', 'm', 0x0d, 0, 1, 0, 0};
  // A custom section without a name.
  constexpr unsigned kLow = 0x7f, kMore = 0x80, kBits = 7;
  auto left = size + 1;
  for (; left > kLow; left >>= kBits) {
    bytes.push_back(static_cast<std::uint8_t>((left & kLow) | kMore));
  }
  bytes.push_back(static_cast<std::uint8_t>(left));
  bytes.resize(bytes.size() + size + 1);
  return bytes;
}

/// Components of a megabyte and more take the compiler for ever.
class SlowCompilerTest : public LoadTest {
 protected:
  SlowCompilerTest() {
    settings.cache = false;
    settings.compile.helper =
        helper_script(scratch, "[ \"$(stat -Lc %s /proc/self/fd/3)\" -gt 1000000 ] && exec sleep 10\nexec " +
                                   std::string(AIRSSYS_WASM_TEST_HELPER) + " \"$@\"");
    settings.load.timeout = 800ms;
  }
  std::future<Result<ComponentHandle>> start(WasmEngine& host, std::size_t size, std::string principal = {}) {
    return std::async(std::launch::async, [&host, size, principal] {
      return host.load_component(padded(size), {.name = "component", .principal = principal});
    });
  }
  /// The same, known to compile or to wait when this returns: one compiles, and so many wait.
  std::future<Result<ComponentHandle>> start_before(WasmEngine& host, std::size_t size, std::uint64_t queued,
                                                    std::string principal = {}) {
    auto load = start(host, size, std::move(principal));
    wait_until_one_compiles(host, queued);
    return load;
  }
  static void wait_until_one_compiles(WasmEngine& host, std::uint64_t queued) {
    const auto late = std::chrono::steady_clock::now() + 3s;
    while (host.statistics().compiling != 1 || host.statistics().loads_queued != queued) {
      ASSERT_LT(std::chrono::steady_clock::now(), late) << "it never compiled one with " << queued << " that wait";
      std::this_thread::sleep_for(1ms);
    }
  }
  const Scratch scratch;
  RuntimeConfig settings = config();
};

constexpr std::size_t kSmallOne = 100, kLargeOne = 300'000, kSlowOne = 1'100'000;

// Waiting for others is no part of the time that a load may take.
TEST_F(SlowCompilerTest, AnHonestLoadOutlastsSlowOnes) {
  settings.compile.children = 2;
  auto host = WasmEngine::create(settings).value();
  auto first = start_before(host, kSlowOne, 0);
  auto second = start_before(host, kSlowOne, 1);
  auto honest = start_before(host, kLargeOne, 2);
  const auto loaded = honest.get();
  ASSERT_TRUE(loaded) << loaded.error();
  EXPECT_GE(loaded->load_usage().queued, 800ms) << "more than its own load may take";
  EXPECT_GE(loaded->load_usage().wall_time, loaded->load_usage().queued);
  EXPECT_EQ(refusal(first.get()).limit, "load_timeout");
  EXPECT_EQ(refusal(second.get()).limit, "load_timeout");
}

TEST_F(SlowCompilerTest, ASmallComponentDoesNotWaitForLargeOnes) {
  settings.compile.children = 2;
  auto host = WasmEngine::create(settings).value();
  auto slow = start_before(host, kSlowOne, 0);
  auto another = start_before(host, kSlowOne, 1);
  const auto honest = start(host, kSmallOne).get();
  ASSERT_TRUE(honest) << honest.error();
  EXPECT_LT(honest->load_usage().queued, 400ms) << "the slow one goes on for twice as long";
}

TEST_F(SlowCompilerTest, APrincipalWithManyLoadsDoesNotHoldUpAnother) {
  settings.compile.children = 1;
  auto host = WasmEngine::create(settings).value();
  std::vector<std::future<Result<ComponentHandle>>> greedy;
  for (std::uint64_t i = 0; i < 3; ++i) {
    greedy.push_back(start_before(host, kSlowOne, i, "greedy"));
  }
  const auto honest = start(host, kSmallOne, "honest").get();
  ASSERT_TRUE(honest) << honest.error();
  EXPECT_LT(honest->load_usage().queued, 1200ms) << "behind the one under way, before the two that wait";
}

// The next one may come before the first has put it into the cache; further ones find it.
TEST_F(SlowCompilerTest, ThoseThatWaitToCompileTheSameFindIt) {
  const Scratch cache;
  settings.cache = true;
  settings.cache_directory = cache.path();
  settings.compile.children = 1;
  settings.load.timeout = 5s;
  settings.compile.helper =
      helper_script(scratch, "sleep 0.3\nexec " + std::string(AIRSSYS_WASM_TEST_HELPER) + " \"$@\"");
  auto host = WasmEngine::create(settings).value();
  auto first = start_before(host, kSmallOne, 0);
  std::vector<std::future<Result<ComponentHandle>>> others;
  for (std::uint64_t i = 1; i < 5; ++i) {
    others.push_back(start_before(host, kSmallOne, i));
  }
  EXPECT_FALSE(first.get().value().load_usage().from_cache);
  int found = 0;
  for (auto& other : others) {
    const auto loaded = other.get();
    ASSERT_TRUE(loaded) << loaded.error();
    EXPECT_GT(loaded->load_usage().queued, 0ns);
    found += loaded->load_usage().from_cache ? 1 : 0;
  }
  EXPECT_GE(found, 3);
}

TEST_F(SlowCompilerTest, WaitingForAPlaceHasItsOwnLimitAndReason) {
  settings.compile.children = 1;
  settings.compile.queue_timeout = 50ms;
  settings.compile.max_queued = 1;
  settings.load.timeout = 1s;
  auto host = WasmEngine::create(settings).value();
  auto slow = start_before(host, kSlowOne, 0);
  const auto late = start(host, kSmallOne).get();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason(), "queue_timeout");
  EXPECT_EQ(late.error().phase, Phase::Load);
  EXPECT_EQ(late.error().message, "no place to compile became free in 50 ms");
  EXPECT_GE(std::get<QueueTimeout>(late.error().kind).waited, 50ms);
}

TEST_F(SlowCompilerTest, NoMoreLoadsWaitThanMay) {
  settings.compile.children = 1;
  settings.compile.max_queued = 0;
  auto host = WasmEngine::create(settings).value();
  auto slow = start_before(host, kSlowOne, 0);
  const auto full = start(host, kSmallOne).get();
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().reason(), "queue_full");
}

TEST_F(SlowCompilerTest, ALoadThatWaitsForAPlaceCanBeStopped) {
  settings.compile.children = 1;
  auto host = WasmEngine::create(settings).value();
  auto slow = start_before(host, kSlowOne, 0);
  std::stop_source stop;
  auto waiting = std::async(std::launch::async, [&] {
    return host.load_component(padded(kSmallOne), {.name = "component", .stop = stop.get_token()});
  });
  wait_until_one_compiles(host, 1);
  stop.request_stop();
  const auto stopped = waiting.get();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().reason(), "cancelled");
}

}  // namespace
}  // namespace airssys::wasm::test
