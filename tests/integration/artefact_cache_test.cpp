#include "support/cache.hpp"

namespace airssys::wasm::test {
namespace {

/// What a file of the cache takes beside its artefact.
constexpr std::uint64_t kBeside = 19;

TEST(ArtefactCacheTest, AStreamOfStrangersCannotPushOutWhatIsUsedAgain) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{10 * (1000 + kBeside)});
  const auto one = artefact(1000);
  ASSERT_FALSE(cache.store("ours", one));
  cache.used("ours");
  for (int i = 0; i < 100; ++i) {
    ASSERT_FALSE(cache.store("stranger" + std::to_string(i), one));
  }
  EXPECT_TRUE(cache.find("ours"));
  EXPECT_TRUE(ArtefactCache::is_whole(cache.find("ours")->artefact));
  EXPECT_TRUE(cache.find("stranger99"));
  EXPECT_FALSE(cache.find("stranger0"));
}

TEST(ArtefactCacheTest, WhatWasUsedOnceGoesInTheOrderOfItsUse) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{3 * (1000 + kBeside)});
  const auto one = artefact(1000);
  for (const auto* key : {"a", "b", "c", "d"}) {
    ASSERT_FALSE(cache.store(key, one));
    fs::last_write_time(scratch.path() / key, fs::file_time_type::clock::now() - std::chrono::hours('z' - key[0]));
  }
  EXPECT_FALSE(cache.find("a"));
  EXPECT_TRUE(cache.find("b"));
}

// Otherwise whoever uses much would leave no room for what is new.
TEST(ArtefactCacheTest, WhatIsProtectedKeepsToItsShare) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{10 * (1000 + kBeside)});
  const auto one = artefact(1000);
  for (int i = 0; i < 10; ++i) {
    const auto key = "k" + std::to_string(i);
    ASSERT_FALSE(cache.store(key, one));
    cache.used(key);
  }
  const auto files = [](const fs::path& directory) {
    return std::ranges::count_if(fs::directory_iterator(directory),
                                 [](const auto& at) { return at.is_regular_file(); });
  };
  EXPECT_EQ(files(scratch.path() / "again"), 8);
  EXPECT_EQ(files(scratch.path()), 2);
}

TEST(ArtefactCacheTest, AUseIsWorthNotingOnceAMinute) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), 1_MiB);
  ASSERT_FALSE(cache.store("a", artefact(10)));
  EXPECT_TRUE(cache.find("a")->worth_noting) << "it is not protected yet";
  cache.used("a");
  EXPECT_FALSE(cache.find("a")->worth_noting);
  fs::last_write_time(scratch.path() / "again" / "a", fs::file_time_type::clock::now() - std::chrono::minutes(2));
  EXPECT_TRUE(cache.find("a")->worth_noting);
}

// Native code that somebody else could have put there would run with our rights.
TEST(ArtefactCacheTest, WhatOthersCouldHaveProtectedIsNotUsed) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path() / "cache", 1_MiB);
  ASSERT_FALSE(cache.store("a", artefact(10)));
  cache.used("a");
  ASSERT_TRUE(cache.find("a"));
  fs::permissions(scratch.path() / "cache", fs::perms::all);
  EXPECT_FALSE(cache.find("a")) << "whoever may write the directory may have put another 'again' there";
  fs::permissions(scratch.path() / "cache", fs::perms::owner_all);
  fs::permissions(scratch.path() / "cache" / "again", fs::perms::all);
  EXPECT_FALSE(cache.find("a"));
  fs::permissions(scratch.path() / "cache" / "again", fs::perms::owner_all);
  EXPECT_TRUE(cache.find("a"));
  fs::rename(scratch.path() / "cache" / "again", scratch.path() / "elsewhere");
  fs::create_directory_symlink(scratch.path() / "elsewhere", scratch.path() / "cache" / "again");
  EXPECT_FALSE(cache.find("a"));
}

// Services have neither HOME nor XDG_CACHE_HOME, and anybody may have made the directory they happen to be in.
TEST(ArtefactCacheTest, WithoutADirectoryNothingIsFoundWhereTheProgramIs) {
  const Scratch scratch;
  const ArtefactCache other(scratch.path(), 1_MiB);
  ASSERT_FALSE(other.store("a", artefact(10)));
  other.used("a");
  const auto home = std::string(std::getenv("HOME") == nullptr ? "" : std::getenv("HOME"));
  const auto* xdg = std::getenv("XDG_CACHE_HOME");
  const auto cache_home = std::string(xdg == nullptr ? "" : xdg);
  const auto before = fs::current_path();
  ::unsetenv("HOME");
  ::unsetenv("XDG_CACHE_HOME");
  fs::current_path(scratch.path());
  const ArtefactCache nowhere({}, 1_MiB);
  EXPECT_FALSE(nowhere.find("a"));
  EXPECT_TRUE(nowhere.refusal(10)) << "and nothing is kept";
  nowhere.used("a");
  nowhere.forget("a");
  fs::current_path(before);
  ::setenv("HOME", home.c_str(), 1);
  if (xdg != nullptr) {
    ::setenv("XDG_CACHE_HOME", cache_home.c_str(), 1);
  }
  EXPECT_TRUE(other.find("a"));
}

// Its file is not the cache's yet, and would otherwise be the first to go.
TEST(ArtefactCacheTest, WhatAnotherProcessIsWritingIsLeftAlone) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{2 * (1000 + kBeside)});
  const auto unfinished = scratch.path() / ".airssys-new-abcdef";
  std::ofstream(unfinished) << std::string(5000, 'x');
  ASSERT_FALSE(cache.store("a", artefact(1000)));
  EXPECT_TRUE(fs::exists(unfinished));
  fs::last_write_time(unfinished, fs::file_time_type::clock::now() - std::chrono::hours(2));
  ASSERT_FALSE(cache.store("b", artefact(1000)));
  EXPECT_FALSE(fs::exists(unfinished)) << "whoever wrote it has died";
}

TEST(ArtefactCacheTest, WhatHasJustBeenUsedIsProtectedWhateverItsSize) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{10 * (1000 + kBeside)});
  ASSERT_FALSE(cache.store("small", artefact(1000)));
  cache.used("small");
  ASSERT_FALSE(cache.store("large", artefact(9000)));
  cache.used("large");
  EXPECT_TRUE(fs::exists(scratch.path() / "again" / "large"));
  EXPECT_FALSE(fs::exists(scratch.path() / "again" / "small"));
}

TEST(ArtefactCacheTest, WhatIsForgottenIsInNoSegment) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), 1_MiB);
  ASSERT_FALSE(cache.store("a", artefact(10)));
  cache.used("a");
  cache.forget("a");
  EXPECT_FALSE(cache.find("a"));
}

std::string key_of(char digit) { return std::string(64, digit); }

TEST(ArtefactCacheTest, WhatIsThereIsListedByItsNameAndItsUse) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{1 << 20U});
  const std::string digest(64, 'd');
  ASSERT_FALSE(cache.store(key_of('a'), artefact(1000), {"old.wasm", digest}));
  fs::last_write_time(scratch.path() / key_of('a'), fs::file_time_type::clock::now() - std::chrono::hours(2));
  ASSERT_FALSE(cache.store(key_of('b'), artefact(500), {"new.wasm", digest}));
  cache.used(key_of('b'));
  const auto seen = cache.contents();
  ASSERT_EQ(seen.components.size(), 2U);
  EXPECT_EQ(seen.directory, scratch.path());
  EXPECT_EQ(seen.size_max.count, 1U << 20U);
  EXPECT_EQ(seen.size.count, 1500 + 2 * (kBeside + digest.size() + 8));
  EXPECT_EQ(seen.components[0].name, "new.wasm");
  EXPECT_EQ(seen.components[0].digest, digest);
  EXPECT_TRUE(seen.components[0].used_again);
  EXPECT_LT(std::chrono::system_clock::now() - seen.components[0].last_used, std::chrono::minutes(1));
  EXPECT_EQ(seen.components[1].name, "old.wasm");
  EXPECT_FALSE(seen.components[1].used_again);
  EXPECT_GT(std::chrono::system_clock::now() - seen.components[1].last_used, std::chrono::minutes(119));
}

TEST(ArtefactCacheTest, ClearingTakesTheComponentsAndNothingElse) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{1 << 20U});
  ASSERT_FALSE(cache.store(key_of('a'), artefact(1000)));
  ASSERT_FALSE(cache.store(key_of('b'), artefact(1000)));
  cache.used(key_of('b'));
  std::ofstream(scratch.path() / "letter.txt") << "mine";
  std::ofstream(scratch.path() / (key_of('a') + ".txt")) << "mine too";
  EXPECT_EQ(cache.contents().components.size(), 2U);
  const auto cleared = cache.clear();
  ASSERT_TRUE(cleared);
  EXPECT_EQ(cleared->components, 2U);
  EXPECT_EQ(cleared->size.count, 2 * (1000 + kBeside));
  EXPECT_FALSE(cache.find(key_of('a')));
  EXPECT_FALSE(cache.find(key_of('b')));
  EXPECT_TRUE(fs::exists(scratch.path() / "letter.txt"));
  EXPECT_TRUE(fs::exists(scratch.path() / (key_of('a') + ".txt")));
}

// A file may be anything: what is no artefact of this version has no name, and is not mapped.
TEST(ArtefactCacheTest, AFileOfAnotherVersionIsListedWithoutAName) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{1 << 20U});
  ASSERT_FALSE(cache.store(key_of('a'), artefact(10)));
  for (const std::string_view bytes : {"", "x", "\xff\xff", "12345678\x09\x00"}) {
    std::ofstream(scratch.path() / key_of('b')) << bytes;
    const auto seen = cache.contents();
    ASSERT_EQ(seen.components.size(), 2U);
    const auto& odd = seen.components[0].size.count == bytes.size() ? seen.components[0] : seen.components[1];
    EXPECT_EQ(odd.name, "");
    EXPECT_EQ(odd.digest, "");
    EXPECT_FALSE(cache.find(key_of('b'))) << bytes;
  }
}

TEST(ArtefactCacheTest, WithoutADirectoryNothingIsListedOrRemoved) {
  const Scratch scratch;
  fs::create_directory(scratch.path() / "again");
  std::ofstream(scratch.path() / "again" / key_of('a')) << "somebody's";
  const auto before = fs::current_path();
  fs::current_path(scratch.path());
  const std::string home = std::getenv("HOME") != nullptr ? std::getenv("HOME") : "";
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  const std::string was = xdg != nullptr ? xdg : "";
  ::unsetenv("HOME");
  ::unsetenv("XDG_CACHE_HOME");
  const ArtefactCache nowhere({}, Bytes{1 << 20U});
  ::setenv("HOME", home.c_str(), 1);
  if (xdg != nullptr) {
    ::setenv("XDG_CACHE_HOME", was.c_str(), 1);
  }
  EXPECT_THAT(nowhere.contents().components, ::testing::IsEmpty());
  EXPECT_EQ(nowhere.clear()->components, 0U);
  fs::current_path(before);
  EXPECT_TRUE(fs::exists(scratch.path() / "again" / key_of('a')));
}

TEST(ArtefactCacheTest, ALinkInItsPlaceIsNotFollowed) {
  const Scratch scratch, other;
  const ArtefactCache cache(scratch.path(), Bytes{1 << 20U});
  ASSERT_FALSE(cache.store(key_of('a'), artefact(10)));
  std::ofstream(other.path() / key_of('b')) << "somebody's";
  fs::create_directory_symlink(other.path(), scratch.path() / "again");
  EXPECT_EQ(cache.contents().components.size(), 1U);
  EXPECT_EQ(cache.clear()->components, 1U);
  EXPECT_TRUE(fs::exists(other.path() / key_of('b')));
}

// One that is cut off would hide a sound one of its key.
TEST(ArtefactCacheTest, AFileThatIsCutOffMakesRoomForASoundOne) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{1 << 20U});
  ASSERT_FALSE(cache.store("a", artefact(10)));
  cache.used("a");
  fs::resize_file(scratch.path() / "again" / "a", 20);
  EXPECT_FALSE(cache.find("a"));
  ASSERT_FALSE(cache.store("a", artefact(10)));
  cache.used("a");
  EXPECT_TRUE(cache.find("a"));
  EXPECT_FALSE(fs::exists(scratch.path() / "a")) << "it is protected again";
}

TEST(ArtefactCacheTest, ALongNameIsCutBetweenCharacters) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{1 << 20U});
  ArtefactCache::About about;
  about.name.assign(255, 'x');
  about.name += "\u00e9";
  about.digest.assign(64, 'd');
  ASSERT_FALSE(cache.store(key_of('a'), artefact(10), about));
  EXPECT_EQ(cache.contents().components.at(0).name, std::string(255, 'x'));
}

}  // namespace
}  // namespace airssys::wasm::test
