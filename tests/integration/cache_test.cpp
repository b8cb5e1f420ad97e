#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>

#include "compile/artefact_cache.hpp"
#include "compile/cache_writer.hpp"
#include "ledger/ledger.hpp"
#include "support/host.hpp"
#include "support/scratch.hpp"

namespace airssys::wasm::test {
namespace {

namespace fs = std::filesystem;
using compile::Artefact;
using compile::ArtefactCache;

Artefact artefact(std::size_t size) {
  const std::vector<std::uint8_t> bytes(size, 7);
  return compile::seal(bytes).value();
}

/// What a file of the cache takes beside its artefact.
constexpr std::uint64_t kSum = 8;

TEST(ArtefactCacheTest, AStreamOfStrangersCannotPushOutWhatIsUsedAgain) {
  const Scratch scratch;
  const ArtefactCache cache(scratch.path(), Bytes{10 * (1000 + kSum)});
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
  const ArtefactCache cache(scratch.path(), Bytes{3 * (1000 + kSum)});
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
  const ArtefactCache cache(scratch.path(), Bytes{10 * (1000 + kSum)});
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
  const ArtefactCache cache(scratch.path(), Bytes{2 * (1000 + kSum)});
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
  const ArtefactCache cache(scratch.path(), Bytes{10 * (1000 + kSum)});
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

/// A disk that answers when it is told to.
class Disk {
 public:
  compile::CacheWriter::Target target() {
    return {[this](const std::string& key, const Artefact&) { return write(key); },
            [this](const std::string& key) { static_cast<void>(write("used " + key)); }};
  }
  void answer() {
    const std::lock_guard lock(mutex_);
    answers_ = true;
    changed_.notify_all();
  }
  std::vector<std::string> written() {
    const std::lock_guard lock(mutex_);
    return written_;
  }
  std::optional<std::string> error;

 private:
  std::optional<std::string> write(const std::string& what) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return answers_; });
    written_.push_back(what);
    return error;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool answers_ = false;
  std::vector<std::string> written_;
};

std::shared_ptr<ledger::Account> plenty() {
  ledger::Amounts all;
  for (const auto kind : {ledger::Kind::Memory, ledger::Kind::Mappings, ledger::Kind::AddressSpace,
                          ledger::Kind::FileDescriptors, ledger::Kind::Threads}) {
    all[kind] = 1ULL << 40U;
  }
  return ledger::Account::simulated(all);
}

TEST(CacheWriterTest, NobodyWaitsForADiskThatDoesNotAnswer) {
  Disk disk;
  const auto account = plenty();
  {
    compile::CacheWriter writer(disk.target(), account);
    EXPECT_FALSE(writer.store("a", artefact(10)));
    writer.used("a");
    const auto waits = writer.find("a");
    ASSERT_TRUE(waits);
    EXPECT_EQ(waits->size, 10U);
    EXPECT_FALSE(writer.find("b"));
    EXPECT_THAT(disk.written(), ::testing::IsEmpty());
    disk.answer();
    EXPECT_FALSE(writer.flush());
    EXPECT_FALSE(writer.find("a")) << "the cache has it now";
  }
  EXPECT_THAT(disk.written(), ::testing::ElementsAre("a", "used a"));
  EXPECT_EQ(account->figures().memory.used, 0U);
  EXPECT_EQ(account->figures().file_descriptors.used, 0U);
  EXPECT_EQ(account->figures().threads.used, 0U) << "and its thread is gone";
}

TEST(CacheWriterTest, WhatWaitsIsBounded) {
  Disk disk;
  compile::CacheWriter writer(disk.target(), plenty());
  for (std::size_t i = 0; i < compile::CacheWriter::kWaitingMost; ++i) {
    EXPECT_FALSE(writer.store(std::to_string(i), artefact(10)));
  }
  EXPECT_THAT(writer.store("one more", artefact(10)).value_or(""), ::testing::HasSubstr("too many"));
  disk.answer();
}

// However often one component is loaded while it waits.
TEST(CacheWriterTest, NotesOfUseTakeNoPlaces) {
  Disk disk;
  compile::CacheWriter writer(disk.target(), plenty());
  EXPECT_FALSE(writer.store("a", artefact(10)));
  for (int i = 0; i < 100; ++i) {
    writer.used("a");
  }
  EXPECT_FALSE(writer.store("b", artefact(10)));
  disk.answer();
  EXPECT_FALSE(writer.flush());
  EXPECT_THAT(disk.written(), ::testing::ElementsAre("a", "used a", "b"));
}

TEST(CacheWriterTest, WhatCannotBeWrittenIsToldOnceAndCounted) {
  Disk disk;
  disk.error = "the disk is full";
  disk.answer();
  compile::CacheWriter writer(disk.target(), plenty());
  EXPECT_FALSE(writer.store("a", artefact(10)));
  EXPECT_EQ(writer.flush(), "the disk is full");
  EXPECT_FALSE(writer.flush());
  EXPECT_EQ(writer.failed(), 1U);
}

TEST(CacheWriterTest, WithoutRoomNothingIsTaken) {
  Disk disk;
  disk.answer();
  ledger::Amounts little;
  little[ledger::Kind::FileDescriptors] = 1;
  compile::CacheWriter writer(disk.target(), ledger::Account::simulated(little));
  EXPECT_TRUE(writer.store("a", artefact(10)));
  EXPECT_THAT(disk.written(), ::testing::IsEmpty());
}

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
