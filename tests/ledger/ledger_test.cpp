#include "ledger/ledger.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "ledger/exhausted.hpp"

namespace airssys::wasm::ledger {
namespace {

Amounts of(Kind kind, std::uint64_t n) {
  Amounts out;
  out[kind] = n;
  return out;
}

TEST(LedgerTest, GivesWhatIsThereAndNotOneMore) {
  const auto account = Account::simulated(of(Kind::Mappings, 100));
  EXPECT_FALSE(account->take(of(Kind::Mappings, 60)));
  EXPECT_FALSE(account->take(of(Kind::Mappings, 40)));
  const auto shortage = account->take(of(Kind::Mappings, 1));
  ASSERT_TRUE(shortage);
  EXPECT_EQ(shortage->kind, Kind::Mappings);
  EXPECT_EQ(shortage->needed, 1U);
  EXPECT_EQ(shortage->used, 100U);
  EXPECT_EQ(shortage->capacity, 100U);
  account->give_back(of(Kind::Mappings, 1));
  EXPECT_FALSE(account->take(of(Kind::Mappings, 1)));
  const auto figures = account->process_figures().mappings;
  EXPECT_EQ(figures.capacity, 100U);
  EXPECT_EQ(figures.used, 100U);
  EXPECT_EQ(figures.peak, 100U);
}

// A refusal leaves nothing behind, of whatever kind it was.
TEST(LedgerTest, TakesAllOrNothing) {
  Amounts capacity = of(Kind::Memory, 100);
  capacity[Kind::Threads] = 2;
  const auto account = Account::simulated(capacity);
  Amounts wanted = of(Kind::Memory, 50);
  wanted[Kind::Threads] = 3;
  ASSERT_TRUE(account->take(wanted));
  EXPECT_EQ(account->figures().memory.used, 0U);
  EXPECT_EQ(account->process_figures().memory.used, 0U);
  EXPECT_EQ(account->figures().threads.refused, 1U);
}

TEST(LedgerTest, SumsThatDoNotFitANumberAreRefused) {
  const auto account = Account::simulated(of(Kind::AddressSpace, UINT64_MAX - 1));
  EXPECT_FALSE(account->take(of(Kind::AddressSpace, 10)));
  EXPECT_TRUE(account->take(of(Kind::AddressSpace, UINT64_MAX)));
  EXPECT_TRUE(account->take(of(Kind::AddressSpace, UINT64_MAX - 5)));
  EXPECT_EQ(of(Kind::Memory, UINT64_MAX / 2).times(3)[Kind::Memory], UINT64_MAX);
}

// What runs may not take the last of it: somebody wants to begin.
TEST(LedgerTest, GrowthLeavesAnEighthForThoseThatBegin) {
  const auto account = Account::simulated(of(Kind::Memory, 800));
  EXPECT_FALSE(account->grow(Kind::Memory, 700));
  EXPECT_TRUE(account->grow(Kind::Memory, 1));
  EXPECT_FALSE(account->take(of(Kind::Memory, 100)));
  EXPECT_TRUE(account->take(of(Kind::Memory, 1)));
}

TEST(LedgerTest, WhatIsReservedComesBackOnce) {
  const auto account = Account::simulated(of(Kind::FileDescriptors, 10));
  ASSERT_FALSE(account->take(of(Kind::FileDescriptors, 4)));
  {
    Reservation first(account, of(Kind::FileDescriptors, 4));
    const Reservation second = std::move(first);
    EXPECT_EQ(account->figures().file_descriptors.used, 4U);
  }
  EXPECT_EQ(account->figures().file_descriptors.used, 0U);
}

TEST(LedgerTest, ManyThreadsNeverTakeMoreThanThereIs) {
  const auto account = Account::simulated(of(Kind::Memory, 1'000));
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 5'000; ++n) {
        const auto amount = of(Kind::Memory, static_cast<std::uint64_t>(n % 400));
        if (!account->take(amount)) {
          account->give_back(amount);
        }
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(account->figures().memory.used, 0U);
  EXPECT_LE(account->figures().memory.peak, 1'000U);
  EXPECT_GT(account->figures().memory.peak, 0U);
}

// Two engines of one process share what it has, each within its own share.
TEST(LedgerTest, EnginesShareTheProcess) {
  const auto first = Account::open({.memory = Bytes{10U << 20U}});
  const auto second = Account::open({});
  const auto before = second->process_figures().memory.used;
  EXPECT_EQ(first->figures().memory.capacity, 10U << 20U);
  EXPECT_GT(second->figures().memory.capacity, 10U << 20U);
  ASSERT_FALSE(first->take(of(Kind::Memory, 8U << 20U)));
  EXPECT_EQ(second->process_figures().memory.used, before + (8U << 20U));
  EXPECT_EQ(second->figures().memory.used, 0U);
  const auto shortage = first->take(of(Kind::Memory, 8U << 20U));
  ASSERT_TRUE(shortage);
  EXPECT_TRUE(shortage->by_share);
  EXPECT_EQ(exhausted(*shortage, Phase::Queue).help, "raise RuntimeConfig::shares.memory, or run fewer at a time");
  first->give_back(of(Kind::Memory, 8U << 20U));
}

TEST(LedgerTest, AShortageIsToldWithItsNumbers) {
  const auto error = exhausted({Kind::Mappings, 198, 57'214, 57'300}, Phase::Queue);
  EXPECT_EQ(error.reason(), "host_exhausted");
  EXPECT_EQ(error.message,
            "not enough mappings: 198 needed, and of the 57300 that all guests may take together 57214 are taken");
  EXPECT_EQ(error.help, "raise vm.max_map_count, or run fewer at a time");
  const auto& kind = std::get<HostExhausted>(error.kind);
  EXPECT_EQ(kind.resource, HostResource::Mappings);
  EXPECT_EQ(kind.needed, 198U);
  EXPECT_EQ(kind.used, 57'214U);
  EXPECT_EQ(kind.capacity, 57'300U);
  EXPECT_EQ(exhausted({Kind::Memory, 2ULL << 30U, 0, 1ULL << 30U}, Phase::Load).message,
            "not enough memory: 2 GiB needed, and all guests together may take 1 GiB");
}

}  // namespace
}  // namespace airssys::wasm::ledger
