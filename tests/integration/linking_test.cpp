#include "load/linking.hpp"

#include <gtest/gtest.h>

namespace airssys::wasm {
namespace {

TEST(LinkingTest, WhatTheHostLacksIsNoFaultOfTheImports) {
  const wit::Description description;
  for (const auto& [cause, what] : {std::pair{wasmtime::Cause::OutOfMemory, HostResource::Memory},
                                    std::pair{wasmtime::Cause::Os, HostResource::OperatingSystem}}) {
    const auto error = load::misfit(description, {cause, 12, false, "mmap failed", {}});
    const auto* exhausted = std::get_if<HostExhausted>(&error.kind);
    ASSERT_NE(exhausted, nullptr) << name(what);
    EXPECT_EQ(exhausted->resource, what);
    EXPECT_EQ(exhausted->os_error, 12);
    EXPECT_EQ(error.phase, Phase::Link);
  }
}

}  // namespace
}  // namespace airssys::wasm
