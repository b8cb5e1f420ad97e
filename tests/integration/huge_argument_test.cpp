#include "support/spent.hpp"

namespace airssys::wasm::test {
namespace {

/// `text` and `bytes` pass the first n of 4 MiB to the host, which answers how many there were.
constexpr std::string_view kPass = R"((component
  (import "text" (func $text (param "s" string) (result u32)))
  (import "bytes" (func $bytes (param "b" (list u8)) (result u32)))
  (core module $memory (memory (export "mem") 64)) (core instance $mi (instantiate $memory))
  (core func $text (canon lower (func $text) (memory $mi "mem")))
  (core func $bytes (canon lower (func $bytes) (memory $mi "mem")))
  (core module $m (import "" "text" (func $text (param i32 i32) (result i32)))
    (import "" "bytes" (func $bytes (param i32 i32) (result i32)))
    (func (export "text") (param i32) (result i32) (call $text (i32.const 0) (local.get 0)))
    (func (export "bytes") (param i32) (result i32) (call $bytes (i32.const 0) (local.get 0))))
  (core instance $i (instantiate $m (with "" (instance (export "text" (func $text)) (export "bytes" (func $bytes))))))
  (func (export "text") (param "n" u32) (result u32) (canon lift (core func $i "text")))
  (func (export "bytes") (param "n" u32) (result u32) (canon lift (core func $i "bytes")))))";

class HugeArgumentTest : public HostTest {
 protected:
  HugeArgumentTest() { offer(engine); }

  void offer(WasmEngine& to) {
    const auto size = [this](std::size_t n) {
      ++calls_;
      return static_cast<std::uint32_t>(n);
    };
    to.host("").function("text", [size](HostCall&, std::string_view text) { return size(text.size()); });
    to.host("").function("bytes",
                         [size](HostCall&, std::span<const std::uint8_t> bytes) { return size(bytes.size()); });
  }
  static ExecutionContext roomy() {
    auto context = small();
    context.limits.max_memory = 4_MiB;
    context.limits.max_fuel = 100'000'000_fuel;
    context.timeout = 5s;
    return context;
  }

  int calls_ = 0;
};

TEST_F(HugeArgumentTest, BeyondTheHostBufferNeverReachesTheFunction) {
  const auto guest = load(kPass);
  auto context = roomy();
  context.limits.max_host_buffer = 1_MiB;
  const auto fits = engine.run(guest, "text", {std::uint32_t{1U << 20U}}, context);
  ASSERT_TRUE(fits) << fits.error();
  EXPECT_EQ(fits.value(), Value(std::uint32_t{1U << 20U}));
  EXPECT_EQ(calls_, 1);
  for (const auto& [function, n] : {std::pair("text", (1U << 20U) + 1), {"text", 3U << 20U}, {"bytes", 3U << 20U}}) {
    const auto report = engine.run(guest, function, {n}, context);
    ASSERT_THAT(report, Stops("resource_limit"));
    EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).resource, "host_buffer_bytes");
    EXPECT_EQ(kind_of<ResourceLimitExceeded>(report).limit, 1U << 20U);
    EXPECT_EQ(report.error().phase, Phase::Call);
    EXPECT_TRUE(report.usage().host_calls.empty());
  }
  EXPECT_EQ(calls_, 1);
}

// Within the buffer each byte has its price: 3 MiB are more than a small tank holds.
TEST_F(HugeArgumentTest, CostsFuelByTheByte) {
  const auto guest = load(kPass);
  const auto one = engine.run(guest, "text", {std::uint32_t{1U << 20U}}, roomy());
  const auto three = engine.run(guest, "text", {std::uint32_t{3U << 20U}}, roomy());
  ASSERT_TRUE(one && three);
  EXPECT_EQ(three.usage().fuel.units - one.usage().fuel.units, 2U << 20U);
  auto little = roomy();
  little.limits.max_fuel = 10'000_fuel;
  const auto report = engine.run(guest, "text", {std::uint32_t{3U << 20U}}, little);
  ASSERT_THAT(report, Stops("fuel_exhausted"));
  EXPECT_EQ(kind_of<FuelExhausted>(report).budget, 10'000_fuel);
  EXPECT_EQ(kind_of<FuelExhausted>(report).used, 10'000_fuel);
  EXPECT_EQ(report.error().phase, Phase::Call);

  auto settings = config();
  settings.host_byte_price = 0_fuel;
  auto generous = WasmEngine::create(settings).value();
  offer(generous);
  const auto free = generous.run(generous.load_text(kPass).value(), "text", {std::uint32_t{3U << 20U}}, little);
  ASSERT_TRUE(free) << free.error();
  EXPECT_EQ(free.value(), Value(std::uint32_t{3U << 20U}));
}

}  // namespace
}  // namespace airssys::wasm::test
