#include <airssys/wasm/report.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

namespace airssys::wasm {
namespace {

TEST(ReportTest, OneThatNobodyHasFilledInSaysThatNothingHasRun) {
  const Report report;
  EXPECT_FALSE(report);
  EXPECT_EQ(report.error().reason(), "host_bug");
  EXPECT_EQ(report.outcome(), Outcome::Refused);
  EXPECT_EQ(Error{}.reason(), "host_bug");
}

TEST(ReportTest, ItsResultIsReadByItsTypeAndAnotherIsAnErrorWithBothNames) {
  EXPECT_EQ(Report().as<std::int32_t>().error().reason(), "host_bug") << "why there is none";
  Report report;
  report.function = "run";
  report.result.emplace(Value(std::int32_t{42}));
  EXPECT_EQ(report.as<std::int32_t>(), 42);
  EXPECT_EQ(report.as<std::uint32_t>().error().message, "the result of run is a s32, not a u32");
  EXPECT_EQ(report.as<ByteList>().error().reason(), "bad_call");
  Report nothing;
  nothing.function = "run";
  nothing.result.emplace(std::nullopt);
  EXPECT_EQ(nothing.as<std::string>().error().message, "run has no result");
}

}  // namespace
}  // namespace airssys::wasm
