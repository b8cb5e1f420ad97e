#include "support/ledger.hpp"

/// The ledger of the process: no guest within its own limits takes what the process does not have.

namespace airssys::wasm::test {
namespace {

std::uint64_t mappings() {
  std::ifstream maps("/proc/self/maps");
  return static_cast<std::uint64_t>(
      std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n'));
}
std::uint64_t entries(const char* directory) {
  return static_cast<std::uint64_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}
/// VmRSS in bytes.
std::uint64_t resident() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") {
      std::uint64_t kib = 0;
      status >> kib;
      return kib << 10U;
    }
  }
  return 0;
}

/// Sleeps for this long beside `memories` memories of its own.
std::string sleeper(int memories, int milliseconds) {
  auto text =
      wasi_guest("(call $block (call $sleep (i64.const " + std::to_string(milliseconds) + "000000))) (i32.const 7)");
  std::string more = "(core module $more";
  for (int i = 0; i < memories; ++i) {
    more += " (memory 1)";
  }
  more += ") (core instance (instantiate $more)) ";
  return text.insert(text.find("(core instance $i "), more);
}

TEST_F(LedgerTest, AThousandGuestsThatFillTheirMemoryTakeNoMoreThanThereIs) {
  constexpr std::uint64_t kShare = 256U << 20U;
  make({.memory = Bytes{kShare}});
  const auto guest = load(kFiller);
  auto context = with_deadline(5s);
  context.limits.max_memory = 128_MiB;
  const auto before = resident();
  const Heartbeat neighbour(*engine);
  context.timeout = 60s;
  const auto all = start(guest, 1'000, context);
  std::uint64_t most = 0;
  while (all.back().state() != ExecutionState::Done) {
    most = std::max(most, resident());
    std::this_thread::sleep_for(1ms);
  }
  const auto seen = reasons(all);
  EXPECT_LT(most, before + kShare);
  EXPECT_GT(seen.at("host_exhausted"), 0);
  EXPECT_EQ(seen.at("memory"), seen.at("host_exhausted"));
  EXPECT_EQ(seen.at("host_exhausted") + (seen.contains("returned") ? seen.at("returned") : 0), 1'000);
  EXPECT_GE(neighbour.beats(), 1U);
  EXPECT_GT(engine->statistics().engine.memory.refused, 0U);
  EXPECT_LE(engine->statistics().engine.memory.peak, kShare);
}

// Freed stacks and small memories wait for more of them; what a guest has grown does not.
TEST_F(LedgerTest, MemoryThatAGuestHasGrownGoesBackToTheKernelWithItsEnd) {
  make({});
  const auto guest = load(kFiller);
  auto context = with_deadline(5s);
  static_cast<void>(engine->run(guest, "run", {}, context));
  const auto before = resident();
  context.limits.max_memory = 96_MiB;
  const auto report = engine->run(guest, "run", {}, context);
  ASSERT_TRUE(report) << report.error();
  EXPECT_GT(report.usage().memory_peak.count, 90U << 20U);
  EXPECT_LT(resident(), before + (48U << 20U));
}

// What has ended is given back: growth, places, streams, files.
TEST_F(LedgerTest, WhatRunsTakeTheyGiveBack) {
  make({});
  const auto filler = load(kFiller), sleeps = load(sleeper(3, 1)), quick = load(kQuick);
  static_cast<void>(engine->run(quick, "run", {}, small()));
  auto context = with_deadline(5s);
  context.limits.max_memory = 8_MiB;
  context.wasi.directories.push_back({scratch.path().string(), "/d", true});
  const auto round = [&] {
    for (const auto* guest : {&filler, &sleeps, &quick}) {
      for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(engine->run(*guest, "run", {}, context));
        EXPECT_TRUE(engine->start(*guest, "run", {}, context).wait());
      }
    }
    EXPECT_TRUE(engine->instantiate(filler, context));
  };
  round();
  const auto before = engine->statistics().engine;
  round();
  const auto after = engine->statistics().engine;
  EXPECT_EQ(after.memory.used, before.memory.used);
  EXPECT_EQ(after.mappings.used, before.mappings.used);
  EXPECT_EQ(after.address_space.used, before.address_space.used);
  EXPECT_EQ(after.file_descriptors.used, before.file_descriptors.used);
  EXPECT_EQ(after.threads.used, before.threads.used);
}

TEST_F(LedgerTest, GuestsWithManyMemoriesWaitForMappings) {
  for (const bool pool : {true, false}) {
    // Beside 50 threads of ours and the pools of 150 places, there is room for some of the guests.
    make({.mappings = 5'000}, pool);
    const auto guest = load(sleeper(40, 30));
    auto context = with_deadline(5s);
    context.limits.max_memory = 8_MiB;
    const Heartbeat neighbour(*engine);
    const auto before = mappings();
    const auto all = start(guest, 200, context);
    std::uint64_t most = 0;
    while (all.back().state() != ExecutionState::Done) {
      most = std::max(most, mappings());
      std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(reasons(all), (Reasons{{"returned", 200}})) << pool;
    EXPECT_LT(most, before + 5'000) << pool;
    EXPECT_LE(engine->statistics().engine.mappings.peak, 5'000U);
    EXPECT_GE(neighbour.beats(), 1U);
  }
}

TEST_F(LedgerTest, ARunThatNeverFitsIsRefusedWithTheNumbers) {
  make({.memory = 64_MiB});
  const auto guest = load(component("(memory 1600) (func (export \"run\") (result i32) i32.const 1)", kRun));
  auto context = small();
  context.limits.max_memory = 128_MiB;
  for (const auto& report : {engine->run(guest, "run", {}, context), engine->start(guest, "run", {}, context).wait()}) {
    const auto kind = kind_of<HostExhausted>(report);
    EXPECT_EQ(kind.resource, HostResource::Memory);
    EXPECT_GE(kind.needed, 100U << 20U);
    EXPECT_EQ(kind.capacity, 64U << 20U);
    EXPECT_EQ(report.outcome(), Outcome::Refused);
  }
  // Its own limit comes first: the reason is the guest's then.
  EXPECT_THAT(engine->run(guest, "run", {}, small()), Stops("memory_limit"));
}

TEST_F(LedgerTest, CapturedOutputIsCountedUntilItIsHandedOver) {
  make({.memory = 48_MiB});
  // 4 KiB at a time, for ever.
  const auto guest = load(wasi_guest(R"((local.set $s (call $stdout))
      (loop $more (call $write (local.get $s) (i32.const 64) (i32.const 4096) (i32.const 32)) (br $more)) (i32.const 1))"));
  auto context = with_deadline(60s);
  context.limits.max_output = 64_MiB;
  context.limits.max_host_calls = 1'000'000;
  const auto all = start(guest, 4, context);
  const auto seen = reasons(all);
  EXPECT_EQ(seen.at("host_exhausted"), 4);
  EXPECT_EQ(seen.at("memory"), 4);
  EXPECT_LE(engine->statistics().engine.memory.peak, 48U << 20U);
  EXPECT_TRUE(engine->run(load(kQuick), "run", {}, small()));
}

TEST_F(LedgerTest, DirectoriesAndFilesWaitForDescriptorsOrAreRefused) {
  make({.file_descriptors = 30});
  auto context = with_deadline(5s);
  for (int i = 0; i < 4; ++i) {
    context.wasi.directories.push_back({scratch.path().string(), "/d" + std::to_string(i), true});
  }
  const auto before = entries("/proc/self/fd");
  const auto all = start(load(sleeper(0, 20)), 40, context);
  std::uint64_t most = 0;
  while (all.back().state() != ExecutionState::Done) {
    most = std::max(most, entries("/proc/self/fd"));
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(reasons(all), (Reasons{{"returned", 40}}));
  EXPECT_LT(most, before + 30);
  // Opens the same file until something stops it: the ledger does, before its own limit.
  std::ofstream(scratch.path() / "hello") << "x";
  const auto opener = load(wasi_guest(R"((call $dirs (i32.const 16)) (local.set $d (i32.load (i32.load (i32.const 16))))
      (loop $more (call $open (local.get $d) (i32.const 1) (i32.const 64) (i32.const 5) (i32.const 0) (i32.const 1) (i32.const 32))
        (br $more)) (i32.const 1))"));
  const auto report = engine->run(opener, "run", {}, context);
  EXPECT_EQ(kind_of<HostExhausted>(report).resource, HostResource::FileDescriptors) << report.error();
}

TEST_F(LedgerTest, ThreadsForFilesAreTakenFromTheLedger) {
  const auto before = entries("/proc/self/task");
  make({.threads = 32});
  const auto guest = load(sleeper(0, 20));
  std::vector<Execution> all;
  for (int i = 0; i < 20; ++i) {
    const auto directory = (scratch.path() / std::to_string(i)).string();
    std::filesystem::create_directory(directory);
    auto context = with_deadline(5s);
    context.wasi.directories.push_back({directory, "/d", true});
    all.push_back(engine->start(guest, "run", {}, context));
  }
  std::uint64_t most = 0;
  while (!std::ranges::all_of(all, [](const Execution& one) { return one.state() == ExecutionState::Done; })) {
    most = std::max(most, entries("/proc/self/task"));
    std::this_thread::sleep_for(1ms);
  }
  const auto seen = reasons(all);
  EXPECT_GT(seen.at("returned"), 0);
  EXPECT_GT(seen.at("threads"), 0);
  EXPECT_EQ(seen.at("returned") + seen.at("threads"), 20);
  EXPECT_LE(most, before + 32);
  EXPECT_GT(most, before + 4);
}

TEST_F(LedgerTest, AnEngineWithoutThreadsIsNotMade) {
  auto settings = config();
  settings.shares.threads = 2;
  const auto made = WasmEngine::create(settings);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().reason(), "host_exhausted");
  EXPECT_EQ(std::get<HostExhausted>(made.error().kind).resource, HostResource::Threads);
}

// The pools of many engines do not fit a process: further ones run without.
TEST_F(LedgerTest, EnginesWithoutRoomForAPoolRunAllTheSame) {
  std::vector<WasmEngine> engines;
  for (int i = 0; i < 8; ++i) {
    auto settings = config();
    settings.max_concurrent = 1'000;
    settings.workers = 1;
    settings.shares.mappings = i % 2 == 0 ? 30'000 : 5'000;
    auto made = WasmEngine::create(settings);
    ASSERT_TRUE(made) << i << made.error();
    engines.push_back(std::move(*made));
    const auto guest = engines.back().load_text(kQuick, {.name = "guest"});
    ASSERT_TRUE(guest) << i << guest.error() << guest.error().guest_text;
    EXPECT_TRUE(engines.back().run(*guest, "run", {}, small())) << i;
  }
  const auto process = engines.front().statistics().process;
  EXPECT_LE(process.mappings.used, process.mappings.capacity);
  EXPECT_GT(engines.at(1).statistics().engine.mappings.refused, 0U);
}

TEST_F(LedgerTest, ALoadedComponentTakesWhatItIsChargedFor) {
  make({}, false);
  static_cast<void>(load(kQuick));
  ASSERT_FALSE(engine->flush_cache());
  const auto before = engine->statistics().engine;
  const auto maps = mappings(), files = entries("/proc/self/fd");
  std::vector<ComponentHandle> kept;
  constexpr std::uint64_t kMany = 50;
  for (std::uint64_t i = 0; i < kMany; ++i) {
    kept.push_back(
        load(component("(memory 1) (data (i32.const 0) \"x\") (func (export \"run\") (result i32) i32.const " +
                           std::to_string(i) + ")",
                       kRun)));
  }
  ASSERT_FALSE(engine->flush_cache());
  const auto after = engine->statistics().engine;
  EXPECT_GE(after.mappings.used - before.mappings.used, mappings() - maps);
  EXPECT_GE(after.file_descriptors.used - before.file_descriptors.used, entries("/proc/self/fd") - files);
  EXPECT_GT(after.memory.used, before.memory.used + kMany * (64U << 10U));
  kept.clear();
  EXPECT_EQ(engine->statistics().engine.memory.used, before.memory.used);
  EXPECT_EQ(engine->statistics().engine.file_descriptors.used, before.file_descriptors.used);
}

// The compiled form knows it too.
TEST_F(LedgerTest, APrecompiledComponentIsCountedLikeItsSource) {
  make({});
  const auto text = with_globals(1'000, 20);
  const auto path = scratch.path() / "compiled";
  ASSERT_TRUE(engine->compile_to_file({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, path));
  const auto guest = engine->load_precompiled(path);
  ASSERT_TRUE(guest) << guest.error();
  auto context = small();
  context.limits.max_instance_bytes = 100'000_B;
  const auto source = kind_of<ResourceLimitExceeded>(engine->run(load(text), "run", {}, context));
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(engine->run(*guest, "run", {}, context)).attempted, source.attempted);
  // Without the record it is refused, not run uncounted.
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 8);
  const auto cut = engine->load_precompiled(path);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().reason(), "load_failed");
}

}  // namespace
}  // namespace airssys::wasm::test
