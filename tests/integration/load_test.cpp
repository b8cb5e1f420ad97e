#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "compile/artefact.hpp"
#include "support/host.hpp"
#include "support/no_more_descriptors.hpp"
#include "support/scratch.hpp"
#include "support/slow_text.hpp"

namespace airssys::wasm::test {
namespace {

/// A component with `n` others in it, one inside the other or side by side.
std::string nested(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    text += "(component ";
  }
  return text + std::string(static_cast<std::size_t>(n), ')');
}
/// The same as bytes, made here: 20,000 of them are more than a text parser wants to see.
std::vector<std::uint8_t> side_by_side(int n) {
  const std::vector<std::uint8_t> preamble = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
  auto bytes = preamble;
  for (int i = 0; i < n; ++i) {
    bytes.insert(bytes.end(), {4, 8});
    bytes.insert(bytes.end(), preamble.begin(), preamble.end());
  }
  return bytes;
}

class LoadTest : public HostTest {
 protected:
  template <class T>
  static LoadFailed refusal(const Result<T>& loaded) {
    if (loaded) {
      ADD_FAILURE() << "it loaded";
      return {};
    }
    EXPECT_EQ(loaded.error().phase, Phase::Load);
    SCOPED_TRACE(loaded.error().message);
    const auto* kind = std::get_if<LoadFailed>(&loaded.error().kind);
    if (kind == nullptr) {
      ADD_FAILURE() << loaded.error().reason() << ": " << loaded.error().message << loaded.error().guest_text;
      return {};
    }
    return *kind;
  }
  static std::filesystem::path helper_script(const Scratch& scratch, std::string_view body) {
    const auto path = scratch.path() / "helper";
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  /// A load that nothing but a helper which does this can serve.
  static Result<ComponentHandle> load_by_helper(std::string_view body) {
    const Scratch scratch;
    auto settings = config();
    settings.cache = false;
    settings.compile.helper = helper_script(scratch, body);
    return WasmEngine::create(settings).value().load_component(side_by_side(1));
  }
  static WasmEngine with(void (*change)(RuntimeConfig&)) {
    auto settings = config();
    settings.cache = false;
    settings.load.max_text = 16_MiB;
    change(settings);
    return WasmEngine::create(settings).value();
  }
};

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

/// A component that imports one interface with these `items`, its name `name_size` long.
std::string with_interface(std::size_t name_size, std::string_view items) {
  return "(component (import \"a:b/" + std::string(name_size, 'c') + "\" (instance " + std::string(items) + ")))";
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

// Valid, and too much for the compiler of Wasmtime 48.0.8.
TEST_F(LoadTest, AComponentThatTheCompilerGivesUpOnIsNotABugOfOurs) {
  constexpr std::string_view kPanics = R"((component
    (component $c
      (type $t (instance (type $u u32) (export "t" (type (eq $u)))))
      (import "a" (instance (type $t)))
      (import "b" (instance (type $t))))
    (type $u u32)
    (instance $i (export "t" (type $u)))
    (instance (instantiate $c (with "a" (instance $i)) (with "b" (instance $i))))))";
  for (const auto mode : {CompileIsolation::Mode::Child, CompileIsolation::Mode::InProcess}) {
    auto settings = config();
    settings.cache = false;
    settings.compile.mode = mode;
    auto host = WasmEngine::create(settings).value();
    const auto loaded = host.load_text(kPanics);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().reason(), "load_failed") << loaded.error();
    EXPECT_TRUE(refusal(loaded).compiler_gave_up);
    EXPECT_FALSE(loaded.error().system_text.empty());
    EXPECT_EQ(loaded.error().guest_text, "") << "that is not the guest's word";
    EXPECT_EQ(host.statistics().compiler_gave_up, 1U);
    EXPECT_TRUE(host.load_text("(component)")) << "and the next one loads";
  }
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

// Nothing stops the parser but the end of its process.
TEST_F(LoadTest, ALongTextIsParsedInAChildThatCanBeStopped) {
  auto host = with([](auto& c) { c.load.timeout = 100ms; });
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(refusal(host.load_text(slow_text())).limit, "load_timeout");
  EXPECT_LT(std::chrono::steady_clock::now() - began, 1s);

  std::stop_source stop;
  auto stopper = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  const auto cancelled = engine.load_text(slow_text(), "x", stop.get_token());
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().reason(), "cancelled");
}

TEST_F(LoadTest, ALongTextIsTheComponentThatAShortOneIs) {
  const auto padding = ";; " + std::string(40'000, 'x') + "\n";
  const auto wat = component(R"((func (export "run") (result i32) i32.const 42))", kRun);
  const auto long_one = engine.load_text(padding + wat);
  ASSERT_TRUE(long_one) << long_one.error() << long_one.error().guest_text;
  EXPECT_EQ(long_one->digest(), engine.load_text(wat)->digest());
  EXPECT_EQ(engine.run(*long_one, "run", {}, small()).value(), Value(std::int32_t{42}));

  const auto bad = engine.load_text(padding + "(component (nonsense))");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "the text is no component");
  EXPECT_THAT(bad.error().guest_text, testing::HasSubstr("line 2, column 13"));
  const auto kind = refusal(with([](auto& c) { c.load.max_bytes = 50_B; }).load_text(padding + wat));
  EXPECT_EQ(kind.limit, "bytes");
  EXPECT_EQ(kind.allowed, 50U);
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

/// Compiling this takes more than 64 MiB.
std::string hard_to_compile() {
  std::string body, functions;
  for (int i = 0; i < 10'000; ++i) {
    body += "(drop (i32.div_u (i32.load (i32.const " + std::to_string(i) + ")) (i32.const 3)))";
  }
  for (int i = 0; i < 8; ++i) {
    functions += "(func " + body + ")";
  }
  return component("(memory 1)" + functions + R"((func (export "run") (result i32) i32.const 42))", kRun);
}

TEST_F(LoadTest, CompilingHasItsOwnMemoryAndTime) {
  const auto wat = component(R"((func (export "run") (result i32) i32.const 42))", kRun);
  EXPECT_EQ(refusal(with([](auto& c) { c.load.max_compile_memory = 64_MiB; }).load_text(hard_to_compile())).limit,
            "compile_memory");
  EXPECT_EQ(refusal(with([](auto& c) { c.load.timeout = 1ms; }).load_text(wat)).limit, "load_timeout");
}

TEST_F(LoadTest, ALoadCanBeCancelled) {
  std::stop_source stop;
  stop.request_stop();
  const auto text = component(R"((func (export "run") (result i32) i32.const 4711))", kRun);
  const auto loaded =
      with([](auto&) {
      }).load_component({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, "x", stop.get_token());
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().reason(), "cancelled");
}

// One function of 40,000 calls and branches takes the compiler several seconds.
TEST_F(LoadTest, ACompilerThatBurnsItsCpuTimeIsStoppedByName) {
  std::string body = "(func $f (param i32) (result i32) (loop";
  for (int i = 0; i < 40'000; ++i) {
    body += "(br_if 0 (i32.load8_u (local.get 0))) (local.set 0 (call $f (local.get 0)))";
  }
  body += R"() (local.get 0)) (memory 1) (func (export "run") (result i32) i32.const 1))";
  const auto kind = refusal(with([](auto& c) { c.load.max_compile_cpu = 1s; }).load_text(component(body, kRun)));
  EXPECT_EQ(kind.limit, "compile_cpu_time");
  EXPECT_EQ(kind.allowed, 1'000'000'000U);
  EXPECT_EQ(kind.unit, "ns");
}

// Against a compiler that hangs: one load is cancelled in it, one while it waits for the places of the first two.
TEST_F(LoadTest, ALoadIsCancelledWhileItCompilesAndWhileItWaitsForAPlace) {
  const Scratch scratch;
  auto settings = config();
  settings.cache = false;
  settings.compile.helper = helper_script(scratch, "exec /bin/sleep 60");
  auto host = WasmEngine::create(settings).value();
  const auto bytes = side_by_side(1);
  std::stop_source stop;
  std::vector<std::future<Result<ComponentHandle>>> loads;
  for (int i = 0; i < 3; ++i) {
    loads.push_back(std::async(std::launch::async, [&] { return host.load_component(bytes, "x", stop.get_token()); }));
  }
  for (const auto& load : loads) {
    EXPECT_EQ(load.wait_for(50ms), std::future_status::timeout);
  }
  const auto began = std::chrono::steady_clock::now();
  stop.request_stop();
  for (auto& load : loads) {
    const auto loaded = load.get();
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().reason(), "cancelled");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 1s);
}

TEST_F(LoadTest, ACompilerThatSomebodyElseKilledIsNotTheComponentsFault) {
  const auto loaded = load_by_helper("kill -9 $$");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().reason(), "host_exhausted");
  EXPECT_EQ(std::get<HostExhausted>(loaded.error().kind).resource, HostResource::CompileHelper);
}

TEST_F(LoadTest, AHelperThatIsNoProgramIsNamed) {
  const Scratch scratch;
  auto settings = config();
  settings.cache = false;
  settings.compile.helper = scratch.path() / "helper";
  std::ofstream(settings.compile.helper) << "";
  std::filesystem::permissions(settings.compile.helper, std::filesystem::perms::owner_all);
  const auto loaded = WasmEngine::create(settings).value().load_text("(component)", "guest");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(std::get<HostExhausted>(loaded.error().kind).resource, HostResource::CompileHelper);
  EXPECT_EQ(std::get<HostExhausted>(loaded.error().kind).os_error, ENOEXEC);
  EXPECT_THAT(loaded.error().message, ::testing::HasSubstr(settings.compile.helper.string()));
}

/// Makes SIGCHLD what it says while it lives.
class ChildSignal {
 public:
  explicit ChildSignal(void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    ::sigaction(SIGCHLD, &action, &before_);
  }
  ChildSignal(const ChildSignal&) = delete;
  ChildSignal& operator=(const ChildSignal&) = delete;
  ~ChildSignal() { ::sigaction(SIGCHLD, &before_, nullptr); }

 private:
  struct sigaction before_{};
};

// Servers do: then nobody but the child itself can say how it ended.
TEST_F(LoadTest, AProgramThatReapsAllChildrenLoadsLikeAnyOther) {
  const auto reap = [](int) {
    const int before = errno;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    errno = before;
  };
  for (void (*handler)(int) : {SIG_IGN, static_cast<void (*)(int)>(reap)}) {
    const ChildSignal signal(handler);
    EXPECT_TRUE(with([](auto&) {}).load_text(component(R"((func (export "run") (result i32) i32.const 42))", kRun)));
    // Refused by the compiler, which the pre-scan does not look for.
    EXPECT_EQ(
        refusal(with([](auto&) {}).load_text("(component (export \"x\" (func 7)))" + std::string(64U << 10U, ' ')))
            .limit,
        "");
    EXPECT_EQ(refusal(with([](auto& c) { c.load.max_compile_memory = 64_MiB; }).load_text(hard_to_compile())).limit,
              "compile_memory");
    const auto dead = load_by_helper("exit 3");
    ASSERT_FALSE(dead);
    EXPECT_EQ(dead.error().reason(), "host_exhausted");
    EXPECT_THAT(dead.error().message, ::testing::AnyOf(::testing::HasSubstr("without a word"),
                                                       ::testing::HasSubstr("is it of this version")));
  }
}

// What the child finds is the same wherever the host runs, and a signal to the host's group (Ctrl-C) is the host's.
TEST_F(LoadTest, TheHelperHasNoEnvironmentAndAGroupOfItsOwn) {
  const Scratch scratch;
  const auto seen = scratch.path() / "seen";
  ::setenv("AIRSSYS_WASM_TEST_SECRET", "secret", 1);
  static_cast<void>(
      load_by_helper("{ /usr/bin/env; read -r pid name state parent group rest < /proc/$$/stat; echo $$ $group; } > '" +
                     seen.string() + "'"));
  ::unsetenv("AIRSSYS_WASM_TEST_SECRET");
  std::ifstream file(seen);
  std::string line, last;
  while (std::getline(file, line)) {
    // The shell's own.
    EXPECT_THAT(line, ::testing::MatchesRegex("PWD=.*|SHLVL=.*|_=.*|[0-9]+ [0-9]+"));
    last = line;
  }
  const auto space = last.find(' ');
  ASSERT_NE(space, std::string::npos) << last;
  EXPECT_EQ(last.substr(0, space), last.substr(space + 1));
}

// Neither the host nor the child can change compiled code once it was checked.
TEST_F(LoadTest, CompiledCodeIsSealed) {
  const std::vector<std::uint8_t> bytes(100);
  const auto artefact = compile::seal(bytes);
  ASSERT_TRUE(artefact);
  EXPECT_EQ(::fcntl(artefact->file.get(), F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

TEST_F(LoadTest, AStopThatCameBeforeTheLoadEndsIt) {
  static_cast<void>(load(component(R"((func (export "run") (result i32) i32.const 42))", kRun)));
  std::stop_source stop;
  stop.request_stop();
  const auto kept = engine.load_text(component(R"((func (export "run") (result i32) i32.const 42))", kRun), "guest",
                                     stop.get_token());
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().reason(), "cancelled");
}

TEST_F(LoadTest, AMissingHelperNamesThePlaces) {
  const auto loaded = with([](auto& c) {
                        c.compile.helper = "/nowhere/airssys-wasm-compile";
                      }).load_text(component(R"((func (export "run") (result i32) i32.const 42))", kRun));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().reason(), "host_exhausted");
  EXPECT_THAT(loaded.error().message, ::testing::HasSubstr("/nowhere/airssys-wasm-compile"));
}

TEST_F(LoadTest, InProcessCompilingIsThereForTrustedBytes) {
  auto here = with([](auto& c) {
    c.compile.mode = CompileIsolation::Mode::InProcess;
    c.compile.helper = "/nowhere";
  });
  const auto guest = here.load_text(component(R"((func (export "run") (result i32) i32.const 42))", kRun));
  ASSERT_TRUE(guest) << guest.error();
  EXPECT_EQ(here.run(*guest, "run", {}, small()).value(), Value(std::int32_t{42}));
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

/// A component of at least this size.
std::vector<std::uint8_t> padded(std::size_t size) {
  std::vector<std::uint8_t> bytes = {0, 'a', 's', 'm', 0x0d, 0, 1, 0, 0};
  // A custom section without a name.
  constexpr unsigned kLow = 0x7f, kMore = 0x80, kBits = 7;
  auto left = size + 1;
  for (; left > kLow; left >>= kBits) {
    bytes.push_back(static_cast<std::uint8_t>((left & kLow) | kMore));
  }
  bytes.push_back(static_cast<std::uint8_t>(left));
  bytes.resize(bytes.size() + size + 1);
  return bytes;
}

/// Components of a megabyte and more take the compiler for ever.
class SlowCompilerTest : public LoadTest {
 protected:
  SlowCompilerTest() {
    settings.cache = false;
    settings.compile.helper =
        helper_script(scratch, "[ \"$(stat -Lc %s /proc/self/fd/3)\" -gt 1000000 ] && exec sleep 10\nexec " +
                                   std::string(AIRSSYS_WASM_TEST_HELPER) + " \"$@\"");
    settings.load.timeout = 800ms;
  }
  std::future<Result<ComponentHandle>> start(WasmEngine& host, std::size_t size, std::string principal = {}) {
    return std::async(std::launch::async, [&host, size, principal] {
      return host.load_component(padded(size), "component", {}, principal);
    });
  }
  /// The same, known to compile or to wait when this returns: one compiles, and so many wait.
  std::future<Result<ComponentHandle>> start_before(WasmEngine& host, std::size_t size, std::uint64_t queued,
                                                    std::string principal = {}) {
    auto load = start(host, size, std::move(principal));
    wait_until_one_compiles(host, queued);
    return load;
  }
  static void wait_until_one_compiles(WasmEngine& host, std::uint64_t queued) {
    const auto late = std::chrono::steady_clock::now() + 3s;
    while (host.statistics().compiling != 1 || host.statistics().loads_queued != queued) {
      ASSERT_LT(std::chrono::steady_clock::now(), late) << "it never compiled one with " << queued << " that wait";
      std::this_thread::sleep_for(1ms);
    }
  }
  const Scratch scratch;
  RuntimeConfig settings = config();
};

constexpr std::size_t kSmallOne = 100, kLargeOne = 300'000, kSlowOne = 1'100'000;

// Waiting for others is no part of the time that a load may take.
TEST_F(SlowCompilerTest, AnHonestLoadOutlastsSlowOnes) {
  settings.compile.children = 2;
  auto host = WasmEngine::create(settings).value();
  auto first = start_before(host, kSlowOne, 0);
  auto second = start_before(host, kSlowOne, 1);
  auto honest = start_before(host, kLargeOne, 2);
  const auto loaded = honest.get();
  ASSERT_TRUE(loaded) << loaded.error();
  EXPECT_GE(loaded->load_usage().queued, 800ms) << "more than its own load may take";
  EXPECT_GE(loaded->load_usage().wall_time, loaded->load_usage().queued);
  EXPECT_EQ(refusal(first.get()).limit, "load_timeout");
  EXPECT_EQ(refusal(second.get()).limit, "load_timeout");
}

TEST_F(SlowCompilerTest, ASmallComponentDoesNotWaitForLargeOnes) {
  settings.compile.children = 2;
  auto host = WasmEngine::create(settings).value();
  auto slow = start_before(host, kSlowOne, 0);
  auto another = start_before(host, kSlowOne, 1);
  const auto honest = start(host, kSmallOne).get();
  ASSERT_TRUE(honest) << honest.error();
  EXPECT_LT(honest->load_usage().queued, 400ms) << "the slow one goes on for twice as long";
}

TEST_F(SlowCompilerTest, APrincipalWithManyLoadsDoesNotHoldUpAnother) {
  settings.compile.children = 1;
  auto host = WasmEngine::create(settings).value();
  std::vector<std::future<Result<ComponentHandle>>> greedy;
  for (std::uint64_t i = 0; i < 3; ++i) {
    greedy.push_back(start_before(host, kSlowOne, i, "greedy"));
  }
  const auto honest = start(host, kSmallOne, "honest").get();
  ASSERT_TRUE(honest) << honest.error();
  EXPECT_LT(honest->load_usage().queued, 1200ms) << "behind the one under way, before the two that wait";
}

// The next one may come before the first has put it into the cache; further ones find it.
TEST_F(SlowCompilerTest, ThoseThatWaitToCompileTheSameFindIt) {
  const Scratch cache;
  settings.cache = true;
  settings.cache_directory = cache.path();
  settings.compile.children = 1;
  settings.load.timeout = 5s;
  settings.compile.helper =
      helper_script(scratch, "sleep 0.3\nexec " + std::string(AIRSSYS_WASM_TEST_HELPER) + " \"$@\"");
  auto host = WasmEngine::create(settings).value();
  auto first = start_before(host, kSmallOne, 0);
  std::vector<std::future<Result<ComponentHandle>>> others;
  for (std::uint64_t i = 1; i < 5; ++i) {
    others.push_back(start_before(host, kSmallOne, i));
  }
  EXPECT_FALSE(first.get().value().load_usage().from_cache);
  int found = 0;
  for (auto& other : others) {
    const auto loaded = other.get();
    ASSERT_TRUE(loaded) << loaded.error();
    EXPECT_GT(loaded->load_usage().queued, 0ns);
    found += loaded->load_usage().from_cache ? 1 : 0;
  }
  EXPECT_GE(found, 3);
}

TEST_F(SlowCompilerTest, WaitingForAPlaceHasItsOwnLimitAndReason) {
  settings.compile.children = 1;
  settings.compile.queue_timeout = 50ms;
  settings.compile.max_queued = 1;
  settings.load.timeout = 1s;
  auto host = WasmEngine::create(settings).value();
  auto slow = start_before(host, kSlowOne, 0);
  const auto late = start(host, kSmallOne).get();
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().reason(), "queue_timeout");
  EXPECT_EQ(late.error().phase, Phase::Load);
  EXPECT_EQ(late.error().message, "no place to compile became free in 50 ms");
  EXPECT_GE(std::get<QueueTimeout>(late.error().kind).waited, 50ms);
}

TEST_F(SlowCompilerTest, NoMoreLoadsWaitThanMay) {
  settings.compile.children = 1;
  settings.compile.max_queued = 0;
  auto host = WasmEngine::create(settings).value();
  auto slow = start_before(host, kSlowOne, 0);
  const auto full = start(host, kSmallOne).get();
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().reason(), "queue_full");
}

TEST_F(SlowCompilerTest, ALoadThatWaitsForAPlaceCanBeStopped) {
  settings.compile.children = 1;
  auto host = WasmEngine::create(settings).value();
  auto slow = start_before(host, kSlowOne, 0);
  std::stop_source stop;
  auto waiting = std::async(std::launch::async,
                            [&] { return host.load_component(padded(kSmallOne), "component", stop.get_token()); });
  wait_until_one_compiles(host, 1);
  stop.request_stop();
  const auto stopped = waiting.get();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().reason(), "cancelled");
}

// What others could have written is not trusted: native code would run with our rights.
TEST_F(LoadTest, ACacheThatOthersCanWriteIsNotUsed) {
  const Scratch scratch;
  const auto& directory = scratch.path();
  auto settings = config();
  settings.cache_directory = directory;
  const auto wat = component(R"((func (export "run") (result i32) i32.const 42))", kRun);
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(directory), {}); };
  {
    auto trusting = WasmEngine::create(settings).value();
    EXPECT_THAT(trusting.load_text(wat).value().notes(), ::testing::IsEmpty());
    EXPECT_FALSE(trusting.flush_cache());
    EXPECT_EQ(files(), 1);
  }
  std::filesystem::permissions(directory, std::filesystem::perms::all);
  auto wary = WasmEngine::create(settings).value();
  const auto guest = wary.load_text(wat).value();
  EXPECT_THAT(guest.notes(), ::testing::ElementsAre(::testing::HasSubstr("can be written by others")));
  EXPECT_EQ(wary.run(guest, "run", {}, small()).value(), Value(std::int32_t{42}));
}

// Nor is a file in it: here it holds another component's code.
TEST_F(LoadTest, AnArtefactThatOthersCanWriteIsNotUsed) {
  const Scratch scratch;
  const auto answer = [&](int n) {
    auto settings = config();
    settings.cache_directory = scratch.path() / std::to_string(n);
    auto host = WasmEngine::create(settings).value();
    const auto text = component("(func (export \"run\") (result i32) i32.const " + std::to_string(n) + ")", kRun);
    return host.run(host.load_text(text).value(), "run", {}, small()).value();
  };
  const auto kept = [&](int n) {
    const auto directory = scratch.path() / std::to_string(n);
    // What was used again lies there.
    const auto again = directory / "again";
    const bool protected_one = std::filesystem::exists(again) && !std::filesystem::is_empty(again);
    return std::filesystem::directory_iterator(protected_one ? again : directory)->path();
  };
  static_cast<void>(answer(1));
  static_cast<void>(answer(2));
  std::filesystem::copy_file(kept(1), kept(2), std::filesystem::copy_options::overwrite_existing);
  std::filesystem::permissions(kept(2), std::filesystem::perms::others_write, std::filesystem::perm_options::add);
  EXPECT_EQ(answer(2), Value(std::int32_t{2}));
  // Nor does one that is no file hold anybody up.
  const auto path = kept(2);
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(answer(2), Value(std::int32_t{2}));
}

// A file in which a bit has turned, wherever it be, is native code that would do anything: it is compiled anew.
TEST_F(LoadTest, ADamagedArtefactIsReplaced) {
  const Scratch scratch;
  auto settings = config();
  settings.cache_directory = scratch.path();
  auto host = WasmEngine::create(settings).value();
  const auto wat = component(R"((func (export "run") (result i32) i32.const 42))", kRun);
  static_cast<void>(host.load_text(wat).value());
  ASSERT_FALSE(host.flush_cache());
  const auto kept = std::filesystem::directory_iterator(scratch.path())->path();
  const auto content = [&] {
    std::ifstream in(kept, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto sound = content();
  std::vector<std::string> damaged = {"", "no artefact", sound + '\0', sound.substr(0, sound.size() - 1)};
  constexpr std::size_t kStep = 997;
  for (std::size_t at = 0; at < sound.size(); at += kStep) {
    damaged.push_back(sound);
    damaged.back()[at] = static_cast<char>(sound[at] ^ (1 << at % 8));
  }
  for (const auto& bytes : damaged) {
    std::ofstream(kept, std::ios::binary) << bytes;
    const auto guest = host.load_text(wat);
    ASSERT_TRUE(guest) << guest.error();
    EXPECT_FALSE(guest->load_usage().from_cache);
    EXPECT_EQ(host.run(*guest, "run", {}, small()).value(), Value(std::int32_t{42}));
    ASSERT_FALSE(host.flush_cache());
    EXPECT_EQ(content(), sound) << "compiled again, to the same";
  }
}

// The oldest goes first; what was kept is mapped and not compiled again.
TEST(CacheTest, HoldsNoMoreThanItMay) {
  const Scratch scratch;
  const auto files = [&] {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(scratch.path())) {
      bytes += entry.file_size();
      ++count;
    }
    return std::pair{count, bytes};
  };
  auto settings = config();
  settings.cache_directory = scratch.path();
  const auto numbered = [](int n) {
    return component("(func (export \"run\") (result i32) i32.const " + std::to_string(n) + ")", kRun);
  };
  ASSERT_TRUE(WasmEngine::create(settings).value().load_text(numbered(0)));
  const auto one = files().second;
  ASSERT_EQ(files().first, 1U);
  settings.cache_max = Bytes{one * 7 / 2};
  auto engine = WasmEngine::create(settings).value();
  for (int n = 1; n < 8; ++n) {
    const auto loaded = engine.load_text(numbered(n));
    ASSERT_TRUE(loaded);
    EXPECT_TRUE(loaded->notes().empty());
    EXPECT_FALSE(engine.flush_cache());
    EXPECT_LE(files().second, settings.cache_max.count);
  }
  EXPECT_EQ(files().first, 3U);
  settings.cache_max = 1_KiB;
  const auto too_large = WasmEngine::create(settings).value().load_text(numbered(9));
  ASSERT_TRUE(too_large);
  EXPECT_EQ(too_large->notes().size(), 1U) << "it says that it was not kept";
}

}  // namespace
}  // namespace airssys::wasm::test
