#include "support/cache.hpp"

namespace airssys::wasm::test {
namespace {

/// A disk that answers when it is told to.
class Disk {
 public:
  compile::CacheWriter::Target target() {
    return {[this](const std::string& key, const Artefact&, const auto&) { return write(key); },
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

}  // namespace
}  // namespace airssys::wasm::test
