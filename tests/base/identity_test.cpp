#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <airssys/wasm/identity.hpp>
#include <set>
#include <string_view>
#include <thread>
#include <vector>

namespace airssys::wasm {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::system_clock;

std::array<std::uint8_t, 16> decoded(std::string_view text) {
  static constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::array<std::uint8_t, 16> bytes{};
  // 26 digits of 5 bits; the two bits too many lead.
  for (std::size_t bit = 2; bit < 130; ++bit) {
    const auto digit = kCrockford.find(text.at(bit / 5));
    EXPECT_NE(digit, std::string_view::npos) << text;
    if ((digit >> (4 - bit % 5) & 1U) != 0) {
      bytes.at((bit - 2) / 8) |= static_cast<std::uint8_t>(0x80U >> (bit - 2) % 8);
    }
  }
  return bytes;
}

TEST(IdentityTest, ARunIdIsWrittenAsAUlid) {
  // 01ARYZ6S41 is 1469918176385 in the specification's own example.
  const auto id = RunId::generate(Clock::time_point(1469918176385ms));
  const auto text = id.text();
  EXPECT_EQ(text.size(), 26U);
  EXPECT_EQ(text.substr(0, 10), "01ARYZ6S41");
  EXPECT_EQ(decoded(text), id.bytes());
  EXPECT_EQ(RunId().text(), std::string(26, '0'));
}

TEST(IdentityTest, RunIdsGrowWithinAMillisecondAndWithTime) {
  const Clock::time_point now(1469918176385ms);
  auto last = RunId::generate(now);
  for (int i = 0; i < 1'000; ++i) {
    const auto next = RunId::generate(now + i / 100 * 1ms);
    EXPECT_LT(last, next);
    EXPECT_LT(last.text(), next.text());
    last = next;
  }
}

TEST(IdentityTest, ARunIdIsAnotherOneInEveryThread) {
  constexpr std::size_t kThreads = 4, kEach = 1'000;
  const Clock::time_point now(1469918176385ms);
  std::vector<std::vector<RunId>> ids(kThreads);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : ids) {
      threads.emplace_back([&mine, now] {
        for (std::size_t i = 0; i < kEach; ++i) {
          mine.push_back(RunId::generate(now));
        }
      });
    }
  }
  std::set<RunId> all;
  for (const auto& mine : ids) {
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(all.size(), kThreads * kEach);
}

TEST(IdentityTest, AComponentIdIsItsTexts) {
  const ComponentId id("guest", "ab");
  const ComponentId copy = id;  // NOLINT(performance-unnecessary-copy-initialization): copies are what this is about
  EXPECT_EQ(id, copy);
  EXPECT_EQ(id, ComponentId("guest", "ab"));
  EXPECT_NE(id, ComponentId("guest", "cd"));
  EXPECT_NE(id, ComponentId("other", "ab"));
  EXPECT_EQ(ComponentId(), ComponentId("", ""));
  EXPECT_EQ(ComponentId().name(), "");
}

}  // namespace
}  // namespace airssys::wasm
