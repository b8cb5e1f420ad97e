#include "support/load.hpp"

namespace airssys::wasm::test {
namespace {

/// A component with one type: `depth` types, each begun by `open` inside the one before it.
std::vector<std::uint8_t> types_in_types(std::size_t depth, std::uint8_t open) {
  constexpr std::uint8_t kOneMore = 1, kType = 1, kEmptyInstance = 0x42;
  std::vector<std::uint8_t> section = {1};
  for (std::size_t i = 0; i < depth; ++i) {
    section.insert(section.end(), {open, kOneMore, kType});
  }
  section.insert(section.end(), {kEmptyInstance, 0});
  std::vector<std::uint8_t> bytes = {0, 'a', 's', 'm', 0x0d, 0, 1, 0, 7};
  auto size = section.size();
  do {
    bytes.push_back(static_cast<std::uint8_t>((size & 0x7fU) | (size > 0x7f ? 0x80U : 0U)));
    size >>= 7U;
  } while (size > 0);
  bytes.insert(bytes.end(), section.begin(), section.end());
  return bytes;
}

/// A component that imports one interface with these `items`, its name `name_size` long.
std::string with_interface(std::size_t name_size, std::string_view items) {
  return "(component (import \"a:b/" + std::string(name_size, 'c') + "\" (instance " + std::string(items) + ")))";
}

TEST_F(LoadTest, WantOfDescriptorsIsTheHostsAndNotTheFiles) {
  if (!NoMoreDescriptors::kBearable) {
    GTEST_SKIP() << "the undefined-behaviour sanitizer needs descriptors of its own to look at memory";
  }
  const Scratch scratch;
  const auto path = scratch.path() / "hello.wasm";
  std::ofstream(path) << "anything";
  const NoMoreDescriptors none;
  for (const auto& loaded : {engine.load_file(path), engine.load_precompiled(path)}) {
    ASSERT_FALSE(loaded);
    const auto* exhausted = std::get_if<HostExhausted>(&loaded.error().kind);
    ASSERT_NE(exhausted, nullptr) << loaded.error().message;
    EXPECT_EQ(exhausted->resource, HostResource::FileDescriptors);
    EXPECT_EQ(exhausted->os_error, EMFILE);
  }
}

TEST_F(LoadTest, TwentyThousandComponentsAreRefusedByName) {
  const auto began = std::chrono::steady_clock::now();
  const auto kind = refusal(engine.load_component(side_by_side(20'000)));
  EXPECT_EQ(kind.limit, "components");
  EXPECT_EQ(kind.allowed, 1'000U);
  EXPECT_EQ(kind.found, 1'001U);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 1s);
}

// Two kilobytes that would become eight million instances, a gigabyte and seconds before the first look at a clock.
TEST_F(LoadTest, InstancesThatDoubleAreRefusedByName) {
  std::string text = "(component $c0)";
  constexpr int kDoublings = 24;
  for (int i = 1; i < kDoublings; ++i) {
    const auto last = "(instance (instantiate $c" + std::to_string(i - 1) + "))";
    text = "(component $c" + std::to_string(i) + " " + text + last + last + ")";
  }
  const auto kind = refusal(engine.load_text("(component " + text + "(instance (instantiate $c23)))"));
  EXPECT_EQ(kind.limit, "instances");
  EXPECT_EQ(kind.allowed, 10'000U);
}

TEST_F(LoadTest, DeepNestingIsRefusedByName) { EXPECT_EQ(refusal(engine.load_text(nested(60))).limit, "nesting"); }

// Three bytes a level: what reads them must not call itself for each.
TEST_F(LoadTest, TypesInTypesAreRefusedByName) {
  for (const auto open : {std::uint8_t{0x41}, std::uint8_t{0x42}}) {
    EXPECT_TRUE(engine.load_component(types_in_types(10, open)));
    const auto kind = refusal(engine.load_component(types_in_types(1'000'000, open)));
    EXPECT_EQ(kind.limit, "nesting");
    EXPECT_EQ(kind.allowed, 50U);
    EXPECT_EQ(kind.found, 51U);
  }
}

// Types share parts: 40 KB in which one enum of 100 long names is the type of a hundred parameters of 10 functions.
TEST_F(LoadTest, NamesOfTypesCountWhereverTheyAreWrittenOut) {
  std::string names, parameters, functions;
  for (int i = 0; i < 100; ++i) {
    names += " \"" + std::string(300, 'a') + std::to_string(i) + "\"";
    parameters += "(param \"p" + std::to_string(i) + "\" $long)";
  }
  for (int i = 0; i < 10; ++i) {
    functions += "(import \"f" + std::to_string(i) + "\" (func " + parameters + "))";
  }
  const auto wat = "(component (type $e (enum" + names + ")) (import \"e\" (type $long (eq $e)))" + functions + ")";
  const Scratch scratch;
  auto settings = config();
  settings.cache_directory = scratch.path();
  const auto kind = refusal(WasmEngine::create(settings).value().load_text(wat));
  EXPECT_EQ(kind.limit, "type_nodes");
  EXPECT_EQ(kind.allowed, 100'000U);
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path())) << "what is refused is not kept";
}

// Written as paths, `interface#function`, a megabyte of such would be gigabytes.
TEST_F(LoadTest, ANameCountsForEachThatItStandsBefore) {
  std::string functions;
  for (int i = 0; i < 2'000; ++i) {
    functions += "(export \"f" + std::to_string(i) + "\" (func))";
  }
  EXPECT_TRUE(engine.load_text(with_interface(10, functions)));
  EXPECT_EQ(refusal(engine.load_text(with_interface(10'000, functions))).limit, "type_nodes");
}

// Nineteen instances; an upper bound that multiplies wherever a component is handed on calls them 853,686,927,102.
TEST_F(LoadTest, ComponentsThatAreGivenToComponentsCountAsOftenAsTheyAreMade) {
  std::string text = R"((component
    (component $P (import "c" (component $C)) (instance (instantiate $C)) (instance (instantiate $C)))
    (component $I))";
  for (int i = 0; i < 6; ++i) {
    text += R"((instance (instantiate $P (with "c" (component $I)))))";
  }
  text += ")";
  EXPECT_TRUE(with([](auto& c) { c.load.max_instances = 19; }).load_text(text));
  const auto kind = refusal(with([](auto& c) { c.load.max_instances = 18; }).load_text(text));
  EXPECT_EQ(kind.limit, "instances");
  EXPECT_EQ(kind.found, 19U);
}

TEST_F(LoadTest, InstancesInsideTheTypesOfInstancesHaveALimitOfTheirOwn) {
  std::string text = R"((component (type $i0 (instance (export "f" (func)))))";
  for (int i = 1; i < 101; ++i) {
    text += "(type $i" + std::to_string(i) + R"( (instance (export "i" (instance (type $i)" + std::to_string(i - 1) +
            ")))))";
  }
  text += R"((import "x" (instance (type $i100)))))";
  const auto kind = refusal(engine.load_text(text));
  EXPECT_EQ(kind.limit, "type_depth");
  EXPECT_EQ(kind.allowed, 100U);
  EXPECT_TRUE(with([](auto& c) { c.load.max_type_depth = 200; }).load_text(text));
}

// What is only written down takes memory too: modules that nobody instantiates.
TEST_F(LoadTest, WhatALoadedComponentKeepsInTheHostHasALimit) {
  std::string module = "(core module";
  for (int i = 0; i < 5'000; ++i) {
    module += " (global i32 (i32.const 1))";
  }
  const auto text = "(component " + module + ") " + module + "))";
  const auto kind = refusal(with([](auto& c) { c.load.max_metadata = Bytes{500'000}; }).load_text(text));
  EXPECT_EQ(kind.limit, "metadata_bytes");
  EXPECT_EQ(kind.unit, "bytes");
  const auto loaded = engine.load_text(text);
  ASSERT_TRUE(loaded);
  const auto required = loaded->required_resources();
  ASSERT_TRUE(required);
  EXPECT_GT(required->metadata_bytes.count, 10'000U * 60);
  EXPECT_LT(required->metadata_bytes.count, 10'000U * 200);
}

// Each is looked for among those before it.
TEST_F(LoadTest, ManyResourcesAreRefusedByName) {
  const auto resources = [](int n) {
    std::string items;
    for (int i = 0; i < n; ++i) {
      items += "(export \"r" + std::to_string(i) + "\" (type (sub resource)))";
    }
    return with_interface(10, items);
  };
  EXPECT_TRUE(engine.load_text(resources(500)));
  EXPECT_EQ(refusal(engine.load_text(resources(9'000))).limit, "type_nodes");
}

// A few hundred bytes can become a gigabyte of native code and tables.
TEST_F(LoadTest, TheCompiledFormHasALimit) {
  const auto wat = component(
      "(table 3000000 funcref) (elem (table 0) (i32.const 2999999) func 0)"
      R"((func (export "run") (result i32) i32.const 42))",
      kRun);
  for (const auto mode : {CompileIsolation::Mode::Child, CompileIsolation::Mode::InProcess}) {
    auto settings = config();
    settings.cache = false;
    settings.compile.mode = mode;
    settings.load.max_artefact = 8_KiB;
    const auto kind = refusal(WasmEngine::create(settings).value().load_text(wat));
    EXPECT_EQ(kind.limit, "artefact_bytes");
    EXPECT_EQ(kind.allowed, 8192U);
    EXPECT_GT(kind.found, 8192U);
    EXPECT_EQ(kind.unit, "bytes");
  }
  // Nor does one that an engine with other limits has kept slip through.
  auto settings = config();
  const Scratch scratch;
  settings.cache_directory = scratch.path();
  EXPECT_TRUE(WasmEngine::create(settings).value().load_text(wat));
  settings.load.max_artefact = 8_KiB;
  EXPECT_EQ(refusal(WasmEngine::create(settings).value().load_text(wat)).limit, "artefact_bytes");
}

TEST_F(LoadTest, EachFigureOfThePreScanHasItsLimit) {
  const auto wat = component(R"((type (func)) (memory 1) (table 1 funcref) (func (export "a")) (func (export "b")))",
                             "(core instance (instantiate $m))");
  struct Row {
    const char* limit;
    void (*change)(RuntimeConfig&);
  };
  for (const auto& row : {Row{"bytes", [](RuntimeConfig& c) { c.load.max_bytes = 50_B; }},
                          Row{"text_bytes", [](RuntimeConfig& c) { c.load.max_text = 50_B; }},
                          Row{"modules", [](RuntimeConfig& c) { c.load.max_modules = 0; }},
                          Row{"instances", [](RuntimeConfig& c) { c.load.max_instances = 1; }},
                          Row{"functions", [](RuntimeConfig& c) { c.load.max_functions = 1; }},
                          Row{"body_bytes", [](RuntimeConfig& c) { c.load.max_body = 1_B; }},
                          Row{"types", [](RuntimeConfig& c) { c.load.max_types = 0; }},
                          Row{"exports", [](RuntimeConfig& c) { c.load.max_exports = 1; }},
                          Row{"memories", [](RuntimeConfig& c) { c.load.max_memories = 0; }},
                          Row{"tables", [](RuntimeConfig& c) { c.load.max_tables = 0; }}}) {
    EXPECT_EQ(refusal(with(row.change).load_text(wat)).limit, row.limit);
  }
  EXPECT_EQ(refusal(with([](auto& c) {
                      c.load.max_imports = 1;
                    }).load_text(R"((component (import "a" (func)) (import "b" (func))))"))
                .limit,
            "imports");
}

TEST_F(LoadTest, AStopThatCameBeforeTheLoadEndsIt) {
  static_cast<void>(load(component(R"((func (export "run") (result i32) i32.const 42))", kRun)));
  std::stop_source stop;
  stop.request_stop();
  const auto kept = engine.load_text(component(R"((func (export "run") (result i32) i32.const 42))", kRun),
                                     {.name = "guest", .stop = stop.get_token()});
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().reason(), "cancelled");
}

TEST_F(LoadTest, APrecompiledFileReplacesFilesOnly) {
  const Scratch scratch;
  const auto bytes = side_by_side(1);
  const auto target = scratch.path() / "out";
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(engine.compile_to_file(bytes, target));
    EXPECT_TRUE(std::filesystem::is_regular_file(target));
  }
  const auto link = scratch.path() / "link";
  std::filesystem::create_symlink("out", link);
  std::filesystem::resize_file(target, 0);
  EXPECT_TRUE(engine.compile_to_file(bytes, link));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_GT(std::filesystem::file_size(target), 0U);
  std::filesystem::remove(target);
  ASSERT_EQ(::mkfifo(target.c_str(), 0600), 0);
  const auto refused = engine.compile_to_file(bytes, target);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("is no regular file"));
  EXPECT_TRUE(std::filesystem::is_fifo(target));
}

TEST_F(LoadTest, MalformedBytesSayWhere) {
  auto bytes = side_by_side(1);
  bytes[8] = 99;
  EXPECT_TRUE(refusal(engine.load_component(bytes)).offset.has_value());
}

}  // namespace
}  // namespace airssys::wasm::test
