#include <airssys/wasm/version.hpp>
#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace airssys::wasm {
namespace {

TEST(VersionTest, ItIsThatOfTheProject) { EXPECT_EQ(kVersion, AIRSSYS_WASM_PROJECT_VERSION); }

TEST(VersionTest, WasmtimesIsThatOfTheLockFile) {
  std::ostringstream lock;
  lock << std::ifstream(AIRSSYS_WASM_LOCK_FILE).rdbuf();
  EXPECT_THAT(lock.str(),
              ::testing::HasSubstr("name = \"wasmtime\"\nversion = \"" + std::string(kWasmtimeVersion) + "\""));
}

}  // namespace
}  // namespace airssys::wasm
