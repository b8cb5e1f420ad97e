#include "support/load.hpp"

namespace airssys::wasm::test {
namespace {

TEST(SettingsTest, ASettingThatMakesNoSenseIsRefusedByName) {
  struct Row {
    std::string field;
    void (*change)(RuntimeConfig&);
  };
  for (const auto& row :
       {Row{"workers", [](RuntimeConfig& c) { c.workers = 0; }},
        Row{"workers", [](RuntimeConfig& c) { c.workers = 1'025; }},
        Row{"file_threads", [](RuntimeConfig& c) { c.file_threads = 0; }},
        Row{"file_threads", [](RuntimeConfig& c) { c.file_threads = 1'025; }},
        Row{"max_concurrent", [](RuntimeConfig& c) { c.max_concurrent = 0; }},
        Row{"max_concurrent", [](RuntimeConfig& c) { c.max_concurrent = 100'001; }},
        Row{"max_instances", [](RuntimeConfig& c) { c.max_instances = 100'001; }},
        Row{"max_queued", [](RuntimeConfig& c) { c.max_queued = 100'001; }},
        Row{"meter", [](RuntimeConfig& c) { c.meter = Meter(2); }},
        Row{"compile.mode", [](RuntimeConfig& c) { c.compile.mode = CompileIsolation::Mode(2); }},
        Row{"queue_timeout", [](RuntimeConfig& c) { c.queue_timeout = 0ns; }},
        Row{"queue_timeout", [](RuntimeConfig& c) { c.queue_timeout = std::chrono::nanoseconds::max(); }},
        Row{"slice", [](RuntimeConfig& c) { c.slice = 0_fuel; }},
        Row{"slice", [](RuntimeConfig& c) { c.slice = 10'000'001_fuel; }},
        Row{"wasi_call_price, host_call_price and host_byte_price",
            [](RuntimeConfig& c) { c.host_byte_price = Fuel{~0ULL}; }},
        Row{"load", [](RuntimeConfig& c) { c.load.max_bytes = 0_B; }},
        Row{"load", [](RuntimeConfig& c) { c.load.timeout = -1ns; }},
        Row{"load", [](RuntimeConfig& c) { c.load.max_compile_cpu = std::chrono::seconds::max(); }},
        Row{"load", [](RuntimeConfig& c) { c.load.max_compile_memory = Bytes{~0ULL}; }},
        Row{"load", [](RuntimeConfig& c) { c.load.max_artefact = 0_B; }},
        Row{"wasm_stack", [](RuntimeConfig& c) { c.wasm_stack = 1_KiB; }},
        Row{"wasm_stack", [](RuntimeConfig& c) { c.wasm_stack = 65_MiB; }}}) {
    auto settings = config();
    row.change(settings);
    const auto made = WasmEngine::create(settings);
    ASSERT_FALSE(made) << row.field;
    EXPECT_TRUE(std::holds_alternative<BadCall>(made.error().kind)) << row.field;
    EXPECT_THAT(made.error().message, testing::HasSubstr("RuntimeConfig::" + row.field + " must"));
  }
}

}  // namespace
}  // namespace airssys::wasm::test
